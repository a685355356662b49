"""The status page: what an admin reads in each situation."""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from exporter.catalogue import TARGETS
from exporter.metrics.accounts import AccountStanding, Refusal
from exporter.observations import HostResult, Probe
from exporter.state import State
from exporter.vocabulary import AccountKind, AuthOutcome, Cause, Mechanism, Outcome, Phase, Responsible
from exporter.web import words
from exporter.web.page import StatusPage
from exporter.web.view import AccountLine, Mood, Overview, overview
from tests.metrics.made import NOON, failed, healthy, kept, unmeasured
from tests.web.client import ScriptedControl


@dataclass(frozen=True)
class Vantage:
    name: str
    proxy: object | None = None


def seen(*probes: Probe, vantages: tuple[str, ...] = ("clients", "wan"), now: datetime = NOON) -> Overview:
    state = State()
    state.configure(TARGETS.values(), [Vantage(name) for name in vantages])
    for probe in probes:
        state.record_probe(probe)
    return overview(state.snapshot(), TARGETS, now)


def everywhere() -> list[Probe]:
    return [healthy(name, vantage) for name in TARGETS for vantage in ("clients", "wan")]


def test_before_the_first_round() -> None:
    page = seen()
    assert page.mood is Mood.NEUTRAL
    assert page.headline.startswith("Nothing measured yet")
    assert {cell.text for row in page.targets for cell in row.cells} == {"not measured yet"}


def test_all_is_well() -> None:
    page = seen(*everywhere())
    assert (page.mood, page.headline) == (Mood.GOOD, "All 30 ways work")
    assert {cell.text for row in page.targets for cell in row.cells} == {"works"}
    moods = {row.name: row.cells[0].mood for row in page.journeys}
    assert moods.pop("IMAP with a password") is Mood.NEUTRAL
    assert set(moods.values()) == {Mood.GOOD}


def test_what_could_not_be_measured_is_not_said_to_work() -> None:
    gone = [unmeasured(probe) for probe in everywhere() if probe.vantage == "clients"]
    page = seen(*everywhere(), *gone)
    assert (page.mood, page.headline) == (Mood.NEUTRAL, "15 of 30 ways couldn't be measured, the others work")
    alone = seen(*gone, vantages=("clients",))
    assert (alone.mood, alone.headline) == (Mood.NEUTRAL, "Nothing could be measured")
    broken = failed(healthy("imap", "wan"), Phase.TLS, Outcome.RESET)
    assert seen(*everywhere(), *gone, broken).headline.startswith("1 of 15 ways fail: imap")


def test_the_headline_says_where_it_fails_only_from() -> None:
    broken = failed(healthy("imap", "clients"), Phase.TLS, Outcome.RESET)
    page = seen(*everywhere(), broken)
    assert (page.mood, page.headline) == (Mood.BAD, "1 of 30 ways fail: imap (only from clients)")
    assert page.details[0].id == "imap.clients"  # what fails comes first
    imap = next(row for row in page.targets if row.name == "imap")
    assert [cell.text for cell in imap.cells] == ["TLS: connection reset", "works"]
    journey = next(row for row in page.journeys if row.name == "IMAP with the sign-in page")
    assert journey.cells[0].more == "imap, TLS: connection reset"
    assert journey.cells[0].link == "#imap.clients"


def test_a_password_journey_is_never_red() -> None:
    page = seen(*[failed(probe, Phase.DNS, Outcome.TIMEOUT) for probe in everywhere()])
    (row,) = (row for row in page.journeys if row.name == "IMAP with a password")
    assert {(cell.mood, cell.text) for cell in row.cells} == {(Mood.NEUTRAL, words.NEVER_WORKS)}


def test_the_details_tell_the_canarys_reply_and_age() -> None:
    probe = kept(healthy("imap", "wan", NOON + timedelta(minutes=9)), NOON)
    page = seen(probe, now=NOON + timedelta(minutes=10))
    (detail,) = page.details
    facts = dict(detail.facts)
    assert facts["worthless token"] == f"{words.CANARY[AuthOutcome.EXPECTED_REFUSAL]} (10 min ago)"
    assert facts["password"] == "not offered"
    assert facts["issued by"] == "DigiCert Inc, genuine"
    assert detail.reply == "a2 NO AUTHENTICATE failed."
    auth = next(line for line in detail.phases if line.name == words.PHASES[Phase.AUTH])
    assert (auth.seconds, auth.kept_since, auth.share) == ("5.3 s", "10 min ago", 10)


