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
        """Tells those whose counterpart is certain; the others when they waited long enough, by all that is there."""
        if not self._inside:
            return
        since = {id(sighting): begun for begun, sighting in self._inside}
        pairs, _ = matched([each for _, each in self._inside], [each for _, each in self._outside], one_clock=True)
        certain = {id(own): other for own, other in pairs if other is not None and not _differ(own, other)}
        taken = {id(other) for other in certain.values()}
        waited = [own for own, _ in pairs if id(own) not in certain and now - since[id(own)] >= WAIT]
        for own, other in self._by_all(waited, [each for _, each in self._outside if id(each) not in taken]):
            certain[id(own)] = other
            taken.add(id(other))
        self._inside.clear()
        over = {id(each) for each in waited}
        for own, _ in pairs:
            begun = since[id(own)]
            if id(own) in certain or id(own) in over:
                self._tell(self._judged(own, certain.get(id(own)), begun))
            else:
                self._inside.append((begun, own))
        self._outside = deque(each for each in self._outside if id(each[1]) not in taken)

    def _by_all(self, waited: Sequence[Sighting], ended: Sequence[Sighting]) -> Iterator[tuple[Sighting, Sighting]]:
        """Counterparts among those that ended, and those still open with the same ClientHello or none so far."""
        if not waited:
            return
        randoms = {each.random for each in waited} | {None}
        open_ones = [each for each in self._still_open({_server(own) for own in waited}) if each.random in randoms]
        for own, other in matched(waited, [*open_ones, *ended], one_clock=True)[0]:
            if other is not None:
                yield own, other

    def _judged(self, own: Sighting, other: Sighting | None, begun: float) -> Connection:
        if other is None and (own.connection.outcome not in _UNBORN or self._dropped_at >= begun - WAIT):
            return own.connection
        return next(_judgements(own, other))


def _differ(own: Sighting, other: Sighting) -> bool:
    """Whether they have not the same ClientHello: somebody terminates TLS, or they are two clients'."""
    return own.random is not None and other.random is not None and own.random != other.random


def _server(sighting: Sighting) -> Server:
    address = sighting.connection.server
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.inet_pton(family, address), sighting.connection.server_port


def _judgements(own: Sighting, other: Sighting | None) -> Iterator[Connection]:
    return compared([own], [other] if other is not None else [])
