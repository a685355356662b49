"""The history's file: SQLite, bounded in age and size, set aside where it is damaged. Not thread-safe.

Written a few times a minute at most: a write-ahead log and `synchronous=NORMAL` survive a kill, and spare flash.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.history.rows import Bin, Event, Kind, phases_from, utc
from exporter.vocabulary import Outcome, Phase

#: Of the tables below; a file of another is set aside.
VERSION = 1
#: Changes kept, whatever their age.
MAX_EVENTS = 50_000
PAGE = 4_096
#: A file that another process holds is waited for so long, seconds.
BUSY = 2.0
#: Rows whose time is so far ahead come from a clock that was wrong, seconds.
AHEAD = 86_400

_TABLES = """
CREATE TABLE bins (
  time INTEGER NOT NULL, target TEXT NOT NULL, vantage TEXT NOT NULL, rounds INTEGER NOT NULL,
  failed INTEGER NOT NULL, outcome TEXT NOT NULL, phase TEXT NOT NULL, phases TEXT NOT NULL,
  PRIMARY KEY (time, target, vantage)
) WITHOUT ROWID;
CREATE TABLE events (
  id INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, target TEXT NOT NULL, vantage TEXT NOT NULL,
  account TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, phase TEXT NOT NULL, responsible TEXT NOT NULL,
  confidence REAL, detail TEXT NOT NULL
);
CREATE INDEX events_time ON events (time);
"""
_BINS = """
SELECT * FROM bins WHERE time >= :since
AND (:target IS NULL OR target = :target) AND (:vantage IS NULL OR vantage = :vantage) ORDER BY time
"""
_EVENTS = """
SELECT time, kind, target, vantage, account, before, after, phase, responsible, confidence, detail FROM events
WHERE time >= :since AND (:target IS NULL OR target = :target) AND (:vantage IS NULL OR vantage = :vantage)
ORDER BY time DESC, id DESC LIMIT :most
"""


class HistoryError(Exception):
    """The file can't serve. The text names it and says why."""


class DamagedError(HistoryError):
    """It is there and is no history, or not a whole one."""


