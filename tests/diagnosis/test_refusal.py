"""A RST that answers a SYN: by how far away it comes from, beside the server's other answers, somebody else's or its own."""

from dataclasses import replace

import pytest

from exporter.diagnosis.rules.refusal import Refusal, Whose, next_door, next_door_among, refusal
from exporter.observations import Connection
from exporter.vocabulary import Cause, ClosedBy, ConnectionOutcome
from tests.diagnosis.test_passive import GATEWAY, NETWORK, SERVERS, UNKNOWN, seen, verdict

#: The server is 20 hops away from the tap, with an initial TTL of 64 or 128.
FAR, FAR_WINDOWS = 44, 108


def refused(ttl: int | None = 64, **more) -> Connection:
    return seen(outcome=ConnectionOutcome.REFUSED, closed_by=ClosedBy.RESET_SERVER, reset_ttl=ttl, **more)


def answered(ttl: int | None = FAR, **more) -> Connection:
    """Another port of the same server."""
    return seen("outlook_web", **{"server": SERVERS["imap"], "server_ttl": ttl, **more})


@pytest.mark.parametrize("ttl", [64, 128, 255])
def test_refused_next_door_by_whatever_system(ttl):
    only = verdict([refused(ttl), refused(ttl, retry_of=1), answered()])
    assert (only.cause, only.responsible) == (Cause.TCP_RESET, GATEWAY)
    said = [each.observation for each in only.evidence]
    assert "the RST comes from 0 hops away, the server's other answers from 20: it isn't its own" in said
    assert f"every reset comes from the first hop (TTL {ttl}), while the server is 20 hops away" in said


@pytest.mark.parametrize("ttl", [FAR, FAR + 2, FAR - 2, FAR_WINDOWS, 235])
def test_from_as_far_away_as_the_server_it_may_be_its_own_whatever_it_counts_from(ttl):
    """Nobody between is named; that it is Microsoft's takes more than a number that can be feigned."""
    only = verdict([refused(ttl), refused(ttl), answered()])
    assert (only.cause, only.responsible) == (Cause.TCP_RESET, UNKNOWN)
    assert any("it may be its own" in each.observation for each in only.evidence)


@pytest.mark.parametrize("ttl", [63, 60, 58, 51, 124])
def test_between_the_first_hop_and_the_server_it_isnt_known_whose(ttl):
    """The next router's is the provider's as often as not."""
    only = verdict([refused(ttl), refused(ttl), answered()])
    assert (only.cause, only.responsible) == (Cause.TCP_RESET, UNKNOWN)
    assert any("it isn't its own" in each.observation for each in only.evidence)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        ([refused(), refused()], "nothing to compare with"),
        ([refused(None), refused(None), answered()], "the RST's distance is unknown"),
        ([refused(), refused(), answered(None)], "the server's is"),
        ([refused(), refused(), answered(server="198.51.100.9")], "another server's says nothing"),
        ([refused(), refused(), answered(server="52.97.1.77")], "nor does a single neighbour's"),
        ([refused(), refused(), answered(), answered(52)], "servers behind one address, at many distances"),
        ([refused(), refused(), answered(64)], "somebody near answers in the server's place"),
        ([refused(62), refused(62), answered(62)], "the server is near"),
        ([refused(), refused(51), answered()], "two that refuse"),
        ([refused(20), refused(20), answered()], "an unusual first TTL, or the one that the SYN came with"),
        ([refused(), refused(), answered(80)], "the server's may be unusual, too"),
        ([refused(38), refused(38), answered()], "from further away than the server: another way"),
    ],
)
def test_not_decidable(made, why):
    only = verdict(made)
    assert (only.cause, only.responsible) == (Cause.TCP_RESET, UNKNOWN), why
    assert not any("RST comes from" in each.observation for each in only.evidence), why


@pytest.mark.parametrize("client", ["198.51.100.20", None, "a pseudonym"])
def test_where_the_tap_may_lie_beyond_the_gateway_nobody_is_named(client):
    only = verdict([refused(client=client), refused(client=client), answered()])
    assert (only.cause, only.responsible) == (Cause.TCP_RESET, UNKNOWN)


def test_another_taps_distances_are_others():
    """Outside, the server is one hop nearer; what is compared was seen at one place."""
    made = [refused(interface="eth1"), refused(interface="eth1"), answered(interface="eth0")]
    assert verdict(made, vantage="wire:eth1").responsible is UNKNOWN


def test_neighbours_of_the_server_stand_for_it():
    near = [answered(server="52.97.1.77"), answered(FAR_WINDOWS, server="52.97.1.78")]
    assert verdict([refused(), refused(), *near]).responsible is GATEWAY
    assert refusal([refused()], near) == Refusal(Whose.NEARER, 0, 20)
    six = [refused(server="2603:1026::1", ip_version=6)]
    beside = [answered(server=f"2603:1026::{each}", ip_version=6) for each in (7, 8)]
    assert refusal(six, beside) == Refusal(Whose.NEARER, 0, 20)
    assert refusal(six, near) is None


def test_one_of_several_addresses_that_is_refused_next_door():
    alive = seen(server="52.97.1.9", server_ttl=FAR)
    only = verdict([refused(), refused(), refused(), alive, answered()])
    assert (only.cause, only.responsible) == (Cause.PARTIAL_OUTAGE, GATEWAY)
    theirs = [refused(FAR)] * 3
    assert verdict([*theirs, alive, answered()]).responsible is NETWORK  # where nothing places it


def test_silence_beside_it_is_somebody_elses():
    silent = seen(outcome=ConnectionOutcome.NO_ANSWER, server="52.97.1.10")
    alive = seen(server="52.97.1.9", server_ttl=FAR)
    made = [refused()] * 3 + [silent] * 3 + [alive, answered()]
    assert verdict(made).responsible is NETWORK


def test_both_sides_come_first():
    """What came from beyond the gateway was seen outside as well, whatever its TTL says."""
    both = [replace(each, interface="inside") for each in (refused(), refused(), answered())]
    only = verdict(both, vantage="wire:inside", two_sided=True)
    assert (only.cause, only.responsible) == (Cause.TCP_RESET, NETWORK)


def test_beside_a_probe_only_where_no_client_gets_there():
    found = next_door_among([refused(), refused(), answered()], "imap")
    assert found is not None
    assert found.points_to == GATEWAY
    assert next_door_among([refused(), seen(server_ttl=FAR), answered()], "imap") is None
    assert next_door_among([refused(63), answered()], "imap") is None
    assert next_door_among([refused(), answered()], "pop") is None
    assert next_door([], [answered()]) is None
