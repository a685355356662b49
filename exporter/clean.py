"""Text from the network, cleaned once, at the boundary: safe to print, to log, to show, to send on."""

import ipaddress
import re
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: Characters kept, at most.
LIMIT = 512

_raw: ContextVar[bool] = ContextVar("raw", default=False)


@contextmanager
def raw_text(enabled: bool) -> Iterator[None]:
    """`--raw`: addresses and names stay; control characters are escaped all the same."""
    token = _raw.set(enabled)
    try:
        yield
    finally:
        _raw.reset(token)


_EMAIL = re.compile(r"[^\s<>@\"'(),:;\[\]\\]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_GUID = re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?=[0-9A-Fa-f]*:)[0-9A-Fa-f:]{2,39}(?:\d{1,3}(?:\.\d{1,3}){3})?(?![\w:])")


def clean(text: str | bytes, *, keep: Collection[str] = (), limit: int = LIMIT) -> str:
    """Control characters escaped, e-mail addresses, GUIDs and IP addresses (but those in `keep`) replaced, and cut.

    Idempotent. Bytes are read as UTF-8, what isn't as Latin-1.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    text = "".join(_escaped(character) for character in text[: 4 * limit])
    if not _raw.get():
        text = _without_identities(text, keep)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _without_identities(text: str, keep: Collection[str]) -> str:
    text = _EMAIL.sub("<user>", text)
    text = _GUID.sub("<guid>", text)
    text = _IPV4.sub(lambda match: _address(match[0], keep), text)
    return _IPV6.sub(lambda match: _address(match[0], keep), text)


def _escaped(character: str) -> str:
    """Controls, bidirectional and zero-width marks, and lone surrogates, made visible."""
    if character == "\t":
        return " "
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        number = ord(character)
        return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
    return character


def _address(text: str, keep: Collection[str]) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    return text if str(address) in keep or text in keep or address.is_unspecified else "<ip>"
