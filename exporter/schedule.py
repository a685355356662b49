"""Rounds on our own timer, by APScheduler: jitter, one at a time, late ones joined, and those missed counted.

A declared departure from Prometheus' advice (design.md): a round lasts longer than a scrape and canaries must be rare.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

#: Share of the interval by which each round is moved at random, so that sites don't probe in step.
JITTER = 0.1
#: A run later than this share of its interval is missed.
GRACE = 0.5

_OUTCOMES = {
    EVENT_JOB_EXECUTED: "ok",
    EVENT_JOB_ERROR: "error",
    EVENT_JOB_MISSED: "missed",
    EVENT_JOB_MAX_INSTANCES: "missed",
}


class Schedule:
    """Named tasks at intervals. `ended(task, outcome)` is called for each run: ok, error, or missed."""

    def __init__(self, ended: Callable[[str, str], None]) -> None:
        self._scheduler = AsyncIOScheduler(timezone="UTC")
        self._ended = ended
        self._scheduler.add_listener(self._heard, sum(_OUTCOMES))

    def every(self, name: str, seconds: float, work: Callable[[], Awaitable[None]], *, at_once: bool = False) -> None:
        """Runs `work` at intervals, the first time now or after one; a second call with the name replaces the first."""
        first = {"next_run_time": datetime.now(UTC)} if at_once else {}
        self._scheduler.add_job(
            partial(_until_stopped, work),
            IntervalTrigger(seconds=seconds, jitter=seconds * JITTER or None, timezone="UTC"),
            id=name,
            replace_existing=True,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=max(1, round(seconds * GRACE)),
            **first,
        )

    def start(self) -> None:
        """Begins; needs a running event loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """Ends at once; what runs is cancelled with its event loop."""
        self._scheduler.shutdown(wait=False)

    def _heard(self, event: object) -> None:
        self._ended(event.job_id, _OUTCOMES[event.code])  # type: ignore[attr-defined]


async def _until_stopped(work: Callable[[], Awaitable[None]]) -> None:
    """A task that is cancelled has been told to stop: that is its end, not its failure."""
    with suppress(asyncio.CancelledError):
        await work()


async def watch_loop_delay(report: Callable[[float], None], period: float = 0.5) -> None:
    """Reports how late the event loop wakes, in seconds, each `period`: what it adds to a phase's clock."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + period
        await asyncio.sleep(period)
        report(max(loop.time() - due, 0.0))
