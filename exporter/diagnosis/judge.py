"""From a round to verdicts: rules claim, the strongest claim of each subject wins, its party is placed.

Several faults give several verdicts, the nearest to the wire first; what only follows from another fault is none.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from exporter.catalogue import JOURNEYS
from exporter.diagnosis.causes import remedy_of, runbook_of
from exporter.diagnosis.place import INSIDE_VANTAGE, Placed, place
from exporter.diagnosis.rules import Rule, certificate, clock, hold, mail, name, pages, reach, service, speed, tls
from exporter.diagnosis.rules.accounts import account_faults
from exporter.diagnosis.rules.common import quoted
from exporter.diagnosis.seen import INSIDE, Seen, canary_answered
from exporter.diagnosis.signatures import signatures
from exporter.diagnosis.weigh import NAMED, Claim, Scales, winner
from exporter.metrics.journeys import BY_PASSWORD
from exporter.observations import Evidence, Probe, Verdict
from exporter.vocabulary import Cause, Outcome, Phase, Responsible

RULES: tuple[Rule, ...] = (
    name.dns_failed, name.dns_redirected, name.led_elsewhere,
    reach.not_connected, reach.family_broken, reach.some_addresses,
    tls.not_answered, tls.silent_whatever,
    clock.dates_by_the_clock, clock.clock_wrong,
    certificate.intercepted, certificate.root_missing, certificate.faulty, certificate.incomplete,
    mail.greeting_missing, mail.starttls_stripped, mail.mechanism_stripped, mail.rewritten, mail.auth_dropped,
    pages.foreign_page, pages.proxy_refused,
    service.throttled, service.out_of_order, service.silent_everywhere, service.tenant_restricted,
    service.page_timed_out,
    speed.slow_service, speed.slow_path, speed.lossy,
    hold.idle_cut,
)  # fmt: skip

#: An unnamed trouble is shown with this confidence: something is wrong, and that is all.
UNNAMED = 0.3
_ORDER = {phase: number for number, phase in enumerate(Phase)}


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, and whether something besides the one walk confirms it (else a lost packet could be behind it)."""

    verdict: Verdict
    confirmed: bool


def judge(seen: Seen) -> list[Judged]:
    """Every verdict of a round: each target and vantage probed, in the order probed, then accounts'."""
    judged = [each for probe in seen.probes for each in judge_probe(seen, probe)]
    for target, vantage, claim in account_faults(seen):
        judged.append(_account_verdict(seen, target, vantage, claim))
    return judged


def judge_probe(seen: Seen, probe: Probe) -> list[Judged]:
    """The verdicts about one target from one vantage, at least one, nearest to the wire first."""
    claims = [claim for rule in RULES for claim in rule(seen, probe)]
    won = _winners(claims)
    named = [(claim, belief) for claim, belief in won if belief >= NAMED or claim.cause is Cause.UNKNOWN]
    faults = [(claim, belief) for claim, belief in named if claim.cause is not Cause.HEALTHY]
    faults = _without_consequences(_absorbed(sorted(faults, key=_nearness)))
    if not faults:
        unexplained = _unexplained(probe, named)
        if unexplained is not None:
            return [_unknown(seen, probe, unexplained, claims)]
        return [_healthy(seen, probe, [claim for claim, _ in named])]
    return [_verdict(seen, probe, claim, belief) for claim, belief in faults]


def _winners(claims: Iterable[Claim]) -> list[tuple[Claim, float]]:
    by_subject: dict[str, list[Claim]] = {}
    for claim in claims:
        by_subject.setdefault(claim.subject, []).append(claim)
    return [winner(group) for group in by_subject.values()]


def _nearness(won: tuple[Claim, float]) -> int:
    """Claims about the whole way (addresses, speed, clock) stand where they show."""
    return _ORDER[won[0].phase]


def _absorbed(faults: list[tuple[Claim, float]]) -> list[tuple[Claim, float]]:
    """Without causes that are only another one's means: a page shown over TLS needs interception."""
    means = {cause for claim, _ in faults for cause in claim.includes}
    causes = {claim.cause for claim, _ in faults}
    return [(claim, belief) for claim, belief in faults if claim.cause not in means or _means_itself(claim, causes)]


def _means_itself(claim: Claim, causes: set[Cause]) -> bool:
    """Two causes that include each other don't make one another vanish."""
    return claim.cause in claim.includes or len(causes) == 1


def _without_consequences(faults: list[tuple[Claim, float]]) -> list[tuple[Claim, float]]:
    """What follows from a fault nearer to the wire is no fault of its own."""
    kept: list[tuple[Claim, float]] = []
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


def _unexplained(probe: Probe, named: list[tuple[Claim, float]]) -> Phase | None:
    """The first phase that isn't ok and that no believed claim, not even one of health, explains."""
    explained = {claim.subject for claim, _ in named}
    for result in probe.phases:
        if result.outcome not in (Outcome.OK, Outcome.SKIPPED) and str(result.phase) not in explained:
            return result.phase
    if probe.phases or probe.outcome in (Outcome.OK, Outcome.SKIPPED):
        return None
    return probe.failed_phase


