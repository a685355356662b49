"""Who refused: how far away a RST that answers a SYN comes from, beside the server's answers at the same tap. Pure.

A refusal has no answer of its own to be compared with, but others got one there: to another port, or at another time.
Conservative, for ways differ: servers behind one anycast address, balancers, initial TTLs that nobody knows. So all
that is compared must agree, and be no further than ways are long; a RST from further away than the server says
nothing; nor does anything where somebody near answers in the server's place. And a distance can be feigned: that it is
the server's own is a sign, not a proof.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from exporter.diagnosis.weigh import Scales
from exporter.observations import Connection, Evidence
from exporter.vocabulary import ConnectionOutcome, Responsible
from exporter.wire.distance import TOLERANCE, hops_of

#: Ways are hardly longer, in routers: a TTL that means more began with an unusual number.
LONGEST: Final = 32
#: The gateway's own packets, on its inside or beside a client there: no router counted them down. What has passed one
#: may come from whoever is next beyond the gateway: a provider's box filters too.
NEXT_DOOR: Final = 0
#: A server that is hardly further doesn't differ from what is near.
NEAR: Final = 3
#: Servers of one network, by the length of its prefix, are equally far; so many of them must show it.
_NETWORK: Final = {4: 24, 6: 64}
_OF_NETWORK: Final = 2


class Whose(StrEnum):
    """Who a RST is from, by its distance."""

    NEARER = "nearer"
    SERVER = "server"


class Refusal(NamedTuple):
    """`hops`: how far away the RST comes from, `server`: the server, by its other answers."""

    whose: Whose
    hops: int
    server: int


def refusal(refused: Sequence[Connection], others: Iterable[Connection]) -> Refusal | None:
    """What the refusals have in common; None where it can't be told. `others`: all that was seen at that tap."""
    answered = [each for each in others if each.server_ttl]
    resets = [each for each in refused if each.outcome is ConnectionOutcome.REFUSED and each.reset_ttl]
    hops = _agreed(each.reset_ttl for each in resets)
    told = [each for each in resets if _answers(each, answered)]
    server = [_agreed(other.server_ttl for other in _answers(each, answered)) for each in told]
    if hops is None or not server or any(each is None for each in server):
        return None
    nearest, farthest = min(each[0] for each in server if each), max(each[1] for each in server if each)
    if nearest <= NEAR:
        return None  # somebody near answers in the server's place, or it is near
    if nearest - hops[1] > TOLERANCE:
        return Refusal(Whose.NEARER, hops[1], nearest)
    if hops[0] >= nearest - TOLERANCE and hops[1] <= farthest + TOLERANCE:
        return Refusal(Whose.SERVER, hops[0], nearest)
    return None


def weigh_refusals(scales: Scales, refused: Sequence[Connection], others: Iterable[Connection]) -> None:
    """Somebody in between, or the server itself; nothing where it can't be told."""
    found = refusal(refused, others)
    if found is not None and found.whose is Whose.NEARER:
        hops, server = found.hops, found.server
        scales.add(
            0.4, f"the RST comes from {hops} hops away, the server's other answers from {server}: it isn't its own"
        )
    elif found is not None:
        hops = found.hops
        scales.add(0.2, f"the RST comes from as far away as the server's other answers, {hops} hops: it may be its own")


def next_door(refused: Sequence[Connection], others: Iterable[Connection]) -> Evidence | None:
    """Every refusal is the first hop's, seen on the clients' side: their addresses are private. (Beyond the gateway the
    first hop is somebody else.)"""
    found = refusal(refused, others)
    resets = [each for each in refused if each.outcome is ConnectionOutcome.REFUSED]
    if found is None or found.whose is not Whose.NEARER or found.hops > NEXT_DOOR:
        return None
    if not all(each.reset_ttl and is_private(each.client) for each in resets):
        return None
    return from_first_hop(resets[0], found.server)


def from_first_hop(reset: Connection, server: int) -> Evidence:
    """That all resets are like this one. `server`: how far away that is, hops."""
    text = f"every reset comes from the first hop (TTL {reset.reset_ttl}), while the server is {server} hops away"
    return Evidence(observation=text, points_to=Responsible.GATEWAY, weight=0.85)


def next_door_among(connections: Iterable[Connection], target: str) -> Evidence | None:
    """The same of clients' connections to a target, beside a probe that was refused: at a tap where none gets there."""
    by_tap: dict[str | None, list[Connection]] = {}
    for each in connections:
        by_tap.setdefault(each.interface, []).append(each)
    for seen in by_tap.values():
        own = [each for each in seen if each.target == target and each.outcome is not ConnectionOutcome.INCOMPLETE]
        if all(each.outcome is ConnectionOutcome.REFUSED for each in own) and (near := next_door(own, seen)):
            return near
    return None


def _answers(refused: Connection, answered: Sequence[Connection]) -> list[Connection]:
    """The server's other answers; else those of its neighbours."""
    own = [each for each in answered if each.server == refused.server]
    if own:
        return own
    length = _NETWORK[refused.ip_version]
    network = ipaddress.ip_network(f"{refused.server}/{length}", strict=False)
    near = [
        each for each in answered
        if each.ip_version == refused.ip_version and ipaddress.ip_address(each.server) in network
    ]  # fmt: skip
    return near if len({each.server for each in near}) >= _OF_NETWORK else []


def _agreed(ttls: Iterable[int | None]) -> tuple[int, int] | None:
    """The least and the most hops, None where there are none, or they differ too much, or can't be known."""
    hops = [hops_of(ttl) for ttl in ttls if ttl]
    if not hops or max(hops) > LONGEST or max(hops) - min(hops) > TOLERANCE:
        return None
    return min(hops), max(hops)


#: RFC 1918, RFC 4193.
_PRIVATE: Final = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))


def is_private(client: str | None) -> bool:
    """Whether a client's address is one that no gateway lets out."""
    try:
        address = ipaddress.ip_address(client or "")
    except ValueError:  # a pseudonym, or none
        return False
    return any(address in network for network in _PRIVATE if network.version == address.version)
