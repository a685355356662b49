"""Names: a resolver that fails or blocks, and one that sends elsewhere."""

from collections.abc import Iterator

from exporter.diagnosis.endpoints import is_published
from exporter.diagnosis.experiment import Experiment, Kind
from exporter.diagnosis.rules.common import came_through, listed, once_more, quoted, repeated, result_of, told, worth
from exporter.diagnosis.seen import Seen, Tried, outcome_of
from exporter.diagnosis.signatures import signatures
from exporter.diagnosis.weigh import Claim, Scales
from exporter.observations import Probe
from exporter.probe.resolve import suspicion
from exporter.vocabulary import Cause, Outcome, Phase

_WORDS = {
    Outcome.NAME_NOT_FOUND: "the resolver says that there is no such name or address",
    Outcome.SERVER_FAILURE: "the resolver says that it failed",
    Outcome.TIMEOUT: "no resolver answered",
    Outcome.REFUSED: "nothing listens where the resolver should be",
    Outcome.UNREACHABLE: "the resolver can't be reached",
    Outcome.CLOSED: "the resolver closed the connection",
    Outcome.RESET: "the resolver reset the connection",
}


def dns_failed(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """dns_failure. Overturned by: the same name resolves when asked again."""
    result = result_of(probe, Phase.DNS, _WORDS)
    if result is None:
        return
    tried = seen.tried(probe)
    scales = Scales(Cause.DNS_FAILURE)
    scales.add(0.85, f"{_WORDS[result.outcome]}: {quoted(result.detail)}")
    confirmed = repeated(scales, tried)
    for other in tried.all(Kind.SECOND_RESOLVER):
        if other.answered:
            scales.add(worth(tried, 0.6), told(tried, f"another resolver knows the name: {quoted(other.detail)}"))
        else:
            scales.add(0.1, told(tried, f"another resolver doesn't help either: {quoted(other.detail)}"))
    for other_probe in seen.others(probe):
        if came_through(other_probe, Phase.DNS):
            scales.add(0.3, f"from {other_probe.vantage} the name resolves")
    hint = "ask a second resolver: set `vantages[].resolver`, or `diagnosis.resolvers`"
    yield scales.claim(str(Phase.DNS), Phase.DNS, confirmed=confirmed, hint=hint)
    if (claim := once_more(tried, Phase.DNS)) is not None:
        yield claim


def dns_redirected(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """dns_redirected by an address that can't be public. Overturned by: what answers there has Microsoft's chain.

    What answers at another, public address of the same answer vouches for nothing.
    """
    result = result_of(probe, Phase.DNS, {Outcome.ADDRESS_SUSPICIOUS})
    if result is None:
        return
    tried, subject = seen.tried(probe), str(Phase.DNS)
    scales, relay = Scales(Cause.DNS_REDIRECTED), Scales(Cause.HEALTHY)
    sinkhole = "sinkhole" in (result.detail or "")
    scales.add(0.95 if sinkhole else 0.75, f"the name leads to an address that no public service has: {result.detail}")
    match signatures(probe):
        case True if probe.address is not None and _beside_others(probe.address, result.detail or ""):
            scales.add(0.4, f"beside {probe.address}, where Microsoft's own chain answers: programs meet either")
        case True:
            words = "what answers at that private address presents Microsoft's own chain: a relay, not a redirection"
            relay.add(0.9, words)
            scales.against(0.97, words, Cause.HEALTHY)
            yield relay.claim(subject, Phase.DNS)
        case False:
            scales.add(0.8, "what answers there presents somebody else's certificate")
        case None:
            scales.add(0.4, f"nothing of Microsoft's answers there ({probe.failed_phase}: {probe.outcome})")
    for other in tried.all(Kind.SECOND_RESOLVER):
        if other.answered and other.addresses:
            text = f"another resolver gives {listed(other.addresses)} ({quoted(other.detail)})"
            scales.add(worth(tried, 0.6), told(tried, text))
    for other_probe in seen.others(probe):
        if outcome_of(other_probe, Phase.DNS) is Outcome.OK:
            scales.add(0.5, f"from {other_probe.vantage} the name leads to {other_probe.address or 'a public address'}")
    includes = frozenset({Cause.TLS_INTERCEPTED, Cause.BLOCK_PAGE, Cause.CAPTIVE_PORTAL})
    yield scales.claim(subject, Phase.DNS, includes=includes, confirmed=repeated(Scales(Cause.UNKNOWN), tried))


def _beside_others(address: str, suspicious: str) -> bool:
    """Whether that address is none of those which the walk's detail calls suspicious."""
    return suspicion(address) is None and f"{address} (" not in suspicious


def led_elsewhere(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """dns_redirected to a public address: the second resolver's works from this very vantage, ours doesn't.

    Overturned by: both addresses fail, or both work.
    """
    tried = seen.tried(probe)
    if (other := elsewhere(seen, probe, tried)) is None:
        return
    phase = Phase.TLS if came_through(probe, Phase.CONNECT) else Phase.CONNECT
    scales = Scales(Cause.DNS_REDIRECTED)
    where = listed([result.address for result in probe.addresses])
    scales.add(0.3, f"two resolvers disagree: {where} here, {other.address} there")
    if other.genuine:
        text = f"from this vantage {other.address} answers with Microsoft's own chain; {where} doesn't"
        scales.add(worth(tried, 0.93), told(tried, text))
    else:
        text = f"{other.address}, the other resolver's address, fares no better ({other.phase}: {other.outcome})"
        scales.against(worth(tried, 0.9), told(tried, text))
    yield scales.claim(str(phase), phase, includes=frozenset({Cause.TLS_INTERCEPTED}), confirmed=True)


def elsewhere(seen: Seen, probe: Probe, tried: Tried) -> Experiment | None:
    """The walk to the second resolver's address, where the two disagree and ours isn't Microsoft's by its own list."""
    other = tried.get(Kind.OTHER_ADDRESS)
    if other is None or not _disagrees(seen, probe, tried, other):
        return None
    return None if all(is_published(each.address) for each in probe.addresses) else other


def _disagrees(seen: Seen, probe: Probe, tried: Tried, other: Experiment) -> bool:
    """Whether the second resolver's answer has none of our addresses, and ours aren't the administrator's relays."""
    if tried.borrowed_from is not None or probe.phase(Phase.PROXY) is not None:
        return False
    ours = {result.address for result in probe.addresses if result.outcome is not Outcome.SKIPPED}
    theirs = {address for each in tried.all(Kind.SECOND_RESOLVER) for address in each.addresses} | {other.address}
    return bool(ours) and not ours & theirs and not all(seen.is_expected(address) for address in ours)
