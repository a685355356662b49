"""Two sides, live: a connection seen inside waits a moment for its counterpart outside, then it is told.

What a comparison needs is known when both are over. A connection that is still open outside has no counterpart yet, so
of one without any only this is said: where it got no answer at all, its SYN was not forwarded.
"""

from collections import deque
from collections.abc import Callable, Iterator

from exporter.observations import Connection
from exporter.vocabulary import ConnectionOutcome
from exporter.wire.sides import compared, matched
from exporter.wire.sighting import Sighting

#: How long a connection waits for its counterpart, and how long one seen outside is kept for it, seconds.
WAIT, KEPT = 12.0, 60.0
#: Connections that wait, on each side.
MAX_WAITING = 1_000

_UNBORN = frozenset({ConnectionOutcome.NO_ANSWER, ConnectionOutcome.REFUSED, ConnectionOutcome.UNREACHABLE})


class LiveSides:
    """`tell`: gets each of the inside's connections, once."""

    def __init__(self, tell: Callable[[Connection], None]) -> None:
        self._tell = tell
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
        if not self._inside:
            return
        since = {id(sighting): begun for begun, sighting in self._inside}
        pairs, alone = matched([each for _, each in self._inside], [each for _, each in self._outside])
        left = {id(each) for each in alone}
        self._inside.clear()
        for own, other in pairs:
            begun = since[id(own)]
            if other is not None or now - begun >= WAIT:
                self._tell(self._judged(own, other, begun))
            else:
                self._inside.append((begun, own))
        self._outside = deque(each for each in self._outside if id(each[1]) in left)

    def finish(self) -> None:
        """Tells the rest."""
        self.settle(float("inf"))

    def _judged(self, own: Sighting, other: Sighting | None, begun: float) -> Connection:
        if other is None and (own.connection.outcome not in _UNBORN or self._dropped_at >= begun - WAIT):
            return own.connection
        return next(_judgements(own, other))


def _judgements(own: Sighting, other: Sighting | None) -> Iterator[Connection]:
    return compared([own], [other] if other is not None else [])
