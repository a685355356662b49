"""What the page says of verdicts, and the way it draws."""

from typing import Any

import pytest

from exporter.observations import Evidence, Verdict
from exporter.state import State
from exporter.vocabulary import Cause, Outcome, Phase, Responsible
from exporter.web.app import create_app
from exporter.web.mood import Mood
from exporter.web.page import StatusPage
from exporter.web.verdict_view import MOST, verdict_blocks, way
from tests.metrics.made import NOON, blamed, failed, healthy
from tests.web.client import ScriptedControl, ask


def verdict(
    target: str = "sign_in_work",
    cause: Cause = Cause.SNI_RESET,
    responsible: Responsible = Responsible.GATEWAY,
    vantage: str = "clients",
    **more: Any,
) -> Verdict:
    seen = Evidence(observation="the same address answers another name <b>", points_to=cause, weight=0.9)
    named = {"vantage": vantage, "evidence": (seen,), "remedy": "Let the name through.", **more}
    return blamed(cause, responsible, target, **named)


def test_targets_with_one_fault_are_one_block():
    [block] = verdict_blocks([verdict(), verdict("sign_in_personal", confidence=0.95)], [])
    assert block.targets == ("sign_in_work", "sign_in_personal")
    assert block.certainty == "95% sure"
    assert block.mood is Mood.BAD
    assert block.runbook == "/runbook/sni_reset"


def test_health_is_no_block_and_what_is_no_verdict_is_left_alone():
    assert verdict_blocks([verdict(cause=Cause.HEALTHY, responsible=Responsible.UNKNOWN), "something"], []) == ()
    assert way([verdict(cause=Cause.HEALTHY, responsible=Responsible.UNKNOWN)]) == ()


def test_unknown_comes_last_is_no_alarm_and_says_what_would_decide():
    unknown = verdict("imap", Cause.UNKNOWN, Responsible.UNKNOWN, next_experiment="add a vantage beyond the gateway")
    named, last = verdict_blocks([unknown, verdict()], [])
    assert named.certainty == "92% sure"
    assert (last.mood, last.certainty) == (Mood.NEUTRAL, "not sure")
    assert "What would decide: add a vantage beyond the gateway" in last.ticket


def test_the_ticket_says_all_that_a_vendor_needs():
    [block] = verdict_blocks([verdict()], [healthy("sign_in_work", "clients")])
    for part in (
        "sni_reset (92% sure)",
        f"Last measured: {NOON:%Y-%m-%d %H:%M:%S} UTC.",
        "sign_in_work; seen from clients",
        "- the same address",
        "Let the name through",
    ):
        assert part in block.ticket


@pytest.mark.parametrize(
    ("responsible", "account", "green"),
    [(Responsible.GATEWAY, None, False), (Responsible.ACCOUNT, "box", True), (Responsible.CLIENT, None, True)],
)
async def test_nothing_is_green_while_the_way_is_said_to_be_broken(
    responsible: Responsible, account: str | None, green: bool
):
    """A verdict is held until contradicted twice, and a trusted interception fails no probe."""
    state = State()
    state.record_probe(healthy("imap", "local"))
    state.listings["verdicts"] = lambda: (verdict("imap", responsible=responsible, vantage="local", account=account),)
    page = (await ask(create_app(state, ScriptedControl(), now=NOON.timestamp), "/")).text
    assert ("<title>✓ " in page) is green
    assert ('<header class="good">' in page) is green
    assert ("It works, but not all is well" in page) is not green


async def test_a_way_that_fails_isnt_explained_by_a_clients_trouble():
    """Which stood there before, while experiments on what has begun to fail are still under way."""
    state = State()
    state.record_probe(failed(healthy("imap", "local"), Phase.TLS, Outcome.RESET))
    own = verdict("smtp", Cause.PASSWORD_REFUSED, Responsible.CLIENT, vantage="wire:lo")
    standing = [own]
    state.listings["verdicts"] = lambda: tuple(standing)
    app = create_app(state, ScriptedControl(), now=NOON.timestamp)
    before = (await ask(app, "/")).text
    assert '<p class="verdict">Where and why isn&#39;t known yet: experiments are under way.</p>' in before
    standing.append(verdict("imap", vantage="local"))
    assert "The gateway&#39;s administrator has to act." in (await ask(app, "/")).text


def test_blocks_are_few():
    many = [verdict(vantage=f"vantage-{number}") for number in range(3 * MOST)]
    assert len(verdict_blocks(many, [])) == MOST


@pytest.mark.parametrize(
    ("responsible", "broken", "beyond"),
    [
        (Responsible.GATEWAY, ["gateway"], ["network", "Microsoft"]),
        (Responsible.NETWORK, ["network"], ["Microsoft"]),
        (Responsible.MICROSOFT, ["Microsoft"], []),
    ],
)
def test_the_way_is_broken_where_the_verdict_says(responsible, broken, beyond):
    stations = way([verdict(responsible=responsible)])
    assert [station.name for station in stations if station.broken] == broken
    assert [station.name for station in stations if station.beyond] == beyond


def test_what_packets_told_is_named_so():
    [block] = verdict_blocks([verdict(vantage="wire:eth1")], [])
    assert block.vantage == "clients' packets at eth1"


@pytest.mark.parametrize(
    "responsible", [Responsible.UNKNOWN, Responsible.APPLIANCE, Responsible.ACCOUNT, Responsible.CLIENT]
)
def test_no_way_is_drawn_where_nobody_on_it_is_named(responsible):
    assert way([verdict(responsible=responsible)]) == ()


def test_on_the_page_the_evidence_is_escaped_and_the_runbook_linked():
    state = State()
    state.record_probe(healthy())
    state.listings["verdicts"] = lambda: [verdict()]
    html = StatusPage(state, ScriptedControl(), protected=False).html()
    assert "the same address answers another name &lt;b&gt;" in html
    assert '<a href="/runbook/sni_reset">' in html
    assert 'aria-label="The way from a client to Microsoft"' in html


async def test_commands_in_a_remedy_are_code():
    state = State()
    state.record_probe(healthy("imap", "clients"))
    state.listings["verdicts"] = lambda: (verdict("imap", remedy="Run `diagnose --allowlist` <now>."),)
    page = (await ask(create_app(state, ScriptedControl()), "/")).text
    assert "<p>Run <code>diagnose --allowlist</code> &lt;now&gt;.</p>" in page


async def test_every_cause_has_its_runbook_there_and_nothing_else_has():
    app = create_app(State(), ScriptedControl())
    for cause in Cause:
        answer = await ask(app, f"/runbook/{cause}")
        assert answer.status == 200, cause
        assert "##" not in answer.text, cause
        assert "```" not in answer.text, cause
    for name in ("README", "nothing", "..%2f..%2fetc%2fpasswd", "sni_reset.md"):
        assert (await ask(app, f"/runbook/{name}")).status == 404
