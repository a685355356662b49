"""The service: throttled, out of order, or a tenant restriction that only looks like its refusal."""

import re
from collections.abc import Iterator

from exporter.diagnosis.experiment import Kind
from exporter.diagnosis.rules.common import (
    is_cut_by_length,
    listed,
    once_more,
    quoted,
    repeated,
    result_of,
    told,
    worth,
)
from exporter.diagnosis.seen import Seen, symptom
from exporter.diagnosis.signatures import inspection_product, signatures
from exporter.diagnosis.weigh import Claim, Scales
from exporter.observations import PhaseResult, Probe
from exporter.probe.way import BROKEN_OFF
from exporter.vocabulary import Cause, Outcome, Phase

_INTERCEPTION = frozenset({Cause.TLS_INTERCEPTED})
#: AADSTS numbers of tenant restrictions that a proxy's header brings about (facts 4.5, 7.1), and their relatives.
_TENANT = re.compile(r"AADSTS(?:50002|500021|500022|5000211|500212|500213)\b|tenant restriction", re.IGNORECASE)
#: How Microsoft's front ends and sign-in say that they are out of order (facts 2, 4.6).
_OUTAGE_WORDS = re.compile(
    r"Server Unavailable|Service not active|4\.3\.2|SYS/TEMP|AADSTS9\d{4}|temporarily|transient|451 4\.7\.0|454 4\.7\.0"
)


