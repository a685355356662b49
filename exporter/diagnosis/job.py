"""The service's verdicts: judged after each round, with experiments where something failed, within their budget."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from exporter.diagnosis.decide import Judged
from exporter.diagnosis.experiment import Experiment
from exporter.diagnosis.experiments.plan import Experimenting, Trouble
from exporter.diagnosis.judge import judge
from exporter.diagnosis.keep import VerdictChange, VerdictKeeper
from exporter.diagnosis.seen import Seen
from exporter.observations import Probe

#: Experiments begin within so many seconds of their round, at random; never more than this share of the interval.
SPREAD, SPREAD_SHARE = 20.0, 1 / 3
#: A round's experiments are over within so many seconds.
EXPERIMENTS_SECONDS = 60.0
#: What experiments showed counts so long while the trouble stays the same, seconds; then they are made anew.
KEPT_SECONDS = 1_800.0

Way = tuple[str, str]
_Told = Callable[[VerdictChange], None]


@dataclass(frozen=True, slots=True)
class _Looked:
    """A way's trouble that was looked into: which, when, and what was found."""

    kinds: frozenset[tuple[str, ...]]
    at: float
    experiments: tuple[Experiment, ...]


@dataclass(slots=True)
class DiagnosisJob:
    """Turns rounds into current verdicts. `told`: a verdict that is new; `spent`: what is left of the budget."""

    keeper: VerdictKeeper
    told: _Told
    spent: Callable[[float], None]
    _holds: dict[Way, Experiment] = field(default_factory=dict)
    _looked: dict[Way, _Looked] = field(default_factory=dict)
    _running: asyncio.Task[None] | None = None
    _rounds: int = 0

    def configure(self, ways: Iterable[Way]) -> None:
        """What is probed, at the start and at each reload."""
        known = set(ways)
        self._looked = {way: looked for way, looked in self._looked.items() if way in known}
        self._holds = {way: held for way, held in self._holds.items() if way in known}
        self.keeper.configure(known)

    @property
    def busy(self) -> bool:
        """Whether experiments run."""
        return self._running is not None and not self._running.done()

    def look_again(self) -> None:
        """What experiments said isn't kept: the next round has them made again, as far as the budget goes."""
        self._looked.clear()

    def take_holds(self, held: Iterable[Experiment]) -> None:
        """How idle connections fared; it counts until they are held again."""
        self._holds = {(each.target, each.vantage): each for each in held}

    def round_ended(self, seen: Seen, work: Experimenting, interval: float) -> None:
        """Judges what needs no experiment, and starts those that are called for, unless some still run."""
        self._rounds += 1
        now = work.tools.clock()
        troubles = list(work.troubles(seen))
        kinds = _kinds_by_way(troubles)
        self._looked = {
            way: looked
            for way, looked in self._looked.items()
            if kinds.get(way) == looked.kinds and now - looked.at < KEPT_SECONDS
        }
        new = [trouble for trouble in troubles if _way(trouble.probe) not in self._looked]
        open_ways = {_way(trouble.probe) for trouble in new}
        self._settle(judge(self._with_kept(seen)), open_ways)
        self.spent(work.budget.remaining(now))
        if new and not self.busy:
            spread = min(SPREAD, interval * SPREAD_SHARE)
            self._running = asyncio.create_task(self._look_into(seen, work, new, spread, self._rounds))

    async def stop(self) -> None:
        """Ends experiments under way."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _look_into(
        self, seen: Seen, work: Experimenting, troubles: Sequence[Trouble], spread: float, number: int
    ) -> None:
        """Experiments; each result may settle the ways whose trouble is of its kind."""
        until = work.tools.clock() + EXPERIMENTS_SECONDS
        kinds = _kinds_by_way(troubles)
        all_kinds = _kinds_by_way(list(work.troubles(seen)))
        seen = self._with_kept(seen)
        done: set[tuple[str, ...]] = set()
        async for progress in work.run(seen, troubles, until, spread=spread):
            seen = replace(seen, experiments=(*seen.experiments, *progress.made))
            done |= {progress.kind} if progress.over else set()
            concerned = {way for way, own in kinds.items() if progress.kind in own}
            self._take(seen, concerned, number)
            for way in concerned:
                if kinds[way] <= done:
                    own = tuple(each for each in seen.experiments if (each.target, each.vantage) == way)
                    self._looked[way] = _Looked(all_kinds[way], work.tools.clock(), own)
            self.spent(work.budget.remaining(work.tools.clock()))

    def _with_kept(self, seen: Seen) -> Seen:
        kept = [each for looked in self._looked.values() for each in looked.experiments]
        return replace(seen, experiments=(*seen.experiments, *kept, *self._holds.values()))

    def _take(self, seen: Seen, concerned: Collection[Way], number: int) -> None:
        judged = [
            each for each in judge(seen)
            if each.verdict.account is None and (each.verdict.target, each.verdict.vantage) in concerned
        ]  # fmt: skip
        self._tell(judged, number)

    def _settle(self, judged: Sequence[Judged], open_ways: Collection[Way]) -> None:
        """Takes what no experiment will change: accounts' and the wire's faults too, which are over when unsaid."""
        ready = [
            each for each in judged
            if each.verdict.account is not None or (each.verdict.target, each.verdict.vantage) not in open_ways
        ]  # fmt: skip
        self._tell(ready, self._rounds)
        said = {(each.verdict.target, each.verdict.vantage, each.verdict.account or "") for each in judged}
        self.keeper.forget_unsaid(said)

    def _tell(self, judged: Sequence[Judged], number: int) -> None:
        for change in self.keeper.take(judged, number):
            self.told(change)


def _way(probe: Probe) -> Way:
    return probe.target, probe.vantage


def _kinds_by_way(troubles: Sequence[Trouble]) -> dict[Way, frozenset[tuple[str, ...]]]:
    found: dict[Way, frozenset[tuple[str, ...]]] = {}
    for trouble in troubles:
        way = _way(trouble.probe)
        found[way] = found.get(way, frozenset()) | {trouble.kind}
    return found
