"""Never more token requests than would trip AADSTS50196 or a lock, whatever fails: counted over simulated days."""

import itertools
import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.accounts import refresh_policy as policy
from exporter.accounts.token_file import AccessToken, History
from exporter.secret_files import Secret
from exporter.vocabulary import Cause

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
Failing = Callable[[float], Cause | str | None]


def token(obtained: float, seconds: float) -> AccessToken:
    return AccessToken(token=Secret(b"t"), obtained_at=obtained, expires_at=obtained + seconds)


def simulated(days: float, answer: Failing, *, tick: float = 60.0, restart_every: float = DAY) -> list[float]:
    """When requests were made by a service that looks each minute, forgets all but its cache daily, and never rests."""
    chance = random.Random(3)
    history, held, requests = History(), None, []
    now = 1_000_000.0
    end = now + days * DAY
    while now < end:
        if (held is None or not policy.is_fresh(held, now)) and policy.may_ask(history, now):
            requests.append(now)
            history = policy.asking(history, now)
            said = answer(now)
            if said == "token":
                held, history = token(now, 3_600.0), policy.succeeded(history, now)
            else:
                assert not isinstance(said, str) or isinstance(said, Cause)
                history = policy.failed(history, now, said, None, chance)
        now += tick
    return requests


def most_within(requests: list[float], seconds: float) -> int:
    return max((sum(1 for each in requests if at <= each < at + seconds) for at in requests), default=0)


@pytest.mark.parametrize(
    ("name", "answer", "a_day"),
    [
        ("all is well", lambda _now: "token", 35),
        ("revoked", lambda _now: Cause.TOKEN_REVOKED, 8),
        ("second factor", lambda _now: Cause.MFA_REQUIRED, 8),
        ("wrong secret", lambda _now: Cause.CREDENTIALS_INVALID, 8),
        ("outage", lambda _now: Cause.SERVICE_OUTAGE, 30),
        ("throttled", lambda _now: Cause.THROTTLED, 30),
        ("not in our table", lambda _now: Cause.UNKNOWN, 30),
        ("every other one", lambda now: "token" if int(now / 60) % 2 else Cause.SERVICE_OUTAGE, 60),
    ],
)
def test_requests_of_simulated_days(name: str, answer: Failing, a_day: int):
    requests = simulated(3, answer)
    assert len(requests) <= 3 * a_day, f"{name}: {len(requests)} in three days"
    assert len(requests) >= 3 * 3, f"{name}: it is tried again by itself"
    assert most_within(requests, HOUR) <= policy.PER_HOUR
    assert most_within(requests, 5 * MINUTE) <= 3, "AADSTS50196 comes after some fifteen in a few minutes"


def test_a_token_is_replaced_well_before_it_expires():
    an_hour = token(0.0, HOUR)
    assert policy.is_fresh(an_hour, 0.65 * HOUR)
    assert not policy.is_fresh(an_hour, 0.75 * HOUR)
    assert policy.is_usable(an_hour, 0.99 * HOUR)
    assert not policy.is_usable(an_hour, HOUR)


def test_a_token_given_in_the_future_is_replaced():
    """The clock was years ahead at boot: else it would be presented for years."""
    assert not policy.is_fresh(token(1_900_000_000.0, HOUR), 1_800_000_000.0)
    assert policy.is_fresh(token(1_800_000_060.0, HOUR), 1_800_000_000.0), "a correction by NTP is none"


@given(st.floats(1, 1e6))
def test_a_token_just_given_is_fresh_however_short_its_life(life: float):
    """Else each tick would ask for another."""
    assert policy.is_fresh(token(1_000.0, life), 1_000.0)


def test_pauses_grow_and_end():
    history, chance = History(), random.Random(1)
    pauses = []
    for _ in range(12):
        history = policy.failed(history, 0.0, Cause.SERVICE_OUTAGE, None, chance)
        pauses.append(history.not_before)
    assert all(later >= earlier * 0.9 for earlier, later in itertools.pairwise(pauses))
    assert pauses[-1] <= policy.LAST_PAUSE * (1 + policy.JITTER)
    assert policy.succeeded(history, 1.0) == replace(history, failures=0, not_before=0.0, last_refresh=1.0)


def test_retry_after_is_waited_for():
    history = policy.failed(History(), 100.0, Cause.THROTTLED, 3_000.0, random.Random(1))
    assert not policy.may_ask(history, 3_099.0)
    assert policy.may_ask(history, 3_101.0)


def test_the_hours_budget_holds_even_where_everything_else_would_allow_it():
    history = History(requests=tuple(float(second) for second in range(policy.PER_HOUR)))
    assert not policy.may_ask(history, 100.0)
    assert policy.may_ask(history, HOUR + 10.0)


def test_a_sign_in_clears_the_pause_but_not_the_budget():
    refused = History(requests=(1.0,) * policy.PER_HOUR, failures=3, not_before=9e9)
    assert policy.signed_in_anew(refused, 50.0).failures == 0
    assert not policy.may_ask(policy.signed_in_anew(refused, 50.0), 60.0)


def test_a_clock_set_back_by_years_doesnt_stop_it_for_years():
    history = policy.failed(History(), 2_000_000_000.0, Cause.TOKEN_REVOKED, None, random.Random(1))
    history = replace(history, requests=(2_000_000_000.0,) * policy.PER_HOUR)
    assert policy.may_ask(history, 1_000_000_000.0 + DAY) is False
    believed = policy.believable(history, 1_000_000_000.0)
    assert believed.requests == ()
    assert believed.not_before <= 1_000_000_000.0 + DAY
