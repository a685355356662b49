"""Two sides, live: a connection seen inside waits a moment for its counterpart outside, then it is told.

What a comparison needs is known when both are over. Where the wait was for nothing, what goes on outside is looked at:
a gateway that resets its client alone leaves the server waiting. Of a connection without any counterpart only this is
said: where it got no answer at all, its SYN was not forwarded.
"""

import socket
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence

from exporter.observations import Connection
from exporter.vocabulary import ConnectionOutcome
from exporter.wire.sides import compared, matched
from exporter.wire.sighting import Sighting

#: How long a connection waits for its counterpart, and how long one seen outside is kept for it, seconds.
WAIT, KEPT = 12.0, 60.0
#: Connections that wait, on each side.
MAX_WAITING = 1_000

Server = tuple[bytes, int]
StillOpen = Callable[[Container[Server]], Iterable[Sighting]]

_UNBORN = frozenset({ConnectionOutcome.NO_ANSWER, ConnectionOutcome.REFUSED, ConnectionOutcome.UNREACHABLE})


class LiveSides:
    """`tell`: gets each of the inside's connections, once. `still_open`: what goes on outside towards those servers."""

    def __init__(self, tell: Callable[[Connection], None], still_open: StillOpen = lambda _servers: ()) -> None:
        self._tell = tell
        self._still_open = still_open
        self._inside: deque[tuple[float, Sighting]] = deque()
        self._outside: deque[tuple[float, Sighting]] = deque()
        self._dropped_at = float("-inf")

    def saw_inside(self, sighting: Sighting, now: float) -> None:
        """A connection ended inside; `now` in seconds."""
        if len(self._inside) >= MAX_WAITING:
            self._tell(self._inside.popleft()[1].connection)
        self._inside.append((now, sighting))

    def saw_outside(self, sighting: Sighting, now: float) -> None:
        """A connection ended outside."""
        if len(self._outside) >= MAX_WAITING:
            self._outside.popleft()
        self._outside.append((now, sighting))

    def lost_packets(self, now: float) -> None:
        """The kernel dropped some: what wasn't seen may have been there."""
        self._dropped_at = now

    def settle(self, now: float) -> None:
        """Tells those whose counterpart is known, or that waited long enough."""
        while self._outside and now - self._outside[0][0] > KEPT:
            self._outside.popleft()
        self._match(now)

    def finish(self) -> None:
        """Tells the rest."""
        self._match(float("inf"))

    def _match(self, now: float) -> None:
        if not self._inside:
            return
        since = {id(sighting): begun for begun, sighting in self._inside}
        pairs, alone = matched([each for _, each in self._inside], [each for _, each in self._outside])
        left = {id(each) for each in alone}
        self._inside.clear()
        waited = [own for own, other in pairs if other is None and now - since[id(own)] >= WAIT]
        going_on = self._going_on(waited)
        for own, other in pairs:
            begun = since[id(own)]
            if other is not None or now - begun >= WAIT:
                self._tell(self._judged(own, other or going_on.get(id(own)), begun))
            else:
                self._inside.append((begun, own))
        self._outside = deque(each for each in self._outside if id(each[1]) in left)

    def _going_on(self, waited: Sequence[Sighting]) -> dict[int, Sighting]:
        """Counterparts that are still open, by the inside's identity: with the same ClientHello, or none so far."""
        servers = {_server(each) for each in waited}
        randoms = {each.random for each in waited} | {None}
        outside = [each for each in self._still_open(servers) if each.random in randoms] if servers else []
        return {id(own): other for own, other in matched(waited, outside)[0] if other is not None}

    def _judged(self, own: Sighting, other: Sighting | None, begun: float) -> Connection:
        if other is None and (own.connection.outcome not in _UNBORN or self._dropped_at >= begun - WAIT):
            return own.connection
        return next(_judgements(own, other))


def _server(sighting: Sighting) -> Server:
    address = sighting.connection.server
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.inet_pton(family, address), sighting.connection.server_port


def _judgements(own: Sighting, other: Sighting | None) -> Iterator[Connection]:
    return compared([own], [other] if other is not None else [])
