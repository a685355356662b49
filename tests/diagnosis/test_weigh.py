"""How evidence adds up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.diagnosis.weigh import MOST, Scales, believed, winner
from exporter.observations import Evidence
from exporter.vocabulary import Cause, Phase

weights = st.lists(st.floats(0, 1), max_size=8)


def evidence(values: list[float]) -> list[Evidence]:
    return [Evidence(observation="seen", points_to="x", weight=value) for value in values]


def claim(cause: Cause, *pro: float, contra: tuple[float, ...] = ()):
    scales = Scales(cause)
    for weight in pro:
        scales.add(weight, "for")
    for weight in contra:
        scales.against(weight, "against")
    return scales.claim("tls", Phase.TLS)


@given(weights, weights)
def test_belief_is_between_nothing_and_nearly_certain(pro, contra):
    assert 0 <= believed(evidence(pro), evidence(contra)) <= MOST


@given(weights, weights, st.floats(0, 1))
def test_more_for_never_lowers_and_more_against_never_raises(pro, contra, more):
    before = believed(evidence(pro), evidence(contra))
    assert believed(evidence([*pro, more]), evidence(contra)) >= before - 1e-12
    assert believed(evidence(pro), evidence([*contra, more])) <= before + 1e-12


def test_two_independent_signs_are_more_than_one():
    assert believed(evidence([0.5, 0.5])) == pytest.approx(0.75)
    assert believed(evidence([0.5, 0.5]), evidence([0.9])) == pytest.approx(0.075)


def test_a_winner_is_less_sure_the_nearer_the_second_comes():
    alone = winner([claim(Cause.SNI_RESET, 0.9)])[1]
    far = winner([claim(Cause.SNI_RESET, 0.9), claim(Cause.TLS_RESET, 0.1)])[1]
    near = winner([claim(Cause.SNI_RESET, 0.9), claim(Cause.TLS_RESET, 0.8)])[1]
    assert alone > far > near
    assert alone == pytest.approx(0.9)


def test_a_tie_is_no_better_than_half():
    won, belief = winner([claim(Cause.SNI_RESET, 0.4), claim(Cause.TLS_RESET, 0.4)])
    assert belief == pytest.approx(0.2)
    assert won.cause in (Cause.SNI_RESET, Cause.TLS_RESET)


def test_two_claims_of_one_cause_are_no_rivals():
    assert winner([claim(Cause.THROTTLED, 0.8), claim(Cause.THROTTLED, 0.7)])[1] == pytest.approx(0.8)


def test_what_speaks_against_is_kept_with_what_it_speaks_for():
    scales = Scales(Cause.SNI_DROPPED)
    scales.against(0.9, "small segments pass", Cause.MTU_BLACKHOLE)
    (said,) = scales.claim("tls", Phase.TLS).contra
    assert (said.points_to, said.weight) == (Cause.MTU_BLACKHOLE, 0.9)
