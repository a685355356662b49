"""One interface over time: opened, gone, back again; and which of its packets the kernel shows us.

What any web server sends behind its handshake passes the kernel's filter as long as there is little of it: so the first
reply of a server that nobody knew a moment ago is seen too. Where there is much, only what known servers send: those
whose addresses DNS answers or hellos taught. A filter with a memory is told so, one without is replaced.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network

from exporter.catalogue import TARGETS, Target
from exporter.wire.bpf import Instruction
from exporter.wire.fanout import join_group
from exporter.wire.interface_state import Interface, InterfaceState
from exporter.wire.kernel_filter import MAX_KNOWN, FilterSpec, Link, Network, packet_filter, ports_of
from exporter.wire.kernel_memory import MAX_SERVERS, KernelMemory
from exporter.wire.privacy import Mode
from exporter.wire.ring import BLOCKS, Capture, CaptureError, CaptureForbidden
from exporter.wire.servers import EXCHANGE_NETWORKS
from exporter.wire.tracker import Tracker

#: How often an interface that can't be opened is tried again, seconds; where the right is missing there is no hurry.
RETRY, RETRY_FORBIDDEN = 1.0, 30.0
#: Packets a second from which on only known servers' records pass; for how long then at least, seconds.
BUSY, BUSY_SECONDS = 2_000.0, 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectorConfig:
    """What is followed, and what of it may be told. `window`: of the clients' states, seconds.

    `worker` of `workers`: which share of the clients is this process's; `group` ties the workers together. `ring_mib`:
    what the kernel keeps of each interface for us, `max_held`: bytes that wait in ours for others. `proxies`: ports of
    proxies that clients ask for a way out. `promiscuous`: frames for other machines are read too (a mirror port).
    `own_stack`: the last two parts of our own prober's JA4, which is no client. `ignored_clients`: their connections
    are passed over.
    """

    targets: Mapping[str, Target] = field(default_factory=lambda: TARGETS)
    servers: tuple[Network, ...] = ()
    proxies: frozenset[int] = frozenset()
    everything: bool = False
    max_connections: int = 16_384
    max_held: int = 64 << 20
    window: float = 900.0
    privacy: Mode = "off"
    ring_mib: int = BLOCKS
    promiscuous: bool = False
    own_stack: str | None = None
    ignored_clients: tuple[Network, ...] = ()
    worker: int = 0
    workers: int = 1
    group: int = 0


class Watched:
    """One interface over time: opened, gone, back again."""

    def __init__(
        self, interface: Interface, config: InspectorConfig, tracker: Tracker, memory: KernelMemory | None = None
    ) -> None:
        """`memory`: the kernel's filter with one, of all interfaces; None: the filter without."""
        self.interface = interface
        self.tracker = tracker
        self.capture: Capture | None = None
        self.problem: str | None = None
        self.packets = self.dropped = 0
        self._config = config
        self._memory = memory
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
        ports = config.proxies.union(*ports_of(config.targets.values()))
        join = join_group(config.group, config.workers, ports) if config.workers > 1 else None
        try:
            self.capture = Capture(
                self.interface.name, self._filter, blocks=config.ring_mib, promiscuous=config.promiscuous, join=join
            )
            self.problem = None
            if self._memory is not None:
                self._memory.narrow(self.capture.index, bool(self._busy_until))
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
        latest = self._latest()
        if set(latest) != set(self._known):
            self._known = latest
            self._refilter(self.capture)

    def count(self) -> int:
        """Takes the kernel's counts over; how many packets were dropped since the last time."""
        if self.capture is None:
            return 0
        statistics = self.capture.statistics()
        self.packets += statistics.packets - statistics.dropped
        self.dropped += statistics.dropped
        return statistics.dropped

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
            self._known = self._latest()
            self._refilter(self.capture)

    def close(self) -> None:
        """Idempotent."""
        if self.capture is not None:
            self.count()
            self.capture.close()
            self.capture = None

    def _latest(self) -> list[bytes]:
        return self.tracker.known_addresses(MAX_SERVERS if self._memory is not None else sum(MAX_KNOWN.values()))

    def _refilter(self, capture: Capture) -> None:
        """By what is known now, and whether much passes."""
        if self._memory is None:
            capture.refilter()
        else:
            self._memory.know(self._known)
            self._memory.narrow(capture.index, bool(self._busy_until))

    def _filter(self, link: Link, loopback: bool) -> tuple[Instruction, ...] | int:
        if self._memory is not None:
            return self._memory.program(link, loopback)
        known = self._known if self._busy_until else None
        return packet_filter(filter_spec(self._config, known, link, loopback))


def filter_spec(
    config: InspectorConfig, addresses: Iterable[bytes] | None, link: Link = Link.ETHERNET, loopback: bool = False
) -> FilterSpec:
    """Which packets the kernel shows us. `addresses`: of servers, learned, packed, the latest first; None: any's."""
    mail, web, plain = ports_of(config.targets.values())
    known = None if addresses is None else (*config.servers, *EXCHANGE_NETWORKS, *map(ip_network, addresses))
    web, plain = web | config.proxies - mail, plain - config.proxies
    return FilterSpec(
        mail=mail, web=web, plain=plain, known=known, anywhere=config.everything, link=link, skip_outgoing=loopback
    )
