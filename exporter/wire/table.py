"""The connections that are followed, at most so many, found by the addresses and ports of a segment."""

from collections import OrderedDict
from typing import Final

from exporter.wire.flow import Flow, Half
from exporter.wire.timers import SECOND

#: Connections that are over and whose late segments are still recognized.
MAX_REMEMBERED: Final = 8_192
#: A connection with a segment so recent isn't the first to be given up, nanoseconds.
_RECENT: Final = 30 * SECOND
#: Connections that are looked at to find one to give up.
_LOOKED_AT: Final = 16


def key_of(source: bytes, destination: bytes, source_port: int, destination_port: int) -> bytes:
    """As it stands in a packet without options: addresses, then ports."""
    return b"%b%b%b%b" % (source, destination, source_port.to_bytes(2), destination_port.to_bytes(2))


class Table:
    """`halves`: each direction by its segments' key. A connection's state decides how soon it may be given up.

    The states are OrderedDicts for their first entry's sake: in a dict it is looked for past all that were deleted.
    """

    __slots__ = ("_active", "_closing", "_limit", "_over", "_unanswered", "halves")

    def __init__(self, limit: int) -> None:
        self.halves: dict[bytes, Half] = {}
        self._limit = limit
        self._unanswered: OrderedDict[Flow, None] = OrderedDict()
        self._active: OrderedDict[Flow, None] = OrderedDict()
        self._closing: OrderedDict[Flow, None] = OrderedDict()
        self._over: OrderedDict[bytes, int | None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._unanswered) + len(self._active) + len(self._closing)

    def flows(self) -> list[Flow]:
        """All of them, the oldest of each state first."""
        return [*self._closing, *self._active, *self._unanswered]

    def active(self) -> list[Flow]:
        return list(self._active)

    def add(self, flow: Flow, client_key: bytes, server_key: bytes) -> None:
        self.halves[client_key] = flow.client
        self.halves[server_key] = flow.server
        self._over.pop(client_key, None)
        self._over.pop(server_key, None)
        (self._active if flow.syn is None else self._unanswered)[flow] = None

    def answered(self, flow: Flow) -> None:
        if self._unanswered.pop(flow, self) is None:
            self._active[flow] = None

    def closing(self, flow: Flow) -> None:
        self._unanswered.pop(flow, None)
        self._active.pop(flow, None)
        self._closing[flow] = None

    def remove(self, flow: Flow, *, remembered: bool = True) -> None:
        """It is over. Late segments of it are recognized for a while, where it is remembered."""
        for flows in (self._unanswered, self._active, self._closing):
            flows.pop(flow, None)
        client = key_of(flow.client_address, flow.server_address, flow.client_port, flow.server_port)
        server = key_of(flow.server_address, flow.client_address, flow.server_port, flow.client_port)
        begun = flow.client.first
        for key, first in ((client, begun), (server, None)):
            self.halves.pop(key, None)
            if remembered:
                self._over[key] = first
                self._over.move_to_end(key)
        while len(self._over) > 2 * MAX_REMEMBERED:
            self._over.popitem(last=False)

    def is_over(self, key: bytes) -> bool:
        """Whether a connection with this key ended lately."""
        return key in self._over

    def was_begun_by(self, key: bytes, first: int) -> bool:
        """Whether the connection that ended lately began with this very SYN: it is tried again, not anew."""
        return self._over.get(key) == first

    def full(self) -> bool:
        return len(self) >= self._limit

    def to_give_up(self, now: int) -> Flow:
        """Which goes first: one that is closing, then a SYN without answer, then one long silent."""
        for flows in (self._closing, self._unanswered):
            if flows:
                return next(iter(flows))
        for _ in range(_LOOKED_AT):
            flow = next(iter(self._active))
            if now - flow.last > _RECENT:
                return flow
            self._active.move_to_end(flow)
        return next(iter(self._active))
