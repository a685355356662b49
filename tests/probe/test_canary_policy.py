"""Politeness, counted over simulated days: what reaches Microsoft, whatever happens."""

import random
from itertools import pairwise

import pytest

from exporter.probe.canary_policy import CanaryPolicy

DAY, ROUND, INTERVAL = 86_400, 60.0, 900.0
KEYS = [(f"target{number}", vantage) for number in range(9) for vantage in ("clients", "wan")]


def simulate(days, told, *, per_hour=120, path=lambda key, now: ("path",), keys=KEYS):
    """Rounds over days; `told(policy, key, now)` says what became of each canary. The times they were presented at."""
    policy = CanaryPolicy(INTERVAL, per_hour, random.Random(1))
    presented: list[tuple[float, tuple[str, str]]] = []
    now = 0.0
    while now < days * DAY:
        for key in keys:
            if policy.take(key, path(key, now), now):
                presented.append((now, key))
                told(policy, key, now)
        now += ROUND
    return presented


def most_in_an_hour(presented):
    times = [time for time, _ in presented]
    return max((sum(1 for other in times if time <= other < time + 3600) for time in times), default=0)


def answered(policy, key, now):
    policy.answered(key, now + 1)


def failed(policy, key, now):
    policy.failed(key, now + 5)


def throttled(policy, key, now):
    policy.throttled(key, now + 1, None)


def test_healthy_one_an_interval_each():
    presented = simulate(2, answered)
    expected = 2 * DAY / INTERVAL * len(KEYS)
    assert 0.85 * expected < len(presented) <= 1.12 * expected
    for key in KEYS:
        times = [time for time, presented_key in presented if presented_key == key]
        assert min(b - a for a, b in pairwise(times)) >= 0.9 * INTERVAL - ROUND


@pytest.mark.parametrize("told", [answered, failed, throttled])
@pytest.mark.parametrize("per_hour", [0.25, 1, 10, 120])
def test_never_more_than_the_budget(told, per_hour):
    presented = simulate(1, told, per_hour=per_hour)
    assert most_in_an_hour(presented) <= max(per_hour, 1)
    assert len(presented) <= 24 * per_hour + 1


def test_a_path_that_flaps_each_round_stays_in_the_budget():
    presented = simulate(1, answered, path=lambda key, now: (now,))
    assert most_in_an_hour(presented) <= 120


def test_failures_are_tried_again_soon_but_not_each_round():
    presented = simulate(1, failed, keys=KEYS[:1])
    times = [time for time, _ in presented]
    assert times[1] - times[0] <= 3 * ROUND
    assert len(times) <= DAY / INTERVAL * 1.3 + 5


def test_throttling_backs_off():
    quiet = simulate(2, throttled, keys=KEYS[:1])
    assert len(quiet) <= 2 * DAY / (16 * INTERVAL) + 6


def test_retry_after_holds_even_when_the_path_changes():
    policy = CanaryPolicy(INTERVAL, 120, random.Random(1))
    assert policy.take(KEYS[0], ("a",), 0)
    policy.throttled(KEYS[0], 1, 3600.0)
    assert not policy.take(KEYS[0], ("b",), 3000)
    assert policy.take(KEYS[0], ("b",), 4200 + 900)


def test_a_change_of_the_path_brings_it_forward():
    policy = CanaryPolicy(INTERVAL, 120, random.Random(1))
    assert policy.take(KEYS[0], ("a",), 0)
    policy.answered(KEYS[0], 1)
    assert not policy.take(KEYS[0], ("a",), 120)
    assert policy.take(KEYS[0], ("b",), 180)


def test_the_remaining_budget_is_known():
    policy = CanaryPolicy(INTERVAL, 5, random.Random(1))
    assert policy.remaining(0) == 5
    policy.take(KEYS[0], ("a",), 0)
    assert policy.remaining(10) == 4
    assert policy.remaining(3601) == 5
