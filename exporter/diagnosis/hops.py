"""Where on the way a fault begins, by packets whose TTL runs out: at the first hop, or beyond it.

A packet with TTL n dies at hop n, whose router says so by ICMP (RFC 792, RFC 4443), unless a filter before it answers,
resets or swallows it. So with TTL 2 on the flow that fails: ICMP from the second hop shows that the first let it pass;
an answer, a reset or silence shows that it never came so far, provided that a control, which nothing is wrong with,
does bring the second hop's ICMP. Without that control nothing is concluded.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from exporter.diagnosis.experiment import Experiment, Kind
from exporter.diagnosis.seen import Seen, Tried
from exporter.observations import Evidence, Probe
from exporter.vocabulary import Cause, Outcome, Phase, Responsible

_SENDER = re.compile(r"\bfrom ([0-9A-Fa-f:.]+) ")
_TIME_EXCEEDED = re.compile(r"ICMP type 11 |ICMPv6 type 3 |EHOSTUNREACH|No route to host", re.IGNORECASE)


class Begins(StrEnum):
    """Where a fault begins."""

    FIRST_HOP = "first hop"
    BEYOND = "beyond"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Place:
    """Where it begins, and what shows it."""

    where: Begins
    evidence: Evidence | None = None


_NOWHERE = Place(Begins.UNKNOWN)


def where_it_begins(cause: Cause, seen: Seen, probe: Probe) -> Place:
    """By hop distance alone; other vantages are looked at by `place`."""
    if seen.facts(probe.vantage).proxied:
        return _NOWHERE
    tried = seen.tried(probe)
    if cause is Cause.TCP_UNREACHABLE:
        return _by_sender(seen, probe, tried)
    if cause in (Cause.DNS_FAILURE, Cause.DNS_REDIRECTED):
        return _by_resolver(seen, probe, tried)
    if cause in _BY_SIZE:
        return _NOWHERE  # a small packet's fate says nothing of a large one's, or of the way back
    return _agreed_alike(seen, probe, _by_ttl(seen, probe, tried))


_BY_SIZE = frozenset({Cause.MTU_BLACKHOLE, Cause.LARGE_HELLO_DROPPED, Cause.PACKET_LOSS, Cause.SLOW_PATH})


def _by_sender(seen: Seen, probe: Probe, tried: Tried) -> Place:
    """Who sent the ICMP error that ended the connection."""
    result = probe.phase(Phase.CONNECT)
    sender = _SENDER.search(result.detail or "") if result is not None else None
    first = next((hop for each in tried.all(Kind.SYN_AT_TTL) if each.ttl == 1 and (hop := sender_of(each))), None)
    if sender is None or first is None:
        return _by_ttl(seen, probe, tried)
    forwards = seen.facts(probe.vantage).forwards
    if sender[1] == first and not forwards:
        return _first_hop(0.9, f"{sender[1]}, which rejects, is the first hop")
    return _beyond(0.85, f"{sender[1]}, which rejects, lies beyond this gateway")


def _by_resolver(seen: Seen, probe: Probe, tried: Tried) -> Place:
    """The bad answer came back to a query that dies at the first hop, while another resolver answers rightly."""
    at_first = next((each for each in tried.all(Kind.DNS_AT_TTL) if each.ttl == 1), None)
    other = tried.get(Kind.SECOND_RESOLVER)
    if at_first is None or other is None or not other.answered or seen.facts(probe.vantage).forwards is not False:
        return _NOWHERE
    if at_first.outcome in (Outcome.TIMEOUT, Outcome.UNREACHABLE) or at_first.private:
        return _NOWHERE
    return _first_hop(
        0.85, f"that answer comes from one hop away ({at_first.detail}); another resolver answers rightly"
    )


def _by_ttl(seen: Seen, probe: Probe, tried: Tried) -> Place:
    """See the file's first lines."""
    kind = Kind.HELLO_AT_TTL if tried.all(Kind.HELLO_AT_TTL) else Kind.SYN_AT_TTL
    at = {(each.ttl, each.control): each for each in tried.all(kind)}
    gateway = 1 if seen.facts(probe.vantage).forwards is not True else 0
    beyond = at.get((gateway + 1, False))
    what = "the ClientHello" if kind is Kind.HELLO_AT_TTL else "the SYN"
    if beyond is not None and is_expired(beyond):
        hop = f" ({name})" if (name := sender_of(beyond)) else ""
        return _beyond(0.85, f"{what} in question came through to hop {gateway + 1}{hop}")
    if gateway == 0:
        return _NOWHERE  # a filter of our own machine and one of the next hop look the same from here
    near, near_control = at.get((1, False)), at.get((1, True))
    if near is not None and near_control is not None and not is_expired(near) and is_expired(near_control):
        return _first_hop(
            0.95, f"{what} with a TTL of 1 already ends so ({near.outcome}); a control dies at the first hop"
        )
    control = at.get((2, True))
    if beyond is not None and control is not None and is_expired(control) and beyond.outcome in _ENDS:
        text = (
            f"{what} with a TTL of 2 ends so too ({beyond.outcome}) and never comes to the second hop; a control does"
        )
        return _first_hop(0.8, text)
    return _NOWHERE


def _agreed_alike(seen: Seen, probe: Probe, found: Place) -> Place:
    """What came through to what fails alike overrules silence: routers send only so much ICMP (RFC 1812, 4.3.2.8)."""
    if found.where is Begins.BEYOND:
        return found
    failing = (probe.failed_phase, probe.outcome)
    others = [other for other in seen.at(probe.vantage) if (other.failed_phase, other.outcome) == failing]
    for other in sorted(others, key=lambda other: other.port != probe.port):
        there = _by_ttl(seen, other, seen.tried(other))
        if there.where is not Begins.BEYOND or there.evidence is None:
            continue
        if other.port != probe.port and found.where is Begins.FIRST_HOP:
            return _NOWHERE  # two filters, or one and a router that kept silent
        weight = 0.7 if other.port == probe.port else 0.6
        return _beyond(weight, f"{there.evidence.observation} to {other.target}, which fails alike")
    return found


_ENDS = frozenset(
    {
        Outcome.RESET, Outcome.CLOSED, Outcome.TIMEOUT, Outcome.REFUSED, Outcome.ALERT,
        Outcome.PROTOCOL_VERSION_REFUSED, Outcome.OK,
    }
)  # fmt: skip


def is_expired(experiment: Experiment) -> bool:
    """Whether its packet's TTL ran out on the way, as a router there said."""
    return experiment.outcome is Outcome.UNREACHABLE and bool(_TIME_EXCEEDED.search(experiment.detail or ""))


def sender_of(experiment: Experiment) -> str | None:
    """Who said that its TTL ran out."""
    found = _SENDER.search(experiment.detail or "")
    return found[1] if found else None


def _first_hop(weight: float, text: str) -> Place:
    return Place(Begins.FIRST_HOP, Evidence(observation=text, points_to=Responsible.GATEWAY, weight=weight))


def _beyond(weight: float, text: str) -> Place:
    return Place(Begins.BEYOND, Evidence(observation=text, points_to=Responsible.NETWORK, weight=weight))