def test_the_details_tell_what_is_behind_a_forged_chain_and_of_each_host() -> None:
    forged = failed(healthy("imap", "wan"), Phase.TLS, Outcome.CERTIFICATE_UNTRUSTED)
    hosts = (HostResult(host="a.example", outcome=Outcome.OK), HostResult(host="b.example", outcome=Outcome.RESET))
    page = seen(forged, replace(healthy("sign_in_assets", "wan"), hosts=hosts, clock_skew_seconds=-7.0))
    first, second = (dict(detail.facts) for detail in page.details)
    assert first["issued by"] == "Gateway Inspection, NOT genuine"
    assert (second["a.example"], second["b.example"]) == ("ok", "connection reset")
    assert second["our clock"] == "-7 s off"


def test_changes_newest_first() -> None:
    minute = timedelta(minutes=1)
    page = seen(
        healthy("imap", "wan"),
        failed(healthy("imap", "wan", NOON + minute), Phase.TLS, Outcome.RESET, "RST"),
        failed(healthy("imap", "wan", NOON + 2 * minute), Phase.CONNECT, Outcome.TIMEOUT),
        healthy("imap", "wan", NOON + 3 * minute),
        now=NOON + 10 * minute,
    )
    assert [(change.text, change.time.ago) for change in page.changes] == [
        ("works again", "7 min ago"),
        ("TCP connection: no answer in time (was: TLS: connection reset)", "8 min ago"),
        ("TLS: connection reset", "9 min ago"),
    ]


@pytest.mark.parametrize(
    ("passed", "said"),
    [(0, "0 s ago"), (-5, "0 s ago"), (119, "119 s ago"), (120, "2 min ago"), (7200, "2 h ago"), (200_000, "2 d ago")],
)
def test_ago(passed: float, said: str) -> None:
    assert words.ago(NOON, NOON + timedelta(seconds=passed)) == said


def test_every_word_of_the_vocabulary_has_its_words() -> None:
    assert set(words.PHASES) == set(Phase)
    assert set(words.OUTCOMES) == set(Outcome)
    assert set(words.CANARY) == set(AuthOutcome)


