"""Which way of signing in works, and which journey: the contract's sentences, one by one."""

from dataclasses import replace
from datetime import timedelta

import pytest

from exporter.catalogue import JOURNEYS, TARGETS
from exporter.metrics.journeys import clock_skews, journey_states, usable_methods
from exporter.observations import AccountResult, AuthResult, PhaseResult, Probe
from exporter.vocabulary import AuthOutcome, Mechanism, Outcome, Phase
from tests.metrics.made import NOON, failed, healthy, kept, unmeasured

TOKEN, PASSWORD = Mechanism.TOKEN, Mechanism.PASSWORD


def with_account(probe: Probe, mechanism: Mechanism, outcome: AuthOutcome) -> Probe:
    return replace(probe, accounts=(AccountResult(name="canary", mechanism=mechanism, outcome=outcome),))


def before_first_canary(probe: Probe) -> Probe:
    phases = tuple(result for result in probe.phases if result.phase is not Phase.AUTH)
    return replace(probe, phases=phases, auth=AuthResult(offered=probe.auth.offered))


@pytest.mark.parametrize("name", ["imap", "smtp", "pop", "activesync"])
def test_every_phase_ok_and_the_canary_refused_as_microsoft_does(name: str) -> None:
    assert usable_methods(healthy(name)) == {TOKEN: True, PASSWORD: False}


def test_a_kept_canary_counts_as_long_as_the_path_holds() -> None:
    probe = kept(healthy(time=NOON + timedelta(minutes=5)), NOON)
    assert usable_methods(probe)[TOKEN] is True


@pytest.mark.parametrize(
    ("phase", "outcome"),
    [
        (Phase.DNS, Outcome.NAME_NOT_FOUND),
        (Phase.TLS, Outcome.RESET),
        (Phase.TLS, Outcome.CERTIFICATE_UNTRUSTED),
        (Phase.AUTH, Outcome.TIMEOUT),
        (Phase.AUTH, Outcome.THROTTLED),
    ],
)
def test_a_failed_phase_makes_it_unusable_even_before_a_canary(phase: Phase, outcome: Outcome) -> None:
    assert usable_methods(failed(healthy(), phase, outcome)) == {TOKEN: False, PASSWORD: False}


def test_an_untrusted_certificate_makes_it_unusable_though_the_conversation_went_on() -> None:
    probe = healthy()
    phases = tuple(
        replace(result, outcome=Outcome.CERTIFICATE_UNTRUSTED) if result.phase is Phase.TLS else result
        for result in probe.phases
    )
    probe = replace(probe, phases=phases, outcome=Outcome.CERTIFICATE_UNTRUSTED, failed_phase=Phase.TLS)
    assert usable_methods(probe)[TOKEN] is False


def test_before_the_first_canary_nothing_is_known_of_tokens() -> None:
    assert usable_methods(before_first_canary(healthy())) == {PASSWORD: False}


def test_a_canary_skipped_for_want_of_time_tells_nothing() -> None:
    probe = before_first_canary(healthy())
    skipped = (*probe.phases, PhaseResult(phase=Phase.AUTH, outcome=Outcome.SKIPPED))
    probe = replace(probe, phases=skipped, outcome=Outcome.SKIPPED, failed_phase=Phase.AUTH)
    assert usable_methods(probe) == {PASSWORD: False}


def test_where_the_vantage_is_missing_nothing_is_known_whatever_a_canary_said_before() -> None:
    before = healthy("imap")
    assert usable_methods(before)[Mechanism.TOKEN] is True
    assert usable_methods(unmeasured(before)) == {}


def test_words_that_are_not_microsofts_do_not_count() -> None:
    probe = healthy()
    assert usable_methods(replace(probe, auth=replace(probe.auth, outcome=AuthOutcome.REFUSED)))[TOKEN] is False


def test_an_accepted_account_is_as_good_as_a_canary() -> None:
    probe = before_first_canary(healthy())
    assert usable_methods(with_account(probe, TOKEN, AuthOutcome.ACCEPTED))[TOKEN] is True
    assert TOKEN not in usable_methods(with_account(probe, TOKEN, AuthOutcome.REFUSED))


def test_a_password_works_only_where_an_app_password_was_accepted() -> None:
    assert usable_methods(with_account(healthy(), PASSWORD, AuthOutcome.ACCEPTED))[PASSWORD] is True
    assert usable_methods(with_account(healthy(), PASSWORD, AuthOutcome.REFUSED))[PASSWORD] is False
    assert usable_methods(with_account(healthy(), TOKEN, AuthOutcome.ACCEPTED))[PASSWORD] is False


def test_sign_in_has_no_password_and_other_pages_have_nothing() -> None:
    assert usable_methods(healthy("sign_in_work")) == {TOKEN: True}
    assert usable_methods(healthy("graph")) == usable_methods(healthy("revocation")) == {}


def world(*probes: Probe) -> dict[tuple[str, str], Probe]:
    everything = {(name, "local"): healthy(name) for name in TARGETS}
    return {**everything, **{(probe.target, probe.vantage): probe for probe in probes}}


def usable(probes: dict[tuple[str, str], Probe]) -> dict[str, bool | None]:
    return {state.journey: state.usable for state in journey_states(probes, ("local",))}


def test_with_everything_healthy_every_journey_works_but_the_password_one() -> None:
    assert usable(world()) == {journey: journey != "imap_password" for journey in JOURNEYS}


def test_a_broken_target_breaks_its_journeys_only() -> None:
    states = journey_states(world(failed(healthy("sign_in_assets"), Phase.TLS, Outcome.RESET)), ("local",))
    assert {state.journey for state in states if not state.usable} == {
        "apple_outlook_account", "imap_oauth", "outlook_app", "web", "imap_password",
    }  # fmt: skip
    assert [probe.target for probe in states[0].broken] == ["sign_in_assets"]


def test_a_journey_is_not_known_while_a_target_of_it_is_not_probed() -> None:
    probes = world()
    del probes["outlook_web", "local"]
    assert usable(probes)["web"] is None
    broken = failed(healthy("sign_in_personal"), Phase.DNS, Outcome.TIMEOUT)
    assert usable({**probes, ("sign_in_personal", "local"): broken})["web"] is False


def test_skipped_is_no_fault_of_a_journey() -> None:
    cut = failed(healthy("outlook_web"), Phase.HTTP, Outcome.SKIPPED)
    assert usable(world(cut))["web"] is None


def test_the_password_journey_works_where_app_passwords_do() -> None:
    accounts = [with_account(healthy(name), PASSWORD, AuthOutcome.ACCEPTED) for name in ("imap", "smtp")]
    assert usable(world(*accounts))["imap_password"] is True


def test_clock_skew_by_target_newest_vantage_and_median() -> None:
    old = replace(healthy("graph"), clock_skew_seconds=9.0)
    new = replace(healthy("graph", "wan", NOON + timedelta(minutes=1)), clock_skew_seconds=3.0)
    web = replace(healthy("outlook_web"), clock_skew_seconds=2.0)
    probes = {(probe.target, probe.vantage): probe for probe in (new, old, web, healthy("imap"))}
    assert clock_skews(probes) == {"graph": 3.0, "outlook_web": 2.0, "median": 2.5}
    assert clock_skews({}) == {}
