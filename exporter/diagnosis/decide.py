"""From claims to verdicts: the strongest claim of each subject, the nearest to the wire first, without consequences."""

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.catalogue import JOURNEYS
from exporter.diagnosis.causes import Where, remedy_of, runbook_of
from exporter.diagnosis.place import Placed
from exporter.diagnosis.rules import clock, reach, speed
from exporter.diagnosis.weigh import NAMED, Claim, winner
from exporter.metrics.journeys import BY_PASSWORD
from exporter.observations import Verdict
from exporter.vocabulary import Cause, Phase

#: An unnamed trouble is shown with this confidence: something is wrong, and that is all.
UNNAMED = 0.3
_ORDER = {phase: number for number, phase in enumerate(Phase)}

Believed = tuple[Claim, float]


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, and whether something besides the one walk confirms it (else a lost packet could be behind it)."""

    verdict: Verdict
    confirmed: bool


def named(claims: Iterable[Claim]) -> list[Believed]:
    """The winner of each subject, where it is believed enough to be named."""
    won = _winners(claims)
    return [(claim, belief) for claim, belief in won if belief >= NAMED or claim.cause is Cause.UNKNOWN]


def faults_among(believed: Iterable[Believed]) -> list[Believed]:
    """The faults that stand for themselves, the nearest to the wire first."""
    faults = [(claim, belief) for claim, belief in believed if claim.cause is not Cause.HEALTHY]
    return _without_consequences(_absorbed(sorted(_lasting(faults), key=_nearness)))


def _lasting(faults: list[Believed]) -> list[Believed]:
    """Without a slow path beside lost packets, whose consequence it is, or seen once beside another fault: a busy
    moment here, or a packet lost."""
    if len(faults) < 2:
        return faults
    if any(claim.cause is Cause.PACKET_LOSS for claim, _ in faults):
        return [(claim, belief) for claim, belief in faults if claim.cause is not Cause.SLOW_PATH]
    return [(claim, belief) for claim, belief in faults if claim.cause is not Cause.SLOW_PATH or claim.confirmed]


def _winners(claims: Iterable[Claim]) -> list[Believed]:
    by_subject: dict[str, list[Claim]] = {}
    for claim in claims:
        by_subject.setdefault(claim.subject, []).append(claim)
    return [winner(group) for group in by_subject.values()]


def _nearness(won: Believed) -> int:
    """Claims about the whole way (addresses, speed, clock) stand where they show."""
    return _ORDER[won[0].phase]


def _absorbed(faults: list[Believed]) -> list[Believed]:
    """Without causes that are only another one's means: a page shown over TLS needs interception."""
    means = {cause for claim, _ in faults for cause in claim.includes}
    causes = {claim.cause for claim, _ in faults}
    return [(claim, belief) for claim, belief in faults if claim.cause not in means or _means_itself(claim, causes)]


def _means_itself(claim: Claim, causes: set[Cause]) -> bool:
    """Two causes that include each other don't make one another vanish."""
    return claim.cause in claim.includes or len(causes) == 1


def _without_consequences(faults: list[Believed]) -> list[Believed]:
    """What follows from a fault nearer to the wire is no fault of its own."""
    kept: list[Believed] = []
    for claim, belief in faults:
        if not any(_follows(claim, earlier) for earlier, _ in kept):
            kept.append((claim, belief))
    return kept


#: Behind one of these nothing that is seen later says anything of its own.
_EVERYTHING_FOLLOWS = frozenset({Cause.DNS_FAILURE, Cause.DNS_REDIRECTED})
#: Behind one of these lateness does.
_SLOWNESS_FOLLOWS = frozenset({Cause.PACKET_LOSS, Cause.SLOW_PATH, Cause.TLS_INTERCEPTED})


def _follows(claim: Claim, earlier: Claim) -> bool:
    if earlier.cause in _EVERYTHING_FOLLOWS or claim.cause is earlier.cause:
        return True
    slow = claim.cause in (Cause.SLOW_SERVICE, Cause.SLOW_SIGN_IN, Cause.SLOW_PATH)
    if slow and (earlier.cause in _SLOWNESS_FOLLOWS or earlier.subject not in (speed.SPEED, clock.CLOCK, *_SIDE)):
        return True
    return claim.subject == clock.CLOCK and earlier.cause is Cause.CLOCK_SKEW


_SIDE = (reach.IPV6, reach.ADDRESSES)


def verdict_of(
    target: str,
    vantage: str,
    claim: Claim,
    placed: Placed,
    confidence: float,
    next_experiment: str | None = None,
    where: Where | None = None,
) -> Verdict:
    """A verdict with its texts. `where`: what the remedy is about."""
    return Verdict(
        target=target,
        vantage=vantage,
        account=claim.account,
        cause=claim.cause,
        responsible=placed.responsible,
        confidence=round(confidence, 2),
        evidence=(*claim.pro, *placed.evidence, *claim.contra),
        journeys=journeys_hit(target, claim.cause),
        remedy=remedy_of(claim.cause, placed.responsible, where),
        runbook=runbook_of(claim.cause),
        next_experiment=next_experiment,
    )


def journeys_hit(target: str, cause: Cause) -> tuple[str, ...]:
    """The journeys that need the target; the one by password never works, so only its own cause hits it."""
    if cause is Cause.HEALTHY:
        return ()
    if cause is Cause.PASSWORD_REFUSED:
        return (BY_PASSWORD,) if target in JOURNEYS[BY_PASSWORD] else ()
    return tuple(name for name, targets in JOURNEYS.items() if target in targets and name != BY_PASSWORD)
