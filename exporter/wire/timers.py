"""Deadlines of connections by the packets' clock, a bucket for each second."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from exporter.wire.flow import Flow

if TYPE_CHECKING:  # see fast_path
    from mypy_extensions import i64

SECOND: Final = 1_000_000_000
_NEVER: Final = 1 << 62


class Clock:
    """The latest time seen, and when the next deadline is, nanoseconds; `packets` counts what made it go."""

    __slots__ = ("next_due", "now", "packets")

    def __init__(self) -> None:
        self.now: i64 = 0
        self.next_due: i64 = _NEVER
        self.packets: i64 = 0


class Timers:
    """One deadline a connection; before the clock's `next_due` none is due."""

    __slots__ = ("_buckets", "_clock")

    def __init__(self, clock: Clock) -> None:
        self._buckets: dict[int, dict[Flow, None]] = {}
        self._clock = clock

    def set(self, flow: Flow, time: int) -> None:
        """Looks at the connection at `time` or up to a second later."""
        self.cancel(flow)
        bucket = time // SECOND + 1
        flow.bucket = bucket
        flows = self._buckets.get(bucket)
        if flows is None:
            flows = self._buckets[bucket] = {}
            if bucket * SECOND < self._clock.next_due:
                self._clock.next_due = bucket * SECOND
        flows[flow] = None

    def cancel(self, flow: Flow) -> None:
        flows = self._buckets.get(flow.bucket)
        if flows is not None:
            flows.pop(flow, None)

    def due(self) -> Iterator[Flow]:
        """Those whose time has come; each is given once."""
        now = self._clock.now
        for bucket in sorted(number for number in self._buckets if number * SECOND <= now):
            yield from self._buckets.pop(bucket)
        self._clock.next_due = min(self._buckets, default=_NEVER // SECOND) * SECOND
