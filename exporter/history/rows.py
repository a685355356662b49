"""A history's rows: a quarter of an hour of one way, and a change. Plain data; how probes add up is pure."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from exporter.observations import Probe
from exporter.vocabulary import Outcome, Phase

#: Length of a bin, seconds: 96 make the strip of a day.
BIN_SECONDS = 900


@dataclass(slots=True)
class PhaseSum:
    """A phase in a bin: how often it was measured, seconds in sum, and the worst of them."""

    count: int = 0
    total: float = 0.0
    worst: float = 0.0

    def add(self, seconds: float) -> None:
        """One more measurement."""
        self.join(PhaseSum(1, seconds, seconds))

    def join(self, other: "PhaseSum") -> None:
        """Those of another bin."""
        self.count, self.total = self.count + other.count, self.total + other.total
        self.worst = max(self.worst, other.worst)


@dataclass(slots=True)
class Bin:
    """A way from `start` (Unix seconds) on. `outcome` and `phase`: what failed there last; ok and None: nothing."""

    target: str
    vantage: str
    start: int
    rounds: int = 0
    failed: int = 0
    outcome: Outcome = Outcome.OK
    phase: Phase | None = None
    phases: dict[Phase, PhaseSum] = field(default_factory=dict)

    def add(self, probe: Probe) -> None:
        """Counts a probe of this way and time. What a phase kept from an earlier round isn't counted again."""
        self.rounds += 1
        if probe.outcome is not Outcome.OK:
            self.failed, self.outcome, self.phase = self.failed + 1, probe.outcome, probe.failed_phase
        for result in probe.phases:
            if result.seconds is not None and result.measured_at is None:
                self.phases.setdefault(result.phase, PhaseSum()).add(result.seconds)

    def phases_text(self) -> str:
        """The phases as JSON: name to count, sum and worst."""
        return json.dumps(
            {phase: [each.count, round(each.total, 6), round(each.worst, 6)] for phase, each in self.phases.items()},
            separators=(",", ":"),
        )


def bin_of(probe: Probe) -> tuple[str, str, int]:
    """Which bin a probe belongs to: target, vantage, start."""
    return probe.target, probe.vantage, _start_of_bin(probe.time.timestamp())


def _start_of_bin(seconds: float) -> int:
    return int(seconds) - int(seconds) % BIN_SECONDS


def phases_from(text: str) -> dict[Phase, PhaseSum]:
    """The reverse of `phases_text`. Raises ValueError where it is none."""
    read = json.loads(text)
    if not isinstance(read, dict):
        raise ValueError("no phases")
    return {
        Phase(name): PhaseSum(int(count), float(total), float(worst)) for name, (count, total, worst) in read.items()
    }


class Kind(StrEnum):
    """What changed."""

    OUTCOME = "outcome"
    VERDICT = "verdict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A way's outcome, or a verdict, that is another than before. `before` and `after`: outcomes, or causes."""

    time: datetime
    kind: Kind
    target: str
    vantage: str
    account: str = ""
    before: str = ""
    after: str = ""
    phase: str = ""
    responsible: str = ""
    confidence: float | None = None
    detail: str = ""


def utc(seconds: float) -> datetime:
    """Unix seconds as a time."""
    return datetime.fromtimestamp(seconds, tz=UTC)


def day_of(bins: Iterable[Bin], now: float, hours: int = 24) -> list[Bin | None]:
    """One entry for each bin of the last hours, oldest first; None where nothing was measured."""
    last = _start_of_bin(now)
    by_start = {each.start: each for each in bins}
    count = hours * 3600 // BIN_SECONDS
    return [by_start.get(last - (count - 1 - index) * BIN_SECONDS) for index in range(count)]


def history_json(bins: Iterable[Bin], events: Iterable[Event]) -> str:
    """`{"bins": […], "changes": […]}`: seconds, times of RFC 3339; a bin's `mean` and `worst` are by phase."""
    return json.dumps({"bins": [_bin_json(each) for each in bins], "changes": [_event_json(each) for each in events]})


def _bin_json(each: Bin) -> dict[str, object]:
    return {
        "time": utc(each.start).isoformat(), "seconds": BIN_SECONDS, "target": each.target, "vantage": each.vantage,
        "rounds": each.rounds, "failed": each.failed, "outcome": each.outcome, "failed_phase": each.phase,
        "mean": {phase: round(one.total / one.count, 6) for phase, one in each.phases.items() if one.count},
        "worst": {phase: one.worst for phase, one in each.phases.items()},
    }  # fmt: skip


def _event_json(each: Event) -> dict[str, object]:
    return {**asdict(each), "time": each.time.isoformat()}