def throttled(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """throttled. Overturned by: the words come from somebody in between (no genuine chain)."""
    result = _ended(probe, Outcome.THROTTLED)
    if result is None or result.phase is Phase.PROXY:
        return
    scales = Scales(Cause.THROTTLED)
    scales.add(0.85, f"the server asks to slow down: {quoted(result.detail)}")
    if probe.retry_after_seconds is not None:
        scales.add(0.4, f"with Retry-After: {probe.retry_after_seconds:.0f} s")
    _own_words(scales, probe)
    _everywhere(scales, seen, probe)
    yield scales.claim(str(result.phase), result.phase, confirmed=True)


def out_of_order(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """service_outage. Overturned by: another vantage is served, or the words aren't Microsoft's."""
    result = _ended(probe, Outcome.UNAVAILABLE)
    if result is None or result.phase is Phase.PROXY:
        return
    scales = Scales(Cause.SERVICE_OUTAGE)
    scales.add(0.6, f"the server says that it is out of order: {quoted(result.detail)}")
    if _OUTAGE_WORDS.search(result.detail or ""):
        scales.add(0.4, "in Microsoft's own words")
    _own_words(scales, probe)
    _everywhere(scales, seen, probe)
    if served := [other for other in seen.others(probe) if other.outcome is Outcome.OK]:
        text = f"from {listed(other.vantage for other in served)} it is served"
        scales.against(0.5, text)
    tried = seen.tried(probe)
    confirmed = repeated(scales, tried, 0.3)
    slowed = [other for other in seen.at(probe.vantage) if other.outcome is Outcome.THROTTLED]
    if slowed:
        yield from _throttled_alike(scales, result, slowed)
    yield scales.claim(str(result.phase), result.phase, confirmed=confirmed)
    if (claim := once_more(tried, result.phase)) is not None:
        yield claim


def _throttled_alike(outage: Scales, result: PhaseResult, slowed: list[Probe]) -> Iterator[Claim]:
    """Not every protocol has words for throttling; what says so elsewhere at the same time explains this."""
    text = f"at the same time {listed(other.target for other in slowed)} ask to slow down"
    outage.against(0.85, text, Cause.THROTTLED)
    scales = Scales(Cause.THROTTLED)
    scales.add(0.85, f"{text}; this protocol has no words for it: {quoted(result.detail)}")
    yield scales.claim(str(result.phase), result.phase, confirmed=True)


def silent_everywhere(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """service_outage where a server of Microsoft's own chain says nothing, from independent vantages alike.

    Overturned by: another vantage is answered.
    """
    cut = {Outcome.TIMEOUT, Outcome.RESET, Outcome.CLOSED}
    result = next((r for r in probe.phases if r.phase in _SPEECH and r.outcome in cut), None)
    if result is None or signatures(probe) is not True:
        return
    same = [other for other in seen.others(probe) if symptom(other) == symptom(probe) and signatures(other) is True]
    if not same:
        return
    scales = Scales(Cause.SERVICE_OUTAGE)
    scales.add(0.4, f"TLS stands with Microsoft's own chain, then {result.phase}: {result.outcome}")
    scales.add(0.5, f"from {listed(other.vantage for other in same)} it is the same")
    tried = seen.tried(probe)
    if tried.answered(Kind.PATIENT):
        scales.against(0.9, "with patience it answers", Cause.SLOW_SERVICE)
    if (result.detail or "").startswith(BROKEN_OFF):
        scales.against(0.5, "an answer had begun: the rest may be lost on the way")
    if is_cut_by_length(tried):
        text = "what is short is answered, what is long isn't: the server is well"
        scales.against(worth(tried, 0.9), told(tried, text), Cause.AUTH_DROPPED)
    yield scales.claim(str(result.phase), result.phase, confirmed=repeated(scales, tried, 0.3))


_SPEECH = (Phase.GREETING, Phase.CAPABILITY, Phase.HTTP, Phase.TOKEN, Phase.AUTH)


def tenant_restricted(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """tenant_restricted: AADSTS500021 and relatives, over an intercepted sign-in. Overturned by: a genuine chain."""
    said = next(
        (r for r in probe.phases if r.phase in (Phase.TOKEN, Phase.AUTH) and _TENANT.search(r.detail or "")), None
    )
    words = said.detail if said is not None else (probe.auth.reply if _TENANT.search(probe.auth.reply or "") else None)
    if words is None and probe.auth.meaning != "tenant_restricted":
        return
    phase = said.phase if said is not None else (probe.failed_phase or Phase.TOKEN)
    scales = Scales(Cause.TENANT_RESTRICTED)
    scales.add(0.8, f"sign-in is refused by a tenant restriction: {quoted(words)}")
    match signatures(probe):
        case False:
            scales.add(0.85, "the sign-in host is intercepted, so the restriction's header is put in on the way")
        case True:
            scales.against(0.6, "the chain is Microsoft's own: no header can have been put in on the way")
    if (product := inspection_product(probe)) is not None:
        scales.add(0.5, f"by {product}")
    for other in seen.others(probe):
        if other.outcome is Outcome.OK:
            scales.add(0.5, f"from {other.vantage} sign-in answers without it")
    yield scales.claim(str(phase), phase, includes=_INTERCEPTION, confirmed=True)


def _ended(probe: Probe, outcome: Outcome) -> PhaseResult | None:
    return next((result for result in probe.phases if result.outcome is outcome), None)


def _own_words(scales: Scales, probe: Probe) -> None:
    match signatures(probe):
        case True:
            scales.add(0.6, "the words come over a connection with Microsoft's own chain")
        case False:
            scales.against(0.8, "the words come from whoever terminates TLS in between", Cause.TLS_INTERCEPTED)


def _everywhere(scales: Scales, seen: Seen, probe: Probe) -> None:
    """The same from other vantages, and for other targets."""
    for other in seen.others(probe):
        if other.outcome is probe.outcome:
            scales.add(0.5, f"from {other.vantage} it is the same")
    others = [other.target for other in seen.at(probe.vantage) if other is not probe and other.outcome is probe.outcome]
    if others:
        scales.add(0.3, f"{listed(others)} say the same")


def page_timed_out(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """An HTTP answer or capability list that never came has no cause of its own; going through once more decides."""
    for phase in (Phase.HTTP, Phase.CAPABILITY, Phase.TOKEN):
        claim = once_more(seen.tried(probe), phase)
        if claim is not None and result_of(probe, phase, {Outcome.TIMEOUT, Outcome.RESET, Outcome.CLOSED}) is not None:
            yield claim
