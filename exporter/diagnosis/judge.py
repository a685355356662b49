"""From a round to verdicts: rules claim, the strongest claim of each subject wins, its party is placed.

Several faults give several verdicts, the nearest to the wire first; what only follows from another fault is none.
"""

from collections.abc import Iterator
from dataclasses import replace

from exporter.diagnosis.causes import where_of
from exporter.diagnosis.decide import UNNAMED, Believed, Judged, faults_among, named, verdict_of
from exporter.diagnosis.judge_wire import judge_wire
from exporter.diagnosis.place import INSIDE_VANTAGE, Placed, place
from exporter.diagnosis.rules import Rule, certificate, clock, hold, mail, name, pages, reach, service, speed, tls
from exporter.diagnosis.rules.accounts import account_faults
from exporter.diagnosis.rules.common import quoted
from exporter.diagnosis.seen import INSIDE, Seen, canary_answered
from exporter.diagnosis.signatures import signatures
from exporter.diagnosis.weigh import Claim, Scales
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


def judge(seen: Seen) -> list[Judged]:
    """Every verdict of a round: each target and vantage in the order probed, then accounts', then the wire's."""
    judged = [each for probe in seen.probes for each in judge_probe(seen, probe)]
    for target, vantage, claim in account_faults(seen):
        judged.append(_account_verdict(seen, target, vantage, claim))
    return judged + judge_wire(seen, [each.verdict for each in judged])


def judge_probe(seen: Seen, probe: Probe) -> list[Judged]:
    """The verdicts about one target from one vantage, at least one, nearest to the wire first."""
    if not probe.measured:
        return [_unmeasured(probe)]
    claims = [claim for rule in RULES for claim in rule(seen, probe)]
    believed = named(claims)
    faults = faults_among(believed)
    if not faults:
        unexplained = _unexplained(probe, believed)
        if unexplained is not None:
            return [_unknown(seen, probe, unexplained, claims)]
        return [_healthy(seen, probe, [claim for claim, _ in believed])]
    return [_verdict(seen, probe, claim, belief) for claim, belief in faults]


def _unexplained(probe: Probe, believed: list[Believed]) -> Phase | None:
    """The first phase that isn't ok and that no believed claim, not even one of health, explains."""
    explained = {claim.subject for claim, _ in believed}
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
    verdict = verdict_of(probe.target, probe.vantage, claim, placed, confidence, next_experiment, where_of(probe))
    return Judged(verdict, claim.confirmed)


def _account_verdict(seen: Seen, target: str, vantage: str, claim: Claim) -> Judged:
    placed = place(claim, seen, None)
    confidence = UNNAMED if claim.cause is Cause.UNKNOWN else claim.belief * placed.belief
    hint = claim.hint if claim.cause is Cause.UNKNOWN else None
    return Judged(verdict_of(target, vantage, claim, placed, confidence, hint), claim.confirmed)


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
    verdict = verdict_of(probe.target, probe.vantage, claim, placed, UNNAMED, hint, where_of(probe))
    confirmed = claim.confirmed or seen.tried(probe).went_through() is False
    return Judged(_with_evidence(verdict, maybe), confirmed)


def _with_evidence(verdict: Verdict, more: tuple[Evidence, ...]) -> Verdict:
    return replace(verdict, evidence=(*verdict.evidence, *more))


def _hint_for(seen: Seen, probe: Probe) -> str:
    if len({other.vantage for other in seen.probes}) == 1:
        return "look from elsewhere too: add a vantage beyond the gateway, and `diagnose` again"
    return "run `diagnose`: it tries again with one thing changed at a time"


def _unmeasured(probe: Probe) -> Judged:
    """The vantage itself is missing, or there was no time: that says nothing of the way."""
    scales = Scales(Cause.UNKNOWN)
    reason = next((quoted(result.detail) for result in probe.phases if result.detail), "")
    scales.add(UNNAMED, f"nothing was measured from {probe.vantage}: {reason}" if reason else "nothing was measured")
    claim = scales.claim(str(Phase.SESSION), Phase.SESSION)
    hint = f"mend the vantage {probe.vantage}, or measure again"
    verdict = verdict_of(probe.target, probe.vantage, claim, Placed(Responsible.UNKNOWN), UNNAMED, hint)
    return Judged(verdict, confirmed=False)


def _healthy(seen: Seen, probe: Probe, claims: list[Claim]) -> Judged:
    scales = Scales(Cause.HEALTHY)
    for evidence in _good_signs(probe):
        scales.add(evidence[0], evidence[1])
    scales.pro.extend(each for claim in claims for each in claim.pro if claim.cause is Cause.HEALTHY)
    claim = scales.claim(str(Phase.SESSION), Phase.SESSION, confirmed=True)
    covered = any(facts.side == INSIDE for facts in seen.vantages.values()) or not seen.vantages
    placed, hint = Placed(Responsible.UNKNOWN), None if covered else INSIDE_VANTAGE
    verdict = verdict_of(probe.target, probe.vantage, claim, placed, claim.belief, hint, where_of(probe))
    if not covered:
        text = "measured from this machine alone, whose packets may pass other rules than a client's"
        verdict = _with_evidence(verdict, (Evidence(observation=text, points_to=Cause.UNKNOWN, weight=0.0),))
    return Judged(verdict, confirmed=True)


def _good_signs(probe: Probe) -> Iterator[tuple[float, str]]:
    if probe.outcome is Outcome.SKIPPED:
        yield 0.1, "the walk was cut short"
        return
    measured = [result for result in probe.phases if result.outcome is Outcome.OK]
    if measured:
        yield 0.8, f"{', '.join(result.phase for result in measured)}: ok"
    if canary_answered(probe):
        yield 0.7, "our worthless token was refused in Microsoft's own words: sign-in by token gets through"
    if signatures(probe) is True:
        yield 0.5, "the certificate is Microsoft's own"
