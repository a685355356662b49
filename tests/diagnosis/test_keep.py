"""Current verdicts: confirmed before they are shown, held until contradicted twice."""

from dataclasses import replace

from exporter.diagnosis.decide import Judged
from exporter.diagnosis.keep import VerdictKeeper
from exporter.metrics.catalogue import METRICS
from exporter.metrics.verdicts import VerdictSamples
from exporter.observations import Verdict
from exporter.vocabulary import Cause, Responsible

HEALTHY = Verdict(
    target="imap", vantage="clients", account=None, cause=Cause.HEALTHY, responsible=Responsible.UNKNOWN,
    confidence=0.97, evidence=(), journeys=(), remedy="", runbook="",
)  # fmt: skip


def said(cause: Cause, *, confirmed: bool = True, **more) -> Judged:
    return Judged(replace(HEALTHY, cause=cause, confidence=0.9, **more), confirmed)


def story(*rounds: list[Judged]) -> list[list[str]]:
    """The causes shown after each round."""
    keeper, shown = VerdictKeeper(), []
    for number, judged in enumerate(rounds):
        keeper.take(judged, number)
        shown.append([verdict.cause.value for verdict in keeper.current()])
    return shown


FINE, RESET, UNSURE = said(Cause.HEALTHY), said(Cause.SNI_RESET), said(Cause.SNI_RESET, confirmed=False)


def test_healthy_falls_at_once_when_an_experiment_confirms_the_fault():
    assert story([FINE], [RESET]) == [["healthy"], ["sni_reset"]]


def test_a_lost_packet_is_no_verdict():
    assert story([FINE], [UNSURE], [FINE], [UNSURE], [FINE]) == [["healthy"]] * 5


def test_what_no_experiment_confirms_needs_three_rounds_in_a_row():
    assert story([FINE], [UNSURE], [UNSURE], [UNSURE]) == [["healthy"]] * 3 + [["sni_reset"]]


def test_a_fault_is_held_until_contradicted_twice():
    assert story([RESET], [FINE], [FINE]) == [["sni_reset"], ["sni_reset"], ["healthy"]]
    assert story([RESET], [FINE], [RESET], [FINE], [FINE])[-2:] == [["sni_reset"], ["healthy"]]


def test_another_name_for_it_is_a_contradiction_too():
    other = said(Cause.TLS_RESET)
    assert story([RESET], [other], [other]) == [["sni_reset"], ["sni_reset"], ["tls_reset"]]


def test_a_second_fault_beside_the_first_is_shown_at_once():
    both = [said(Cause.IPV6_BROKEN), RESET]
    assert story([RESET], both)[-1] == ["sni_reset", "ipv6_broken"]


def test_unknown_gives_way_to_a_name_at_once():
    assert story([said(Cause.UNKNOWN)], [RESET]) == [["unknown"], ["sni_reset"]]


def test_one_round_judged_again_while_experiments_come_in_contradicts_once():
    keeper = VerdictKeeper()
    keeper.take([RESET], 1)
    for _ in range(5):
        keeper.take([FINE], 2)
    assert [each.cause for each in keeper.current()] == [Cause.SNI_RESET]
    keeper.take([FINE], 3)
    assert [each.cause for each in keeper.current()] == [Cause.HEALTHY]


def test_changes_are_told_once():
    keeper = VerdictKeeper()
    told = [[c.verdict.cause for c in keeper.take(judged, n)] for n, judged in enumerate([[FINE], [RESET], [RESET]])]
    assert told == [[Cause.HEALTHY], [Cause.SNI_RESET], []]


def test_a_verdict_is_refreshed_without_being_new():
    keeper = VerdictKeeper()
    keeper.take([RESET], 1)
    surer = Judged(replace(RESET.verdict, confidence=0.99), True)
    assert keeper.take([surer], 2) == []
    assert keeper.current()[0].confidence == 0.99


def test_what_is_not_probed_any_more_is_forgotten_and_accounts_when_nobody_speaks_of_them():
    keeper = VerdictKeeper()
    token = said(Cause.TOKEN_EXPIRED, account="work", target="sign_in_work")
    keeper.take([RESET, token], 1)
    keeper.configure([("smtp", "clients")])
    assert [each.cause for each in keeper.current()] == [Cause.TOKEN_EXPIRED]
    keeper.forget_unsaid([])
    assert keeper.current() == ()


def test_samples_are_of_the_catalogue_and_kept_while_nothing_changes():
    keeper = VerdictKeeper()
    keeper.take([RESET], 1)
    source = VerdictSamples(keeper.current)
    before = source.version()
    keeper.take([RESET], 2)
    assert source.version() is before
    (sample,) = source.samples()
    assert METRICS[sample.metric].labels == tuple(name for name, _ in sample.labels)
    assert (dict(sample.labels)["account"], sample.value) == ("", 0.9)
