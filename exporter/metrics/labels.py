"""Label values that come from the network: printable, short, and few."""

from datetime import date

#: Longest label value made of text of the network, characters.
MAX_LENGTH = 64
#: Distinct values a label may have on one UTC day; the rest is `other`.
MAX_VALUES = 20

UNKNOWN = "unknown"
OTHER = "other"


def printable(text: str) -> str:
    """The text without what can't be printed, and cut."""
    if not text.isprintable():
        text = "".join(char for char in text if char.isprintable())
    return text[:MAX_LENGTH].strip()


class FewValues:
    """Lets each label have MAX_VALUES values a day. The first stay, so that a flood of names hides nothing known."""

    def __init__(self) -> None:
        self._day = date.min
        self._seen: dict[str, set[str]] = {}

    def value(self, label: str, text: str | None, day: date) -> str:
        """What to show for that text on that day."""
        if day > self._day:
            self._day, self._seen = day, {}
        value = printable(text or "") or UNKNOWN
        seen = self._seen.setdefault(label, set())
        if value not in seen and len(seen) >= MAX_VALUES:
            return OTHER
        seen.add(value)
        return value
