"""What pages and metrics show: the latest of everything, and what was counted.

The prober's thread writes, the web server's thread reads; a lock is held for microseconds.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from exporter.catalogue import Target
from exporter.metrics.catalogue import FAST_BUCKETS, SLOW_BUCKETS
from exporter.observations import Probe
from exporter.vocabulary import Mechanism, Outcome, Phase

Key = tuple[str, str]  # target, vantage
Labels = tuple[str, ...]

#: Phases whose durations are collected in a histogram, with its buckets.
MEASURED = {Phase.CONNECT: FAST_BUCKETS, Phase.TLS: FAST_BUCKETS, Phase.AUTH: SLOW_BUCKETS, Phase.TOKEN: SLOW_BUCKETS}

#: Changes of outcome that are remembered for the page.
MAX_CHANGES = 200


@dataclass(slots=True)
class Durations:
    """A histogram: counts by upper bound, cumulative only when exposed."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def add(self, seconds: float) -> None:
        if not self.counts:
            self.counts = [0] * (len(self.bounds) + 1)
        index = next((i for i, bound in enumerate(self.bounds) if seconds <= bound), len(self.bounds))
        self.counts[index] += 1
        self.total += seconds


@dataclass(frozen=True, slots=True)
class Change:
    """The outcome of a target at a vantage changed."""

    time: datetime
    target: str
    vantage: str
    before: Outcome | None
    after: Outcome
    failed_phase: Phase | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Course:
    """A target at a vantage over time."""

    probe: Probe
    since: datetime
    last_success: datetime | None


@dataclass(slots=True)
class Snapshot:
    """A consistent copy of the state."""

    courses: dict[Key, Course]
    changes: list[Change]
    counters: dict[str, dict[Labels, float]]
    histograms: dict[Labels, Durations]
    last_seconds: dict[Labels, float]
    offered: dict[Key, frozenset[str]]
    gauges: dict[str, dict[Labels, float]]


class State:
    """See the module. Times come from observations, or from `now`."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._courses: dict[Key, Course] = {}
        self._changes: list[Change] = []
        self._counters: dict[str, dict[Labels, float]] = defaultdict(lambda: defaultdict(float))
        self._histograms: dict[Labels, Durations] = {}
        self._last_seconds: dict[Labels, float] = {}
        self._offered: dict[Key, frozenset[str]] = {}
        self._gauges: dict[str, dict[Labels, float]] = defaultdict(dict)

    def expect(self, target: Target, vantage: str, phases: Iterable[Phase]) -> None:
        """Counters that will be needed start at 0, so that a rate sees the first event."""
        with self._lock:
            results = self._counters["outlook_probe_results_total"]
            for phase in phases:
                for outcome in (Outcome.OK, Outcome.TIMEOUT):
                    results[target.name, vantage, phase, outcome] += 0.0

    def record_probe(self, probe: Probe) -> Change | None:
        """Takes a probe over; the change of outcome, where it is one."""
        key = (probe.target, probe.vantage)
        with self._lock:
            before = self._courses.get(key)
            same = before is not None and (before.probe.outcome, before.probe.failed_phase) == (
                probe.outcome,
                probe.failed_phase,
            )
            good = probe.outcome is Outcome.OK
            self._courses[key] = Course(
                probe=probe,
                since=before.since if before is not None and same else probe.time,
                last_success=probe.time if good else before.last_success if before else None,
            )
            self._count(key, probe)
            if same:
                return None
            failed = next((result for result in probe.phases if result.phase is probe.failed_phase), None)
            change = Change(
                probe.time,
                probe.target,
                probe.vantage,
                before.probe.outcome if before else None,
                probe.outcome,
                probe.failed_phase,
                failed.detail if failed else None,
            )
            self._changes = [*self._changes[-MAX_CHANGES:], change]
            return change

    def _count(self, key: Key, probe: Probe) -> None:
        for result in probe.phases:
            if result.measured_at is not None:  # kept from an earlier round: counted then
                continue
            labels = (*key, result.phase)
            self._counters["outlook_probe_results_total"][(*labels, result.outcome)] += 1
            if result.seconds is not None and result.outcome is not Outcome.SKIPPED:
                self._last_seconds[labels] = result.seconds
                if result.phase in MEASURED:
                    self._histograms.setdefault(labels, Durations(MEASURED[result.phase])).add(result.seconds)
        canary = next((r for r in probe.phases if r.phase in (Phase.AUTH, Phase.TOKEN)), None)
        if canary is not None and canary.measured_at is None and probe.auth.outcome is not None:
            if canary.outcome is not Outcome.SKIPPED:
                mechanism = probe.auth.mechanism or Mechanism.TOKEN
                self._counters["outlook_probe_auth_results_total"][(*key, mechanism, probe.auth.outcome)] += 1
        if probe.auth.offered is not None:
            self._offered[key] = frozenset(probe.auth.offered)

    def keep_only(self, keys: set[Key]) -> None:
        """Forgets targets and vantages that aren't configured any more."""
        with self._lock:
            self._courses = {key: course for key, course in self._courses.items() if key in keys}
            self._offered = {key: names for key, names in self._offered.items() if key in keys}
            self._histograms = {labels: d for labels, d in self._histograms.items() if labels[:2] in keys}
            self._last_seconds = {labels: s for labels, s in self._last_seconds.items() if labels[:2] in keys}
            for name in ("outlook_probe_results_total", "outlook_probe_auth_results_total"):
                counted = self._counters[name]
                for labels in [labels for labels in counted if labels[:2] not in keys]:
                    del counted[labels]

    def record_task(self, task: str, outcome: str) -> None:
        """A scheduled task ended: `ok`, `error`, or `missed`."""
        with self._lock:
            self._counters["outlook_exporter_task_runs_total"][task, outcome] += 1
            if outcome == "ok":
                last = self._gauges["outlook_exporter_task_last_success_timestamp_seconds"]
                last[(task,)] = self._now().timestamp()

    def set_gauge(self, name: str, value: float, *labels: str) -> None:
        """A gauge of the exporter about itself."""
        with self._lock:
            self._gauges[name][labels] = value

    def record_reload(self, *, successful: bool) -> None:
        """A configuration was taken over, or refused."""
        self.set_gauge("outlook_exporter_config_last_reload_successful", float(successful))
        if successful:
            name = "outlook_exporter_config_last_reload_success_timestamp_seconds"
            self.set_gauge(name, self._now().timestamp())

    def latest(self) -> list[Probe]:
        """The latest probe of each target at each vantage."""
        with self._lock:
            return [course.probe for course in self._courses.values()]

    def snapshot(self) -> Snapshot:
        """A consistent copy for a page or a scrape."""
        with self._lock:
            return Snapshot(
                courses=dict(self._courses),
                changes=list(self._changes),
                counters={name: dict(values) for name, values in self._counters.items()},
                histograms={labels: replace(d, counts=list(d.counts)) for labels, d in self._histograms.items()},
                last_seconds=dict(self._last_seconds),
                offered=dict(self._offered),
                gauges={name: dict(values) for name, values in self._gauges.items()},
            )


def snapshot_of(probe: Probe, now: Callable[[], datetime]) -> Snapshot:
    """A snapshot that holds just this probe: a fresh registry for `/probe`."""
    state = State(now)
    state.record_probe(probe)
    return state.snapshot()
