"""Where on the way a fault begins, by packets whose TTL runs out: at the first hop, or beyond it.

A packet with TTL n dies at hop n, whose router says so by ICMP (RFC 792, RFC 4443), unless a filter before it answers,
resets or swallows it. So with TTL 2 on the flow that fails: ICMP from the second hop shows that the first let it pass;
an answer, a reset or silence shows that it never came so far, provided that a control, which nothing is wrong with,
does bring the second hop's ICMP. Without that control nothing is concluded, nor from a silence met but once: routers
ration their ICMP. For faults of what is said later, a SYN tells one thing alone: how near the answering end is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from exporter.diagnosis.experiment import Experiment, Kind
from exporter.diagnosis.seen import Seen, Tried
from exporter.observations import Evidence, Probe
from exporter.vocabulary import Cause, Outcome, Phase, Responsible

_SENDER = re.compile(r"\bfrom ([0-9A-Fa-f:.]+) ")
_TIME_EXCEEDED = re.compile(r"ICMP type 11 |ICMPv6 type 3 ")
_ICMP, _HOST_UNREACHABLE = re.compile(r"\bICMP(v6)? type "), re.compile(r"EHOSTUNREACH|No route to host", re.IGNORECASE)


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

    @property
    def is_certain(self) -> bool:
        """Whether other vantages in the same trouble don't weaken it."""
        return self.evidence is not None and self.evidence.weight >= CERTAIN


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
    return _agreed_alike(cause, seen, probe, _by_ttl(cause, seen, probe, tried))


_BY_SIZE = frozenset({Cause.MTU_BLACKHOLE, Cause.LARGE_HELLO_DROPPED, Cause.PACKET_LOSS, Cause.SLOW_PATH})


def _by_sender(seen: Seen, probe: Probe, tried: Tried) -> Place:
    """Who sent the ICMP error that ended the connection."""
    result = probe.phase(Phase.CONNECT)
    sender = _SENDER.search(result.detail or "") if result is not None else None
    first = next((hop for each in tried.all(Kind.SYN_AT_TTL) if each.ttl == 1 and (hop := sender_of(each))), None)
    if sender is None or first is None:
        return _by_ttl(Cause.TCP_UNREACHABLE, seen, probe, tried)
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


def _by_ttl(cause: Cause, seen: Seen, probe: Probe, tried: Tried) -> Place:
    """See the file's first lines."""
    kind = Kind.HELLO_AT_TTL if tried.all(Kind.HELLO_AT_TTL) else Kind.SYN_AT_TTL
    dying = _Dying(tried.all(kind))
    gateway = 1 if seen.facts(probe.vantage).forwards is not True else 0
    if kind is Kind.SYN_AT_TTL and cause not in _OF_THE_SYN:
        return _NOWHERE if gateway == 0 else _answering_end(dying)
    if dying.rejected:
        return _NOWHERE
    what = "the ClientHello" if kind is Kind.HELLO_AT_TTL else "the SYN"
    if (passed := dying.expired(gateway + 1)) is not None:
        hop = f" ({name})" if (name := sender_of(passed)) else ""
        return _beyond(0.85, f"{what} in question came through to hop {gateway + 1}{hop}")
    if gateway == 0:
        return _NOWHERE  # a filter of our own machine and one of the next hop look the same from here
    if (ended := dying.ended(1)) is not None:
        text = f"{what} with a TTL of 1 already ends so ({ended.outcome}); a control dies at the first hop"
        return _first_hop(CERTAIN, text)
    if (ended := dying.ended(2)) is not None:
        text = f"{what} with a TTL of 2 ends so too ({ended.outcome}) and never comes to the second hop; a control does"
        return _first_hop(0.8, text)
    return _NOWHERE


def _agreed_alike(cause: Cause, seen: Seen, probe: Probe, found: Place) -> Place:
    """What came through to what fails alike overrules silence: routers send only so much ICMP (RFC 1812, 4.3.2.8)."""
    if found.where is Begins.BEYOND:
        return found
    failing = (probe.failed_phase, probe.outcome)
    others = [other for other in seen.at(probe.vantage) if (other.failed_phase, other.outcome) == failing]
    for other in sorted(others, key=lambda other: other.port != probe.port):
        there = _by_ttl(cause, seen, other, seen.tried(other))
        if there.where is not Begins.BEYOND or there.evidence is None:
            continue
        if other.port != probe.port and found.where is Begins.FIRST_HOP:
            return _NOWHERE  # two filters, or one and a router that kept silent
        weight = 0.7 if other.port == probe.port else 0.6
        return _beyond(weight, f"{there.evidence.observation} to {other.target}, which fails alike")
    return found


