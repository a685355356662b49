"""What is kept of the past: it adds up, outlives kills, damage and full disks, and stays within its bounds."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exporter.diagnosis.keep import VerdictChange
from exporter.history import recorder
from exporter.history.recorder import History, make_history
from exporter.history.rows import BIN_SECONDS, Bin, Event, Kind, day_of
from exporter.history.store import HistoryError, Store
from exporter.observations import Probe
from exporter.settings import HistorySettings, Settings
from exporter.state import Change
from exporter.vocabulary import Cause, Outcome, Phase
from tests.conftest import require_program
from tests.metrics.made import NOON, blamed, failed, healthy
from tests.probe.namespaces import root

pytestmark = pytest.mark.usefixtures("closes_histories")

THEN = NOON.timestamp()


def kept(path: Path | None, **more: object) -> History:
    return History(path, now=lambda: THEN, **more)  # type: ignore[arg-type] # whatever a test sets


def at(minutes: float, probe: Probe) -> Probe:
    return replace(probe, time=NOON + timedelta(minutes=minutes))


def reset(minutes: float) -> Change:
    return Change(
        time=NOON + timedelta(minutes=minutes), target="imap", vantage="clients", before=Outcome.OK, before_phase=None,
        after=Outcome.RESET, after_phase=Phase.TLS, detail="after the ClientHello",
    )  # fmt: skip


def test_rounds_add_up_to_quarter_hours(tmp_path: Path):
    history = kept(tmp_path / "history.sqlite")
    imap = healthy("imap", "clients")
    for minutes in (0, 1, 14):
        history.probe(at(minutes, imap))
    history.probe(at(2, failed(imap, Phase.TLS, Outcome.RESET)))
    history.probe(at(15, imap))
    history.probe(at(0, healthy("imap", "wan")))
    first, second = history.bins(THEN, "imap", "clients")
    assert (first.rounds, first.failed, first.outcome, first.phase) == (4, 1, Outcome.RESET, Phase.TLS)
    assert (second.start - first.start, second.rounds, second.outcome) == (BIN_SECONDS, 1, Outcome.OK)
    dns = first.phases[Phase.DNS]
    one = next(each.seconds or 0.0 for each in imap.phases if each.phase is Phase.DNS)
    assert (dns.count, dns.worst) == (4, one)
    assert dns.total == pytest.approx(4 * one)
    assert len(history.bins(THEN)) == 3


def test_a_day_has_a_place_for_every_quarter_of_an_hour():
    start = int(THEN) - int(THEN) % BIN_SECONDS
    day = day_of([Bin("imap", "clients", start), Bin("imap", "clients", start - 4 * BIN_SECONDS)], THEN)
    assert len(day) == 96
    assert [index for index, each in enumerate(day) if each] == [91, 95]


def test_changes_of_outcomes_and_verdicts_newest_first(tmp_path: Path):
    history = kept(tmp_path / "history.sqlite")
    history.changed(reset(-5))
    history.verdict(VerdictChange(blamed(Cause.SNI_RESET), (Cause.HEALTHY,)))
    history.verdict(VerdictChange(blamed(Cause.HEALTHY), ()))  # a healthy start is no news
    new, old = history.events(THEN - 3_600)
    assert (new.kind, new.before, new.after, new.responsible) == (Kind.VERDICT, "healthy", "sni_reset", "gateway")
    assert (old.kind, old.after, old.phase, old.detail) == (Kind.OUTCOME, "reset", "tls", "after the ClientHello")
    assert history.events(THEN - 60) == [new]
    assert history.events(THEN - 3_600, "smtp") == []


def test_it_outlives_a_restart_and_goes_on_with_the_bin_that_was_begun(tmp_path: Path):
    path = tmp_path / "history.sqlite"
    for _ in range(2):
        history = kept(path)
        history.start()
        history.probe(healthy("imap", "clients"))
        history.stop()
    (only,) = kept(path).bins(THEN)
    assert only.rounds == 2
    assert path.stat().st_mode & 0o777 == 0o600


_WRITER = """
import sys, time
from pathlib import Path
from exporter.history.rows import Bin
from exporter.history.store import Store
store = Store(Path(sys.argv[1]), 1 << 24)
for number in range(10**6):
    store.write([Bin("imap", "clients", number * 900, rounds=number)], [])
    print(number, flush=True)
