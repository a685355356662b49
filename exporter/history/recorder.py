"""The service's history: what the prober's thread tells is queued, a thread of its own writes, pages read.

Nothing of it can hold up a round: a queue that is full drops and counts, a file that fails switches the history off
for a while, with one line in the log.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import structlog

from exporter.diagnosis.keep import VerdictChange
from exporter.history.rows import BIN_SECONDS, Bin, Event, Kind, bin_of, utc
from exporter.history.store import DamagedError, HistoryError, Store, open_or_set_aside
from exporter.metrics.samples import Sample
from exporter.observations import Probe
from exporter.settings import Settings
from exporter.state import Change
from exporter.vocabulary import Cause

_T = TypeVar("_T")

#: Its name in the unit's state directory.
FILE = "history.sqlite"
#: How often the file is written, and old rows are looked for, seconds.
WRITE_EVERY, PRUNE_EVERY = 30.0, 3_600.0
#: After a failure the file is tried again so much later, seconds.
RETRY = 600.0
#: Probes and changes that may wait to be written.
MAX_WAITING = 20_000
#: Most bins and events that one question is answered with.
MAX_BINS, MAX_EVENTS = 12_000, 500
#: Characters kept of a detail.
MAX_DETAIL = 200


def make_history(settings: Settings, env: Mapping[str, str]) -> "History":
    """As configured; without a file, in the unit's state directory (systemd.exec(5)), or none."""
    path, state = settings.history.file, env.get("STATE_DIRECTORY", "").split(":")[0]
    if path is None and state:
        path = Path(state) / FILE
    return History(path, settings.history.days, settings.history.max_size_mib * 1024 * 1024)


@dataclass(slots=True)
class _Counts:
    """What the metrics show."""

    up: bool = False
    bins: int = 0
    events: int = 0
    size: int = 0
    set_aside: int = 0
    dropped: int = 0


