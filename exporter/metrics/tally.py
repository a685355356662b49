"""What is accumulated of one target from one vantage: a value, replaced by its successor at each probe.

`counted(tally, probe)` is a pure function, so a recording can be counted again. Being frozen, a tally may be
read by the web thread while the prober's makes the next one.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from exporter.catalogue import Target
from exporter.metrics.catalogue import REACH_BUCKETS, SIGN_IN_BUCKETS
from exporter.metrics.journeys import CANARY_PHASES
from exporter.observations import PhaseResult, Probe
from exporter.vocabulary import AuthOutcome, Mechanism, OfferedMechanism, Outcome, Phase, phases_of

#: Rounds whose outcome is kept for the page.
HISTORY = 30

#: Phases whose seconds are worth a histogram, and its buckets.
TIMED: Mapping[Phase, tuple[float, ...]] = MappingProxyType(
    {
        Phase.CONNECT: REACH_BUCKETS,
        Phase.TLS: REACH_BUCKETS,
        Phase.AUTH: SIGN_IN_BUCKETS,
        Phase.TOKEN: SIGN_IN_BUCKETS,
    }
)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts by bucket (not cumulated; the last is above all bounds) and their sum."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float = 0.0

    @classmethod
    def empty(cls, bounds: tuple[float, ...]) -> "Histogram":
        return cls(bounds, (0,) * (len(bounds) + 1))

    def observed(self, value: float) -> "Histogram":
        """With one value more. A bound belongs to its bucket (`le`)."""
        index = bisect_left(self.bounds, value)
        counts = (*self.counts[:index], self.counts[index] + 1, *self.counts[index + 1 :])
        return Histogram(self.bounds, counts, self.sum + value)


@dataclass(frozen=True, slots=True)
class Round:
    """One past round, for the page."""

    time: datetime
    outcome: Outcome
    failed_phase: Phase | None


@dataclass(frozen=True, slots=True)
class NetworkLabels:
    """Label values made of text of the network, already bounded; None where there was no handshake."""

    tls: tuple[tuple[str, str], ...] | None = None
    certificate: tuple[tuple[str, str], ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """All that is known of one target from one vantage. `probe` is None until the first round."""

    target: str
    vantage: str
    probe: Probe | None = None
    results: Mapping[tuple[Phase, Outcome], int] = field(default_factory=dict)
    seconds: Mapping[Phase, Histogram] = field(default_factory=dict)
    auth_results: Mapping[tuple[Mechanism, AuthOutcome], int] = field(default_factory=dict)
    last_run: datetime | None = None
    last_success: datetime | None = None
    last_change: datetime | None = None
    history: tuple[Round, ...] = ()
    labels: NetworkLabels = NetworkLabels()
    offered: tuple[OfferedMechanism, ...] | None = None


def fresh(target: Target, vantage: str, *, proxied: bool) -> Tally:
    """A tally with every counter that can be foreseen at 0, so that `rate()` sees the first event."""
    return prepared(
        Tally(target=target.name, vantage=vantage),
        phases_of(target.protocol, starttls=target.starttls, proxied=proxied),
    )


def prepared(tally: Tally, phases: tuple[Phase, ...]) -> Tally:
    """The tally with counters and histograms of those phases, at 0 where new."""
    zeros = {(phase, outcome): 0 for phase in phases for outcome in (Outcome.OK, Outcome.TIMEOUT)}
    empty = {phase: Histogram.empty(TIMED[phase]) for phase in phases if phase in TIMED}
    canary = {}
    if any(phase in CANARY_PHASES for phase in phases):
        canary = {(Mechanism.TOKEN, AuthOutcome.EXPECTED_REFUSAL): 0}
    return replace(
        tally,
        results={**zeros, **tally.results},
        seconds={**empty, **tally.seconds},
        auth_results={**canary, **tally.auth_results},
    )


def counted(tally: Tally, probe: Probe, labels: NetworkLabels) -> Tally:
    """The tally after this probe. A phase kept from an earlier round (`measured_at`) was counted then."""
    new = tuple(result for result in probe.phases if result.measured_at is None)
    if any((result.phase, Outcome.OK) not in tally.results for result in new):
        tally = prepared(tally, tuple(result.phase for result in new))
    results, seconds = _results(tally.results, new), _seconds(tally.seconds, new)
    auth_results = _auth_results(tally.auth_results, probe, new)
    if tally.probe is not None and probe.time < tally.probe.time:  # a latecomer counts, but isn't the latest
        return replace(tally, results=results, seconds=seconds, auth_results=auth_results)
    return replace(
        tally,
        results=results,
        seconds=seconds,
        auth_results=auth_results,
        last_run=probe.time if probe.measured else tally.last_run or probe.time,  # so that it is seen to grow old
        last_success=probe.time if probe.outcome is Outcome.OK else tally.last_success,
        probe=probe,
        labels=labels,
        offered=tally.offered if probe.auth.offered is None else probe.auth.offered,
        last_change=probe.time if changed(tally.probe, probe) else tally.last_change,
        history=(*tally.history, Round(probe.time, probe.outcome, probe.failed_phase))[-HISTORY:],
    )


def changed(before: Probe | None, after: Probe) -> bool:
    """Whether the outcome, or the phase it belongs to, is another than before."""
    return before is None or (before.outcome, before.failed_phase) != (after.outcome, after.failed_phase)


def _results(
    counts: Mapping[tuple[Phase, Outcome], int], new: tuple[PhaseResult, ...]
) -> Mapping[tuple[Phase, Outcome], int]:
    counts = dict(counts)
    for result in new:
        key = (result.phase, result.outcome)
        counts[key] = counts.get(key, 0) + 1
    return counts


def _seconds(histograms: Mapping[Phase, Histogram], new: tuple[PhaseResult, ...]) -> Mapping[Phase, Histogram]:
    histograms = dict(histograms)
    for result in new:
        if result.seconds is not None and result.phase in TIMED and result.outcome is not Outcome.SKIPPED:
            histograms[result.phase] = histograms[result.phase].observed(result.seconds)
    return histograms


def _auth_results(
    counts: Mapping[tuple[Mechanism, AuthOutcome], int], probe: Probe, new: tuple[PhaseResult, ...]
) -> Mapping[tuple[Mechanism, AuthOutcome], int]:
    presented = any(result.phase in CANARY_PHASES and result.outcome is not Outcome.SKIPPED for result in new)
    if not presented or probe.auth.outcome is None:
        return counts
    key = (probe.auth.mechanism or Mechanism.TOKEN, probe.auth.outcome)
    return {**counts, key: counts.get(key, 0) + 1}