class Strict(HTMLParser):
    """Checks that tags are closed in order, and collects what a page loads."""

    VOID = frozenset({"meta", "link", "br", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.inline = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        given = dict(attrs)
        self.inline |= "style" in given or any(name.startswith("on") for name in given)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.loads += [given["src"] or ""] if "src" in given else []
        self.loads += [given["href"] or ""] if tag == "link" else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.inline |= bool(self.open) and self.open[-1] in ("script", "style") and bool(data.strip())


def html(state: State, control: ScriptedControl | None = None, *, protected: bool = False) -> str:
    return StatusPage(state, control or ScriptedControl(), protected=protected, now=NOON.timestamp).html()


def whole_state() -> State:
    state = State()
    state.configure(TARGETS.values(), [Vantage("clients"), Vantage("wan")])
    for probe in everywhere():
        state.record_probe(probe)
    state.record_probe(failed(healthy("smtp", "clients"), Phase.STARTTLS, Outcome.NOT_OFFERED, '"><img src=x>'))
    return state


def test_the_page_is_whole_and_loads_only_its_own_files() -> None:
    parser = Strict()
    parser.feed(page := html(whole_state()))
    assert parser.open == []
    assert not parser.inline
    assert len(parser.ids) == len(set(parser.ids)) == 30
    assert set(parser.loads) == {"/static/style.css", "/static/script.js", "/static/icon.svg"}
    assert "<img" not in page
    assert len(page) < 200_000


def test_the_style_covers_the_moods_the_dark_and_the_phone() -> None:
    style = (files("exporter.web") / "static" / "style.css").read_text()
    assert {"prefers-color-scheme: dark", "max-width"} <= set(
        re.findall(r"prefers-color-scheme: dark|max-width", style)
    )
    assert "url(" not in style
    assert "@import" not in style


def test_a_banner_stands_while_the_clients_side_is_not_covered() -> None:
    state = whole_state()
    assert "side is not covered" in html(state)
    state.client_side_covered = True
    assert "side is not covered" not in html(state)


@pytest.mark.parametrize(
    ("listen", "protected", "warned"),
    [
        ("127.0.0.1:10193", False, False),
        ("[::1]:10193", False, False),
        ("0.0.0.0:10193", True, False),
        ("0.0.0.0:10193", False, True),
        ("[::]:1", False, True),
    ],
)
def test_a_warning_stands_while_anyone_can_read(listen: str, protected: bool, warned: bool) -> None:
    page = html(whole_state(), ScriptedControl(listen=listen), protected=protected)
    assert ("Anyone on the network" in page) is warned


def test_a_refused_reload_is_told() -> None:
    state = whole_state()
    state.record_reload(False)
    assert "The last reload was refused" in html(state)


def standing(**more: object) -> AccountStanding:
    fields: dict[str, object] = {
        "name": "canary-personal", "kind": AccountKind.OAUTH_PERSONAL, "mechanism": Mechanism.TOKEN,
        "token_expires": NOON + timedelta(minutes=40), "token_last_success": NOON, "credential_expires": None,
        "signed_in": 6, "places": 6, "failing": (), "history": (), **more,
    }  # fmt: skip
    return AccountStanding(**fields)  # type: ignore[arg-type]


REVOKED = Refusal(
    first=NOON - timedelta(hours=3), last=NOON, count=12, target=None, vantage="clients", label="50173",
    cause=Cause.TOKEN_REVOKED, responsible=Responsible.ACCOUNT, acts="user",
    words="The sign-in was revoked. Sign in again with the login command.",
)  # fmt: skip


def accounts(*standings: object) -> tuple[AccountLine, ...]:
    return overview(State().snapshot(), TARGETS, NOON, standings).accounts


def test_an_account_that_signs_in_everywhere() -> None:
    [line] = accounts(standing())
    assert (line.mood, line.text, line.valid) == (Mood.GOOD, "signs in everywhere", "token expires in 40 min")
    assert line.kind == "personal account"


def test_an_account_that_cant_says_why_since_when_and_who_acts() -> None:
    [line] = accounts(standing(failing=(REVOKED,), signed_in=0, places=6, token_expires=NOON - timedelta(hours=2)))
    assert (line.mood, line.text, line.valid) == (Mood.BAD, "signs in at 0 of 6", "token expired 2 h ago")
    assert line.failures == (("token from clients, for 3 h, 12 times", (REVOKED.words, "en"), "the user has to act"),)


def test_what_is_over_is_history() -> None:
    over = replace(REVOKED, last=NOON - timedelta(hours=2), target="imap")
    [line] = accounts(standing(failing=(REVOKED,), history=(REVOKED, over)))
    assert line.past == (("imap from clients, until 2 h ago, 12 times", (REVOKED.words, "en")),)


def test_the_same_at_several_places_is_said_once() -> None:
    places = [("imap", "clients"), ("smtp", "clients"), ("pop", "clients"), ("imap", "wan"), ("smtp", "wan")]
    failing = [replace(REVOKED, target=target, vantage=vantage, words="Off.") for target, vantage in places]
    [line] = accounts(standing(failing=(*failing, REVOKED)))
    assert [where for where, _, _ in line.failures] == [
        "token from clients, for 3 h, 12 times",
        "imap from clients, smtp from clients, pop from clients and 2 more, for 3 h, 12 times",
    ]


def test_a_refused_password_is_no_alarm_and_what_was_never_tried_neither() -> None:
    refused = replace(REVOKED, target="smtp_office365", count=1, acts="operator")
    printer = standing(
        name="printer", kind=AccountKind.APP_PASSWORD, mechanism=Mechanism.PASSWORD, failing=(refused,), places=1,
        signed_in=0, token_expires=None, token_last_success=None,
    )  # fmt: skip
    new = standing(places=0, signed_in=0, token_expires=None, token_last_success=None)
    secret_soon = standing(places=0, credential_expires=NOON + timedelta(days=20))
    assert [line.mood for line in accounts(printer, new, secret_soon)] == [Mood.NEUTRAL, Mood.NEUTRAL, Mood.GOOD]
    assert accounts(printer)[0].failures[0][0] == "smtp_office365 from clients, for 3 h"
    assert accounts(new)[0].text == "not tried yet"
    assert accounts(secret_soon)[0].valid.endswith("credential expires in 20 d")


def test_the_page_has_a_block_of_accounts_only_where_there_are_any() -> None:
    state = State()
    page = StatusPage(state, ScriptedControl(), protected=True, now=NOON.timestamp)
    assert "<h2>Accounts</h2>" not in page.html()
    evil = replace(REVOKED, words="<script>alert(1)</script>", acts=None)
    state.listings["accounts"] = lambda: (standing(failing=(evil,)),)
    html = page.html()
    assert "<h2>Accounts</h2>" in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>alert" not in html
