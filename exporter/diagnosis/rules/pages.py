"""Pages that aren't Microsoft's: a portal that wants something first, a page that says no, a proxy that refuses."""

import re
from collections.abc import Iterator

from exporter.diagnosis.experiment import Kind
from exporter.diagnosis.rules.common import alike, listed, quoted, repeated, told, worth
from exporter.diagnosis.seen import Seen
from exporter.diagnosis.signatures import signatures
from exporter.diagnosis.weigh import Claim, Scales, believed
from exporter.observations import PhaseResult, Probe
from exporter.vocabulary import Cause, Outcome, Phase

#: Where a page may stand in for the answer. On 80 and on mail ports it comes in clear.
_PHASES = (Phase.TLS, Phase.GREETING, Phase.HTTP, Phase.TOKEN, Phase.AUTH)
_INTERCEPTION = frozenset({Cause.TLS_INTERCEPTED, Cause.PROTOCOL_REWRITTEN})

_PORTAL = re.compile(
    r"\bHTTP(?:/1\.[01])? 511\b|portal|hotspot|captive|guest|welcome|wifi|wi-fi|wlan|/login\b|[/.]signin\b|logon|"
    r"accept[ _-]?terms|splash",
    re.IGNORECASE,
)
_BLOCK = re.compile(
    r"block|denied|deny|forbidden|polic|filter|category|categor|restrict|webcat|warning|gateway\.zscaler|goskope|"
    r"opendns|not allowed|quarantine|violat|access.{0,20}(?:disabled|prohibited)",
    re.IGNORECASE,
)
_REDIRECT = re.compile(r"HTTP(?:/1\.[01])? 30[1-8]|redirect to|http-equiv=.?refresh", re.IGNORECASE)
_HTTP = re.compile(r"HTTP(?:/1\.[01])? [1-5][0-9][0-9]|<!doctype html|<html", re.IGNORECASE)


def is_page(result: PhaseResult) -> bool:
    """Whether an answer that isn't what was expected is a web page or HTTP."""
    return result.outcome is Outcome.UNEXPECTED_CONTENT and bool(_HTTP.search(result.detail or ""))


def foreign_page(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """captive_portal, block_page. Overturned by: Microsoft's headers, or a genuine chain."""
    for phase in _PHASES:
        result = probe.phase(phase)
        if result is None or not is_page(result):
            continue
        if signatures(probe) is True and phase is not Phase.TLS:
            continue
        scales = _read_page(result)
        _weigh_answerer(scales, seen, probe, phase)
        page = seen.tried(probe).get(Kind.PAGE)
        yield scales.claim(str(phase), phase, includes=_INTERCEPTION, confirmed=page is not None and not page.answered)


def _read_page(result: PhaseResult) -> Scales:
    """What the page says of itself. A redirect is a portal's way, unless its address says that it blocks."""
    portal, block = Scales(Cause.CAPTIVE_PORTAL), Scales(Cause.BLOCK_PAGE)
    said = result.detail or ""
    text = f"a page that isn't Microsoft's answers: {quoted(said)}"
    redirects = bool(_REDIRECT.search(said))
    portal.add(0.6 if redirects else 0.2, text)
    block.add(0.3 if redirects else 0.7, text)
    if _PORTAL.search(said):
        portal.add(0.6, "it speaks as a portal does")
        block.against(0.3, "it speaks as a portal does", portal.cause)
    if _BLOCK.search(said):
        block.add(0.7, "it says that access is blocked")
        portal.against(0.5, "it says that access is blocked", block.cause)
    return max((portal, block), key=lambda scales: believed(scales.pro, scales.contra))


def _weigh_answerer(scales: Scales, seen: Seen, probe: Probe, phase: Phase) -> None:
    tried = seen.tried(probe)
    if signatures(probe) is False:
        scales.add(0.3, "it comes with somebody else's certificate")
    if same := alike(seen, probe, phase):
        scales.add(0.2, f"the same happens to {listed(other.target for other in same)}")
    page = tried.get(Kind.PAGE)
    if page is not None and page.private:
        scales.add(worth(tried, 0.4), told(tried, "the page is at a private address"))
    if page is not None and page.outcome is Outcome.OK:
        scales.against(0.8, "once more, Microsoft answered", Cause.HEALTHY)
    for other in seen.others(probe):
        there = other.phase(phase)
        if there is not None and there.outcome is Outcome.OK:
            scales.add(0.5, f"from {other.vantage} Microsoft answers")


def proxy_refused(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """proxy_auth_required, block_page and others by what the proxy says of the target.

    Overturned by: the proxy lets the target through when tried again.
    """
    result = probe.phase(Phase.PROXY)
    if result is None or result.outcome in (Outcome.OK, Outcome.SKIPPED):
        return
    said = result.detail or ""
    cause, weight, text = _proxy_cause(result, said)
    scales = Scales(cause)
    scales.add(weight, f"{text}: {quoted(said)}")
    confirmed = repeated(scales, seen.tried(probe), 0.1)
    hint = "try the same from a vantage without the proxy, and read the proxy's own log"
    yield scales.claim(str(Phase.PROXY), Phase.PROXY, confirmed=confirmed, hint=hint)


def _proxy_cause(result: PhaseResult, said: str) -> tuple[Cause, float, str]:
    if "authentication required" in said.lower() or said.startswith("407"):
        return Cause.PROXY_AUTH_REQUIRED, 0.95, "the proxy wants credentials"
    match result.outcome:
        case Outcome.REJECTED:
            return Cause.BLOCK_PAGE, 0.8, "the proxy doesn't let this host or port through"
        case Outcome.REFUSED:
            return Cause.TCP_RESET, 0.7, "the proxy says that the target refuses connections"
        case Outcome.UNREACHABLE:
            return Cause.TCP_UNREACHABLE, 0.7, "the proxy says that the target can't be reached"
        case Outcome.THROTTLED:
            return Cause.THROTTLED, 0.4, "the proxy itself asks to slow down"
        case _:
            return Cause.UNKNOWN, 0.5, f"the proxy ends the request ({result.outcome})"
