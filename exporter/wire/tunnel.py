"""A client's way through an HTTP proxy (CONNECT, RFC 9110 9.3.6), sans-IO: where it leads, and where its bytes begin.

Of both heads the first line is looked at and nothing kept: credentials for the proxy stand in the others.
"""

from typing import Final

#: With these bytes a client's request for a tunnel begins.
CONNECT: Final = b"CONNECT "
#: Bytes of a head, and of its first line, that are looked at.
MAX_HEAD: Final = 16_384
MAX_LINE: Final = 512
_END: Final = b"\r\n\r\n"


class Head:
    """One side's head. `over`: its empty line was seen; `line`: its first, without the end."""

    __slots__ = ("_has_line", "_size", "_tail", "line", "over")

    def __init__(self) -> None:
        self.over = False
        self.line = b""
        self._has_line = False
        self._tail = b""  # the last bytes seen: the empty line may come in pieces
        self._size = 0

    @property
    def is_too_long(self) -> bool:
        """Whether no head is so long."""
        return self._size > MAX_HEAD or (not self._has_line and len(self.line) >= MAX_LINE)

    def take(self, data: bytes) -> tuple[int, bool]:
        """How many of these bytes belong to it, and whether it is over."""
        if not self._has_line:
            newline = data.find(b"\n")
            self.line += data[: len(data) if newline < 0 else newline][: MAX_LINE - len(self.line)]
            self._has_line = newline >= 0
            self.line = self.line.rstrip(b"\r") if self._has_line else self.line
        joined = self._tail + data
        end = joined.find(_END)
        if end >= 0:
            self.over = True
            return end + len(_END) - len(self._tail), True
        self._tail = joined[-(len(_END) - 1) :]
        self._size += len(data)
        return len(data), False


class Tunnel:
    """One connection to a proxy. Feed each side's bytes in order; both ways give back how many were taken.

    `opened`: what follows on both sides is the tunnel's; `port`: where it leads. `failed`: this is no CONNECT. After a
    refusal, for want of credentials mostly, the client may ask again.
    """

    __slots__ = ("_answer", "_asked", "failed", "opened", "port")

    def __init__(self) -> None:
        self.opened = False
        self.failed = False
        self.port: int | None = None
        self._asked = Head()
        self._answer = Head()

    def client(self, data: bytes) -> int:
        """What the client sent; behind its request it waits for the answer."""
        if self._asked.over:
            return 0
        taken, is_over = self._asked.take(data)
        if is_over:
            self.port = _port(self._asked.line)
        self.failed = self._asked.is_too_long or (is_over and self.port is None)
        return taken

    def server(self, data: bytes) -> int:
        """What the proxy sent; before it is asked again, the rest of its refusal."""
        if not self._asked.over:
            return len(data)
        taken, is_over = self._answer.take(data)
        self.failed = self._answer.is_too_long
        if is_over:
            words = self._answer.line.split(b" ", 2)
            self.failed = len(words) < 2 or not words[0].startswith(b"HTTP/1.")
            self.opened = not self.failed and words[1][:1] == b"2"
            if not self.opened:  # what follows is the refusal's body
                self._asked, self._answer = Head(), Head()
                return len(data)
        return taken


def _port(line: bytes) -> int | None:
    """Of `CONNECT host:port HTTP/1.1`; None where it is none."""
    words = line.split(b" ")
    if len(words) != 3 or words[0] != CONNECT.strip():
        return None
    digits = words[1].rpartition(b":")[2]
    return int(digits) if digits.isdigit() and len(digits) <= 5 and int(digits) < 65_536 else None