class Store:
    """An open file. `max_bytes`: what it may grow to; then the oldest tenth goes."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Raises DamagedError, or HistoryError where it can't be opened or written."""
        self.path = path
        with _named(path):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            self._db = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        try:
            with _named(path):
                self._prepare(max_bytes)
        except HistoryError:
            self._db.close()
            raise

    def _prepare(self, max_bytes: int) -> None:
        db = self._db
        db.execute(f"PRAGMA page_size={PAGE}")
        version = self._one("PRAGMA user_version")
        if self._one("SELECT count(*) FROM sqlite_master") == 0:
            db.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version={VERSION}; COMMIT")
        elif version != VERSION:
            raise DamagedError(f"{self.path}: is a history of version {version}, not {VERSION}")
        if (said := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise DamagedError(f"{self.path}: {said}")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute("PRAGMA journal_size_limit=1048576")
        db.execute(f"PRAGMA max_page_count={max(max_bytes // PAGE, 16)}")

    def write(self, bins: Iterable[Bin], events: Iterable[Event]) -> None:
        """All or nothing. Where there is no more room, the oldest tenth makes some, once. Raises HistoryError."""
        bins, events = list(bins), list(events)
        try:
            self._insert(bins, events)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise _told(self.path, error) from error
            with _named(self.path):
                self._forget_tenth()
                self._insert(bins, events)
        except sqlite3.Error as error:
            raise _told(self.path, error) from error

    def _insert(self, bins: list[Bin], events: list[Event]) -> None:
        with self._transaction() as db:
            db.executemany("INSERT OR REPLACE INTO bins VALUES (?,?,?,?,?,?,?,?)", map(_bin_row, bins))
            db.executemany("INSERT INTO events VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?)", map(_event_row, events))

    def _forget_tenth(self) -> None:
        with self._transaction() as db:
            db.execute("DELETE FROM bins WHERE time <= (SELECT min(time) + (max(time) - min(time)) / 10 FROM bins)")
            db.execute("DELETE FROM events WHERE id <= (SELECT min(id) + (max(id) - min(id)) / 10 FROM events)")

    def prune(self, before: float, now: float) -> None:
        """Forgets what is older than `before`, or of a time to come (Unix seconds). Raises HistoryError."""
        with _named(self.path), self._transaction() as db:
            db.execute("DELETE FROM bins WHERE time < ? OR time > ?", (before, now + AHEAD))
            db.execute("DELETE FROM events WHERE time < ? OR time > ?", (before, now + AHEAD))
            db.execute(
                "DELETE FROM events WHERE id <= (SELECT id FROM events ORDER BY id DESC LIMIT 1 OFFSET ?)",
                (MAX_EVENTS,),
            )

    def bins(self, since: float, target: str | None = None, vantage: str | None = None) -> list[Bin]:
        """From `since` on, oldest first. A row that can't be read is left out. Raises HistoryError."""
        with _named(self.path):
            rows = self._db.execute(_BINS, {"since": since, "target": target, "vantage": vantage}).fetchall()
        return [each for row in rows if (each := _bin(row)) is not None]

    def events(self, since: float, target: str | None = None, vantage: str | None = None, *, most: int) -> list[Event]:
        """From `since` on, newest first, at most so many. Raises HistoryError."""
        with _named(self.path):
            asked = {"since": since, "target": target, "vantage": vantage, "most": most}
            rows = self._db.execute(_EVENTS, asked).fetchall()
        return [each for row in rows if (each := _event(row)) is not None]

    def sizes(self) -> tuple[int, int, int]:
        """Bins, events, and bytes on the disk. Raises HistoryError."""
        with _named(self.path):
            counts = self._one("SELECT count(*) FROM bins"), self._one("SELECT count(*) FROM events")
            files = (self.path, self.path.with_name(f"{self.path.name}-wal"))
            return *counts, sum(each.stat().st_size for each in files if each.exists())

    def close(self) -> None:
        """Ends with the log written back."""
        self._db.close()

    def _one(self, query: str) -> int:
        return int(self._db.execute(query).fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def open_or_set_aside(path: Path, max_bytes: int, now: Callable[[], float] = time.time) -> tuple[Store, str | None]:
    """The store, and what has to be told where a damaged file was set aside. Raises HistoryError."""
    try:
        return Store(path, max_bytes), None
    except DamagedError as error:
        place = path.with_name(f"{path.name}.damaged-{int(now())}")
        for old in path.parent.glob(f"{path.name}.damaged-*"):  # one is kept: more would fill the disk
            old.unlink(missing_ok=True)
        for ending in ("-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        with _named(path):
            os.replace(path, place)
        return Store(path, max_bytes), f"{error}; it was set aside as {place.name}, and a new one begun"


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Foreign exceptions as ours, at this one place."""
    try:
        yield
    except sqlite3.Error as error:
        raise _told(path, error) from error
    except OSError as error:
        raise HistoryError(f"{path}: {error.strerror or error}") from error


_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def _told(path: Path, error: sqlite3.Error) -> HistoryError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return (DamagedError if code in _DAMAGED else HistoryError)(f"{path}: {error}")


def _bin_row(each: Bin) -> tuple[object, ...]:
    return (
        each.start, each.target, each.vantage, each.rounds, each.failed, each.outcome.value,
        each.phase.value if each.phase else "", each.phases_text(),
    )  # fmt: skip


def _bin(row: tuple[int, str, str, int, int, str, str, str]) -> Bin | None:
    start, target, vantage, rounds, failed, outcome, phase, phases = row
    try:
        named = Phase(phase) if phase else None
        return Bin(target, vantage, start, rounds, failed, Outcome(outcome), named, phases_from(phases))
    except (ValueError, TypeError):
        return None


def _event_row(each: Event) -> tuple[object, ...]:
    return (
        each.time.timestamp(), each.kind.value, each.target, each.vantage, each.account, str(each.before),
        str(each.after), str(each.phase), str(each.responsible), each.confidence, each.detail,
    )  # fmt: skip


def _event(row: tuple[float, str, str, str, str, str, str, str, str, float | None, str]) -> Event | None:
    time_, kind, target, vantage, account, before, after, phase, responsible, confidence, detail = row
    try:
        return Event(
            time=utc(time_), kind=Kind(kind), target=target, vantage=vantage, account=account, before=before,
            after=after, phase=phase, responsible=responsible, confidence=confidence, detail=detail,
        )  # fmt: skip
    except (ValueError, OverflowError, OSError):
        return None
