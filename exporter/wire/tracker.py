"""Follows every TCP connection that is TLS or mail, from frames to a `Connection`. Time is the packets' own.

Feed packets in the order of capture; `expire` tells how late it is where no packets come; `finish` ends it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from exporter.catalogue import TARGETS, Target
from exporter.observations import Connection
from exporter.wire.capture_file import Buffer

#: Bytes kept of one direction of a connection while segments or a record's rest are waited for.
MAX_REASSEMBLY = 16_384
#: Addresses that DNS answers or server names taught.
MAX_NAMES = 4_096
#: Clients whose recent attempts are remembered, and attempts of each.
MAX_CLIENTS, MAX_ATTEMPTS = 4_096, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerConfig:
    """What is followed and how much is kept. Durations are seconds of the packets' clock.

    `everything`: any server's connections (files, --all), else only those of `targets` and `servers`.
    `patience`: how long behind a decision that rests on silence it may still be answered.
    """

    targets: Mapping[str, Target] = field(default_factory=lambda: TARGETS)
    servers: tuple[IPv4Network | IPv6Network, ...] = ()
    everything: bool = False
    max_connections: int = 16_384
    patience: float = 5.0


@dataclass(slots=True)
class Counts:
    """What the tracker saw besides connections. `evicted`: connections given up for want of room."""

    packets: int = 0
    fragments: int = 0
    undecoded: int = 0
    cut: int = 0
    slow: int = 0  # decoded by the slow path
    quic: int = 0
    evicted: int = 0
    connections: int = 0


Callback = Callable[[Connection], None]


class Tracker:
    """`finished` is called once for each connection, when it is over or given up.

    `decided`, where given, is called as soon as its outcome is known (established: at the handshake's end), and
    `signed_in` when its sign-in was read: moments for counters, with what is known by then. All three get a connection
    of the same `client`, `client_port`, `server`, `server_port` and `start`.
    """

    def __init__(
        self,
        config: TrackerConfig,
        finished: Callback,
        *,
        decided: Callback | None = None,
        signed_in: Callback | None = None,
    ) -> None:
        self.config = config
        self.counts = Counts()

    def packet(
        self,
        time: int,
        link_type: int,
        buffer: Buffer,
        start: int,
        end: int,
        original: int,
        interface: str | None = None,
        vlan: int | None = None,
    ) -> None:
        """One frame, in the shape of `capture_file.Packet`. Never raises for what the bytes are."""
        raise NotImplementedError

    def packets(self, packets: Iterable[tuple[int, int, Buffer, int, int, int, str | None, int | None]]) -> None:
        """Many frames: the same, with less ado for each."""
        for packet in packets:
            self.packet(*packet)

    def expire(self, now: int) -> None:
        """It is `now` (nanoseconds): what rests on silence is decided. Packets call it themselves."""
        raise NotImplementedError

    def finish(self) -> None:
        """The capture ends: what is open is reported as far as it got."""
        raise NotImplementedError

    def __len__(self) -> int:
        """Connections tracked at the moment."""
        raise NotImplementedError

    def open_connections(self) -> dict[str, int]:
        """Established and unfinished ones by target."""
        raise NotImplementedError
