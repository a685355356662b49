"""Turns come one after another, spaced, and wait for an event loop that has work left."""

import asyncio
import itertools
import time

from exporter.probe.pace import LATE, MAX_DELAYS, SPACING, Pace


async def test_turns_are_given_in_the_order_asked_and_spaced():
    pace, given = Pace(time.monotonic), []

    async def ask(number: int) -> None:
        await pace.turn()
        given.append((number, time.monotonic()))

    began = time.monotonic()
    await asyncio.gather(*(ask(number) for number in range(5)))
    assert [number for number, _ in given] == [0, 1, 2, 3, 4]
    times = [began, *(at for _, at in given)]
    assert all(after - before >= SPACING * 0.99 for before, after in itertools.pairwise(times))


async def test_a_turn_waits_while_the_loop_has_work_left():
    clock = ScriptedClock(late=3)
    await Pace(clock).turn()
    assert clock.sleeps_seen == 4  # three that woke late, and one in time


async def test_a_loop_that_is_always_late_holds_nobody_up_for_ever():
    clock = ScriptedClock(late=1_000)
    await Pace(clock).turn()
    assert clock.sleeps_seen == MAX_DELAYS


async def test_a_turn_that_is_cancelled_frees_the_next():
    pace = Pace(time.monotonic)
    first = asyncio.create_task(pace.turn())
    second = asyncio.create_task(pace.turn())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait_for(second, 1)


class ScriptedClock:
    """Read before and after each sleep; the first `late` sleeps seem to have ended too late."""

    def __init__(self, late: int) -> None:
        self._late, self._reads, self._now = late, 0, 100.0

    def __call__(self) -> float:
        self._reads += 1
        if self._reads % 2 == 0:
            self._now += SPACING + (2 * LATE if self.sleeps_seen <= self._late else 0.0)
        return self._now

    @property
    def sleeps_seen(self) -> int:
        return self._reads // 2
