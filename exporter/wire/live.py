"""The inspector's work: packets of its interfaces into trackers, what they tell into counts and messages.

One loop, one thread, no clock but the arguments' and the packets' own. Each interface has a tracker of its own, for the
same connection passes the inside and the outside; what one learns of servers' addresses all know.
"""

from collections.abc import Callable, Container, Iterable, Iterator
from functools import lru_cache
from ipaddress import ip_address

from exporter.metrics.wire import InterfaceCounts, WireState
from exporter.observations import Connection
from exporter.protocols.ja4 import stack_of
from exporter.vocabulary import Protocol
from exporter.wire.interface_state import Interface, InterfaceState
from exporter.wire.kernel_filter import Network
from exporter.wire.kernel_memory import KernelMemory
from exporter.wire.live_sides import LiveSides
from exporter.wire.privacy import Privacy
from exporter.wire.servers import Servers
from exporter.wire.sighting import Sighting
from exporter.wire.tracker import Tracker
from exporter.wire.tracker_config import TrackerConfig
from exporter.wire.watched import InspectorConfig, Watched

SECOND = 1_000_000_000
#: A signed-in connection that said nothing for so long is looked at, and how often that is done, nanoseconds.
QUIET, QUIET_EVERY = 30 * SECOND, 5 * SECOND
#: Packets in the ring may be this much older than the clock, nanoseconds: a block's age, and a busy moment.
_LATE = SECOND // 2
#: A server that isn't heard may still answer, seconds. Live, what is decided late is no help.
PATIENCE = 5.0
_MAIL = frozenset({Protocol.IMAP, Protocol.POP, Protocol.SMTP})


@lru_cache(maxsize=4_096)
def _is_within(address: str, networks: tuple[Network, ...]) -> bool:
    return any(ip_address(address) in network for network in networks)


