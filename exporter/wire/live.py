"""The inspector's work: packets of its interfaces into trackers, what they tell into counts and messages.

One loop, one thread, no clock but the arguments' and the packets' own. Each interface has a tracker of its own, for the
same connection passes the inside and the outside.

What any web server sends behind its handshake passes the kernel's filter as long as there is little of it: so the first
reply of a server that nobody knew a moment ago is seen too. Where there is much, only what known servers send: those
whose addresses DNS answers or hellos taught.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address, ip_network

from exporter.catalogue import TARGETS, Target
from exporter.metrics.wire import InterfaceCounts, WireState
from exporter.observations import Connection
from exporter.vocabulary import Protocol
from exporter.wire.bpf import Instruction
from exporter.wire.fanout import join_group
from exporter.wire.interface_state import Interface, InterfaceState
from exporter.wire.kernel_filter import MAX_KNOWN, FilterSpec, Link, Network, packet_filter, ports_of
from exporter.wire.privacy import Mode, Privacy
from exporter.wire.ring import Capture, CaptureError, CaptureForbidden
from exporter.wire.servers import EXCHANGE_NETWORKS
from exporter.wire.tracker import Tracker
from exporter.wire.tracker_config import TrackerConfig

SECOND = 1_000_000_000
#: How often an interface that can't be opened is tried again, seconds; where the right is missing there is no hurry.
RETRY, RETRY_FORBIDDEN = 1.0, 30.0
#: Packets a second from which on only known servers' records pass; for how long then at least, seconds.
BUSY, BUSY_SECONDS = 2_000.0, 60.0
#: A signed-in connection that said nothing for so long is looked at, and how often that is done, nanoseconds.
QUIET, QUIET_EVERY = 30 * SECOND, 5 * SECOND
#: Packets in the ring may be this much older than the clock, nanoseconds.
_LATE = SECOND // 5
#: A server that isn't heard may still answer, seconds. Live, what is decided late is no help.
PATIENCE = 5.0
_MAIL = frozenset({Protocol.IMAP, Protocol.POP, Protocol.SMTP})


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectorConfig:
    """What is followed, and what of it may be told. `window`: of the clients' states, seconds.

    `worker` of `workers`: which share of the clients is this process's; `group` ties the workers together.
    `promiscuous`: frames for other machines are read too (a mirror port). `own_stack`: the last two parts of our own
    prober's JA4, which is no client. `ignored_clients`: their connections are passed over.
    """

    targets: Mapping[str, Target] = field(default_factory=lambda: TARGETS)
    servers: tuple[Network, ...] = ()
    everything: bool = False
    max_connections: int = 16_384
    window: float = 900.0
    privacy: Mode = "off"
    promiscuous: bool = False
    own_stack: str | None = None
    ignored_clients: tuple[Network, ...] = ()
    worker: int = 0
    workers: int = 1
    group: int = 0


class Watched:
    """One interface over time: opened, gone, back again."""

    def __init__(self, interface: Interface, config: InspectorConfig, tracker: Tracker) -> None:
        self.interface = interface
        self.tracker = tracker
        self.capture: Capture | None = None
        self.problem: str | None = None
        self.packets = self.dropped = 0
        self._config = config
        self._known: list[bytes] = []
        self._retry_at = 0.0
        self._busy_until = 0.0
        self._counted: tuple[float, int] | None = None  # when, and what `packets` were then

    @property
    def state(self) -> InterfaceState:
        return InterfaceState(
            name=self.interface.name, side=self.interface.side, open=self.capture is not None, problem=self.problem
        )

    def look_after(self, now: float) -> bool:
        """Opens it where it is there, closes it where it is gone; whether that changed anything. `now`: seconds."""
        before = self.state
        if self.capture is not None and not self.capture.is_there():
            self.close()
            self.problem = f"{self.interface.name}: no such interface any more"
            self._retry_at = now + RETRY
        if self.capture is None and now >= self._retry_at:
            self._open(now)
        return self.state != before

    def _open(self, now: float) -> None:
        config = self._config
        ports = frozenset[int]().union(*ports_of(config.targets.values()))
        join = join_group(config.group, config.workers, ports) if config.workers > 1 else None
        try:
            self.capture = Capture(self.interface.name, self._filter, promiscuous=config.promiscuous, join=join)
            self.problem = None
        except CaptureError as error:
            self.problem = str(error)
            self._retry_at = now + (RETRY_FORBIDDEN if isinstance(error, CaptureForbidden) else RETRY)

    def read(self) -> None:
        """What has come so far, into the tracker."""
        if self.capture is not None:
            self.tracker.packets(self.capture.packets())

    def follow_servers(self) -> None:
        """Where much passes, the kernel's filter has to know the servers whose records are to pass."""
        if self.capture is None or self._config.everything or not self._busy_until:
            return
        latest = self.tracker.known_addresses(sum(MAX_KNOWN.values()))
        if set(latest) != set(self._known):
            self._known = latest
            self.capture.refilter()

    def count(self) -> None:
        """Takes the kernel's counts over."""
        if self.capture is not None:
            statistics = self.capture.statistics()
            self.packets += statistics.packets - statistics.dropped
            self.dropped += statistics.dropped

    def adapt(self, now: float) -> None:
        """Narrows the filter where much passes, and widens it again. `now`: seconds, as for `look_after`."""
        before, self._counted = self._counted, (now, self.packets + self.dropped)
        if self.capture is None or self._config.everything or before is None or now <= before[0]:
            return
        busy = (self.packets + self.dropped - before[1]) / (now - before[0]) > BUSY
        was_busy = bool(self._busy_until)
        if busy:
            self._busy_until = now + BUSY_SECONDS
        elif now >= self._busy_until:
            self._busy_until = 0.0
        if bool(self._busy_until) != was_busy:
            self._known = self.tracker.known_addresses(sum(MAX_KNOWN.values()))
            self.capture.refilter()

    def close(self) -> None:
        """Idempotent."""
        if self.capture is not None:
            self.count()
            self.capture.close()
            self.capture = None

    def _filter(self, link: Link, loopback: bool) -> tuple[Instruction, ...]:
        known = self._known if self._busy_until else None
        return packet_filter(filter_spec(self._config, known, link, loopback))


