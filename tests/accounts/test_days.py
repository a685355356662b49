"""What reaches the identity provider over simulated days in which asking fails, with restarts and reloads all along.

Counted there, not in our policy. AADSTS50196 comes after some fifteen requests in a few minutes; a lock, sooner or later.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exporter.accounts.refresh_policy import PER_HOUR
from exporter.lab.lab import Lab
from exporter.probe.conversation_http import Answer, HttpSession
from exporter.probe.failures import PhaseFailure
from exporter.vocabulary import Outcome
from tests.accounts.conftest import REFRESH
from tests.accounts.test_job import Clock
from tests.accounts.trying import job_of, personal, settings_of, signed_in_before

HOUR = 3_600.0
#: Looked at often while things are new, then as a slow service would.
TICKS = [60.0] * 120 + [1_800.0] * (2 * 46)

Failing = Callable[[Lab, pytest.MonkeyPatch], None]


def refuses(error: int) -> Failing:
    def set_up(lab: Lab, _patch: pytest.MonkeyPatch) -> None:
        lab.outlook.behaviour.token_error = error

    return set_up


def is_down(lab: Lab, _patch: pytest.MonkeyPatch) -> None:
    lab.outlook.behaviour.outage = True


def throttles(retry_after: int | None) -> Failing:
    def set_up(lab: Lab, _patch: pytest.MonkeyPatch) -> None:
        lab.outlook.behaviour.throttled, lab.outlook.behaviour.retry_after = True, retry_after

    return set_up


def answers_to_nobody(_lab: Lab, patch: pytest.MonkeyPatch) -> None:
    """The request arrives; what comes back is lost on its way."""
    original = HttpSession._answer

    async def lost(self: HttpSession, sent: float) -> Answer:
        await original(self, sent)
        raise PhaseFailure(Outcome.TIMEOUT, "lost")

    patch.setattr(HttpSession, "_answer", lost)


@pytest.mark.parametrize(
    ("failing", "least", "most"),
    [
        (refuses(50173), 6, 16),
        (refuses(50053), 6, 16),
        (refuses(50196), 6, 16),
        (refuses(90033), 20, 60),
        (refuses(999999), 20, 60),
        (is_down, 20, 60),
        (throttles(None), 20, 60),
        (throttles(7_200), 12, 24),
        (answers_to_nobody, 20, 2 * 24 * PER_HOUR),
    ],
    ids=["revoked", "locked", "loop", "transient", "unheard of", "outage", "throttled",
         "for two hours", "no answer"],
)  # fmt: skip
async def test_two_days_of(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: Failing, least: int, most: int
):
    clock = Clock(datetime(2026, 11, 25, tzinfo=UTC))
    settings = settings_of(lab, tmp_path, personal(lab, tmp_path, targets=["imap"]))
    job = started(settings, clock)
    signed_in_before(job.accounts[0], REFRESH)
    failing(lab, monkeypatch)
    asked: list[float] = []
    now = 0.0
    for number, tick in enumerate(TICKS):
        if number % 25 == 24:  # a restart, then a reload, and so on
            later = started(settings, clock)
            if number % 50 == 49:
                later.continue_from(job)
            job = later
        await job.run()
        counted = lab.outlook.behaviour.traffic.counts["request"]
        asked += [now] * (counted - len(asked))
        clock.forward(tick)
        now += tick
    assert least <= len(asked) <= most
    assert most_within(asked, HOUR) <= PER_HOUR
    assert lab.outlook.behaviour.traffic.counts["token"] == 0, "there was nothing to present"


def started(settings: Any, clock: Clock) -> Any:
    job = job_of(settings)
    clock.drive(job)
    return job


def most_within(asked: list[float], seconds: float) -> int:
    return max(sum(1 for each in asked if at <= each < at + seconds) for at in asked)
