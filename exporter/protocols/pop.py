"""POP3 as seen by a client that signs in (RFC 1939, 2449, 2595, 5034).

Invariant of the reader: bytes become statuses and listings in order, or one ProtocolViolation; never another error.
"""

import re
from dataclasses import dataclass

from exporter.protocols import sasl
from exporter.protocols.lines import MAX_REPLY, MAX_REPLY_LINES, LineBuffer, refusal, text_of
from exporter.vocabulary import OfferedMechanism

_STATUS = re.compile(rb"(\+OK|-ERR|\+)(?: (.*))?", re.IGNORECASE | re.DOTALL)
_MEANT: dict[bytes, bool | None] = {b"+OK": True, b"-ERR": False, b"+": None}


@dataclass(frozen=True, slots=True)
class PopStatus:
    """A status line: `ok` is None for a continuation ("+ "), `text` what follows the indicator."""

    ok: bool | None
    text: str
    line: str


class PopReader:
    """Bytes in, statuses out; the caller knows which of its commands a listing follows."""

    def __init__(self) -> None:
        self._lines = LineBuffer()
        self._listed: list[bytes] = []  # of a listing that isn't complete
        self._listed_bytes = 0

    def feed(self, data: bytes) -> None:
        """Never raises."""
        self._lines.feed(data)

    @property
    def pending(self) -> bytes:
        """What has arrived and is neither a whole status nor a whole listing yet."""
        return b"".join(line + b"\r\n" for line in self._listed) + self._lines.pending

    def next_status(self) -> PopStatus | None:
        """The next status line, None when more bytes are needed. Raises ProtocolViolation."""
        line = self._lines.next_line()
        if line is None:
            return None
        match = _STATUS.fullmatch(line)
        if match is None:
            self._lines.violate(refusal("a POP status", line))
        return PopStatus(ok=_MEANT[match[1].upper()], text=text_of(match[2] or b""), line=text_of(line))

    def next_listing(self) -> tuple[str, ...] | None:
        """The body after a +OK (of CAPA), dots unstuffed, without the final "."; None when more bytes are needed."""
        while (line := self._lines.next_line()) is not None:
            if line == b".":
                listing = tuple(text_of(listed) for listed in self._listed)
                self._forget()
                return listing
            self._collect(line.removeprefix(b"."))
        return None

    def _collect(self, line: bytes) -> None:
        self._listed_bytes += len(line) + 2
        if self._listed_bytes > MAX_REPLY or len(self._listed) >= MAX_REPLY_LINES:
            self._forget()
            self._lines.violate(f"a listing of more than {MAX_REPLY} bytes or {MAX_REPLY_LINES} lines")
        self._listed.append(line)

    def _forget(self) -> None:
        self._listed, self._listed_bytes = [], 0


def offered(listed: tuple[str, ...]) -> tuple[OfferedMechanism, ...]:
    """Ways to sign in that CAPA lists, in the server's order, each once; USER is the password in clear."""
    mechanisms: list[OfferedMechanism] = []
    for line in listed:
        keyword, *arguments = line.upper().split() or [""]
        if keyword == "SASL":
            mechanisms += [sasl.mechanism(name) for name in arguments]
        elif keyword == "USER":
            mechanisms.append(OfferedMechanism.LOGIN_COMMAND)
    return tuple(dict.fromkeys(mechanisms))


def capa() -> bytes:
    return b"CAPA\r\n"


def stls() -> bytes:
    return b"STLS\r\n"


def auth_xoauth2() -> bytes:
    """Without the initial response: Microsoft's POP takes it only on a line of its own, after "+ "."""
    return b"AUTH XOAUTH2\r\n"


def auth_plain() -> bytes:
    """Without the initial response, as `auth_xoauth2`."""
    return b"AUTH PLAIN\r\n"


def user(name: str) -> bytes:
    """Raises ValueError for a name that isn't printable ASCII (RFC 1939 3)."""
    return f"USER {_argument(name)}\r\n".encode("ascii")


def pass_(password: str) -> bytes:
    """Raises ValueError for a password that isn't printable ASCII."""
    return f"PASS {_argument(password)}\r\n".encode("ascii")


def _argument(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise ValueError("a user or password that isn't printable ASCII can't be sent by USER and PASS")
    return text


def quit_() -> bytes:
    return b"QUIT\r\n"
