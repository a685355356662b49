"""The page of one way: its last round to scale, its day in a strip and in words, what changed."""

import itertools
import json
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from exporter.catalogue import TARGETS
from exporter.history.recorder import History
from exporter.history.rows import BIN_SECONDS, Bin, Event, Kind
from exporter.metrics.tally import Tally
from exporter.observations import Probe
from exporter.state import Change, State
from exporter.vocabulary import Outcome, Phase
from exporter.web.app import create_app
from exporter.web.mood import Mood
from exporter.web.way_view import HEIGHT, WIDTH, WayPage, event_lines, way_page
from tests.metrics.made import NOON, failed, healthy
from tests.web.client import Answer, ScriptedControl, ask
from tests.web.test_view import Vantage

pytestmark = pytest.mark.usefixtures("closes_histories")

START = int(NOON.timestamp()) - int(NOON.timestamp()) % BIN_SECONDS
IMAP = healthy("imap", "clients")


def page(probe: Probe | None = IMAP, *bins: Bin, events: tuple[Event, ...] = ()) -> WayPage:
    return way_page(Tally(target="imap", vantage="clients", probe=probe), bins, events, NOON)


def quarter(back: int, rounds: int = 15, failures: int = 0, outcome: Outcome = Outcome.RESET) -> Bin:
    bad = outcome if failures else Outcome.OK
    phase = Phase.TLS if failures else None
    return Bin("imap", "clients", START - back * BIN_SECONDS, rounds, failures, bad, phase)


def test_phases_stand_one_behind_the_other_to_one_scale() -> None:
    bars = page().bars
    assert [each.x for each in bars] == sorted(each.x for each in bars)
    measured = [each for each in bars if each.width]
    assert all(left.x + left.width <= right.x + 2 for left, right in itertools.pairwise(measured))
    assert sum(each.width for each in measured) == pytest.approx(WIDTH, abs=2 * len(bars))
    by_name = {each.name: each for each in bars}
    assert by_name["TLS"].width > by_name["TCP connection"].width > by_name["name lookup"].width


def test_what_was_kept_from_an_earlier_round_has_no_place_in_this_one() -> None:
    phases = tuple(
        replace(each, measured_at=NOON - timedelta(minutes=10)) if each.phase is Phase.AUTH else each
        for each in IMAP.phases
    )
    bars = page(replace(IMAP, phases=phases)).bars
    kept = next(each for each in bars if each.kept_since)
    assert (kept.width, kept.kept_since) == (0, "10 min ago")


def test_mean_and_worst_of_the_day_stand_beside_the_last() -> None:
    slow = Bin("imap", "clients", START)
    slow.add(IMAP)
    slow.add(replace(IMAP, phases=tuple(replace(each, seconds=1.0) for each in IMAP.phases if each.phase is Phase.TLS)))
    bar = next(each for each in page(IMAP, slow).bars if each.name == "TLS")
    assert (bar.seconds, bar.mean, bar.worst) == ("43 ms", "522 ms", "1.0 s")


