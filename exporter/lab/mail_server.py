"""What the mail servers have in common: bytes in, replies out, a line at a time; no I/O."""

from collections.abc import Iterator

from exporter.lab.behaviour import Behaviour, Reply, Then

#: A client's line may be so long (bytes); a longer one ends the connection.
MAX_LINE = 65_536


class MailServer:
    """One connection. A subclass says the greeting and answers a line; `behaviour` is its place's view."""

    #: What is said before an idle connection is closed.
    farewell = b""

    def __init__(self, behaviour: Behaviour, *, starttls: bool = False) -> None:
        self.behaviour = behaviour
        self.clear = starttls
        self._buffer = b""

    def greeting(self) -> Reply:
        raise NotImplementedError

    def answer(self, line: str) -> Reply:
        """The reply to a line, given without its CRLF."""
        raise NotImplementedError

    def receive(self, data: bytes) -> Iterator[Reply]:
        """The replies to whatever lines are complete now. Behind START_TLS and CLOSE nothing is read (RFC 3207 4.2)."""
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line, self._buffer = self._buffer[:end], self._buffer[end + 1 :]
            reply = self.answer(line.removesuffix(b"\r").decode("utf-8", "replace"))
            if reply.then is Then.START_TLS:
                self.clear, self._buffer = False, b""
            yield reply
            if reply.then is not Then.GO_ON:
                return
        if len(self._buffer) > MAX_LINE:
            self._buffer = b""
            yield Reply(b"", Then.CLOSE)

    def say(self, *lines: str, then: Then = Then.GO_ON, delay: float = 0.0) -> Reply:
        return Reply("".join(f"{line}\r\n" for line in lines).encode(), then, delay)
