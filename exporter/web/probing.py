"""`/probe`: measure now. Calls for the same target and vantage within 10 s share one run.

Only names of the configuration are taken, never a host: else anyone could make us talk to anything (CVE-2020-16248).
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers, QueryParams

from exporter.observations import Probe
from exporter.web.control import Control

#: Calls for the same within so many seconds share one run.
SHARED = 10.0
#: What of the scrape's time is left for the answer's way back, as blackbox_exporter does it, seconds.
OFFSET = 0.5
#: The least and the most time a run gets, seconds: a round always ends within the latter.
SHORTEST, LONGEST = 0.5, 60.0
#: How much later than its deadline a run may end before its caller is sent away, seconds.
GRACE = 0.3


class Refused(Exception):
    """The request can't be served; the text says why, the status what kind it is."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run and its duration, seconds."""

    probe: Probe
    seconds: float


@dataclass(frozen=True, slots=True)
class _Shared:
    task: "asyncio.Task[Run]"
    began: float


class Probing:
    """Runs, and the runs to be shared. Lives on the web server's event loop."""

    def __init__(self, control: Control, clock: Callable[[], float] = time.monotonic) -> None:
        self._control, self._clock = control, clock
        self._runs: dict[tuple[str, str], _Shared] = {}

    async def run(self, query: QueryParams, headers: Headers) -> Run:
        """What the request asks for. Raises Refused."""
        target, vantage = self._named(query)
        deadline = deadline_of(headers)
        shared = self._shared(target, vantage, deadline)
        try:
            return await asyncio.wait_for(asyncio.shield(shared.task), deadline + GRACE)
        except TimeoutError:
            raise Refused(503, "a run that is shared with another caller hasn't ended in time") from None

    def _named(self, query: QueryParams) -> tuple[str, str]:
        targets, vantages = self._control.targets(), self._control.vantages()
        asked = query.getlist("target")
        if len(asked) != 1 or asked[0] not in targets:
            raise Refused(400, f"target must be one of: {', '.join(targets)}")
        wanted = query.getlist("vantage") or [vantages[0]]
        if len(wanted) != 1 or wanted[0] not in vantages:
            raise Refused(400, f"vantage must be one of: {', '.join(vantages)}")
        return asked[0], wanted[0]

    def _shared(self, target: str, vantage: str, deadline: float) -> _Shared:
        now = self._clock()
        self._runs = {key: run for key, run in self._runs.items() if now - run.began < SHARED or not run.task.done()}
        known = self._runs.get((target, vantage))
        if known is None or now - known.began >= SHARED or _failed(known.task):
            known = _Shared(asyncio.create_task(self._measure(target, vantage, deadline)), now)
            self._runs[target, vantage] = known
        return known

    async def _measure(self, target: str, vantage: str, deadline: float) -> Run:
        began = self._clock()
        probe = await self._control.probe_now(target, vantage, deadline)
        return Run(probe, self._clock() - began)


def _failed(task: "asyncio.Task[Run]") -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def deadline_of(headers: Headers) -> float:
    """Seconds this scrape leaves us."""
    try:
        timeout = float(headers.get("x-prometheus-scrape-timeout-seconds", ""))
    except ValueError:
        return LONGEST
    if not math.isfinite(timeout):
        return LONGEST
    return min(max(timeout - OFFSET, SHORTEST), LONGEST)
