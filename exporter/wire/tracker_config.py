"""What the tracker follows, how much of it, and what it counts besides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from exporter.catalogue import TARGETS, Target
from exporter.wire.servers import Network

#: In a file there is no hurry to tell that nothing came: what was silent so long may still be answered, seconds.
PATIENCE_IN_FILES: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerConfig:
    """What is followed and how much is kept. Durations are seconds of the packets' clock.

    `everything`: any server's connections (files, --all), else only those of `targets` and `servers`. `max_held`: bytes
    that wait for others, of all connections together, give or take a quarter. `patience`: how long behind a decision
    that rests on silence it may still be answered. `filtered`: the capture lacks segments on purpose, so that holes say
    nothing.
    """

    targets: Mapping[str, Target] = field(default_factory=lambda: TARGETS)
    servers: tuple[Network, ...] = ()
    everything: bool = False
    max_connections: int = 16_384
    max_held: int = 64 << 20
    patience: float = 5.0
    filtered: bool = False


@dataclass(slots=True)
class Counts:
    """What the tracker saw besides connections.

    `fragments`: of IP packets, not followed. `undecoded`: frames of links or tunnels that aren't read, `cut`: headers
    beyond the snap length, `slow`: read by the slow path. `quic`: connections of HTTP/3 begun. `evicted`: connections
    given up for want of room, `let_go`: such as went on without the bytes kept of them, likewise. `elsewhere`: segments
    seen again at another interface, on their way.
    """

    packets: int = 0
    fragments: int = 0
    undecoded: int = 0
    cut: int = 0
    slow: int = 0
    quic: int = 0
    evicted: int = 0
    let_go: int = 0
    elsewhere: int = 0
