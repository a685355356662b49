"""What the tracker follows, and how much of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.catalogue import TARGETS, Target
from exporter.wire.servers import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerConfig:
    """What is followed and how much is kept. Durations are seconds of the packets' clock.

    `everything`: any server's connections (files, --all), else only those of `targets` and `servers`.
    `patience`: how long behind a decision that rests on silence it may still be answered. `filtered`: the capture lacks
    segments on purpose, so that holes say nothing.
    """

    targets: Mapping[str, Target] = field(default_factory=lambda: TARGETS)
    servers: tuple[Network, ...] = ()
    everything: bool = False
    max_connections: int = 16_384
    patience: float = 5.0
    filtered: bool = False
