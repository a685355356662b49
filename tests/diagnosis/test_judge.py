"""Rounds as wholes: a line each, journeys, remedies, and a thousand healthy rounds without a false alarm."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.catalogue import JOURNEYS, TARGETS
from exporter.diagnosis.decide import journeys_hit
from exporter.diagnosis.experiment import Experiment, Kind
from exporter.diagnosis.judge import judge
from exporter.diagnosis.keep import VerdictKeeper
from exporter.observations import PhaseResult, Probe
from exporter.vocabulary import Cause, Outcome, Phase, Responsible, phases_of
from tests.diagnosis.made import CLIENTS, NOON, WAN, broken, others, seen, walk
from tests.metrics.made import healthy, unmeasured


def test_one_line_for_each_target_and_vantage():
    probes = [*others("clients"), *others("wan")]
    ways = [(each.verdict.target, each.verdict.vantage) for each in judge(seen(*probes))]
    assert sorted(ways) == sorted((target, vantage) for target in TARGETS for vantage in ("clients", "wan"))


def test_a_required_only_gateway_forgets_rows_and_the_remedy_names_them():
    closed = [broken(name, Phase.CONNECT, Outcome.TIMEOUT) for name in ("imap", "smtp_office365", "sign_in_personal")]
    rest = others("clients", "imap", "smtp_office365", "sign_in_personal")
    judged = [each.verdict for each in judge(seen(*closed, *rest, *others("wan"), facts=[CLIENTS, WAN]))]
    found = {each.target: each for each in judged if each.vantage == "clients"}
    assert {found[probe.target].cause for probe in closed} == {Cause.TCP_DROPPED}
    assert "row id 2" in found["smtp_office365"].remedy
    assert "row id 97" in found["sign_in_personal"].remedy
    assert "in no row" in found["imap"].remedy


def test_a_vantage_that_is_missing_says_nothing_of_the_way():
    """Least of all that the gateway is at fault because another vantage's walks go well."""
    gone = [unmeasured(probe) for probe in others("clients")]
    judged = judge(seen(*gone, *others("wan"), facts=[CLIENTS, WAN]))
    mine = [each for each in judged if each.verdict.vantage == "clients"]
    assert {(each.verdict.cause, each.verdict.responsible) for each in mine} == {(Cause.UNKNOWN, Responsible.UNKNOWN)}
    assert "No such file" in mine[0].verdict.evidence[0].observation
    assert "clients" in (mine[0].verdict.next_experiment or "")
    assert {each.verdict.cause for each in judged if each.verdict.vantage == "wan"} == {Cause.HEALTHY}
    keeper = VerdictKeeper()  # a single round cut short changes nothing
    keeper.take(judge(seen(*others("clients"), facts=[CLIENTS, WAN])), 0)
    keeper.take(mine, 1)
    assert {each.cause for each in keeper.current()} == {Cause.HEALTHY}
    for number in (2, 3):
        keeper.take(mine, number)
    assert {each.cause for each in keeper.current()} == {Cause.UNKNOWN}


def test_journeys_hit_are_those_that_need_the_target():
    assert journeys_hit("sign_in_work", Cause.SNI_RESET) == tuple(
        name for name, targets in JOURNEYS.items() if "sign_in_work" in targets
    )
    assert "imap_password" not in journeys_hit("imap", Cause.TCP_RESET)  # it never works anyway
    assert journeys_hit("imap", Cause.HEALTHY) == ()


@pytest.mark.parametrize("outcome", [o for o in Outcome if o not in (Outcome.OK, Outcome.SKIPPED)])
@pytest.mark.parametrize("name", ["imap", "smtp", "sign_in_work", "outlook_web", "activesync", "revocation"])
def test_whatever_fails_has_a_verdict_that_is_not_healthy(name, outcome):
    target = TARGETS[name]
    for phase in phases_of(target.protocol, starttls=target.starttls, proxied=False):
        for each in judge(seen(broken(name, phase, outcome))):
            new_words = outcome is Outcome.UNRECOGNIZED
            assert (each.verdict.cause is not Cause.HEALTHY) or new_words, phase
            assert each.verdict.responsible not in (Responsible.GATEWAY,)
            assert each.verdict.remedy
            assert 0 <= each.verdict.confidence <= 1


def test_what_was_cut_by_a_callers_deadline_is_no_fault():
    (only,) = judge(seen(walk(outcome=Outcome.SKIPPED, failed_phase=Phase.TLS, phases=())))
    assert (only.verdict.cause, only.verdict.responsible) == (Cause.UNKNOWN, Responsible.UNKNOWN)
    assert not only.confirmed


outcomes = st.sampled_from(list(Outcome))


@st.composite
def any_probe(draw) -> Probe:
    name = draw(st.sampled_from(sorted(TARGETS)))
    probe = healthy(name, draw(st.sampled_from(["clients", "wan"])))
    phases = tuple(
        PhaseResult(
            phase=r.phase,
            outcome=draw(outcomes),
            seconds=draw(st.floats(0, 60)),
            detail=draw(st.none() | st.text(max_size=40)),
        )
        for r in probe.phases
    )
    first = next((r for r in phases if r.outcome is not Outcome.OK), None)
    return replace(
        probe,
        phases=phases,
        outcome=first.outcome if first else Outcome.OK,
        failed_phase=first.phase if first else None,
    )


experiments = st.builds(
    Experiment, experiment=st.sampled_from(list(Kind)), time=st.just(NOON), target=st.sampled_from(sorted(TARGETS)),
    vantage=st.sampled_from(["clients", "wan"]), host=st.just("imap-mail.outlook.com"), port=st.just(993),
    outcome=outcomes, phase=st.none() | st.sampled_from(list(Phase)), ttl=st.none() | st.integers(1, 3),
    control=st.booleans(), seconds=st.none() | st.floats(0, 60), detail=st.none() | st.text(max_size=40),
    tried=st.none() | st.integers(0, 20), hit=st.none() | st.integers(0, 20), genuine=st.none() | st.booleans(),
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(
    st.lists(any_probe(), min_size=1, max_size=6, unique_by=lambda p: (p.target, p.vantage)),
    st.lists(experiments, max_size=8),
)
def test_any_round_has_a_verdict_for_each_way_and_never_fails(probes, made):
    judged = [each.verdict for each in judge(seen(*probes, experiments=made, facts=[CLIENTS, WAN]))]
    assert {(v.target, v.vantage) for v in judged} == {(p.target, p.vantage) for p in probes}
    for each in judged:
        assert 0 <= each.confidence <= 1
        assert each.remedy


def test_a_thousand_rounds_with_loss_and_jitter_raise_no_alarm():
    """1 % of phases wait for a lost segment, jitter is 50 ms; nothing is tried again: the keeper alone holds back."""
    chance, keeper, alarms = random.Random(7), VerdictKeeper(), []
    for number in range(1000):
        probes = [
            _disturbed(healthy(name, "clients"), chance) for name in ("imap", "smtp", "outlook_web", "sign_in_work")
        ]
        alarms += [
            c
            for c in keeper.take(judge(seen(*probes, facts=[CLIENTS])), number)
            if c.verdict.cause is not Cause.HEALTHY
        ]
    assert alarms == []


def _disturbed(probe: Probe, chance: random.Random) -> Probe:
    phases = tuple(
        replace(
            r,
            seconds=0.03 + chance.uniform(0, 0.1) + (chance.choice([0.22, 0.44, 1.0]) if chance.random() < 0.02 else 0),
        )
        for r in probe.phases
    )
    return replace(probe, phases=phases)