def _verdict(seen: Seen, probe: Probe, claim: Claim, belief: float) -> Judged:
    placed = place(claim, seen, probe)
    confidence = UNNAMED if claim.cause is Cause.UNKNOWN else belief * placed.belief
    next_experiment = claim.hint if claim.cause is Cause.UNKNOWN else None
    if placed.responsible in (Responsible.UNKNOWN, Responsible.NETWORK):
        next_experiment = next_experiment or placed.next_experiment
    verdict = _made(probe.target, probe.vantage, claim, placed, confidence, next_experiment, probe)
    return Judged(verdict, claim.confirmed)


def _account_verdict(seen: Seen, target: str, vantage: str, claim: Claim) -> Judged:
    placed = place(claim, seen, None)
    confidence = UNNAMED if claim.cause is Cause.UNKNOWN else claim.belief * placed.belief
    hint = claim.hint if claim.cause is Cause.UNKNOWN else None
    return Judged(_made(target, vantage, claim, placed, confidence, hint, None), claim.confirmed)


def _made(
    target: str,
    vantage: str,
    claim: Claim,
    placed: Placed,
    confidence: float,
    next_experiment: str | None,
    probe: Probe | None,
) -> Verdict:
    return Verdict(
        target=target,
        vantage=vantage,
        account=claim.account,
        cause=claim.cause,
        responsible=placed.responsible,
        confidence=round(confidence, 2),
        evidence=(*claim.pro, *placed.evidence, *claim.contra),
        journeys=journeys_hit(target, claim.cause),
        remedy=remedy_of(claim.cause, placed.responsible, probe),
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


def _unknown(seen: Seen, probe: Probe, phase: Phase, claims: list[Claim]) -> Judged:
    """Something is wrong and no cause is sure enough: what was seen, what it may be, and what would decide."""
    result = probe.phase(phase)
    scales = Scales(Cause.UNKNOWN)
    said = quoted(result.detail) if result is not None else ""
    scales.add(UNNAMED, f"{phase}: {result.outcome if result is not None else probe.outcome} {said}".strip())
    rivals = sorted((c for c in claims if c.subject == str(phase)), key=lambda claim: claim.belief, reverse=True)
    hint = next((claim.hint for claim in rivals if claim.hint), None) or _hint_for(seen, probe)
    claim = scales.claim(str(phase), phase, hint=hint, confirmed=any(claim.confirmed for claim in rivals))
    maybe = tuple(
        Evidence(observation=f"it may be {rival.cause}: {rival.pro[0].observation}", points_to=rival.cause,
                 weight=round(rival.belief, 2))
        for rival in rivals[:3] if rival.pro and rival.cause not in (Cause.UNKNOWN, Cause.HEALTHY)
    )  # fmt: skip
    placed = Placed(Responsible.UNKNOWN)
    verdict = _made(probe.target, probe.vantage, claim, placed, UNNAMED, hint, probe)
    confirmed = claim.confirmed or seen.tried(probe).went_through() is False
    return Judged(_with_evidence(verdict, maybe), confirmed)


def _with_evidence(verdict: Verdict, more: tuple[Evidence, ...]) -> Verdict:
    return replace(verdict, evidence=(*verdict.evidence, *more))


def _hint_for(seen: Seen, probe: Probe) -> str:
    if len({other.vantage for other in seen.probes}) == 1:
        return "look from elsewhere too: add a vantage beyond the gateway, and `diagnose` again"
    return "run `diagnose`: it tries again with one thing changed at a time"


def _healthy(seen: Seen, probe: Probe, claims: list[Claim]) -> Judged:
    scales = Scales(Cause.HEALTHY)
    for evidence in _good_signs(probe):
        scales.add(evidence[0], evidence[1])
    scales.pro.extend(each for claim in claims for each in claim.pro if claim.cause is Cause.HEALTHY)
    claim = scales.claim(str(Phase.SESSION), Phase.SESSION, confirmed=True)
    covered = any(facts.side == INSIDE for facts in seen.vantages.values()) or not seen.vantages
    verdict = _made(
        probe.target,
        probe.vantage,
        claim,
        Placed(Responsible.UNKNOWN),
        claim.belief,
        None if covered else INSIDE_VANTAGE,
        probe,
    )
    if not covered:
        text = "measured from this machine alone, whose packets may pass other rules than a client's"
        verdict = _with_evidence(verdict, (Evidence(observation=text, points_to=Cause.UNKNOWN, weight=0.0),))
    return Judged(verdict, confirmed=True)


def _good_signs(probe: Probe) -> Iterator[tuple[float, str]]:
    if probe.outcome is Outcome.SKIPPED:
        yield 0.1, "nothing was measured in the time there was"
        return
    measured = [result for result in probe.phases if result.outcome is Outcome.OK]
    if measured:
        yield 0.8, f"{', '.join(result.phase for result in measured)}: ok"
    if canary_answered(probe):
        yield 0.7, "our worthless token was refused in Microsoft's own words: sign-in by token gets through"
    if signatures(probe) is True:
        yield 0.5, "the certificate is Microsoft's own"
