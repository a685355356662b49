"""The samples of the contract's metrics: pure functions of tallies and of a snapshot."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import NamedTuple, Protocol

from exporter.metrics.journeys import clock_skews, journey_states, usable_methods
from exporter.metrics.tally import Histogram, Tally
from exporter.observations import Probe
from exporter.protocols.http import is_microsoft_host
from exporter.state import Snapshot
from exporter.vocabulary import OfferedMechanism
from exporter.vocabulary import Protocol as Spoken

Labels = tuple[tuple[str, str], ...]


class Sample(NamedTuple):
    """One line of the exposition. `suffix` is a histogram's `_bucket`, `_sum` or `_count`."""

    metric: str
    labels: Labels
    value: float
    suffix: str = ""


class SampleSource(Protocol):
    """A part of the exporter that has metrics of its own (accounts, the inspector, verdicts).

    Both are called on the web server's thread. What was rendered is kept while `version` is the same object.
    """

    def version(self) -> object: ...

    def samples(self) -> Iterable[Sample]: ...


_IN_HTTP = frozenset(
    {
        OfferedMechanism.BEARER,
        OfferedMechanism.BASIC,
        OfferedMechanism.NEGOTIATE,
        OfferedMechanism.NTLM,
        OfferedMechanism.OTHER,
    }
)
_IN_MAIL = frozenset(OfferedMechanism) - {
    OfferedMechanism.BEARER,
    OfferedMechanism.BASIC,
    OfferedMechanism.NEGOTIATE,
}


def of_tally(tally: Tally) -> Iterator[Sample]:
    """Everything about one target from one vantage."""
    way = (("target", tally.target), ("vantage", tally.vantage))
    yield from _counters(tally, way)
    probe = tally.probe
    if probe is None:
        return
    for mechanism, usable in usable_methods(probe).items():
        yield Sample("outlook_auth_method_usable", (*way, ("mechanism", mechanism)), float(usable))
    yield Sample("outlook_probe_success", way, float(probe.outcome == "ok"))
    if tally.last_run is not None:
        yield Sample("outlook_probe_last_run_timestamp_seconds", way, tally.last_run.timestamp())
    if tally.last_success is not None:
        yield Sample("outlook_probe_last_success_timestamp_seconds", way, tally.last_success.timestamp())
    for result in probe.phases:
        phase = (*way, ("phase", result.phase))
        yield Sample("outlook_probe_outcome", (*phase, ("outcome", result.outcome)), 1.0)
        if result.seconds is not None and result.outcome != "skipped":
            yield Sample("outlook_probe_phase_last_seconds", phase, result.seconds)
    yield from _addresses(probe, way)
    yield from _offered(tally, probe, way)
    yield from _tls(tally, probe, way)


def _counters(tally: Tally, way: Labels) -> Iterator[Sample]:
    for (phase, outcome), count in tally.results.items():
        yield Sample("outlook_probe_results_total", (*way, ("phase", phase), ("outcome", outcome)), count)
    for (mechanism, result), count in tally.auth_results.items():
        labels = (*way, ("mechanism", mechanism), ("outcome", result))
        yield Sample("outlook_probe_auth_results_total", labels, count)
    for phase, histogram in tally.seconds.items():
        yield from histogram_samples("outlook_probe_phase_seconds", (*way, ("phase", phase)), histogram)


def histogram_samples(metric: str, labels: Labels, histogram: Histogram) -> Iterator[Sample]:
    """A histogram's lines: buckets cumulated, count, sum."""
    cumulated = tuple(accumulate(histogram.counts))
    for bound, count in zip((*histogram.bounds, "+Inf"), cumulated, strict=True):
        yield Sample(metric, (*labels, ("le", str(bound))), count, "_bucket")
    yield Sample(metric, labels, cumulated[-1], "_count")
    yield Sample(metric, labels, histogram.sum, "_sum")


def _addresses(probe: Probe, way: Labels) -> Iterator[Sample]:
    counts = Counter(("6" if ":" in result.address else "4", result.outcome) for result in probe.addresses)
    for (version, outcome), count in counts.items():
        yield Sample("outlook_probe_addresses", (*way, ("ip_version", version), ("outcome", outcome)), count)


def _offered(tally: Tally, probe: Probe, way: Labels) -> Iterator[Sample]:
    if tally.offered is None or probe.protocol is Spoken.SIGN_IN:
        return
    possible = _IN_HTTP if probe.protocol in (Spoken.ACTIVESYNC, Spoken.HTTPS, Spoken.HTTP) else _IN_MAIL
    for mechanism in OfferedMechanism:
        offered = mechanism in tally.offered
        if offered or mechanism in possible:
            yield Sample("outlook_probe_auth_offered", (*way, ("mechanism", mechanism)), float(offered))


def _tls(tally: Tally, probe: Probe, way: Labels) -> Iterator[Sample]:
    if tally.labels.tls is not None:
        yield Sample("outlook_probe_tls_info", (*way, *tally.labels.tls), 1.0)
    if tally.labels.certificate is not None:
        yield Sample("outlook_probe_certificate_info", (*way, *tally.labels.certificate), 1.0)
    tls = probe.tls
    if tls is None:
        return
    if tls.chain:
        expiry = min(certificate.not_after for certificate in tls.chain)
        yield Sample("outlook_probe_certificate_expiry_timestamp_seconds", way, expiry.timestamp())
    if tls.signatures_genuine or (tls.signatures_genuine is False and is_microsoft_host(probe.host)):
        yield Sample("outlook_probe_tls_intercepted", way, float(not tls.signatures_genuine))


def of_snapshot(snapshot: Snapshot) -> Iterator[Sample]:
    """What belongs to no single target, and the exporter about itself."""
    probes = latest_probes(snapshot)
    for state in journey_states(probes, snapshot.vantages):
        if state.usable is not None:
            labels = (("journey", state.journey), ("vantage", state.vantage))
            yield Sample("outlook_journey_usable", labels, float(state.usable))
    for source, skew in clock_skews(probes).items():
        yield Sample("outlook_clock_skew_seconds", (("source", source),), skew)
    yield from _exporter(snapshot)


def latest_probes(snapshot: Snapshot) -> Mapping[tuple[str, str], Probe]:
    """The latest probes by target and vantage."""
    return {(tally.target, tally.vantage): tally.probe for tally in snapshot.tallies if tally.probe is not None}


def _exporter(snapshot: Snapshot) -> Iterator[Sample]:
    build = snapshot.build
    revision = (("revision", build.revision),) if build.revision else ()
    yield Sample("outlook_exporter_build_info", (("version", build.version), *revision, ("python", build.python)), 1.0)
    yield Sample("outlook_exporter_client_side_covered", (), float(snapshot.client_side_covered))
    if snapshot.loop_delay is not None:
        yield Sample("outlook_exporter_event_loop_delay_seconds", (), snapshot.loop_delay)
    yield Sample("outlook_exporter_config_last_reload_successful", (), float(snapshot.reload_successful))
    yield Sample("outlook_exporter_config_last_reload_success_timestamp_seconds", (), snapshot.reload_success_time)
    for (task, outcome), count in snapshot.task_runs.items():
        yield Sample("outlook_exporter_task_runs_total", (("task", task), ("outcome", outcome)), count)
    for task, time in snapshot.task_last_success.items():
        yield Sample("outlook_exporter_task_last_success_timestamp_seconds", (("task", task),), time)
    for budget, remaining in snapshot.budgets.items():
        yield Sample("outlook_exporter_budget_remaining", (("budget", budget),), remaining)
