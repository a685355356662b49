"""Whether verdicts are right, by the contract's table; and what their confidence was worth."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.observations import Verdict
from exporter.vocabulary import Cause, Responsible
from tests.netlab.evidence import ONE, TAP
from tests.netlab.scenarios import Scenario

#: Evidence from one point of view: it may be unable to place a fault.
ONE_SIDED = frozenset({ONE, TAP})
#: Causes that lie "somewhere on the path" until a second point of view places them (the contract's table).
SOMEWHERE = frozenset(
    {Cause.MTU_BLACKHOLE, Cause.PARTIAL_OUTAGE, Cause.PACKET_LOSS, Cause.SLOW_PATH, Cause.IPV6_BROKEN}
)
#: Parties that must never be named where it was not they.
NEVER_FALSELY = frozenset({Responsible.GATEWAY, Responsible.MICROSOFT})


class Rating(StrEnum):
    """What a verdict was worth. `open`: the cause is right, and who acts can't be told from there."""

    RIGHT = "right"
    OPEN = "open"
    SILENT = "silent"
    WRONG = "wrong"


@dataclass(slots=True)
class Rated:
    """One scenario by one kind of evidence."""

    rating: Rating
    confidence: float | None = None
    said: str = ""
    blamed: list[Verdict] = field(default_factory=list)


def is_passive(verdict: Verdict) -> bool:
    """Whether it was made of packets."""
    return verdict.vantage.startswith("wire")


def is_met(scenario: Scenario, verdict: Verdict) -> bool:
    """Whether the fault lies on that way."""
    inside = verdict.vantage == "clients" or is_passive(verdict)
    return bool(scenario.faults_at(verdict.target)) and (inside or scenario.everywhere)


def rate(scenario: Scenario, evidence: str, verdicts: Sequence[Verdict]) -> Rated:
    """The worst of what was said. Nothing said is `silent`: right in health, and where packets can't show it."""
    ratings = [(rating_of(scenario, evidence, each), each) for each in verdicts]
    blamed = [each for each in verdicts if is_falsely_blamed(scenario, each)]
    about = [(rating, each) for rating, each in ratings if is_met(scenario, each)]
    wrong = [each for rating, each in ratings if rating is Rating.WRONG]
    if wrong:
        first = wrong[0]
        return Rated(Rating.WRONG, first.confidence, f"{first.target}: {first.cause}, {first.responsible}", blamed)
    if not about:
        return Rated(Rating.RIGHT if not scenario.targets else Rating.SILENT, blamed=blamed)
    told = [(rating, each) for rating, each in about if rating is not Rating.SILENT]
    if not told:
        return Rated(Rating.SILENT, blamed=blamed)
    worst = Rating.OPEN if any(rating is Rating.OPEN for rating, _ in told) else Rating.RIGHT
    return Rated(worst, min(each.confidence for _, each in told), blamed=blamed)


def rating_of(scenario: Scenario, evidence: str, verdict: Verdict) -> Rating:
    """One verdict's."""
    if not is_met(scenario, verdict):
        return Rating.RIGHT if verdict.cause is Cause.HEALTHY else Rating.WRONG
    spared = verdict.cause is Cause.HEALTHY and (is_passive(verdict) or scenario.chance)
    if verdict.cause is Cause.UNKNOWN or spared:
        return Rating.SILENT
    causes = {
        f: (f.cause, *f.also, *(f.packets if is_passive(verdict) else ())) for f in scenario.faults_at(verdict.target)
    }
    fault = next((each for each, own in causes.items() if verdict.cause in own), None)
    if fault is None:
        return Rating.WRONG
    if verdict.responsible is fault.responsible:
        return Rating.RIGHT
    return Rating.OPEN if verdict.responsible in _open_to(fault, evidence, verdict) else Rating.WRONG


def _open_to(scenario: Scenario, evidence: str, verdict: Verdict) -> set[Responsible]:
    """What else the contract's table has for a fault that can't be placed from there."""
    if evidence in ONE_SIDED:
        return {Responsible.UNKNOWN, Responsible.NETWORK} if verdict.cause in SOMEWHERE else {Responsible.UNKNOWN}
    elsewhere = scenario.responsible is Responsible.MICROSOFT or scenario.cause is Cause.DNS_REDIRECTED
    if elsewhere and is_passive(verdict):  # packets of a way prove neither a chain nor who answered the resolver
        return {Responsible.UNKNOWN}
    return set()


def is_falsely_blamed(scenario: Scenario, verdict: Verdict) -> bool:
    """Whether the gateway or Microsoft is named where it was neither."""
    if verdict.responsible not in NEVER_FALSELY:
        return False
    return not is_met(scenario, verdict) or verdict.responsible is not scenario.responsible


class Calibration:
    """Of verdicts with so much confidence, how many were right."""

    def __init__(self) -> None:
        self._all: Counter[float] = Counter()
        self._right: Counter[float] = Counter()

    def add(self, scenario: Scenario, evidence: str, verdicts: Iterable[Verdict]) -> None:
        """Counts each, by tenths."""
        for verdict in verdicts:
            rating = rating_of(scenario, evidence, verdict)
            if rating is not Rating.SILENT:
                tenth = round(verdict.confidence, 1)
                self._all[tenth] += 1
                self._right[tenth] += rating is not Rating.WRONG

    def lines(self) -> list[list[str]]:
        """Rows: confidence, verdicts, right of them."""
        return [
            [f"{tenth:.1f}", str(count), f"{self._right[tenth]} ({self._right[tenth] / count:.1%})"]
            for tenth, count in sorted(self._all.items(), reverse=True)
        ]
