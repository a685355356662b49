"""Planted secrets, and the search for them: as they are, in every encoding in which they travel, and in parts."""

import base64
from collections.abc import Iterable, Mapping
from urllib.parse import quote

#: So many characters in a row are a leak.
RUN = 12


def forms(secret: str) -> set[str]:
    """What a secret looks like on its way: plain, quoted, hex, base64 at each alignment."""
    data = secret.encode()
    found = {secret, quote(secret, safe=""), data.hex(), repr(secret)[1:-1], secret[::-1]}
    for lead in range(3):
        encoded = base64.b64encode(b"\0" * lead + data)
        whole = encoded[4 if lead else 0 : len(encoded) // 4 * 4 - 4].decode()  # what doesn't depend on neighbours
        found |= {whole, whole.replace("+", "-").replace("/", "_")}
    return {form for form in found if len(form) >= min(RUN, len(secret))}


def runs(secret: str) -> set[str]:
    """Every run of it that is a leak, folded; of a shorter secret the whole."""
    return {
        form[start : start + RUN].casefold() for form in forms(secret) for start in range(max(len(form) - RUN, 0) + 1)
    }


class Leaks:
    """Knows what must come out nowhere."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._runs = {name: runs(secret) for name, secret in secrets.items()}

    def in_text(self, text: str | bytes) -> set[str]:
        """The names of secrets that a text shows something of."""
        if isinstance(text, bytes):
            text = text.decode("utf-8", "backslashreplace")
        folded = text.casefold()
        lengths = {len(run) for runs in self._runs.values() for run in runs}
        said = {folded[at : at + length] for length in lengths for at in range(len(folded) - length + 1)}
        return {name for name, runs in self._runs.items() if not said.isdisjoint(runs)}

    def check(self, places: Iterable[tuple[str, str | bytes]]) -> None:
        """Fails naming the place and the secret, and shows neither."""
        found = [f"{place}: {name}" for place, text in places for name in sorted(self.in_text(text))]
        if found:
            raise AssertionError("; ".join(found))
