"""The text formats: 0.0.4 and OpenMetrics 1.0.0.

prometheus_client would take 93 ms for 10,000 series, with the interpreter's lock held against the prober's clocks.
So lines are rendered once for each tally and kept until it is replaced; a scrape joins them.
What prometheus_client knows is still asked of it: negotiation, number format, the process' own metrics; and tests
compare every page with its parsers and its own output.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.utils import floatToGoString

from exporter.metrics.catalogue import METRICS, Kind, Metric
from exporter.metrics.samples import Sample, SampleSource, of_snapshot, of_tally
from exporter.metrics.tally import Tally
from exporter.observations import Probe
from exporter.state import Snapshot, State

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

#: Label pairs kept rendered; they recur from scrape to scrape.
_RENDERED_PAIRS = 4096

_PROBE_METRICS = {
    "probe_success": "Whether every phase of this run was ok.",
    "probe_duration_seconds": "How long this run took.",
}

Chunks = Mapping[str, str]  # rendered lines, by metric


class Page(NamedTuple):
    """A rendered exposition and its content type."""

    body: bytes
    content_type: str


def wants_openmetrics(accept: str) -> bool:
    """Whether the Accept header asks for OpenMetrics, as prometheus_client reads it."""
    try:
        return "openmetrics" in choose_encoder(accept)[1]
    except (TypeError, ValueError):  # a version that isn't one
        return False


class Exposition:
    """Renders the state. Not thread-safe: it belongs to the web server's thread."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._kept: dict[tuple[str, str], tuple[Tally, Chunks]] = {}
        self._kept_sources: dict[str, tuple[object, Chunks]] = {}
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)

    def page(self, accept: str) -> Page:
        """All metrics as of now."""
        snapshot = self._state.snapshot()
        openmetrics = wants_openmetrics(accept)
        parts = [self._chunks(tally) for tally in snapshot.tallies]
        self._forget(snapshot)
        parts.append(_rendered(of_snapshot(snapshot)))
        parts += [self._source_chunks(name, source) for name, source in self._state.sources.items()]
        return _page(_join(parts, METRICS, openmetrics), openmetrics, self._process)

    def _chunks(self, tally: Tally) -> Chunks:
        kept = self._kept.get((tally.target, tally.vantage))
        if kept is None or kept[0] is not tally:
            kept = self._kept[tally.target, tally.vantage] = (tally, _rendered(of_tally(tally)))
        return kept[1]

    def _source_chunks(self, name: str, source: SampleSource) -> Chunks:
        version = source.version()
        kept = self._kept_sources.get(name)
        if kept is None or kept[0] is not version:
            kept = self._kept_sources[name] = (version, _rendered(source.samples()))
        return kept[1]

    def _forget(self, snapshot: Snapshot) -> None:
        if len(self._kept) > len(snapshot.tallies):
            keys = {(tally.target, tally.vantage) for tally in snapshot.tallies}
            self._kept = {key: kept for key, kept in self._kept.items() if key in keys}


def probe_exposition(probe: Probe, duration_seconds: float, accept: str = "") -> Page:
    """What `/probe` answers: this run alone, as from a fresh registry."""
    state = State()
    state.record_probe(probe)
    chunks = _rendered(sample for tally in state.snapshot().tallies for sample in of_tally(tally))
    own = {"probe_success": f"probe_success {_number(float(probe.outcome == 'ok'))}\n"}
    own["probe_duration_seconds"] = f"probe_duration_seconds {_number(duration_seconds)}\n"
    metrics = {name: metric for name, metric in METRICS.items() if name.startswith("outlook_probe_")}
    openmetrics = wants_openmetrics(accept)
    head = [f"# HELP {name} {text}\n# TYPE {name} gauge\n{own[name]}" for name, text in _PROBE_METRICS.items()]
    return _page(head + _join([chunks], metrics, openmetrics), openmetrics)


def _page(pieces: list[str], openmetrics: bool, more: CollectorRegistry | None = None) -> Page:
    if openmetrics:
        encode = choose_encoder(OPENMETRICS)[0]
        tail = encode(more).decode() if more is not None else "# EOF\n"
        return Page("".join([*pieces, tail]).encode(), OPENMETRICS)
    tail = generate_latest(more).decode() if more is not None else ""
    return Page("".join([*pieces, tail]).encode(), TEXT)


def _join(parts: Iterable[Chunks], metrics: Mapping[str, Metric], openmetrics: bool) -> list[str]:
    """Family by family, for no family may be interrupted; families without a sample are left out."""
    pieces: list[str] = []
    parts = list(parts)
    for name, metric in metrics.items():
        lines = [chunks[name] for chunks in parts if name in chunks]
        if lines:
            pieces.append(_header(metric, openmetrics))
            pieces += lines
    return pieces


def _header(metric: Metric, openmetrics: bool) -> str:
    """HELP and TYPE. In OpenMetrics a counter's family has its name without `_total`."""
    name = metric.name
    if openmetrics and metric.kind is Kind.COUNTER:
        name = name.removesuffix("_total")
    return f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind}\n"


def _rendered(samples: Iterable[Sample]) -> Chunks:
    chunks: dict[str, list[str]] = {}
    for metric, labels, value, suffix in samples:
        text = ",".join([_pair(*pair) for pair in labels])
        braces = f"{{{text}}}" if text else ""
        chunks.setdefault(metric, []).append(f"{metric}{suffix}{braces} {_number(value)}\n")
    return {metric: "".join(lines) for metric, lines in chunks.items()}


@lru_cache(maxsize=_RENDERED_PAIRS)
def _pair(name: str, value: str) -> str:
    escaped = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'{name}="{escaped}"'


def _number(value: float) -> str:
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]
