"""Deadlines of connections by the packets' clock, a bucket for each second."""

from collections.abc import Iterator

from exporter.wire.flow import Flow

SECOND = 1_000_000_000
_NEVER = 1 << 62


class Timers:
    """One deadline a connection. `next_due`: nothing is due before, nanoseconds."""

    __slots__ = ("_buckets", "next_due")

    def __init__(self) -> None:
        self._buckets: dict[int, dict[Flow, None]] = {}
        self.next_due = _NEVER

    def set(self, flow: Flow, time: int) -> None:
        """Looks at the connection at `time` or up to a second later."""
        self.cancel(flow)
        bucket = time // SECOND + 1
        flow.bucket = bucket
        flows = self._buckets.get(bucket)
        if flows is None:
            flows = self._buckets[bucket] = {}
            if bucket * SECOND < self.next_due:
                self.next_due = bucket * SECOND
        flows[flow] = None

    def cancel(self, flow: Flow) -> None:
        flows = self._buckets.get(flow.bucket)
        if flows is not None:
            flows.pop(flow, None)

    def due(self, now: int) -> Iterator[Flow]:
        """Those whose time has come; each is given once."""
        for bucket in sorted(number for number in self._buckets if number * SECOND <= now):
            yield from self._buckets.pop(bucket)
        self.next_due = min(self._buckets, default=_NEVER // SECOND) * SECOND
