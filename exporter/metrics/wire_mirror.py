"""What the inspector told of its counts and interfaces, for scrapes and pages: fed by the link, thread-safe."""

import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from exporter.metrics.catalogue import METRICS, Kind
from exporter.metrics.samples import Labels, Sample
from exporter.observations import Connection
from exporter.wire.interface_state import InterfaceState
from exporter.wire.messages import Kind as MessageKind
from exporter.wire.messages import Message

#: Connections kept for the page and the API.
RECENT = 500
#: Series of all workers together (contract).
MAX_SERIES = 3_000

Key = tuple[str, str, Labels]

#: Where a metric is added up for the page, and by which of its labels.
_COUNTED = {
    "outlook_wire_clients": ("states", "state"),
    "outlook_wire_connections_total": ("outcomes", "outcome"),
    "outlook_wire_auth_attempts_total": ("attempts", "mechanism", "outcome"),
}


@dataclass(frozen=True, slots=True)
class TargetClients:
    """What clients did at one target: how many are in each state, connections by outcome, sign-ins by mechanism too."""

    target: str
    states: Counter[tuple[str, ...]] = field(default_factory=Counter)
    outcomes: Counter[tuple[str, ...]] = field(default_factory=Counter)
    attempts: Counter[tuple[str, ...]] = field(default_factory=Counter)


@dataclass(slots=True)
class _Worker:
    """`values`: by metric, suffix and labels. `base`: what its predecessors' counters came to."""

    run: str = ""
    up: bool = False
    interfaces: tuple[InterfaceState, ...] = ()
    values: dict[Key, float] = field(default_factory=dict)
    base: dict[Key, float] = field(default_factory=dict)


class WireMirror:
    """A SampleSource for `State.sources["wire"]`. Counters go on where a worker begins anew."""

    def __init__(self) -> None:
        #: Whether there ought to be an inspector.
        self.expected = True
        #: False leaves out clients' addresses, whatever the inspector tells.
        self.show_clients = True
        self._lock = threading.Lock()
        self._version: object = object()
        self._workers: dict[int, _Worker] = {}
        self._known: set[Key] = set()
        self._connections: deque[Connection] = deque(maxlen=RECENT)

    # ---- what the link tells -----------------------------------------------------------------------------------------

    def take(self, message: Message) -> None:
        """Something that a worker, or its keeper, said."""
        with self._lock:
            worker = self._workers.setdefault(message.worker, _Worker())
            match message.kind:
                case MessageKind.CONNECTION:
                    self._connections.appendleft(message.content)
                    return
                case MessageKind.HELLO:
                    _greet(worker, run=message.content[0])
                case MessageKind.INTERFACES:
                    worker.interfaces = message.content
                case MessageKind.SAMPLES:
                    self._count(worker, message.content)
                case MessageKind.DOWN:
                    _leave(worker)
            self._version = object()

    def unreachable(self) -> None:
        """The link is cut: nothing that was true a moment ago is known to be."""
        with self._lock:
            for worker in self._workers.values():
                _leave(worker)
            self._version = object()

    def _count(self, worker: _Worker, samples: list[Sample]) -> None:
        for sample in samples:
            key = (sample.metric, sample.suffix, sample.labels)
            if key not in self._known:
                if len(self._known) >= MAX_SERIES:
                    continue
                self._known.add(key)
            worker.values[key] = sample.value

    # ---- what pages and scrapes read ---------------------------------------------------------------------------------

    def version(self) -> object:
        """See SampleSource."""
        return self._version

    def samples(self) -> Iterator[Sample]:
        """See SampleSource."""
        with self._lock:
            up, totals = self._is_up(), self._totals()
        if self.expected:
            yield Sample("outlook_exporter_inspector_up", (), float(up))
        for (metric, suffix, labels), value in totals.items():
            yield Sample(metric, labels, value, suffix)

    def connections(self) -> tuple[Connection, ...]:
        """The latest, the newest first."""
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
        found: dict[str, InterfaceState] = {}
        with self._lock:
            for worker in self._workers.values():
                for state in worker.interfaces:
                    if state.name not in found or state.open:
                        found[state.name] = state
        return tuple(found.values())

    def covers_inside(self) -> bool:
        """Whether packets of an interface on the clients' side are being read."""
        return any(state.open and state.side == "inside" for state in self.interfaces())

    def clients(self) -> tuple[TargetClients, ...]:
        """What clients did, by target, for the page."""
        found: dict[str, TargetClients] = {}
        with self._lock:
            totals = self._totals()
        for (metric, _, labels), value in totals.items():
            counted = _COUNTED.get(metric)
            if counted is not None and value:
                named = dict(labels)
                target = found.setdefault(named["target"], TargetClients(named["target"]))
                counter: Counter[tuple[str, ...]] = getattr(target, counted[0])
                counter[tuple(named[name] for name in counted[1:])] += int(value)
        return tuple(found.values())

    def _is_up(self) -> bool:
        return any(worker.up for worker in self._workers.values())

    def _totals(self) -> dict[Key, float]:
        totals: dict[Key, float] = {}
        for worker in self._workers.values():
            for values in (worker.base, worker.values):
                for key, value in values.items():
                    totals[key] = totals.get(key, 0.0) + value
        return totals


def _greet(worker: _Worker, run: str) -> None:
    if worker.run and run != worker.run:
        for key, value in _counters(worker.values).items():
            worker.base[key] = worker.base.get(key, 0.0) + value
        worker.values = {}
    worker.run, worker.up = run, True


def _leave(worker: _Worker) -> None:
    """Counters stay at what was last known; gauges speak of now."""
    worker.up = False
    worker.values = _counters(worker.values)
    worker.interfaces = tuple(replace(state, open=False) for state in worker.interfaces)


def _counters(values: Mapping[Key, float]) -> dict[Key, float]:
    return {key: value for key, value in values.items() if METRICS[key[0]].kind is not Kind.GAUGE}
