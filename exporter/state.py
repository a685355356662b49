"""The current state: what the prober's thread writes and the web's thread reads.

Writers replace frozen values under a lock; a reader takes a snapshot and needs none.
"""

import platform
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from exporter import __version__
from exporter.catalogue import Target
from exporter.metrics.labels import FewValues
from exporter.metrics.tally import NetworkLabels, Tally, changed, counted, fresh
from exporter.observations import Probe, TlsResult
from exporter.vocabulary import Outcome, Phase

if TYPE_CHECKING:
    from exporter.metrics.samples import SampleSource

#: Changes of outcome kept for the page.
RECENT_CHANGES = 30
#: Tasks and budgets that may be reported; they are named by our own code, so more is a mistake there.
MAX_NAMES = 64

#: The event loop's worst delay is that of so many seconds.
DELAY_WINDOW = 60.0

SUCCESSFUL = "ok"

_GENUINE = {True: "true", False: "false", None: "unknown"}


class VantageLike(Protocol):
    """What of a vantage matters here."""

    @property
    def name(self) -> str: ...

    @property
    def proxy(self) -> object | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An outcome that is another than in the round before. `before` is None at the first round."""

    time: datetime
    target: str
    vantage: str
    before: Outcome | None
    before_phase: Phase | None
    after: Outcome
    after_phase: Phase | None
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What is running."""

    version: str = __version__
    revision: str = ""
    python: str = platform.python_version()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything at one moment. Tallies are in the order of the configuration: targets, then vantages."""

    tallies: tuple[Tally, ...]
    vantages: tuple[str, ...]
    changes: tuple[Change, ...]
    client_side_covered: bool
    build: Build
    loop_delay: float | None
    reload_successful: bool
    reload_success_time: float
    task_runs: Mapping[tuple[str, str], int]
    task_last_success: Mapping[str, float]
    budgets: Mapping[str, float]


class State:
    """Thread-safe. `now` gives Unix seconds."""

    def __init__(self, build: Build | None = None, now: Callable[[], float] = time.time) -> None:
        self.client_side_covered = False
        #: How far a diagnosis is that a page asked for; empty where none runs.
        self.progress = ""
        #: Probes recorded since the start: another number is news for a page.
        self.recorded = 0
        #: Parts with metrics of their own, and what pages list (`connections`, `verdicts`): set once, at the start.
        self.sources: dict[str, SampleSource] = {}
        self.listings: dict[str, Callable[[], Iterable[object]]] = {}
        self._build = build or Build()
        self._now = now
        self._lock = threading.Lock()
        self._configured: dict[tuple[str, str], tuple[Target, bool]] | None = None
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._few_values = FewValues()
        self._changes: deque[Change] = deque(maxlen=RECENT_CHANGES)
        self._loop_delays: deque[tuple[float, float]] = deque()  # falling delays, so the worst stands first
        self._reload_successful = True
        self._reload_success_time = now()
        self._task_runs: dict[tuple[str, str], int] = {}
        self._task_last_success: dict[str, float] = {}
        self._budgets: dict[str, float] = {}

    def configure(self, targets: Iterable[Target], vantages: Iterable[VantageLike]) -> None:
        """Say what is probed, at the start and at each reload. What isn't any more is forgotten;
        a target that became another one under its old name begins anew."""
        vantages = tuple(vantages)
        wanted = {
            (target.name, vantage.name): (target, vantage.proxy is not None)
            for target in targets
            for vantage in vantages
        }
        with self._lock:
            before, self._configured = self._configured or {}, wanted
            self._tallies = {
                key: self._tallies[key]
                if before.get(key) == wanted[key] and key in self._tallies
                else fresh(target, key[1], proxied=proxied)
                for key, (target, proxied) in wanted.items()
            }
            kept = [change for change in self._changes if (change.target, change.vantage) in wanted]
            self._changes = deque(kept, maxlen=RECENT_CHANGES)

    def record_probe(self, probe: Probe) -> Change | None:
        """Count a probe and make it the latest. Returns the change of outcome, if it is one.

        A probe of a target or vantage that isn't configured any more leaves no trace.
        """
        key = (probe.target, probe.vantage)
        with self._lock:
            if self._configured is not None and key not in self._configured:
                return None
            before = self._tallies.get(key) or Tally(target=probe.target, vantage=probe.vantage)
            self.recorded += 1
            after = self._tallies[key] = counted(before, probe, self._labels_of(probe))
            if after.probe is not probe or not changed(before.probe, probe):
                return None
            change = _change(before.probe, probe)
            if change.before is not None or change.after is not Outcome.OK:  # a healthy start is no news
                self._changes.appendleft(change)
            return change

    def _labels_of(self, probe: Probe) -> NetworkLabels:
        if probe.tls is None:
            return NetworkLabels()
        day = probe.time.date()

        def few(**labels: str | None) -> tuple[tuple[str, str], ...]:
            return tuple((name, self._few_values.value(name, text, day)) for name, text in labels.items())

        return _network_labels(probe.tls, few)

    def record_task(self, task: str, outcome: str) -> None:
        """Count a scheduled task that ended; `ok` is success."""
        with self._lock:
            key = (task, outcome)
            if key not in self._task_runs and len(self._task_runs) >= MAX_NAMES:
                return
            self._task_runs[key] = self._task_runs.get(key, 0) + 1
            if outcome == SUCCESSFUL:
                self._task_last_success[task] = self._now()

    def set_budget(self, name: str, remaining: float) -> None:
        """What is left of a budget now."""
        with self._lock:
            if name in self._budgets or len(self._budgets) < MAX_NAMES:
                self._budgets[name] = remaining

    def observe_loop_delay(self, seconds: float) -> None:
        """How late the prober's event loop woke. The worst of the last minute is shown."""
        now = self._now()
        with self._lock:
            while self._loop_delays and self._loop_delays[-1][1] <= seconds:
                self._loop_delays.pop()
            while len(self._loop_delays) >= MAX_NAMES or (
                self._loop_delays and self._loop_delays[0][0] < now - DELAY_WINDOW
            ):
                self._loop_delays.popleft()
            self._loop_delays.append((now, seconds))

    def record_reload(self, ok: bool) -> None:
        """A reload ended; where not ok, the old configuration is still running."""
        with self._lock:
            self._reload_successful = ok
            if ok:
                self._reload_success_time = self._now()

    def latest(self) -> tuple[Probe, ...]:
        """The latest probe of each target and vantage, in the order of the configuration."""
        return tuple(tally.probe for tally in self.snapshot().tallies if tally.probe is not None)

    def snapshot(self) -> Snapshot:
        """Everything as it is now."""
        with self._lock:
            tallies = tuple(self._tallies.values())
            return Snapshot(
                tallies=tallies,
                vantages=tuple(dict.fromkeys(tally.vantage for tally in tallies)),
                changes=tuple(self._changes),
                client_side_covered=self.client_side_covered,
                build=self._build,
                loop_delay=self._loop_delays[0][1] if self._loop_delays else None,
                reload_successful=self._reload_successful,
                reload_success_time=self._reload_success_time,
                task_runs=dict(self._task_runs),
                task_last_success=dict(self._task_last_success),
                budgets=dict(self._budgets),
            )


def _network_labels(tls: TlsResult, few: Callable[..., tuple[tuple[str, str], ...]]) -> NetworkLabels:
    handshake = None
    if tls.version is not None:
        handshake = few(version=tls.version, cipher=tls.cipher, group=tls.group, alpn=tls.alpn or "none")
    certificate = None
    if tls.issuer_organization or tls.issuer_common_name or tls.chain:
        certificate = few(
            issuer_organization=tls.issuer_organization,
            issuer_common_name=tls.issuer_common_name,
            genuine=_GENUINE[tls.genuine],
        )
    return NetworkLabels(handshake, certificate)


def _change(before: Probe | None, after: Probe) -> Change:
    failed = after.phase(after.failed_phase) if after.failed_phase else None
    return Change(
        time=after.time,
        target=after.target,
        vantage=after.vantage,
        before=before.outcome if before else None,
        before_phase=before.failed_phase if before else None,
        after=after.outcome,
        after_phase=after.failed_phase,
        detail=failed.detail if failed else None,
    )
