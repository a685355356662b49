"""One round: every target from every vantage, side by side, under one deadline, each walk an observation.

The canary's last result is kept between rounds, so that a round without one still says how authentication went.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol as TypingProtocol

from exporter.catalogue import Target
from exporter.clean import clean
from exporter.observations import AuthResult, HostResult, PhaseResult, Probe, TlsResult
from exporter.probe.canary_policy import CanaryPolicy, Key
from exporter.probe.clock import Reading, agreed_skew, corrected
from exporter.probe.pace import Pace
from exporter.probe.record import Recorder
from exporter.probe.walk import HostWalk, Tools, Vantage, walk
from exporter.probe.way import Deadline
from exporter.protocols.canary import canary_token
from exporter.vocabulary import AuthOutcome, Mechanism, Outcome, Phase

#: A round never lasts longer, seconds.
ROUND_SECONDS = 60.0

#: The phases in which the canary is presented.
CANARY_PHASES = frozenset({Phase.AUTH, Phase.TOKEN})


class Policy(TypingProtocol):
    """Says when a canary may be presented."""

    def take(self, key: Key, path: tuple[object, ...], now: float) -> bool: ...


@dataclass(frozen=True, slots=True)
class Walked:
    """A target's probe, with what only this process needs: the walks behind it."""

    probe: Probe
    walks: tuple[HostWalk, ...]
    presented: bool
    recorders: tuple[Recorder, ...] = ()


@dataclass(slots=True)
class Prober:
    """Makes rounds. Keeps the last canary's result of each target and vantage, and the clock's agreed skew.

    `needs_canary`: whether there is one to present at all; where an account works, it proves more. One that failed is
    followed by others until one is well.
    """

    tools: Tools
    policy: Policy
    concurrency: int = 64
    randomness: random.Random = field(default_factory=random.SystemRandom)
    skew: float = 0.0
    record: bool = False
    needs_canary: Callable[[Key], bool] = lambda _key: True
    _last_auth: dict[Key, tuple[AuthResult, PhaseResult]] = field(default_factory=dict)
    _rounds: int = 0

    async def round(
        self, targets: Iterable[Target], vantages: Sequence[Vantage], deadline: Deadline | None = None
    ) -> AsyncIterator[Walked]:
        """Yields each target's probe from each vantage as it ends.

        Those whose certificates are out of date by our clock wait for the round's end: by then other hosts' Dates have
        told whether it is the clock.
        """
        self._rounds += 1
        deadline = deadline or Deadline(self.tools.clock() + ROUND_SECONDS)
        slots, pace = asyncio.Semaphore(self.concurrency), Pace(self.tools.clock)
        tasks = [
            asyncio.create_task(self._one(target, vantage, deadline, slots, pace))
            for target in targets
            for vantage in vantages
        ]
        readings: list[Reading] = []
        waiting: list[Walked] = []
        try:
            for task in asyncio.as_completed(tasks):
                walked = await task
                readings += [reading for found in walked.walks if (reading := _reading(found)) is not None]
                if _depends_on_the_clock(walked):
                    waiting.append(walked)
                else:
                    yield walked
        finally:
            for pending in tasks:
                pending.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.skew = agreed_skew(readings) if readings else self.skew
        for walked in waiting:
            yield replace(walked, probe=self._judged_again(walked))

    async def probe(self, target: Target, vantage: Vantage, deadline: Deadline) -> Walked:
        """One target from one vantage, now."""
        walked = await self._one(target, vantage, deadline, asyncio.Semaphore(1), Pace(self.tools.clock))
        return replace(walked, probe=self._judged_again(walked))

    def continue_from(self, earlier: "Prober") -> None:
        """Takes over what earlier rounds learned, and the canary's budget, when the configuration is read again."""
        self._last_auth, self._rounds, self.skew = earlier._last_auth, earlier._rounds, earlier.skew
        if isinstance(self.policy, CanaryPolicy) and isinstance(earlier.policy, CanaryPolicy):
            self.policy.continue_from(earlier.policy)

    async def _one(
        self, target: Target, vantage: Vantage, deadline: Deadline, slots: asyncio.Semaphore, pace: Pace
    ) -> Walked:
        async with slots:
            await pace.turn()
            key = (target.name, vantage.name)
            presented = False

            def offer(path: tuple[object, ...]) -> str | None:
                nonlocal presented
                wanted = self.needs_canary(key) or self._failed_last(key)
                if not wanted or not self.policy.take(key, path, self.tools.clock()):
                    return None
                presented = True
                return canary_token(self.randomness)

            began = self.tools.wall_clock()
            recorders = tuple(Recorder() for _ in target.hosts) if self.record else ()
            walks = await _together(
                [
                    walk(
                        target,
                        host,
                        vantage,
                        self.tools,
                        deadline=deadline,
                        offer_canary=offer,
                        start=self._rounds,
                        recorder=recorders[index] if recorders else None,
                    )
                    for index, host in enumerate(target.hosts)
                ]
            )
        probe = self._probe(target, vantage, began, walks, presented)
        return Walked(probe=probe, walks=tuple(walks), presented=presented, recorders=recorders)

    def _probe(
        self, target: Target, vantage: Vantage, began: datetime, walks: Sequence[HostWalk], presented: bool
    ) -> Probe:
        worst = next((found for found in walks if found.failed is not None), walks[0])
        auth, phases = self._with_last_canary((target.name, vantage.name), worst, presented)
        failed = next((result for result in phases if result.outcome is not Outcome.OK), None)
        reading = next((r for found in walks if (r := _reading(found)) is not None), None)
        return Probe(
            time=began,
            target=target.name,
            protocol=target.protocol,
            host=worst.host,
            port=target.port,
            address=worst.address,
            ip_version=None if worst.address is None else 6 if ":" in worst.address else 4,
            vantage=vantage.name,
            outcome=failed.outcome if failed else Outcome.OK,
            failed_phase=failed.phase if failed else None,
            addresses=worst.addresses,
            phases=phases,
            tls=worst.tls,
            auth=auth,
            clock_skew_seconds=round(reading.skew, 3) if reading else None,
            hosts=tuple(_host_result(found) for found in walks) if len(walks) > 1 else (),
            retry_after_seconds=worst.findings.retry_after,
        )

    def _with_last_canary(
        self, key: Key, found: HostWalk, presented: bool
    ) -> tuple[AuthResult, tuple[PhaseResult, ...]]:
        """The canary's result of this round, or the last one's with its time."""
        auth = _auth(found)
        phase = next((result for result in found.phases if result.phase in CANARY_PHASES), None)
        if phase is None:
            return auth, found.phases
        if presented and phase.outcome is not Outcome.SKIPPED:
            now = auth.measured_at or self.tools.wall_clock()
            auth = replace(_with_fate(auth, phase.outcome), measured_at=now)
            self._last_auth[key] = (auth, replace(phase, measured_at=now))
            return auth, found.phases
        last = self._last_auth.get(key)
        if last is None:
            return auth, tuple(result for result in found.phases if presented or not _not_due(result, found))
        kept = replace(last[0], offered=auth.offered if auth.offered is not None else last[0].offered)
        if not _not_due(phase, found):
            return kept, found.phases
        return kept, tuple(last[1] if result.phase is phase.phase else result for result in found.phases)

    def _failed_last(self, key: Key) -> bool:
        """Whether the last canary wasn't answered as it should be: only another one can show that this is over."""
        last = self._last_auth.get(key)
        return last is not None and last[1].outcome is not Outcome.OK

    def _judged_again(self, walked: Walked) -> Probe:
        """`genuine` by the clock as corrected since."""
        probe = walked.probe
        found = next((w for w in walked.walks if w.host == probe.host), None)
        if probe.tls is None or found is None or found.identity is None or not probe.tls.chain:
            return probe
        genuine = found.identity.genuine(corrected(self.tools.wall_clock(), self.skew))
        return replace(probe, tls=replace(probe.tls, genuine=genuine))


