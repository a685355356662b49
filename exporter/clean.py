"""Text from the network, made fit to be shown: once, at the boundary.

Control characters could write on a terminal or reorder a line, names and addresses are people's. Cleaning what is
already clean changes nothing.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

#: Characters kept of a reply or detail.
MAX_TEXT = 512
#: Texts whose cleaned form is remembered.
_REMEMBERED = 512
_CUT = "…"

# Cc: C0, DEL, C1; Cf: bidi and zero-width; Zl, Zp: line and paragraph separators; Cs: halves of a surrogate pair.
_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})

# Runs are taken whole (possessive, and only from their beginning), so that a long text costs linear time.
_WORD = r"""[^\s<>@"'(),:;\[\]=…]"""
_MAIL = re.compile(rf'(?:"[^"@<>]{{1,64}}"|(?<!{_WORD}){_WORD}++)@(?:{_WORD}++|\[[^\]\s<>@]++\])')
_MAIL_IN_URL = re.compile(rf"(?<!{_WORD})(?:%40)*+(?:(?!%40){_WORD})++%40{_WORD}++", re.IGNORECASE)
_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_IPV4 = re.compile(r"(?<![0-9.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?!\.?[0-9])")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,8}[0-9a-f.]{0,15}(?:%\w{1,15})?(?![\w:])", re.IGNORECASE)

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_raw: ContextVar[bool] = ContextVar("raw", default=False)


@contextmanager
def raw_text(enabled: bool) -> Iterator[None]:
    """`--raw`: names and addresses stay; control characters are escaped and the length is bounded all the same."""
    token = _raw.set(enabled)
    try:
        yield
    finally:
        _raw.reset(token)


def clean(text: str | bytes, *, keep: Collection[str] = (), limit: int = MAX_TEXT) -> str:
    """At most `limit` characters of printable text without identities.

    `keep`: addresses that may stand, the server's own. E-mail addresses become <user>, GUIDs <guid>, others' addresses
    <ip>; control characters \\xNN or \\uNNNN, as are bytes that aren't UTF-8.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return _cleaned(text, tuple(keep), limit, _raw.get())


@lru_cache(maxsize=_REMEMBERED)  # most of what is said is said again in the next round
def _cleaned(text: str, keep: tuple[str, ...], limit: int, raw: bool) -> str:
    kept = frozenset(address for address in map(_address, keep) if address is not None)
    while True:  # cutting may leave what looks like an address again; each turn replaces or shortens
        escaped = _escaped(text)
        cleaned = _cut(escaped if raw else _without_identities(escaped, kept), limit)
        if cleaned == text:
            return cleaned
        text = cleaned


def mask_identities(text: str) -> str:
    """The text with identities overwritten in their own length, for recordings whose lengths must still be right."""
    for pattern in (_MAIL, _MAIL_IN_URL, _GUID):
        text = pattern.sub(_mask, text)
    for pattern in (_IPV6, _IPV4):
        text = pattern.sub(lambda match: "x" * len(match[0]) if _address(match[0]) else match[0], text)
    return text


def _mask(match: re.Match[str]) -> str:
    """Microsoft's own well-known ids (of Exchange Online, say) end in zeros and are nobody's."""
    if match[0].endswith("-000000000000"):
        return match[0]
    return "<".ljust(len(match[0]) - 1, "_") + ">"


def _escaped(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(character) for character in text)


def _escape(character: str) -> str:
    if character == "\t":
        return " "
    if unicodedata.category(character) not in _UNSEEN_CATEGORIES:
        return character
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _without_identities(text: str, kept: frozenset[_Address]) -> str:
    def address_or_mark(match: re.Match[str]) -> str:
        address = _address(match[0])
        if address is None:
            return match[0]
        return match[0] if address in kept or address.is_unspecified else "<ip>"

    text = _MAIL.sub("<user>", text)
    text = _MAIL_IN_URL.sub("<user>", text)
    text = _GUID.sub("<guid>", text)
    text = _IPV6.sub(address_or_mark, text)
    return _IPV4.sub(address_or_mark, text)


def _address(text: str) -> _Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + _CUT[:limit]
