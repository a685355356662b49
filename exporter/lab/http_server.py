"""HTTP/1.1 with keep-alive, by h11: bytes in, replies out, no I/O. What is answered is the pages' business."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import h11

from exporter.lab.behaviour import Reply, Then

#: A request's body may be so long (bytes); what is longer is cut.
MAX_BODY = 65_536


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the server read it; header names in lower case. `host` is the Host header."""

    method: str
    host: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back, held for `delay` seconds. Content-Length is added."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    delay: float = 0.0


class HttpServer:
    """One connection."""

    farewell = b""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self._answer = answer
        self._connection = h11.Connection(h11.SERVER)
        self._head: h11.Request | None = None
        self._body = b""

    def greeting(self) -> Reply:
        """HTTP's servers wait to be asked."""
        return Reply(b"")

    def receive(self, data: bytes) -> Iterator[Reply]:
        """The replies to whatever requests are complete now."""
        try:
            self._connection.receive_data(data)
            yield from self._replies()
        except h11.RemoteProtocolError:
            yield Reply(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", Then.CLOSE)

    def _replies(self) -> Iterator[Reply]:
        while True:
            event = self._connection.next_event()
            if event is h11.NEED_DATA:
                return
            if isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                yield Reply(b"", Then.CLOSE)
                return
            if isinstance(event, h11.Request):
                self._head, self._body = event, b""
            elif isinstance(event, h11.Data):
                self._body = (self._body + event.data)[:MAX_BODY]
            elif isinstance(event, h11.EndOfMessage):
                yield self._reply()
                if self._connection.our_state is not h11.DONE:
                    return
                self._connection.start_next_cycle()

    def _reply(self) -> Reply:
        head = self._head
        assert head is not None
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in head.headers}
        target = head.target.decode("latin-1")
        answer = self._answer(Request(head.method.decode(), headers.get("host", ""), target, headers, self._body))
        fields = [*answer.headers, ("Content-Length", str(len(answer.body)))]
        data = self._connection.send(h11.Response(status_code=answer.status, headers=fields)) or b""
        if answer.body and head.method != b"HEAD":
            data += self._connection.send(h11.Data(data=answer.body)) or b""
        data += self._connection.send(h11.EndOfMessage()) or b""
        then = Then.GO_ON if self._connection.our_state is h11.DONE else Then.CLOSE
        return Reply(data, then, answer.delay)
