"""Takes what was sent out of what came back: some servers repeat a command that they didn't understand.

Invariant: of every secret no run of SHARED characters is left, in whatever case, encoded as it was sent or as it is.
"""

import base64
from collections.abc import Iterable

#: So many characters in a row of a secret are a leak; a shorter secret is one as a whole.
SHARED = 12
_MARK = "<secret>"


class Scrubber:
    """Knows one sign-in's secrets. Shows none of them."""

    __slots__ = ("__runs",)

    def __init__(self, secret: str, user: str = "") -> None:
        forms = {secret, *_encoded(secret), *_encoded(f"\0{user}\0{secret}")}
        forms |= set(_encoded(f"user={user}\x01auth=Bearer {secret}\x01\x01"))
        self.__runs = frozenset(run for form in forms for run in _runs(form.casefold()))

    def __repr__(self) -> str:
        return "<scrubber>"

    def scrub(self, text: str) -> str:
        """The text with each stretch that shares a run with a secret replaced by a mark."""
        folded = text.casefold()
        if len(folded) != len(text):  # a character that folds into several: compare them as they are
            folded = text
        covered = [False] * len(text)
        for length in {len(run) for run in self.__runs}:
            for start in range(len(text) - length + 1):
                if folded[start : start + length] in self.__runs:
                    covered[start : start + length] = [True] * length
        return _marked(text, covered)


def _runs(form: str) -> Iterable[str]:
    length = min(SHARED, len(form))
    return (form[start : start + length] for start in range(len(form) - length + 1) if length)


def _encoded(text: str) -> tuple[str, str]:
    data = text.encode()
    return base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()


def _marked(text: str, covered: list[bool]) -> str:
    pieces: list[str] = []
    for index, character in enumerate(text):
        if not covered[index]:
            pieces.append(character)
        elif not index or not covered[index - 1]:
            pieces.append(_MARK)
    return "".join(pieces)