class Inspection:
    """All interfaces. `tell`: gets each connection that is over, as it may be told.

    `counting`: connections become metrics, as soon as something of them is decided; else only packets are counted.
    `memory`: set before `watch`, the kernel's filter has one.
    """

    def __init__(self, config: InspectorConfig, tell: Callable[[Connection], None], *, counting: bool = True) -> None:
        self.config = config
        mail = [target.name for target in config.targets.values() if target.protocol in _MAIL]
        self.counted = WireState(config.window, lambda: self._now, mail)
        self.watched: dict[str, Watched] = {}
        self.memory: KernelMemory | None = None
        self._tell = tell
        self._counting = counting
        self._privacy = Privacy(config.privacy)
        self._servers = Servers(config.targets, config.servers)
        self._sides = LiveSides(self._told, self._still_open_outside)
        self._now = 0.0
        self._settled = 0

    def watch(self, interfaces: Iterable[Interface]) -> None:
        """These interfaces from now on. What is open on those that are left is told as far as it got."""
        wanted = {interface.name: interface for interface in interfaces}
        for name in [name for name, watched in self.watched.items() if wanted.get(name) != watched.interface]:
            watched = self.watched.pop(name)
            watched.close()
            watched.tracker.finish()
            self._count_interface(watched)
        for name, interface in wanted.items():
            if name not in self.watched:
                self.watched[name] = Watched(interface, self.config, self.tracker(interface), self.memory)

    def read(self) -> None:
        """Whatever has come on any interface."""
        for watched in self.watched.values():
            watched.read()
            watched.follow_servers()

    def tick(self, monotonic: float, now: int) -> bool:
        """Once a second: what rests on time, and counts. Whether an interface's state changed. `now`: ns since 1970."""
        self.set_time(now)
        changed = [watched.look_after(monotonic) for watched in self.watched.values()]
        quiet = now - self._settled >= QUIET_EVERY
        for watched in self.watched.values():
            watched.tracker.expire(now - _LATE)
            if quiet:
                watched.tracker.settle_quiet(QUIET, QUIET_EVERY)
            if watched.count():
                self._sides.lost_packets(self._now)
            watched.adapt(monotonic)
            self._count_interface(watched)
        self._settled = now if quiet else self._settled
        self._sides.settle(self._now)
        return any(changed)

    def finish(self) -> None:
        """The end: what is open is told as far as it got."""
        for watched in self.watched.values():
            watched.read()
            watched.tracker.finish()
        self._sides.finish()  # while both sides are still there
        for watched in self.watched.values():
            watched.close()
            self._count_interface(watched)

    def states(self) -> list[InterfaceState]:
        return [watched.state for watched in self.watched.values()]

    # ---- what trackers tell ------------------------------------------------------------------------------------------

    def set_time(self, now: int) -> None:
        """The clients' states are those at `now`, nanoseconds since 1970."""
        self._now = now / SECOND

    def tracker(self, interface: Interface) -> Tracker:
        """A tracker whose connections are counted here, as of that interface."""
        config = self.config
        tracked = TrackerConfig(
            targets=config.targets, servers=config.servers, everything=config.everything,
            max_connections=config.max_connections, max_held=config.max_held, patience=PATIENCE, filtered=True,
        )  # fmt: skip

        def decided(connection: Connection) -> None:
            if not self._is_ignored(connection.client):
                self.counted.decided(connection)

        def signed_in(connection: Connection) -> None:
            if not self._is_ignored(connection.client):
                self.counted.signed_in(connection, self._client(connection))

        def sighted(sighting: Sighting) -> None:
            if self._is_ignored(sighting.connection.client):
                return
            if interface.side == "inside" and self._has_side("outside"):
                self._sides.saw_inside(sighting, self._now)
                return
            if interface.side == "outside" and self._has_side("inside"):
                self._sides.saw_outside(sighting, self._now)
            self._told(sighting.connection)

        def finished(connection: Connection) -> None:
            if not compared and not self._is_ignored(connection.client):
                self._told(connection)

        compared = interface.side is not None
        return Tracker(
            tracked, finished, servers=self._servers, sighted=sighted if compared else None,
            decided=decided if self._counting else None, signed_in=signed_in if self._counting else None,
        )  # fmt: skip

    def _told(self, connection: Connection) -> None:
        """It is over, and everything is known of it."""
        if self._counting:
            self.counted.finished(connection, self._client(connection))
        self._tell(self._privacy.apply(connection))

    def _still_open_outside(self, servers: Container[tuple[bytes, int]]) -> Iterator[Sighting]:
        for watched in self.watched.values():
            if watched.interface.side == "outside":
                yield from watched.tracker.still_open(servers)

    def _side(self, interface: str | None) -> str | None:
        watched = self.watched.get(interface or "")
        return watched.interface.side if watched is not None else None

    def _has_side(self, side: str) -> bool:
        return any(watched.interface.side == side and watched.capture for watched in self.watched.values())

    def _is_ignored(self, client: str | None) -> bool:
        networks = self.config.ignored_clients
        return bool(networks) and client is not None and _is_within(client, networks)

    def _client(self, connection: Connection) -> str | None:
        """Who counts as one. Beyond a gateway that translates addresses there is but one; and we are none ourselves."""
        if self.config.own_stack is not None and stack_of(connection.ja4) == self.config.own_stack:
            return None
        if self._side(connection.interface) == "outside" and any(
            each.interface.side != "outside" for each in self.watched.values()
        ):
            return None
        return connection.client

    def _count_interface(self, watched: Watched) -> None:
        tracker = watched.tracker
        counts = InterfaceCounts(
            packets=watched.packets, dropped=watched.dropped, evicted=tracker.counts.evicted,
            let_go=tracker.counts.let_go, tracked=len(tracker), held=tracker.held, open=tracker.open_connections(),
            max_tracked=self.config.max_connections, max_held=self.config.max_held,
        )  # fmt: skip
        self.counted.counters(watched.interface.name, counts)