def _answering_end(dying: "_Dying") -> Place:
    """Who answers a SYN that can't come further than the first hops isn't Microsoft."""
    near, far = dying.ended(1), dying.ended(2)
    if near is not None and near.outcome is Outcome.OK:
        return _first_hop(CERTAIN, "the first hop answers in Microsoft's place: a SYN with a TTL of 1 connects")
    if far is not None and far.outcome is Outcome.OK and dying.expired(1) is not None:
        return _beyond(0.8, "the second hop answers in Microsoft's place: a SYN with a TTL of 2 connects")
    return _NOWHERE


#: Faults of which a SYN's fate tells.
_OF_THE_SYN = frozenset(
    {Cause.TCP_DROPPED, Cause.TCP_RESET, Cause.TCP_UNREACHABLE, Cause.PARTIAL_OUTAGE, Cause.IPV6_BROKEN}
)
#: Evidence that packets ended at the first hop itself, which other vantages in the same trouble don't weaken.
CERTAIN = 0.95
#: A TTL that suffices for any way.
FULL_TTL = 64


class _Dying:
    """Packets of one flow that die on their way, and their controls."""

    def __init__(self, made: Sequence[Experiment]) -> None:
        self._made = made

    def _at(self, ttl: int, *, control: bool = False) -> list[Experiment]:
        return [each for each in self._made if each.ttl == ttl and each.control is control]

    @property
    def rejected(self) -> bool:
        """With TTL to spare it ends by ICMP as well: what looks like an end on the way is a filter's word."""
        return any(each.outcome is Outcome.UNREACHABLE for each in self._at(FULL_TTL))

    def expired(self, ttl: int) -> Experiment | None:
        """One that lived until that hop."""
        return next((each for each in self._at(ttl) if is_expired(each)), None)

    def ended(self, ttl: int) -> Experiment | None:
        """One that ended before that hop could let it die, as it let the control; of silence it takes two."""
        subject = self._at(ttl)
        controls = self._at(ttl, control=True)
        if self.expired(ttl) is not None or not controls or not all(is_expired(each) for each in controls):
            return None
        said = next((each for each in subject if each.outcome in _SAID or _is_reject(each)), None)
        silent = [each for each in subject if each.outcome is Outcome.TIMEOUT]
        if said is not None and not silent:
            return said
        return silent[0] if len(silent) >= 2 and len(controls) >= 2 and said is None else None


_SAID = frozenset(
    {Outcome.RESET, Outcome.CLOSED, Outcome.REFUSED, Outcome.ALERT, Outcome.PROTOCOL_VERSION_REFUSED, Outcome.OK}
)


def _is_reject(experiment: Experiment) -> bool:
    """An ICMP error that isn't a TTL's end."""
    return experiment.outcome is Outcome.UNREACHABLE and not is_expired(experiment)


def is_expired(experiment: Experiment) -> bool:
    """Whether its packet's TTL ran out on the way, as a router there said."""
    detail = experiment.detail or ""
    if experiment.outcome is not Outcome.UNREACHABLE:
        return False
    return bool(_TIME_EXCEEDED.search(detail) or (_HOST_UNREACHABLE.search(detail) and not _ICMP.search(detail)))


def sender_of(experiment: Experiment) -> str | None:
    """Who said that its TTL ran out."""
    found = _SENDER.search(experiment.detail or "")
    return found[1] if found else None


def _first_hop(weight: float, text: str) -> Place:
    return Place(Begins.FIRST_HOP, Evidence(observation=text, points_to=Responsible.GATEWAY, weight=weight))


def _beyond(weight: float, text: str) -> Place:
    return Place(Begins.BEYOND, Evidence(observation=text, points_to=Responsible.NETWORK, weight=weight))