def test_a_strip_tells_by_height_what_it_tells_by_colour() -> None:
    strip = page(IMAP, quarter(0), quarter(1, failures=3)).strip
    assert len(strip) == 96
    assert [(each.mood, each.height) for each in strip[-3:]] == [
        (Mood.NEUTRAL, 2), (Mood.BAD, HEIGHT), (Mood.GOOD, HEIGHT // 2),
    ]  # fmt: skip
    assert strip[-2].text == "11:45: 3 of 15 rounds failed, TLS: connection reset"
    assert max(each.x for each in strip) < WIDTH


def test_failures_in_a_row_are_one_period_and_another_failure_is_another() -> None:
    told = page(
        IMAP, quarter(9, failures=15), quarter(8, failures=5), quarter(7, failures=1, outcome=Outcome.TIMEOUT),
        quarter(6), quarter(0, failures=2),
    )  # fmt: skip
    now, timeout, reset = told.periods
    assert (now.text, now.until) == ("TLS: connection reset", "now")
    assert (timeout.text, timeout.share) == ("TLS: no answer in time", "1 of 15 rounds failed")
    assert (reset.since.clock, reset.until, reset.share) == ("09:45:00 UTC", "10:15 UTC", "20 of 30 rounds failed")
    assert told.summing_up == "Last 24 hours: 23 of 75 rounds failed (30.7%)."
    assert page(IMAP, quarter(0)).summing_up == "Last 24 hours: all 15 rounds passed."


def test_changes_are_told_in_words() -> None:
    verdict = Event(
        time=NOON, kind=Kind.VERDICT, target="imap", vantage="clients", before="healthy", after="sni_reset",
        responsible="gateway", confidence=0.9, detail="the name",
    )  # fmt: skip
    outcome = Event(time=NOON, kind=Kind.OUTCOME, target="imap", vantage="clients", after="reset", phase="tls")
    again = replace(outcome, after="ok", phase="")
    over = replace(verdict, after="healthy", before="sni_reset")
    strange = replace(outcome, after="of a version to come", phase="so too")
    lines = event_lines((verdict, outcome, again, over, strange), NOON)
    assert [each.text for each in lines] == [
        "verdict: Connections are reset by the server's name; the gateway's administrator has to act "
        "(was: Everything on the way works)",
        "TLS: connection reset", "works again",
        "verdict: Everything on the way works (was: Connections are reset by the server's name)",
        "answer not recognized",
    ]  # fmt: skip
    assert [each.mood for each in lines] == [Mood.BAD, Mood.BAD, Mood.GOOD, Mood.GOOD, Mood.BAD]
    assert lines[0].runbook == "/runbook/sni_reset"
    assert not any(each.runbook for each in lines[1:])
    assert lines[0].way == "imap from clients"


def test_that_a_way_is_well_when_the_exporter_begins_is_no_news() -> None:
    """Unless it failed before, as the history of another start knows."""
    begun = Event(time=NOON, kind=Kind.OUTCOME, target="imap", vantage="clients", after="ok")
    failing = replace(begun, after="reset", phase="tls")
    other = replace(failing, vantage="wan")
    assert event_lines((begun, other), NOON) == event_lines((other,), NOON)
    assert [each.text for each in event_lines((begun, failing), NOON)] == ["works again", "TLS: connection reset"]
    assert len(event_lines((begun, begun, failing), NOON)) == 2


def test_what_packets_told_is_named_so_among_changes() -> None:
    told = Event(
        time=NOON, kind=Kind.VERDICT, target="imap", vantage="wire:lo", after="password_refused", responsible="client"
    )
    newer = replace(told, after="of_a_version_to_come", before="password_refused, healthy", responsible="microsoft")
    [line, later] = event_lines((told, newer), NOON)
    assert line.way == "imap from clients' packets at lo"
    assert line.text.endswith("; the client has to be set up anew")
    assert later.text.startswith("verdict: of_a_version_to_come; Microsoft has to act (was: A password is presented")


def state(history: History | None = None) -> State:
    made = State()
    made.configure(TARGETS.values(), [Vantage("clients")])
    made.record_probe(failed(IMAP, Phase.TLS, Outcome.RESET, "Connection <reset> & more"))
    if history is not None:
        made.sources["history"] = history
        history.probe(failed(IMAP, Phase.TLS, Outcome.RESET))
        history.changed(_change())
    return made


def _change() -> Change:
    made = State()
    made.record_probe(IMAP)
    change = made.record_probe(failed(IMAP, Phase.TLS, Outcome.RESET))
    assert change is not None
    return change


async def get(path: str, history: History | None = None) -> Answer:
    app = create_app(state(history), ScriptedControl(), now=NOON.timestamp)
    return await ask(app, path)


class Links(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


async def test_the_page_of_a_way_and_the_way_to_it(tmp_path: Path) -> None:
    history = History(tmp_path / "history.sqlite", now=NOON.timestamp)
    status = await get("/", history)
    assert "/way/imap/clients" in Links(status.text).found
    assert "What changed in the last 24 hours" in status.text
    answer = await get("/way/imap/clients", history)
    assert answer.status == 200
    assert "imap: TLS: connection reset" in answer.text
    assert "Connection &lt;reset&gt; &amp; more" in answer.text
    assert "style=" not in answer.text
    assert all(each.startswith("/") for each in Links(answer.text).found)
    start = answer.text.index('<svg class="strip"')
    picture = ElementTree.fromstring(answer.text[start : answer.text.index("</svg>", start) + 6])
    assert len(picture) == 96


async def test_without_a_history_the_page_says_how_to_have_one() -> None:
    answer = await get("/way/imap/clients")
    assert "No history is kept" in answer.text
    assert "strip" not in answer.text
    assert (await get("/way/smtp/clients")).text.count("not measured yet") == 1


@pytest.mark.parametrize("path", ["/way/imap/nowhere", "/way/nothing/clients", "/way/%3Cb%3E/clients"])
async def test_no_such_way(path: str) -> None:
    answer = await get(path)
    assert (answer.status, answer.text) == (404, "Not Found\n")


async def test_history_as_json(tmp_path: Path) -> None:
    history = History(tmp_path / "history.sqlite", now=NOON.timestamp)
    answer = await get("/api/v1/history?target=imap&vantage=clients&hours=2", history)
    told = json.loads(answer.text)
    (only,) = told["bins"]
    assert (only["time"], only["seconds"], only["rounds"], only["failed"]) == ("2026-11-24T12:00:00+00:00", 900, 1, 1)
    assert (only["outcome"], only["failed_phase"], set(only["mean"])) == ("reset", "tls", {"dns", "connect", "tls"})
    assert [each["after"] for each in told["changes"]] == ["reset"]
    assert json.loads((await get("/api/v1/history?target=smtp", history)).text) == {"bins": [], "changes": []}
    assert json.loads((await get("/api/v1/history")).text) == {"bins": [], "changes": []}


@pytest.mark.parametrize("hours", ["0", "-1", "x", "1e9", "99999", "", "²"])
async def test_a_length_that_is_none(hours: str) -> None:
    answer = await get(f"/api/v1/history?hours={hours}")
    assert answer.status == 400
    assert "hours" in answer.text
