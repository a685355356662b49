"""The current state as Prometheus metrics, in both text formats, by prometheus_client."""

import platform
import time
from collections.abc import Callable, Iterable, Iterator
from statistics import median

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from exporter import __version__
from exporter.catalogue import JOURNEYS
from exporter.metrics.catalogue import METRICS
from exporter.observations import Probe
from exporter.state import Course, Key, Labels, Snapshot
from exporter.vocabulary import AuthOutcome, Mechanism, OfferedMechanism, Outcome, Phase

#: Label values taken from the network: their length, and how many distinct ones a label gets in a day.
MAX_VALUE, MAX_VALUES = 64, 20
_DAY = 86_400.0

Values = dict[Labels, float]


class BoundedValues:
    """Keeps label values from the network printable, short and few: what is too many becomes `other`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, set[str]] = {}
        self._began = clock()

    def bounded(self, label: str, value: str | None) -> str:
        """The value to show for that label."""
        if self._clock() - self._began > _DAY:
            self._seen, self._began = {}, self._clock()
        text = "".join(character if character.isprintable() else "?" for character in value or "")[:MAX_VALUE]
        seen = self._seen.setdefault(label, set())
        if text in seen or len(seen) < MAX_VALUES:
            seen.add(text)
            return text
        return "other"


class StateCollector(Collector):
    """Yields every family that has a value now."""

    def __init__(self, snapshot: Callable[[], Snapshot], values: BoundedValues | None = None) -> None:
        self._snapshot = snapshot
        self._values = values or BoundedValues()

    def collect(self) -> Iterator[Family]:
        now = self._snapshot()
        gauges = _probe_gauges(now, self._values)
        gauges["outlook_exporter_build_info"] = {(__version__, platform.python_version()): 1.0}
        for name, found in now.gauges.items():
            gauges[name] = found
        for name, found in gauges.items():
            yield from _family(name, found)
        for name, found in now.counters.items():
            yield from _family(name, found)
        yield from _durations(now)


def _family(name: str, values: Values) -> Iterator[Family]:
    metric = METRICS[name]
    make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = make(name, metric.help, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    if values:
        yield family


def _durations(now: Snapshot) -> Iterator[Family]:
    name = "outlook_probe_phase_seconds"
    family = HistogramMetricFamily(name, METRICS[name].help, labels=METRICS[name].labels)
    for labels, durations in now.histograms.items():
        total, buckets = 0, []
        for bound, count in zip((*durations.bounds, float("inf")), durations.counts, strict=True):
            total += count
            buckets.append(("+Inf" if bound == float("inf") else str(bound), float(total)))
        family.add_metric(labels, buckets=buckets, sum_value=durations.total)
    if now.histograms:
        yield family


def _probe_gauges(now: Snapshot, values: BoundedValues) -> dict[str, Values]:
    """All gauges that follow from the latest probes."""
    found: dict[str, Values] = {name: {} for name in METRICS if METRICS[name].kind == "gauge"}
    for key, course in now.courses.items():
        probe = course.probe
        found["outlook_probe_success"][key] = float(probe.outcome is Outcome.OK)
        found["outlook_probe_last_run_timestamp_seconds"][key] = probe.time.timestamp()
        if course.last_success is not None:
            found["outlook_probe_last_success_timestamp_seconds"][key] = course.last_success.timestamp()
        for result in probe.phases:
            found["outlook_probe_outcome"][(*key, result.phase, result.outcome)] = 1.0
        for mechanism, usable in usable_methods(probe).items():
            found["outlook_auth_method_usable"][(*key, mechanism)] = float(usable)
        for address in probe.addresses:
            labels = (*key, "6" if ":" in address.address else "4", address.outcome)
            counted = found["outlook_probe_addresses"]
            counted[labels] = counted.get(labels, 0.0) + 1
        _tls_gauges(found, key, probe, values)
    found["outlook_probe_phase_last_seconds"] = dict(now.last_seconds)
    for key, names in now.offered.items():
        for name in OfferedMechanism:
            found["outlook_probe_auth_offered"][(*key, name)] = float(name in names)
    found["outlook_clock_skew_seconds"] = _skews(now.courses.values())
    found["outlook_journey_usable"] = journeys(now.courses)
    return found


def _tls_gauges(found: dict[str, Values], key: Key, probe: Probe, values: BoundedValues) -> None:
    tls = probe.tls
    if tls is None or tls.version is None:
        return
    info = (
        values.bounded(label, text)
        for label, text in (("version", tls.version), ("cipher", tls.cipher), ("group", tls.group), ("alpn", tls.alpn))
    )
    found["outlook_probe_tls_info"][(*key, *info)] = 1.0
    if not tls.chain:
        return
    issuer = (
        values.bounded("issuer_organization", tls.issuer_organization),
        values.bounded("issuer_common_name", tls.issuer_common_name),
    )
    genuine = "unknown" if tls.genuine is None else str(tls.genuine).lower()
    found["outlook_probe_certificate_info"][(*key, *issuer, genuine)] = 1.0
    expiry = found["outlook_probe_certificate_expiry_timestamp_seconds"]
    expiry[key] = min(certificate.not_after for certificate in tls.chain).timestamp()
    if tls.signatures_genuine is not None:
        found["outlook_probe_tls_intercepted"][key] = float(not tls.signatures_genuine)


def usable_methods(probe: Probe) -> dict[Mechanism, bool]:
    """Which way of signing in works: the contract's headline.

    token: known once a canary was judged or the path is broken. password: only an app_password account proves it.
    """
    if not any(result.phase in (Phase.AUTH, Phase.TOKEN) for result in probe.phases) and probe.auth.offered is None:
        return {}
    accepted = {result.mechanism for result in probe.accounts if result.outcome is AuthOutcome.ACCEPTED}
    usable: dict[Mechanism, bool] = {Mechanism.PASSWORD: Mechanism.PASSWORD in accepted}
    if Mechanism.TOKEN in accepted and probe.outcome is Outcome.OK:
        usable[Mechanism.TOKEN] = True
    elif probe.outcome is not Outcome.OK:
        if any(result.outcome not in (Outcome.OK, Outcome.SKIPPED) for result in probe.phases):
            usable[Mechanism.TOKEN] = False
    elif probe.auth.outcome is not None:
        usable[Mechanism.TOKEN] = probe.auth.outcome is AuthOutcome.EXPECTED_REFUSAL
    return usable


def journeys(courses: dict[Key, Course]) -> Values:
    """Whether what a person wants to do works, for journeys all of whose targets are probed."""
    found: Values = {}
    vantages = {vantage for _, vantage in courses}
    for journey, targets in JOURNEYS.items():
        for vantage in vantages:
            walked = [courses.get((target, vantage)) for target in targets]
            if all(course is not None for course in walked):
                probes = [course.probe for course in walked if course is not None]
                found[journey, vantage] = float(_works(journey, probes))
    return found


def _works(journey: str, probes: list[Probe]) -> bool:
    if journey == "imap_password":
        return all(usable_methods(probe).get(Mechanism.PASSWORD, False) for probe in probes)
    return all(probe.outcome is Outcome.OK for probe in probes)


def _skews(courses: Iterable[Course]) -> Values:
    found: Values = {}
    for course in courses:
        if course.probe.clock_skew_seconds is not None:
            found[(course.probe.target,)] = course.probe.clock_skew_seconds
    if found:
        found[("median",)] = median(found.values())
    return found


def registry_of(snapshot: Callable[[], Snapshot], values: BoundedValues | None = None) -> CollectorRegistry:
    """A registry that exposes the state; `_created` series don't exist, for nothing here makes them."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StateCollector(snapshot, values))
    return registry


def render(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """The page and its content type, as the Accept header wants it."""
    encoder, content_type = choose_encoder(accept)
    return encoder(registry), content_type
