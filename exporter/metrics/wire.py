"""What the inspector counts, as metrics, and what pages show of it: fed by the link, read on the web thread."""

import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from exporter.metrics.catalogue import METRICS, Kind
from exporter.metrics.samples import Sample, histogram_samples
from exporter.metrics.tally import Histogram
from exporter.observations import Connection
from exporter.wire.interface_state import InterfaceState
from exporter.wire.messages import Kind as MessageKind
from exporter.wire.messages import Message
from exporter.wire.tally import MAX_SERIES, Key, Value, series_of

#: Connections that are listed.
LISTED = 500


@dataclass(slots=True)
class _Source:
    """One worker of the inspector. `base`: what counters of its predecessors came to."""

    run: str = ""
    up: bool = False
    sandbox: str = ""
    interfaces: tuple[InterfaceState, ...] = ()
    values: dict[Key, Value] = field(default_factory=dict)
    base: dict[Key, Value] = field(default_factory=dict)
    lost: int = 0


class WireState:
    """Thread-safe; a SampleSource for `State.sources["wire"]`. Counters go on where a worker begins anew."""

    def __init__(self, *, show_clients: bool = True) -> None:
        """`show_clients`: False leaves out clients' addresses, whatever the inspector tells."""
        self.show_clients = show_clients
        self._lock = threading.Lock()
        self._version: object = object()
        self._workers: dict[int, _Source] = {}
        self._series = 0
        self._known: set[Key] = set()
        self._connections: deque[Connection] = deque(maxlen=LISTED)

    def take(self, message: Message) -> None:
        """Something that a worker, or its keeper, said."""
        with self._lock:
            source = self._workers.setdefault(message.worker, _Source())
            match message.kind:
                case MessageKind.HELLO:
                    self._greet(source, *message.content)
                case MessageKind.INTERFACES:
                    source.interfaces = message.content
                case MessageKind.SAMPLES:
                    self._count(source, message.content)
                case MessageKind.CONNECTION:
                    self._connections.append(message.content)
                    return
                case MessageKind.LOST:
                    source.lost = message.content
                case MessageKind.DOWN:
                    self._leave(source)
            self._version = object()

    def unreachable(self) -> None:
        """The link is cut: nothing that was true a moment ago is known to be."""
        with self._lock:
            for source in self._workers.values():
                self._leave(source)
            self._version = object()

    def version(self) -> object:
        """See SampleSource."""
        return self._version

    def samples(self) -> Iterator[Sample]:
        """See SampleSource."""
        with self._lock:
            up, totals = self._is_up(), self._totals()
        yield Sample("outlook_exporter_inspector_up", (), float(up))
        for metric, values in sorted(totals):
            labels = tuple(zip(METRICS[metric].labels, values, strict=True))
            value = totals[metric, values]
            if isinstance(value, Histogram):
                yield from histogram_samples(metric, labels, value)
            else:
                yield Sample(metric, labels, value)

    def connections(self) -> tuple[Connection, ...]:
        """The latest, the newest last."""
        with self._lock:
            found = tuple(self._connections)
        return found if self.show_clients else tuple(replace(each, client=None, client_port=None) for each in found)

    @property
    def up(self) -> bool:
        """Whether a worker is at work."""
        with self._lock:
            return self._is_up()

    def interfaces(self) -> tuple[InterfaceState, ...]:
        """As the workers see them: open where one has it open."""
        with self._lock:
            found: dict[str, InterfaceState] = {}
            for source in self._workers.values():
                for state in source.interfaces:
                    if state.name not in found or state.open:
                        found[state.name] = state
            return tuple(found.values())

    def covers_inside(self) -> bool:
        """Whether packets of an interface on the clients' side are being read."""
        return self.up and any(state.open and state.side == "inside" for state in self.interfaces())

    def by_target(self, metric: str, label: str) -> Mapping[str, Counter[str]]:
        """A metric summed by target and one of its labels, for the page."""
        place = METRICS[metric].labels.index(label)
        found: dict[str, Counter[str]] = {}
        with self._lock:
            totals = self._totals()
        for (name, labels), value in totals.items():
            if name == metric and isinstance(value, float) and value:
                found.setdefault(labels[0], Counter())[labels[place]] += int(value)
        return found

    # ---- under the lock ----------------------------------------------------------------------------------------------

    def _is_up(self) -> bool:
        return any(source.up for source in self._workers.values())

    def _greet(self, source: _Source, run: str, sandbox: str) -> None:
        if source.run and run != source.run:
            for key, value in source.values.items():
                if METRICS[key[0]].kind is not Kind.GAUGE:
                    source.base[key] = _sum(source.base.get(key), value)
            source.values = {}
            source.lost = 0
        source.run, source.sandbox, source.up = run, sandbox, True

    def _count(self, source: _Source, content: list[tuple[Key, Value]]) -> None:
        for key, value in content:
            if key not in self._known:
                if self._series + series_of(key[0]) > MAX_SERIES:
                    continue
                self._series += series_of(key[0])
                self._known.add(key)
            source.values[key] = value

    def _leave(self, source: _Source) -> None:
        """Counters stay at what was last known; gauges speak of now."""
        source.up = False
        source.values = {key: value for key, value in source.values.items() if METRICS[key[0]].kind is not Kind.GAUGE}
        source.interfaces = tuple(replace(state, open=False) for state in source.interfaces)

    def _totals(self) -> dict[Key, Value]:
        totals: dict[Key, Value] = {}
        for source in self._workers.values():
            for values in (source.base, source.values):
                for key, value in values.items():
                    totals[key] = _sum(totals.get(key), value)
        return totals


def _sum(one: Value | None, other: Value) -> Value:
    if one is None:
        return other
    if isinstance(one, Histogram) and isinstance(other, Histogram):
        counts = tuple(map(sum, zip(one.counts, other.counts, strict=True)))
        return Histogram(one.bounds, counts, one.sum + other.sum)
    assert isinstance(one, float)
    assert isinstance(other, float)
    return one + other
