"""The state: what was recorded is there, what isn't configured any more is gone."""

import threading
from dataclasses import dataclass, replace
from datetime import timedelta

from exporter.catalogue import TARGETS
from exporter.state import MAX_NAMES, RECENT_CHANGES, State
from exporter.vocabulary import Outcome, Phase
from tests.metrics.made import NOON, failed, healthy


@dataclass(frozen=True)
class Vantage:
    name: str
    proxy: object | None = None


LOCAL, WAN = Vantage("local"), Vantage("wan")


def later(minutes: float):
    return NOON + timedelta(minutes=minutes)


def test_a_probe_becomes_the_latest_of_its_target_and_vantage() -> None:
    state = State()
    for probe in (healthy(), healthy(vantage="wan"), newest := healthy(time=later(1))):
        state.record_probe(probe)
    assert state.latest() == (newest, healthy(vantage="wan"))


def test_only_another_outcome_or_phase_is_a_change() -> None:
    state = State()
    first = state.record_probe(healthy())
    assert first is not None
    assert (first.before, first.after) == (None, Outcome.OK)
    assert state.record_probe(healthy(time=later(1))) is None
    broken = state.record_probe(failed(healthy(time=later(2)), Phase.TLS, Outcome.RESET, "RST"))
    assert broken is not None
    assert (broken.before, broken.after, broken.after_phase, broken.detail) == (
        Outcome.OK, Outcome.RESET, Phase.TLS, "RST",
    )  # fmt: skip
    elsewhere = state.record_probe(failed(healthy(time=later(3)), Phase.CONNECT, Outcome.RESET))
    assert elsewhere is not None
    assert (elsewhere.before_phase, elsewhere.after_phase) == (Phase.TLS, Phase.CONNECT)


def test_a_healthy_start_is_no_news_for_the_page() -> None:
    state = State()
    state.record_probe(healthy())
    assert state.snapshot().changes == ()
    state.record_probe(failed(healthy("smtp"), Phase.DNS, Outcome.NAME_NOT_FOUND))
    assert [change.target for change in state.snapshot().changes] == ["smtp"]


def test_the_last_change_stays_while_the_outcome_does() -> None:
    state = State()
    for minute in range(3):
        state.record_probe(healthy(time=later(minute)))
    (tally,) = state.snapshot().tallies
    assert tally.last_change == NOON
    assert tally.last_success == later(2)


def test_a_latecomer_is_counted_but_not_the_latest() -> None:
    state = State()
    state.record_probe(newer := healthy(time=later(5)))
    assert state.record_probe(failed(healthy(), Phase.TLS, Outcome.RESET)) is None
    (tally,) = state.snapshot().tallies
    assert tally.probe is newer
    assert tally.results[Phase.TLS, Outcome.RESET] == 1
    assert tally.last_success == later(5)


def test_what_is_not_configured_any_more_disappears_and_stays_away() -> None:
    state = State()
    both = [TARGETS["imap"], TARGETS["smtp"]]
    state.configure(both, [LOCAL, WAN])
    for name in ("imap", "smtp"):
        for vantage in ("local", "wan"):
            state.record_probe(failed(healthy(name, vantage), Phase.TLS, Outcome.RESET))
    state.configure([TARGETS["imap"]], [LOCAL])
    assert state.record_probe(healthy("smtp")) is None  # a round that was under way
    snapshot = state.snapshot()
    assert [(tally.target, tally.vantage) for tally in snapshot.tallies] == [("imap", "local")]
    assert [(change.target, change.vantage) for change in snapshot.changes] == [("imap", "local")]


def test_a_reload_keeps_counters_unless_the_target_is_another_one() -> None:
    state = State()
    state.configure([TARGETS["imap"], TARGETS["smtp"]], [LOCAL])
    state.record_probe(healthy("imap"))
    state.record_probe(healthy("smtp"))
    elsewhere = replace(TARGETS["smtp"], hosts=("relay.example",), custom=True)
    state.configure([TARGETS["imap"], elsewhere], [LOCAL])
    imap, smtp = state.snapshot().tallies
    assert imap.results[Phase.TLS, Outcome.OK] == 1
    assert smtp.results[Phase.TLS, Outcome.OK] == 0
    assert smtp.probe is None


def test_configured_counters_start_at_nought_proxy_included() -> None:
    state = State()
    state.configure([TARGETS["imap"]], [Vantage("proxied", proxy="http://proxy:3128")])
    (tally,) = state.snapshot().tallies
    assert tally.results[Phase.PROXY, Outcome.OK] == tally.results[Phase.PROXY, Outcome.TIMEOUT] == 0


def test_tasks_budgets_and_reloads() -> None:
    now = [1000.0]
    state = State(now=lambda: now[0])
    state.record_task("round", "ok")
    now[0] = 2000.0
    state.record_task("round", "missed")
    state.set_budget("canaries", 119)
    state.record_reload(False)
    snapshot = state.snapshot()
    assert snapshot.task_runs == {("round", "ok"): 1, ("round", "missed"): 1}
    assert snapshot.task_last_success == {"round": 1000.0}
    assert snapshot.budgets == {"canaries": 119}
    assert (snapshot.reload_successful, snapshot.reload_success_time) == (False, 1000.0)
    state.record_reload(True)
    assert state.snapshot().reload_success_time == 2000.0


def test_the_worst_delay_of_a_minute_is_shown() -> None:
    now = [0.0]
    state = State(now=lambda: now[0])
    assert state.snapshot().loop_delay is None
    for second, delay in enumerate((0.002, 0.030, 0.001, 0.001)):
        now[0] = second
        state.observe_loop_delay(delay)
    assert state.snapshot().loop_delay == 0.030
    now[0] = 62.5
    state.observe_loop_delay(0.0005)
    assert state.snapshot().loop_delay == 0.001  # the last of those within the minute
    now[0] = 200.0
    state.observe_loop_delay(0.004)
    assert state.snapshot().loop_delay == 0.004


def test_names_and_changes_are_bounded() -> None:
    state = State()
    for number in range(3 * MAX_NAMES):
        state.record_task(f"task{number}", "ok")
        state.set_budget(f"budget{number}", 1)
        state.observe_loop_delay(1.0 - number / 1000)
    for number in range(2 * RECENT_CHANGES):
        probe = healthy(time=later(number))
        state.record_probe(failed(probe, Phase.TLS, Outcome.RESET) if number % 2 else probe)
    snapshot = state.snapshot()
    assert len(snapshot.task_runs) == len(snapshot.budgets) == MAX_NAMES
    assert len(snapshot.changes) == RECENT_CHANGES


def test_two_threads_lose_no_count() -> None:
    state = State()

    def record(vantage: str) -> None:
        for number in range(200):
            state.record_probe(healthy(vantage=vantage, time=later(number)))

    threads = [threading.Thread(target=record, args=(vantage,)) for vantage in ("local", "local", "wan")]
    for thread in threads:
        thread.start()
    for _ in range(50):
        state.snapshot()
    for thread in threads:
        thread.join()
    local, wan = sorted(state.snapshot().tallies, key=lambda tally: tally.vantage)
    assert local.results[Phase.TLS, Outcome.OK] == 400
    assert wan.results[Phase.TLS, Outcome.OK] == 200