def filter_spec(
    config: InspectorConfig, addresses: Iterable[bytes] | None, link: Link = Link.ETHERNET, loopback: bool = False
) -> FilterSpec:
    """Which packets the kernel shows us. `addresses`: of servers, learned, packed, the latest first; None: any's."""
    mail, web, plain = ports_of(config.targets.values())
    known = None if addresses is None else (*config.servers, *EXCHANGE_NETWORKS, *map(ip_network, addresses))
    return FilterSpec(
        mail=mail, web=web, plain=plain, known=known, anywhere=config.everything, link=link, skip_outgoing=loopback
    )


@lru_cache(maxsize=4_096)
def _is_within(address: str, networks: tuple[Network, ...]) -> bool:
    return any(ip_address(address) in network for network in networks)


def stack_of(ja4: str | None) -> str | None:
    """The parts of a JA4 that don't depend on name and ALPN: hashes of cipher suites and of extensions."""
    return ja4.partition("_")[2] if ja4 is not None else None


class Inspection:
    """All interfaces. `tell`: gets each connection that is over, as it may be told."""

    def __init__(self, config: InspectorConfig, tell: Callable[[Connection], None]) -> None:
        self.config = config
        mail = [target.name for target in config.targets.values() if target.protocol in _MAIL]
        self.counted = WireState(config.window, lambda: self._now, mail)
        self.watched: dict[str, Watched] = {}
        self._tell = tell
        self._privacy = Privacy(config.privacy)
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
                self.watched[name] = Watched(interface, self.config, self.tracker(interface))

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
            watched.count()
            watched.adapt(monotonic)
            self._count_interface(watched)
        self._settled = now if quiet else self._settled
        return any(changed)

    def finish(self) -> None:
        """The end: what is open is told as far as it got."""
        for watched in self.watched.values():
            watched.read()
            watched.close()
            watched.tracker.finish()
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
            max_connections=config.max_connections, patience=PATIENCE, filtered=True,
        )  # fmt: skip

        def decided(connection: Connection) -> None:
            if not self._is_ignored(connection.client):
                self.counted.decided(connection)

        def signed_in(connection: Connection) -> None:
            if not self._is_ignored(connection.client):
                self.counted.signed_in(connection, self._client(connection, interface))

        def finished(connection: Connection) -> None:
            if not self._is_ignored(connection.client):
                self.counted.finished(connection, self._client(connection, interface))
                self._tell(self._privacy.apply(connection))

        return Tracker(tracked, finished, decided=decided, signed_in=signed_in)

    def _is_ignored(self, client: str | None) -> bool:
        networks = self.config.ignored_clients
        return bool(networks) and client is not None and _is_within(client, networks)

    def _client(self, connection: Connection, interface: Interface) -> str | None:
        """Who counts as one. Beyond a gateway that translates addresses there is but one; and we are none ourselves."""
        if self.config.own_stack is not None and stack_of(connection.ja4) == self.config.own_stack:
            return None
        if interface.side == "outside" and any(each.interface.side != "outside" for each in self.watched.values()):
            return None
        return connection.client

    def _count_interface(self, watched: Watched) -> None:
        tracker = watched.tracker
        counts = InterfaceCounts(
            packets=watched.packets, dropped=watched.dropped, evicted=tracker.counts.evicted, tracked=len(tracker),
            open=tracker.open_connections(),
        )  # fmt: skip
        self.counted.counters(watched.interface.name, counts)
