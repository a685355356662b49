"""Counting: each phase once, at the round that measured it."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from exporter.catalogue import TARGETS
from exporter.metrics.catalogue import REACH_BUCKETS
from exporter.metrics.tally import HISTORY, Histogram, NetworkLabels, Tally, counted, fresh
from exporter.observations import Probe
from exporter.vocabulary import AuthOutcome, Mechanism, Outcome, Phase
from tests.metrics.made import NOON, failed, healthy, kept, unmeasured


def after(*probes: Probe) -> Tally:
    tally = fresh(TARGETS[probes[0].target], "local", proxied=False)
    for probe in probes:
        tally = counted(tally, probe, NetworkLabels())
    return tally


CANARY = (Mechanism.TOKEN, AuthOutcome.EXPECTED_REFUSAL)


def test_a_fresh_tally_has_ok_and_timeout_of_each_phase_at_nought() -> None:
    tally = fresh(TARGETS["smtp"], "local", proxied=True)
    phases = {phase for phase, _ in tally.results}
    assert phases == {Phase.DNS, Phase.CONNECT, Phase.PROXY, Phase.GREETING, Phase.STARTTLS, Phase.TLS,
                      Phase.CAPABILITY, Phase.AUTH}  # fmt: skip
    assert {outcome for _, outcome in tally.results} == {Outcome.OK, Outcome.TIMEOUT}
    assert not any(tally.results.values())
    assert set(tally.seconds) == {Phase.CONNECT, Phase.TLS, Phase.AUTH}
    assert tally.auth_results == {CANARY: 0}


def test_a_target_without_canary_counts_none() -> None:
    assert fresh(TARGETS["graph"], "local", proxied=False).auth_results == {}


def test_a_kept_canary_is_not_counted_again() -> None:
    first = healthy()
    again = [kept(healthy(time=NOON + timedelta(minutes=minute)), NOON) for minute in (1, 2, 3)]
    tally = after(first, *again)
    assert tally.results[Phase.TLS, Outcome.OK] == 4
    assert tally.results[Phase.AUTH, Outcome.OK] == 1
    assert sum(tally.seconds[Phase.AUTH].counts) == 1
    assert tally.auth_results == {CANARY: 1}


def test_a_new_canary_is_counted() -> None:
    tally = after(healthy(), healthy(time=NOON + timedelta(minutes=15)))
    assert tally.auth_results == {CANARY: 2}


def test_skipped_phases_are_counted_without_seconds() -> None:
    tally = after(failed(healthy(), Phase.TLS, Outcome.RESET))
    assert tally.results[Phase.TLS, Outcome.RESET] == 1
    assert tally.results[Phase.AUTH, Outcome.SKIPPED] == 1
    assert sum(tally.seconds[Phase.TLS].counts) == 1  # how long the failure took
    assert sum(tally.seconds[Phase.AUTH].counts) == 0
    assert tally.auth_results == {CANARY: 0}


def test_a_way_whose_vantage_is_missing_is_seen_to_grow_old() -> None:
    """So that the alert on late probes tells it; also where there never was a run."""
    first, later = healthy("imap"), replace(healthy("imap"), time=NOON + timedelta(minutes=5))
    assert after(first, unmeasured(later)).last_run == first.time
    assert after(unmeasured(first), unmeasured(later)).last_run == first.time
    assert after(unmeasured(first), later).last_run == later.time


def test_history_is_bounded_and_newest_last() -> None:
    probes = [healthy(time=NOON + timedelta(minutes=minute)) for minute in range(2 * HISTORY)]
    history = after(*probes).history
    assert len(history) == HISTORY
    assert history[-1].time == probes[-1].time


def test_what_was_offered_last_stays_when_a_round_does_not_get_so_far() -> None:
    tally = after(healthy(), failed(healthy(time=NOON + timedelta(minutes=1)), Phase.TLS, Outcome.RESET))
    assert tally.offered == healthy().auth.offered


@given(st.lists(st.floats(0, 100)))
def test_a_histogram_counts_every_value_in_the_bucket_whose_bound_is_not_below_it(values: list[float]) -> None:
    histogram = Histogram.empty(REACH_BUCKETS)
    for value in values:
        histogram = histogram.observed(value)
    assert sum(histogram.counts) == len(values)
    for index, bound in enumerate(REACH_BUCKETS):
        assert sum(histogram.counts[: index + 1]) == sum(value <= bound for value in values)
