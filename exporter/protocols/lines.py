"""Lines of a text protocol, bounded.

Invariant: however the bytes are cut, the same lines come out in the same order, then None or one ProtocolViolation
(which stays); never more than MAX_REPLY bytes are kept.
"""

from typing import NoReturn

#: Bytes of one line. The longest genuine ones (IMAP capabilities, HTTP challenges) are under 4 KiB.
MAX_LINE = 65_536
#: Bytes kept of one reply, of however many lines, literals included.
MAX_REPLY = 262_144
#: Lines of one reply: an EHLO or CAPA answer has under 50.
MAX_REPLY_LINES = 1_000
#: Characters of the peer's text quoted in a violation's detail.
MAX_QUOTED = 512

_TLS_CONTENT_TYPES = frozenset({0x14, 0x15, 0x16, 0x17})  # RFC 8446, 5.1
_TLS_MAJOR_VERSION = 0x03


class ProtocolViolation(Exception):
    """The peer's bytes aren't this protocol. `detail` is raw text of the network: clean it before showing it."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


def text_of(line: bytes) -> str:
    """UTF-8, as IMAP, SMTP and POP may send it today; other bytes as \\xNN."""
    return line.decode("utf-8", "backslashreplace")


def refusal(expected: str, line: bytes) -> str:
    """A violation's detail for a whole line that isn't `expected`; quotes its beginning."""
    return f"not {expected}: {text_of(line[:MAX_QUOTED])}"


class LineBuffer:
    """Collects bytes and gives out whole lines. Feed what one read gave, then take lines until None.

    TLS records and NUL bytes are told at once, without waiting for a line's end that will never come: a TLS alert in
    answer to plain text is seven bytes and then silence.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0  # no line end before this offset
        self._overflowed = False
        self._violation: str | None = None

    def feed(self, data: bytes) -> None:
        """Never raises; what is beyond MAX_REPLY is dropped, and is a violation once the lines before it are taken."""
        room = MAX_REPLY - len(self._buffer)
        if len(data) > room:
            self._overflowed = True
        self._buffer += data[:room]

    @property
    def pending(self) -> bytes:
        """What has arrived and isn't taken yet."""
        return bytes(self._buffer)

    def next_line(self) -> bytes | None:
        """The next line without its CRLF or LF, None when more bytes are needed. Raises ProtocolViolation."""
        if self._violation is not None:
            raise ProtocolViolation(self._violation)
        self._refuse_tls()
        end = self._buffer.find(b"\n", self._searched)
        line_length = len(self._buffer) if end < 0 else end
        if self._buffer.find(b"\0", 0 if end >= 0 else self._searched, line_length) >= 0:
            self.violate("binary data (a NUL byte) instead of a line")
        if line_length >= MAX_LINE:
            self.violate(f"a line of more than {MAX_LINE} bytes")
        if end < 0:
            self._searched = len(self._buffer)
            self._refuse_overflow()
            return None
        return self._cut(end)

    def take(self, length: int) -> bytes | None:
        """Exactly `length` bytes, whatever they are (an IMAP literal); None when more are needed."""
        if self._violation is not None:
            raise ProtocolViolation(self._violation)
        if len(self._buffer) < length:
            self._refuse_overflow()
            return None
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._searched = 0
        return taken

    def violate(self, detail: str) -> NoReturn:
        """Raises ProtocolViolation, now and at every later call; what was kept is dropped."""
        self._violation = detail
        self._buffer.clear()
        raise ProtocolViolation(detail)

    def _cut(self, end: int) -> bytes:
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return line.removesuffix(b"\r")

    def _refuse_tls(self) -> None:
        start = self._buffer[:2]
        if len(start) == 2 and start[0] in _TLS_CONTENT_TYPES and start[1] == _TLS_MAJOR_VERSION:
            self.violate("a TLS record instead of a line")

    def _refuse_overflow(self) -> None:
        if self._overflowed:
            self.violate(f"more than {MAX_REPLY} bytes")