"""


def test_what_was_written_outlives_a_kill_at_any_moment(tmp_path: Path):
    path = tmp_path / "history.sqlite"
    for lines in (1, 7, 40):
        child = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        last = [child.stdout.readline() for _ in range(lines)][-1]
        child.send_signal(signal.SIGKILL)
        child.communicate()
        bins = Store(path, 1 << 24).bins(0)
        assert [each.rounds for each in bins[:lines]] == list(range(lines))
        assert bins[-1].rounds >= int(last)


@pytest.mark.parametrize(
    "content",
    [b"not a database at all, but long enough to be looked at " * 40, b"SQLite format 3\0" + os.urandom(8_000)],
)
def test_a_damaged_file_is_set_aside_once_and_a_new_one_begun(tmp_path: Path, content: bytes):
    path = tmp_path / "history.sqlite"
    path.write_bytes(content)
    (tmp_path / "history.sqlite.damaged-1").write_bytes(b"an older one")
    history = kept(path)
    history.probe(healthy("imap", "clients"))
    assert len(history.bins(THEN)) == 1
    (aside,) = tmp_path.glob("*.damaged-*")
    assert aside.read_bytes() == content
    assert samples(history)["outlook_exporter_history_set_aside_total"] == 1.0


def test_damage_while_it_runs_costs_no_round(tmp_path: Path):
    path = tmp_path / "history.sqlite"
    history = kept(path)
    for hour in range(300):
        history.probe(at(60 * hour, healthy("imap", "clients")))
    history.write()
    path.with_name("history.sqlite-wal").unlink()
    content = bytearray(path.read_bytes())
    content[4_096:] = os.urandom(len(content) - 4_096)
    path.write_bytes(content)
    for _ in range(3):  # whichever of these meets it
        history.probe(healthy("imap", "wan"))
        history.bins(THEN - 10**7)
    history.probe(healthy("imap", "wan"))
    assert len(history.bins(THEN, "imap", "wan")) == 1
    assert samples(history)["outlook_exporter_history_up"] == 1.0


def test_another_version_is_set_aside(tmp_path: Path):
    path = tmp_path / "history.sqlite"
    Store(path, 1 << 24).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version=99")
    database.close()
    kept(path).write()
    assert len(list(tmp_path.glob("*.damaged-*"))) == 1


def samples(history: History) -> dict[str, float]:
    return {f"{each.metric}{dict(each.labels).get('kind', '')}": each.value for each in history.samples()}


@pytest.mark.parametrize("make", ["directory", "folder is missing"])
def test_a_file_that_cant_be_had_is_told_once_and_tried_again_later(tmp_path: Path, make: str, capsys):
    now = [THEN]
    path = tmp_path / "history.sqlite" if make == "directory" else tmp_path / "absent" / "history.sqlite"
    if make == "directory":
        path.mkdir()
    history = History(path, now=lambda: now[0])
    for _ in range(3):
        history.probe(healthy("imap", "clients"))
        history.write()
        now[0] += 1.0
    assert history.bins(THEN) == []
    assert samples(history)["outlook_exporter_history_up"] == 0.0
    said = capsys.readouterr()
    assert (said.out + said.err).count(str(path)) == 1
    path.rmdir() if make == "directory" else path.parent.mkdir()
    now[0] += recorder.RETRY
    assert [each.rounds for each in history.bins(THEN)] == [3]  # what waited wasn't lost


def test_a_store_that_is_full_forgets_the_oldest_tenth(tmp_path: Path):
    store = Store(tmp_path / "history.sqlite", 400_000)
    count = 20_000
    for start in range(0, count, 100):
        store.write([Bin("imap", "clients", each * BIN_SECONDS, rounds=1) for each in range(start, start + 100)], [])
    bins = store.bins(0)
    assert bins[-1].start == (count - 1) * BIN_SECONDS
    assert 1_000 < len(bins) < count
    assert (tmp_path / "history.sqlite").stat().st_size <= 400_000


@contextmanager
def small_disk(directory: Path) -> Iterator[Path]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def fill(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while os.write(descriptor, bytes(1_024)):
            pass
    os.close(descriptor)


@root
def test_a_full_disk_switches_it_off_and_room_switches_it_on(tmp_path: Path):
    require_program("mount", "mount")
    now = [THEN]
    with small_disk(tmp_path) as directory:
        history = History(directory / "history.sqlite", now=lambda: now[0])
        history.probe(healthy("imap", "clients"))
        assert len(history.bins(THEN)) == 1
        fill(directory / "filler")
        for minutes in range(0, 60 * 24, 5):
            history.probe(at(minutes, healthy("imap", "clients")))
        history.write()
        assert samples(history)["outlook_exporter_history_up"] == 0.0
        (directory / "filler").unlink()
        now[0] += recorder.RETRY
        history.probe(healthy("imap", "wan"))
        assert len(history.bins(THEN, "imap", "wan")) == 1
        assert samples(history)["outlook_exporter_history_up"] == 1.0
        history.stop()


def test_what_is_old_or_of_a_time_to_come_goes(tmp_path: Path):
    path = tmp_path / "history.sqlite"
    store = Store(path, 1 << 24)
    days = (-40, -29, 0, 3)
    store.write([Bin("imap", "clients", int(THEN) + day * 86_400) for day in days], [])
    store.close()
    history = kept(path, days=30)
    history.write()
    assert [(each.start - int(THEN)) // 86_400 for each in history.bins(0)] == [-29, 0]


def test_changes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("exporter.history.store.MAX_EVENTS", 10)
    store = Store(tmp_path / "history.sqlite", 1 << 24)
    event = Event(time=NOON, kind=Kind.OUTCOME, target="imap", vantage="clients")
    store.write([], [replace(event, detail=str(number)) for number in range(25)])
    store.prune(0, THEN)
    assert [each.detail for each in store.events(0, most=100)] == [str(number) for number in range(24, 14, -1)]


def test_the_queue_is_bounded_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recorder, "MAX_WAITING", 3)
    history = kept(tmp_path / "history.sqlite")
    for _ in range(5):
        history.probe(healthy("imap", "clients"))
    assert history.bins(THEN)[0].rounds == 3
    assert samples(history)["outlook_exporter_history_dropped_total"] == 2.0


def test_rows_that_cant_be_read_are_left_out(tmp_path: Path):
    path = tmp_path / "history.sqlite"
    store = Store(path, 1 << 24)
    store.write([Bin("imap", "clients", 900), Bin("imap", "clients", 1_800)], [])
    for column, value in (("phases", "["), ("phases", '{"dns":1}'), ("outcome", "nonsense"), ("phases", "7")):
        with sqlite3.connect(path) as database:
            database.execute(f"UPDATE bins SET {column}=? WHERE time=900", (value,))
        database.close()
        assert [each.start for each in store.bins(0)] == [1_800]


def test_where_it_is_kept():
    assert make_history(Settings(), {}).path is None
    assert make_history(Settings(), {"STATE_DIRECTORY": "/var/lib/one:/two"}).path == Path(
        "/var/lib/one/history.sqlite"
    )
    chosen = Settings(history=HistorySettings(file=Path("/x/y"), days=3, max_size_mib=2))
    history = make_history(chosen, {"STATE_DIRECTORY": "/var/lib/one"})
    assert (history.path, history.days, history.max_bytes) == (Path("/x/y"), 3, 2 * 1024 * 1024)
    nowhere = kept(None)
    nowhere.start()
    nowhere.probe(healthy("imap", "clients"))
    assert (nowhere.bins(0), nowhere.events(0), list(nowhere.samples())) == ([], [], [])
    nowhere.stop()


def test_a_symbolic_link_is_not_followed(tmp_path: Path):
    (tmp_path / "history.sqlite").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HistoryError, match=r"history\.sqlite"):
        Store(tmp_path / "history.sqlite", 1 << 24)
