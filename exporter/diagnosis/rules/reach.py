"""Reach: no TCP connection, or none to some of a name's addresses."""

from collections.abc import Iterator

from exporter.diagnosis.experiment import Kind
from exporter.diagnosis.rules.common import (
    alike,
    came_through,
    listed,
    once_more,
    quoted,
    repeated,
    result_of,
    through,
    told,
    worth,
)
from exporter.diagnosis.rules.name import elsewhere
from exporter.diagnosis.seen import Seen, Tried, failing, version_of
from exporter.diagnosis.weigh import Claim, Scales
from exporter.observations import AddressResult, Probe
from exporter.vocabulary import Cause, Outcome, Phase

#: Subjects besides the phases: what is wrong with some addresses, while others work.
IPV6, ADDRESSES = "ipv6", "addresses"

_CAUSES = {
    Outcome.TIMEOUT: (Cause.TCP_DROPPED, 0.8, "SYNs get no answer"),
    Outcome.REFUSED: (Cause.TCP_RESET, 0.9, "SYNs are answered by RST"),
    Outcome.RESET: (Cause.TCP_RESET, 0.7, "the connection is reset as soon as it stands"),
    Outcome.CLOSED: (Cause.TCP_RESET, 0.6, "the connection is closed as soon as it stands"),
    Outcome.UNREACHABLE: (Cause.TCP_UNREACHABLE, 0.9, "SYNs are answered by an error of the network"),
}


def not_connected(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """tcp_dropped, tcp_reset, tcp_unreachable. Overturned by: it connects when tried again."""
    result = result_of(probe, Phase.CONNECT, _CAUSES)
    if result is None:
        return
    tried = seen.tried(probe)
    cause, weight, words = _CAUSES[result.outcome]
    if result.outcome is Outcome.TIMEOUT and (rejected := _rejected_alike(seen, probe)):
        scales = Scales(Cause.TCP_UNREACHABLE)
        text = f"no answer, where {listed(rejected)} on the same port get an ICMP error: routers send only so many"
        scales.add(0.85, text)
    else:
        scales = Scales(cause)
        scales.add(weight, f"{words}: {quoted(result.detail)}")
    confirmed = repeated(scales, tried)
    _compare(scales, seen, probe, tried)
    if (other := elsewhere(seen, probe, tried)) is not None and other.genuine:
        text = f"another resolver gives {other.address}, where Microsoft's own chain answers"
        scales.against(worth(tried, 0.85), told(tried, text), Cause.DNS_REDIRECTED)
    hint = "look from outside: add a vantage beyond the filter (`vantages: [{name: wan, interface: …}]`)"
    yield scales.claim(str(Phase.CONNECT), Phase.CONNECT, confirmed=confirmed, hint=hint)
    if (claim := once_more(tried, Phase.CONNECT)) is not None:
        yield claim


def _rejected_alike(seen: Seen, probe: Probe) -> list[str]:
    """Targets on the same port whose SYNs from the same vantage are answered by ICMP (RFC 1812, 4.3.2.8)."""
    failing = (other for other in seen.at(probe.vantage) if other.port == probe.port and other is not probe)
    results = ((other, result_of(other, Phase.CONNECT, {Outcome.UNREACHABLE})) for other in failing)
    return [other.target for other, result in results if result is not None and "ICMP" in (result.detail or "")]


def _compare(scales: Scales, seen: Seen, probe: Probe, tried: Tried) -> None:
    """Controls: other ports of the host, other hosts, in this round or by experiment."""
    reached = through(seen, probe, Phase.CONNECT)
    same_host = [other for other in reached if other.host == probe.host]
    if same_host:
        scales.add(0.5, f"the same host answers on port {listed(str(other.port) for other in same_host)}")
    elif reached:
        scales.add(0.3, f"other hosts are reached from here: {listed(other.target for other in reached)}")
    same = alike(seen, probe, Phase.CONNECT)
    ports = {other.port for other in (probe, *same)}
    if same and reached and not ports & {other.port for other in reached}:
        scales.add(0.3, f"every host fails on port {listed(map(str, sorted(ports)))}, and none on others")
    for other in tried.all(Kind.OTHER_PORT, Kind.CONTROL_HOST):
        if other.answered:
            scales.add(worth(tried, 0.4), told(tried, f"{other.host} answers on port {other.port}"))


def family_broken(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """ipv6_broken: no IPv6 address connects, IPv4 does. Overturned by: an IPv6 address connects when tried again."""
    six = [each for each in probe.addresses if version_of(each.address) == 6 and each.outcome is not Outcome.SKIPPED]
    four = [each for each in probe.addresses if version_of(each.address) == 4 and each.outcome is Outcome.OK]
    if not six or len(failing(six)) < len(six) or not four:
        return
    tried = seen.tried(probe)
    scales = Scales(Cause.IPV6_BROKEN)
    scales.add(0.85, f"IPv6 fails, IPv4 works: {_in_words(six)}; {listed(each.address for each in four)} connects")
    confirmed = _again(scales, tried, six)
    others = [other.target for other in seen.at(probe.vantage) if other is not probe and _all_six_fail(other)]
    if others:
        scales.add(0.4, f"IPv6 fails for other hosts too: {listed(others)}")
    yield scales.claim(IPV6, Phase.CONNECT, confirmed=confirmed)


def _all_six_fail(probe: Probe) -> bool:
    six = [each for each in probe.addresses if version_of(each.address) == 6 and each.outcome is not Outcome.SKIPPED]
    return bool(six) and len(failing(six)) == len(six)


def some_addresses(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """partial_outage: of one family some addresses connect, others don't. Overturned by: they do when tried again."""
    works = [each for each in probe.addresses if each.outcome is Outcome.OK]
    dead = failing(probe.addresses)
    if _all_six_fail(probe):
        dead = [each for each in dead if version_of(each.address) == 4]
    if not works or not dead or not came_through(probe, Phase.CONNECT):
        return
    tried = seen.tried(probe)
    scales = Scales(Cause.PARTIAL_OUTAGE)
    text = f"of {len(works) + len(dead)} addresses {len(dead)} fail: {_in_words(dead)}"
    scales.add(0.85, f"{text}; {listed(each.address for each in works)} connects")
    confirmed = _again(scales, tried, dead)
    for other in seen.others(probe):
        if dead_there := failing(other.addresses):
            scales.add(0.4, f"from {other.vantage} some fail too: {_in_words(dead_there)}")
    yield scales.claim(ADDRESSES, Phase.CONNECT, confirmed=confirmed)


def _again(scales: Scales, tried: Tried, dead: list[AddressResult]) -> bool:
    """Whether those addresses failed again."""
    addresses = {each.address for each in dead}
    again = [each for each in tried.all(Kind.DEAD_ADDRESS) if each.address in addresses]
    if not again:
        return False
    if all(each.answered for each in again):
        scales.against(0.9, f"tried again, {listed(each.address or '' for each in again)} connects", Cause.HEALTHY)
        return False
    failed = [each for each in again if not each.answered]
    scales.add(0.5, f"tried again, {listed(each.address or '' for each in failed)} failed again")
    return True


def _in_words(results: list[AddressResult]) -> str:
    return "; ".join(f"{each.address} {each.outcome}" for each in results[:4])
