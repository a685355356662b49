"""A diagnosis that a page asks for: a round now, and the experiments that it calls for, with progress for the pages."""

import asyncio
from collections.abc import Awaitable, Callable

from exporter.diagnosis.job import DiagnosisJob
from exporter.state import State

#: How often at most, how long, how often progress is told, and how long its end; seconds.
EVERY, SECONDS, PROGRESS_EVERY, DONE_SHOWN = 60.0, 150.0, 0.5, 10.0


class AskedDiagnosis:
    """`look`: makes a round; `ways`: how many probes that is; `clock`: seconds."""

    def __init__(
        self,
        diagnosis: DiagnosisJob,
        state: State,
        look: Callable[[], Awaitable[None]],
        ways: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self._diagnosis, self._state = diagnosis, state
        self._look, self._ways, self._clock = look, ways, clock
        self._task: asyncio.Task[None] | None = None
        self._begun_at = float("-inf")

    def begin(self) -> str:
        """Begins one; or why not, in words for who asked."""
        if self._task is not None and not self._task.done():
            return "a diagnosis is under way already"
        now = self._clock()
        if (left := self._begun_at + EVERY - now) > 0:
            return f"the last one began less than {EVERY:.0f} s ago: try again in {left:.0f} s"
        self._begun_at = now
        self._task = asyncio.create_task(self._run())
        return ""

    def stop(self) -> None:
        """Leaves one that is under way."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        """Within the hour's budget of experiments."""
        before, until, ways = self._state.recorded, self._clock() + SECONDS, self._ways()
        try:
            self._diagnosis.look_again()
            looking = asyncio.ensure_future(self._look())
            while not looking.done():
                self._tell(f"Probing: {min(self._state.recorded - before, ways)} of {ways} ways")
                await asyncio.wait([looking], timeout=PROGRESS_EVERY)
            while self._diagnosis.busy and self._clock() < until:
                self._tell("Experiments: what fails is tried in other ways, to see where and why")
                await asyncio.sleep(PROGRESS_EVERY)
            self._tell("Done: what stands here is of now")
            await asyncio.sleep(DONE_SHOWN)
        finally:
            self._tell("")

    def _tell(self, progress: str) -> None:
        self._state.progress = progress
