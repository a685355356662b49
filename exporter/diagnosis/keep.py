"""The service's current verdicts: what a round says becomes one only once something confirms it, and stays a while.

A lost packet is no verdict: a fault is taken up when an experiment confirms it, or three rounds in a row say so. It is
held until two rounds contradict it. An `unknown` gives way at once to a name. Pure; rounds are numbered.
"""

import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from exporter.diagnosis.decide import Judged
from exporter.diagnosis.tap import WIRE
from exporter.observations import Verdict
from exporter.vocabulary import Cause

#: Rounds that must contradict a fault, and rounds behind the first that must repeat what no experiment confirms.
CONTRADICTIONS, UNCONFIRMED = 2, 2

Way = tuple[str, str, str]  # target, vantage, account


@dataclass(frozen=True, slots=True)
class VerdictChange:
    """A verdict that is new, or gone. `before`: the causes that stood there."""

    verdict: Verdict
    before: tuple[Cause, ...]


@dataclass(slots=True)
class _Kept:
    """What is known of one way: its current verdicts, how often each fault was contradicted, what waits."""

    current: dict[Cause, Verdict] = field(default_factory=dict)
    contradicted: dict[Cause, int] = field(default_factory=dict)
    waiting: frozenset[Cause] = frozenset()
    waiting_since: int = 0
    counted: int = -1


class VerdictKeeper:
    """Written by the prober's thread, read by the web's."""

    def __init__(self) -> None:
        self._ways: dict[Way, _Kept] = {}
        self._lock = threading.Lock()
        self._shown: tuple[Verdict, ...] = ()

    def current(self) -> tuple[Verdict, ...]:
        """The current verdicts, in the order they were first met. The same object while nothing changed."""
        return self._shown

    def take(self, judged: Sequence[Judged], number: int) -> list[VerdictChange]:
        """What round `number` says of some ways, all verdicts of a way together. Returns what changed."""
        by_way: dict[Way, list[Judged]] = {}
        for each in judged:
            verdict = each.verdict
            by_way.setdefault((verdict.target, verdict.vantage, verdict.account or ""), []).append(each)
        with self._lock:
            changes = [
                change
                for way, said in by_way.items()
                for change in _taken(self._ways.setdefault(way, _Kept()), said, number)
            ]
            self._show()
        return changes

    def forget_unsaid(self, said: Collection[Way]) -> None:
        """Accounts' faults, and what was seen on the wire, are over once no round speaks of them any more."""
        with self._lock:
            gone = [way for way in self._ways if _beside_probes(way) and way not in said]
            for way in gone:
                del self._ways[way]
            self._show()

    def configure(self, ways: Iterable[tuple[str, str]]) -> None:
        """Forgets what isn't probed any more."""
        known = set(ways)
        with self._lock:
            self._ways = {way: kept for way, kept in self._ways.items() if _beside_probes(way) or way[:2] in known}
            self._show()

    def _show(self) -> None:
        shown = tuple(verdict for kept in self._ways.values() for verdict in kept.current.values())
        if shown != self._shown:
            self._shown = shown


def _beside_probes(way: Way) -> bool:
    """An account's way, or the wire's: not one that is probed."""
    return bool(way[2]) or way[1].partition(":")[0] == WIRE


def _taken(kept: _Kept, said: Sequence[Judged], number: int) -> list[VerdictChange]:
    before = tuple(kept.current)
    faults: dict[Cause, Judged] = {each.verdict.cause: each for each in said if each.verdict.cause is not Cause.HEALTHY}
    standing = [cause for cause in kept.current if cause is not Cause.HEALTHY]
    _count(kept, standing, faults.keys(), number)
    for cause in standing:
        named_now = cause is Cause.UNKNOWN and any(other is not cause for other in faults)
        if named_now or kept.contradicted.get(cause, 0) >= CONTRADICTIONS:
            del kept.current[cause]
    still_standing = [cause for cause in kept.current if cause is not Cause.HEALTHY and cause not in faults]
    _take_up(kept, said, faults, number, held=bool(still_standing))
    changed = [verdict for cause, verdict in kept.current.items() if cause not in before]
    return [VerdictChange(verdict, before) for verdict in changed]


def _count(kept: _Kept, standing: Sequence[Cause], faults: Collection[Cause], number: int) -> None:
    """A round contradicts a fault once, however often it is judged while experiments come in."""
    for cause in standing:
        if cause in faults:
            kept.contradicted[cause] = 0
        elif number != kept.counted:
            kept.contradicted[cause] = kept.contradicted.get(cause, 0) + 1
    kept.counted = number


def _take_up(kept: _Kept, said: Sequence[Judged], faults: dict[Cause, Judged], number: int, *, held: bool) -> None:
    """Refreshes what stands; takes up what is confirmed or was said for three rounds, unless a fault is still held."""
    waiting = set()
    for cause, each in faults.items():
        waited = number - kept.waiting_since if cause in kept.waiting else 0
        if cause in kept.current:
            kept.current[cause] = each.verdict
        elif not held and (each.confirmed or waited >= UNCONFIRMED):
            kept.current[cause] = each.verdict
            kept.contradicted[cause] = 0
            kept.current.pop(Cause.HEALTHY, None)
        else:
            waiting.add(cause)
    if frozenset(waiting) != kept.waiting:
        kept.waiting, kept.waiting_since = frozenset(waiting), number
    healthy = next((each.verdict for each in said if each.verdict.cause is Cause.HEALTHY), None)
    if healthy is not None and not any(cause is not Cause.HEALTHY for cause in kept.current):
        kept.current[Cause.HEALTHY] = healthy
