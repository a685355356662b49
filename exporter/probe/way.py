"""The record of one walk: each phase entered, timed, and ended by a word of the vocabulary.

    async with way.phase(Phase.GREETING) as phase:
        ...                       # raise PhaseFailure, or let an OSError out: both end the phase by a named outcome
        phase.outcome = ...       # or say so without stopping

A phase whose outcome lets the conversation go on (a certificate that isn't trusted, an unrecognized greeting) is
recorded and the walk continues; any other ends it with WalkEnded, and what is left is `skipped`.
"""

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from exporter.clean import clean
from exporter.observations import PhaseResult
from exporter.probe.failures import PhaseFailure, mapped
from exporter.vocabulary import CONVERSATION_GOES_ON, Outcome, Phase

#: A detail begins so where part of an answer came in time, and not the rest; the diagnosis looks for it.
BROKEN_OFF = "only part of an answer"

#: A phase never begins with less than this left of the walk's time, seconds.
SHORTEST_PHASE = 1.0

#: Phases that a server may answer slowly on purpose (Microsoft delays refusals by up to 18 s): seconds.
PATIENT_PHASES = frozenset({Phase.AUTH, Phase.TOKEN})
PATIENT_TIMEOUT = 30.0

#: The clocks in `seconds` are written with this many digits: a microsecond is more than they know.
PRECISION = 6


class WalkEnded(Exception):
    """The walk can't go on: a phase failed."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a walk must be over (monotonic seconds), and what to call the phases it cuts.

    The round's own deadline makes them `timeout`; a caller's (a scrape's) makes them `skipped`, never a fault.
    """

    at: float
    outcome: Outcome = Outcome.TIMEOUT

    @property
    def detail(self) -> str:
        return "round deadline" if self.outcome is Outcome.TIMEOUT else "the caller's deadline"


@dataclass(slots=True)
class RunningPhase:
    """A phase under way. `began` may be moved, `seconds` set, where the contract's clock isn't simply entry to exit."""

    phase: Phase
    began: float
    outcome: Outcome = Outcome.OK
    detail: str | None = None
    seconds: float | None = None


@dataclass(slots=True)
class Way:
    """Phases of one walk to one host, in order, and what they ended with."""

    phases: tuple[Phase, ...]
    deadline: Deadline
    clock: Callable[[], float]
    timeout: float
    keep_addresses: list[str] = field(default_factory=list)
    results: list[PhaseResult] = field(default_factory=list)
    current: Phase | None = None
    in_the_middle: bool = False  # part of an answer has come, and the rest not yet

    @asynccontextmanager
    async def phase(self, phase: Phase) -> AsyncIterator[RunningPhase]:
        """Runs one phase under its time-out. Raises WalkEnded where the walk can't go on after it."""
        running = RunningPhase(phase, self.clock())
        self.current, self.in_the_middle = phase, False
        left = self.deadline.at - running.began
        limit = max(self.timeout, PATIENT_TIMEOUT) if phase in PATIENT_PHASES else self.timeout
        if left < SHORTEST_PHASE:
            self._end(running, self.deadline.outcome, self.deadline.detail, seconds=None)
        try:
            async with asyncio.timeout(min(limit, left)):
                with mapped():
                    yield running
        except TimeoutError:
            if left <= limit:
                self._end(running, self.deadline.outcome, self.deadline.detail)
            self._end(running, Outcome.TIMEOUT, running.detail or self._missing(limit))
        except PhaseFailure as failure:
            self._end(running, failure.outcome, failure.detail)
            raise WalkEnded from failure  # whoever raises has no result to go on with
        self._end(running, running.outcome, running.detail)

    def _missing(self, limit: float) -> str:
        return f"{BROKEN_OFF if self.in_the_middle else 'nothing'} within {limit:g} s"

    def _end(self, running: RunningPhase, outcome: Outcome, detail: str | None, seconds: float | None = -1.0) -> None:
        if seconds is not None:
            seconds = running.seconds if running.seconds is not None else self.clock() - running.began
            seconds = None if outcome is Outcome.SKIPPED else round(max(seconds, 0.0), PRECISION)
        cleaned = clean(detail, keep=self.keep_addresses) if detail else None
        self.results.append(PhaseResult(phase=running.phase, outcome=outcome, seconds=seconds, detail=cleaned))
        if outcome not in CONVERSATION_GOES_ON:
            raise WalkEnded

    def broken_by(self, error: Exception) -> None:
        """Ends the phase under way by what nobody foresaw: a fault of ours, which must not cost other targets theirs.

        Only the error's type and place are told: its words might hold anything.
        """
        done = {result.phase for result in self.results}
        phase = next((phase for phase in (self.current, *self.phases) if phase is not None and phase not in done), None)
        if phase is None:
            return
        *_, place = traceback.extract_tb(error.__traceback__)
        detail = f"this exporter failed: {type(error).__name__} in {Path(place.filename).name}:{place.lineno}"
        structlog.get_logger().error("a walk broke off", phase=phase, detail=detail)
        self.results.append(PhaseResult(phase=phase, outcome=Outcome.UNRECOGNIZED, detail=detail))

    def finished(self) -> tuple[PhaseResult, ...]:
        """All phases in order; those that were never reached are `skipped`."""
        done = {result.phase for result in self.results}
        rest = [PhaseResult(phase=phase, outcome=Outcome.SKIPPED) for phase in self.phases if phase not in done]
        order = {phase: index for index, phase in enumerate(self.phases)}
        return tuple(sorted([*self.results, *rest], key=lambda result: order.get(result.phase, len(order))))