@dataclass(slots=True)
class History:
    """Thread-safe. `path` None: nothing is kept, and every question has an empty answer. `now`: Unix seconds."""

    path: Path | None
    days: int = 30
    max_bytes: int = 64 * 1024 * 1024
    now: Callable[[], float] = time.time
    _waiting: deque[Probe | Event] = field(default_factory=deque)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _store: Store | None = None
    _current: dict[tuple[str, str, int], Bin] = field(default_factory=dict)
    _counts: _Counts = field(default_factory=_Counts)
    _version: object = field(default_factory=object)
    _retry_at: float = 0.0
    _pruned_at: float = 0.0
    _told: str = ""
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Opens the file and begins to write."""
        if self.path is None:
            return
        self.write()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Writes what waits, and closes."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(5)
        with self._lock:
            self.write()
            if self._store is not None:
                self._store.close()
                self._store = None

    def _run(self) -> None:
        while not self._stopping.wait(WRITE_EVERY):
            self.write()

    # --- what is told

    def probe(self, probe: Probe) -> None:
        """One more round of a way."""
        self._queue(probe)

    def changed(self, change: Change) -> None:
        """Another outcome."""
        self._queue(
            Event(
                time=change.time, kind=Kind.OUTCOME, target=change.target, vantage=change.vantage,
                before=change.before or "", after=change.after, phase=change.after_phase or "",
                detail=(change.detail or "")[:MAX_DETAIL],
            )
        )  # fmt: skip

    def verdict(self, change: VerdictChange) -> None:
        """Another verdict; a healthy start is no news."""
        verdict = change.verdict
        if verdict.cause is Cause.HEALTHY and not change.before:
            return
        self._queue(
            Event(
                time=utc(self.now()), kind=Kind.VERDICT, target=verdict.target, vantage=verdict.vantage,
                account=verdict.account or "", before=", ".join(change.before), after=verdict.cause,
                responsible=verdict.responsible, confidence=verdict.confidence,
                detail=(verdict.evidence[0].observation if verdict.evidence else "")[:MAX_DETAIL],
            )
        )  # fmt: skip

    def _queue(self, what: Probe | Event) -> None:
        if self.path is None:
            return
        if len(self._waiting) >= MAX_WAITING:
            self._counts.dropped += 1
        else:
            self._waiting.append(what)

    # --- what is asked

    def bins(self, since: float, target: str | None = None, vantage: str | None = None) -> list[Bin]:
        """Quarter hours from `since` on, oldest first; the last of them, where there are too many."""
        return self._asked(lambda store: store.bins(since - BIN_SECONDS, target, vantage))[-MAX_BINS:]

    def events(self, since: float, target: str | None = None, vantage: str | None = None) -> list[Event]:
        """Changes from `since` on, newest first."""
        return self._asked(lambda store: store.events(since, target, vantage, most=MAX_EVENTS))

    def _asked(self, question: Callable[[Store], list[_T]]) -> list[_T]:
        with self._lock:
            self.write()
            if self._store is None:
                return []
            try:
                return question(self._store)
            except HistoryError as error:
                self._failed(error)
                return []

    # --- the file

    def write(self) -> None:
        """What waits goes into the file, if there is one to be had."""
        with self._lock:
            if self.path is None or not self._open():
                return
            waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
            try:
                self._take(waiting)
            except HistoryError as error:
                self._counts.dropped += len(waiting)
                self._failed(error)

    def _open(self) -> bool:
        """Whether the file is open; a failed one is tried again later."""
        if self._store is not None:
            return True
        if self.path is None or self.now() < self._retry_at:
            return False
        try:
            self._store, notice = open_or_set_aside(self.path, self.max_bytes, self.now)
        except HistoryError as error:
            self._failed(error)
            return False
        if notice is not None:
            self._counts.set_aside += 1
            structlog.get_logger().warning("history set aside", problem=notice)
        self._counts.up, self._told = True, ""
        self._count(self._store)
        return True

    def _take(self, waiting: list[Probe | Event]) -> None:
        assert self._store is not None
        store, touched = self._store, set()
        for each in waiting:
            if isinstance(each, Probe):
                key = bin_of(each)
                if key not in self._current:
                    self._current[key] = self._begun(store, key)
                self._current[key].add(each)
                touched.add(key)
        if waiting:
            store.write(
                (self._current[key] for key in sorted(touched)), (each for each in waiting if isinstance(each, Event))
            )
        if self.now() - self._pruned_at >= PRUNE_EVERY or self.now() < self._pruned_at:
            store.prune(self.now() - self.days * 86_400, self.now())
            self._pruned_at = self.now()
        newest = {(target, vantage): start for target, vantage, start in sorted(self._current)}
        self._current = {key: each for key, each in self._current.items() if newest[key[:2]] == key[2]}
        if waiting:
            self._count(store)

    @staticmethod
    def _begun(store: Store, key: tuple[str, str, int]) -> Bin:
        """A bin that was begun before a restart goes on."""
        target, vantage, start = key
        found = [each for each in store.bins(start, target, vantage) if each.start == start]
        return found[0] if found else Bin(target, vantage, start)

    def _count(self, store: Store) -> None:
        self._counts.bins, self._counts.events, self._counts.size = store.sizes()
        self._version = object()

    def _failed(self, error: HistoryError) -> None:
        """Off for a while; a damaged file is set aside at once by the next opening. One line, not one a minute."""
        if self._store is not None:
            self._store.close()
        self._store, self._counts.up, self._version = None, False, object()
        self._current.clear()
        self._retry_at = self.now() + (0 if isinstance(error, DamagedError) else RETRY)
        if str(error) != self._told:
            self._told = str(error)
            structlog.get_logger().warning(
                "history is off", problem=self._told, hint=f"tried again every {RETRY / 60:.0f} minutes"
            )

    # --- metrics (a SampleSource)

    def version(self) -> object:
        """See SampleSource."""
        return self._version

    def samples(self) -> Iterator[Sample]:
        """Nothing where no history is kept."""
        if self.path is None:
            return
        yield Sample("outlook_exporter_history_up", (), float(self._counts.up))
        yield Sample("outlook_exporter_history_rows", (("kind", "bin"),), float(self._counts.bins))
        yield Sample("outlook_exporter_history_rows", (("kind", "change"),), float(self._counts.events))
        yield Sample("outlook_exporter_history_bytes", (), float(self._counts.size))
        yield Sample("outlook_exporter_history_dropped_total", (), float(self._counts.dropped))
        yield Sample("outlook_exporter_history_set_aside_total", (), float(self._counts.set_aside))