async def _together(walks: Sequence[Coroutine[None, None, HostWalk]]) -> list[HostWalk]:
    """All at once; the only one needs no task of its own."""
    return [await walks[0]] if len(walks) == 1 else await asyncio.gather(*walks)


def _not_due(canary: PhaseResult, found: HostWalk) -> bool:
    """Whether the canary's phase is skipped only because none was due: all before it let the conversation go on."""
    if canary.phase not in CANARY_PHASES or canary.outcome is not Outcome.SKIPPED:
        return False
    before = [result for result in found.phases if result.phase is not canary.phase]
    return all(result.outcome is not Outcome.SKIPPED for result in before) and found.ended_well


#: What ends a conversation in the middle, without a word.
_CUT = frozenset({Outcome.RESET, Outcome.CLOSED, Outcome.TIMEOUT})


def _with_fate(auth: AuthResult, phase: Outcome) -> AuthResult:
    """A canary that was presented has an outcome: abandoned where the conversation stopped in the middle."""
    if auth.outcome is not None:
        return auth
    return replace(
        auth, mechanism=Mechanism.TOKEN, outcome=AuthOutcome.ABANDONED if phase in _CUT else AuthOutcome.UNKNOWN
    )


def _auth(found: HostWalk) -> AuthResult:
    told = found.findings
    return AuthResult(
        offered=told.offered,
        mechanism=told.mechanism,
        outcome=told.auth_outcome,
        reply=clean(told.reply, keep=[found.address or ""]) if told.reply is not None else None,
        meaning=told.meaning,
        measured_at=told.measured_at,
    )


def _host_result(found: HostWalk) -> HostResult:
    failed = found.failed
    return HostResult(
        host=found.host,
        outcome=failed.outcome if failed else Outcome.OK,
        failed_phase=failed.phase if failed else None,
        detail=failed.detail if failed else None,
    )


def _reading(found: HostWalk) -> Reading | None:
    told = found.findings
    if told.server_date is None or told.date_read_at is None:
        return None
    return Reading(found.host, told.server_date, told.date_read_at)


def _depends_on_the_clock(walked: Walked) -> bool:
    tls: TlsResult | None = walked.probe.tls
    dates = {Outcome.CERTIFICATE_EXPIRED, Outcome.CERTIFICATE_NOT_YET_VALID}
    return tls is not None and bool(dates & set(tls.reasons) or (tls.signatures_genuine and not tls.genuine))
