"""Rounds on a timer: each run is counted, late ones too, and the loop's delay is seen."""

import asyncio
import time
from collections import Counter

from exporter.schedule import Schedule, watch_loop_delay


async def ran(seconds: float, work) -> Counter[tuple[str, str]]:
    counted: Counter[tuple[str, str]] = Counter()
    schedule = Schedule(lambda task, outcome: counted.update([(task, outcome)]))
    schedule.every("probe", 0.2, work)
    schedule.start()
    await asyncio.sleep(seconds)
    schedule.stop()
    return counted


async def test_runs_are_counted():
    async def work() -> None:
        pass

    counted = await ran(1.0, work)
    assert counted["probe", "ok"] >= 3
    assert set(counted) == {("probe", "ok")}


async def test_one_at_a_time_and_the_missed_are_counted():
    under_way = 0

    async def work() -> None:
        nonlocal under_way
        under_way += 1
        assert under_way == 1
        await asyncio.sleep(0.6)
        under_way -= 1

    counted = await ran(1.3, work)
    assert counted["probe", "missed"] >= 2
    assert ("probe", "error") not in counted


async def test_a_failing_task_is_counted_and_runs_again(caplog):
    async def work() -> None:
        raise RuntimeError

    assert (await ran(1.0, work))["probe", "error"] >= 3


async def test_a_busy_loop_is_seen():
    delays: list[float] = []
    watch = asyncio.create_task(watch_loop_delay(delays.append, period=0.05))
    await asyncio.sleep(0.06)
    time.sleep(0.3)  # noqa: ASYNC251 - that is the fault
    await asyncio.sleep(0.1)
    watch.cancel()
    assert max(delays) > 0.2
