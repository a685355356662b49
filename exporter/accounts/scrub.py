"""Takes what was sent out of what came back: some servers repeat a command that they didn't understand.

Invariant: of every secret no run of SHARED characters is left, in whatever case, encoded as it was sent or as it is.
"""

import base64
from collections.abc import Iterable
from urllib.parse import unquote_plus

from exporter.secret_files import Secret

#: So many characters in a row of a secret are a leak; a shorter secret is one as a whole.
SHARED = 12
_MARK = "<secret>"
#: Fields of a token request that hold one.
_SECRET_FIELDS = frozenset(
    {"client_secret", "refresh_token", "client_assertion", "device_code", "code", "password", "assertion"}
)


class Scrubber:
    """Knows one sign-in's secrets. Shows none of them."""

    __slots__ = ("__runs",)

    def __init__(self, secret: str, user: str = "") -> None:
        forms = {secret, *_encoded(secret), *_encoded(f"\0{user}\0{secret}")}
        forms |= set(_encoded(f"user={user}\x01auth=Bearer {secret}\x01\x01"))
        forms |= set(_encoded(user)) if user else set()  # AUTH LOGIN sends it so; cleaning knows only the plain name
        self.__runs = frozenset(run for form in forms for run in _runs(_folded(form)))

    def __repr__(self) -> str:
        return "<scrubber>"

    def scrub(self, text: str) -> str:
        """The text with each stretch that shares a run with a secret replaced by a mark."""
        folded = _folded(text)
        covered = [False] * len(text)
        for length in {len(run) for run in self.__runs}:
            for start in range(len(text) - length + 1):
                if folded[start : start + length] in self.__runs:
                    covered[start : start + length] = [True] * length
        return _marked(text, covered)


def _folded(text: str) -> str:
    """In one case, character by character: what folds into several (ß) stays, so that lengths do."""
    return "".join(folded if len(folded := character.casefold()) == 1 else character for character in text)


def secrets_sent(form: Secret | None) -> list[str]:
    """The secrets in the body of a token request (RFC 6749, 7523, 8628), as they are and as the form quotes them."""
    if form is None:
        return []
    pairs = [pair.partition("=")[::2] for pair in form.reveal().split("&")]
    quoted = [value for name, value in pairs if name in _SECRET_FIELDS and value]
    return list(dict.fromkeys([*map(unquote_plus, quoted), *quoted]))


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
