"""Who has to act, by the contract's table: each row from one vantage, from two, and where the outside sees it too."""

from dataclasses import replace

import pytest

from exporter.diagnosis.experiment import Kind
from exporter.diagnosis.seen import VantageFacts
from exporter.observations import AddressResult, Connection, TamperingSeen
from exporter.vocabulary import Cause, ConnectionOutcome, Outcome, Phase, Responsible, Tampering
from tests.diagnosis.made import (
    CLIENTS,
    FORGED,
    GENUINE,
    NOON,
    WAN,
    broken,
    failed,
    healthy,
    marked,
    others,
    seen,
    took,
    tried,
    verdict,
    walk,
)

GATEWAY, NETWORK, MICROSOFT = Responsible.GATEWAY, Responsible.NETWORK, Responsible.MICROSOFT
UNKNOWN, APPLIANCE = Responsible.UNKNOWN, Responsible.APPLIANCE
BOTH = [CLIENTS, WAN]

#: A filter's faults, by what is seen of them at the clients' side.
FILTERED = {
    Cause.DNS_FAILURE: broken("smtp", Phase.DNS, Outcome.NAME_NOT_FOUND),
    Cause.TCP_DROPPED: broken("smtp", Phase.CONNECT, Outcome.TIMEOUT),
    Cause.TCP_RESET: broken("smtp", Phase.CONNECT, Outcome.REFUSED),
    Cause.TLS_VERSION_BLOCKED: broken("smtp", Phase.TLS, Outcome.PROTOCOL_VERSION_REFUSED),
    Cause.STARTTLS_STRIPPED: broken("smtp", Phase.STARTTLS, Outcome.NOT_OFFERED),
    Cause.AUTH_DROPPED: broken("smtp", Phase.AUTH, Outcome.RESET),
    Cause.PROTOCOL_REWRITTEN: marked(
        walk("smtp", tls=FORGED), Phase.CAPABILITY, Outcome.UNEXPECTED_CONTENT, "250 proxy"
    ),
    Cause.AUTH_MECHANISM_STRIPPED: replace(broken("smtp", Phase.CAPABILITY, Outcome.NOT_OFFERED), tls=FORGED),
}


@pytest.mark.parametrize("cause", FILTERED)
def test_a_filters_fault(cause):
    alone = verdict(seen(FILTERED[cause], facts=[CLIENTS]), "smtp")
    assert (alone.cause, alone.responsible) == (cause, UNKNOWN)
    assert alone.next_experiment
    passing = verdict(seen(FILTERED[cause], walk("smtp", "wan"), facts=BOTH), "smtp")
    assert (passing.cause, passing.responsible) == (cause, GATEWAY)
    assert any(each.points_to == GATEWAY for each in passing.evidence)


@pytest.mark.parametrize("cause", FILTERED)
def test_where_the_outside_fails_alike_the_gateway_is_not_named(cause):
    outside = replace(FILTERED[cause], vantage="wan")
    proxied = VantageFacts(vantage="proxied", attachment="proxy", side="proxied", proxied=True)
    round_ = seen(FILTERED[cause], outside, walk("smtp", "proxied"), facts=[*BOTH, proxied])
    assert verdict(round_, "smtp").responsible is not GATEWAY


def test_two_vantages_that_share_their_way_are_one_point_of_view():
    twin = VantageFacts(vantage="wan", attachment=CLIENTS.attachment, side="inside", forwards=False)
    round_ = seen(FILTERED[Cause.TCP_DROPPED], walk("smtp", "wan"), facts=[CLIENTS, twin])
    assert verdict(round_, "smtp").responsible is UNKNOWN


# --- hops


def hop(
    probe, ttl: int, outcome: Outcome, kind: Kind = Kind.SYN_AT_TTL, *, control: bool = False, of: str = "10.99.2.2"
):
    detail = f"ICMP type 11 code 0 from {of} (EHOSTUNREACH)" if outcome is Outcome.UNREACHABLE else None
    return tried(probe, kind, outcome, Phase.CONNECT, ttl=ttl, control=control, detail=detail)


EXPIRED = Outcome.UNREACHABLE


def placed_by_hops(probe, *experiments, facts=(CLIENTS,)) -> Responsible:
    return verdict(seen(probe, experiments=experiments, facts=facts), probe.target).responsible


def silence_beside_a_control(probe, ttl: int = 2, kind: Kind = Kind.SYN_AT_TTL):
    return [hop(probe, ttl, Outcome.TIMEOUT, kind), hop(probe, ttl, EXPIRED, kind, control=True)]


def test_what_never_comes_to_the_second_hop_begins_at_the_first():
    probe = broken("imap", Phase.CONNECT, Outcome.REFUSED)
    at = [hop(probe, 2, Outcome.REFUSED), hop(probe, 2, EXPIRED, control=True)]
    assert placed_by_hops(probe, *at) is GATEWAY


def test_silence_counts_when_met_twice_since_routers_ration_their_icmp():
    probe = broken("imap", Phase.CONNECT, Outcome.TIMEOUT)
    met = silence_beside_a_control(probe)
    assert placed_by_hops(probe, *met) is UNKNOWN
    assert placed_by_hops(probe, *met, *met) is GATEWAY
    assert placed_by_hops(probe, *met, hop(probe, 2, EXPIRED), hop(probe, 2, EXPIRED, control=True)) is NETWORK
    assert placed_by_hops(probe, *met, met[0], hop(probe, 2, Outcome.TIMEOUT, control=True)) is UNKNOWN


def test_an_outside_vantage_in_the_same_trouble_weakens_what_a_silence_shows():
    probe = broken("imap", Phase.CONNECT, Outcome.TIMEOUT)
    outside = replace(probe, vantage="wan")
    far, near = (2 * silence_beside_a_control(probe, ttl) for ttl in (2, 1))
    assert verdict(seen(probe, outside, experiments=far, facts=BOTH)).responsible is UNKNOWN
    assert verdict(seen(probe, outside, experiments=near, facts=BOTH)).responsible is GATEWAY


def test_where_one_vantages_packets_pass_the_gateway_the_other_meets_the_same_beyond():
    probe = broken("imap", Phase.CONNECT, Outcome.TIMEOUT)
    outside = replace(probe, vantage="wan")
    round_ = seen(probe, outside, experiments=[hop(outside, 1, EXPIRED)], facts=BOTH)
    assert verdict(round_, vantage="wan").responsible is NETWORK
    assert verdict(round_).responsible is NETWORK


def test_what_comes_to_the_second_hop_begins_beyond():
    probe = broken("imap", Phase.CONNECT, Outcome.TIMEOUT)
    assert placed_by_hops(probe, hop(probe, 2, EXPIRED), hop(probe, 2, EXPIRED, control=True)) is NETWORK


def test_without_a_control_that_shows_the_second_hop_nothing_is_concluded():
    probe = broken("imap", Phase.CONNECT, Outcome.TIMEOUT)
    silent = hop(probe, 2, Outcome.TIMEOUT)
    assert placed_by_hops(probe, silent) is UNKNOWN
    assert placed_by_hops(probe, silent, hop(probe, 2, Outcome.TIMEOUT, control=True)) is UNKNOWN
    assert placed_by_hops(probe, silent, hop(probe, 2, Outcome.OK, control=True)) is UNKNOWN  # the server is that near


def test_a_reset_from_one_hop_away():
    probe = broken("imap", Phase.TLS, Outcome.RESET)
    kinds = [tried(probe, Kind(k), Outcome.OK, Phase.TLS) for k in ("no_name", "other_name")]
    near = hop(probe, 1, Outcome.RESET, Kind.HELLO_AT_TTL)
    control = hop(probe, 1, EXPIRED, Kind.HELLO_AT_TTL, control=True, of="10.99.1.1")
    assert placed_by_hops(probe, *kinds, near, control) is GATEWAY


def test_seen_from_the_gateway_itself_the_first_hop_is_beyond_it():
    probe = broken("imap", Phase.CONNECT, Outcome.TIMEOUT, vantage="wan")
    at = 2 * silence_beside_a_control(probe)
    on_gateway = seen(probe, experiments=at, facts=[WAN])
    assert verdict(on_gateway, vantage="wan").responsible is UNKNOWN
    passes_us = seen(probe, experiments=[hop(probe, 1, EXPIRED)], facts=[WAN])
    assert verdict(passes_us, vantage="wan").responsible is NETWORK


def test_a_filters_icmp_is_no_ttls_end():
    """Both are EHOSTUNREACH: where ICMP's type is known it decides, else whether it comes with TTL to spare."""
    unreachable = rejected("10.99.1.1")
    words = "ICMP type 3 code 13 from 10.99.1.1 (EHOSTUNREACH)"
    refused = replace(hop(unreachable, 2, EXPIRED), detail=words)
    assert placed_by_hops(unreachable, refused) is UNKNOWN
    assert placed_by_hops(unreachable, refused, hop(unreachable, 2, EXPIRED, control=True)) is GATEWAY
    silent = broken("imap", Phase.TLS, Outcome.TIMEOUT)
    kinds = [tried(silent, Kind(k), Outcome.OK, Phase.TLS) for k in ("no_name", "other_name")]
    ended = replace(hop(silent, 2, EXPIRED, Kind.HELLO_AT_TTL), detail="No route to host")
    assert placed_by_hops(silent, *kinds, ended) is NETWORK
    assert placed_by_hops(silent, *kinds, ended, replace(ended, ttl=64)) is UNKNOWN


def stripped():
    return broken("smtp", Phase.STARTTLS, Outcome.NOT_OFFERED)


def test_who_answers_a_syn_with_a_ttl_of_one_is_the_first_hop():
    probe = stripped()
    near = [hop(probe, 2, Outcome.OK), hop(probe, 1, Outcome.OK), hop(probe, 1, EXPIRED, control=True)]
    assert placed_by_hops(probe, *near) is GATEWAY
    assert placed_by_hops(probe, *near[:2]) is UNKNOWN  # everything may be that near
    assert placed_by_hops(probe, *near[:2], hop(probe, 1, Outcome.OK, control=True)) is UNKNOWN


def test_who_answers_at_the_second_hop_lies_beyond_the_gateway():
    probe = stripped()
    far = [hop(probe, 2, Outcome.OK), hop(probe, 1, EXPIRED), hop(probe, 2, EXPIRED, control=True)]
    assert placed_by_hops(probe, *far) is NETWORK


def test_a_syn_that_passes_says_nothing_of_what_is_said_later():
    probe = stripped()
    assert placed_by_hops(probe, hop(probe, 2, EXPIRED), hop(probe, 2, EXPIRED, control=True)) is UNKNOWN


def rejected(sender: str):
    return broken(
        "imap", Phase.CONNECT, Outcome.UNREACHABLE, f"52.97.1.1: ICMP type 3 code 13 from {sender} (EHOSTUNREACH)"
    )


def test_who_rejects_by_icmp_says_where():
    first = hop(rejected("x"), 1, EXPIRED, control=True, of="10.99.1.1")
    assert placed_by_hops(rejected("10.99.1.1"), first) is GATEWAY
    assert placed_by_hops(rejected("10.99.2.2"), first) is NETWORK
    assert placed_by_hops(rejected("10.99.1.1")) is UNKNOWN


@pytest.mark.parametrize("cause", [Cause.MTU_BLACKHOLE, Cause.LARGE_HELLO_DROPPED])
def test_a_small_packets_way_says_nothing_of_large_ones(cause):
    probe = broken("imap", Phase.TLS, Outcome.TIMEOUT)
    small = Outcome.OK if cause is Cause.LARGE_HELLO_DROPPED else Outcome.TIMEOUT
    kinds = {
        "no_name": Outcome.TIMEOUT,
        "other_name": Outcome.TIMEOUT,
        "small_hello": small,
        "small_answer": Outcome.ALERT,
    }
    made = [tried(probe, Kind(kind), outcome, Phase.TLS) for kind, outcome in kinds.items()]
    round_ = seen(probe, experiments=[*made, hop(probe, 2, EXPIRED, Kind.HELLO_AT_TTL)], facts=[CLIENTS])
    only = verdict(round_)
    assert (only.cause, only.responsible) == (cause, NETWORK if cause is Cause.MTU_BLACKHOLE else UNKNOWN)


def test_a_bad_answer_from_one_hop_away_while_another_resolver_is_right():
    probe = broken("imap", Phase.DNS, Outcome.NAME_NOT_FOUND)
    near = tried(probe, Kind.DNS_AT_TTL, Outcome.NAME_NOT_FOUND, Phase.DNS, ttl=1)
    right = tried(probe, Kind.SECOND_RESOLVER, Outcome.OK, Phase.DNS, addresses=("52.97.1.1",))
    assert placed_by_hops(probe, near, right) is GATEWAY
    assert placed_by_hops(probe, near) is UNKNOWN
    assert placed_by_hops(probe, replace(near, private=True), right) is UNKNOWN  # a resolver of the local network


# --- interception, pages


def forged(issuer: str = "Contoso Ltd", vantage: str = "clients"):
    tls = replace(FORGED, issuer_organization=issuer, issuer_common_name=None, chain=())
    return marked(walk(vantage=vantage, tls=tls), Phase.TLS, Outcome.CERTIFICATE_UNTRUSTED)


def test_interception():
    assert verdict(seen(forged(), facts=[CLIENTS])).responsible is UNKNOWN
    assert verdict(seen(forged("Fortinet"), facts=[CLIENTS])).responsible is GATEWAY
    assert verdict(seen(forged(), walk(vantage="wan", tls=GENUINE), facts=BOTH)).responsible is GATEWAY
    assert verdict(seen(forged(), forged(vantage="wan"), facts=BOTH)).responsible is NETWORK


def test_a_known_product_proves_nothing_where_the_outside_is_forged_too():
    assert verdict(seen(forged("Zscaler Inc."), forged("Zscaler Inc.", "wan"), facts=BOTH)).responsible is NETWORK


def page(vantage: str = "clients"):
    probe = broken("outlook_web", Phase.HTTP, Outcome.UNEXPECTED_CONTENT, "HTTP 403 <html>blocked", vantage=vantage)
    return replace(probe, tls=FORGED)


def test_pages():
    target = "outlook_web"
    assert verdict(seen(page(), facts=[CLIENTS]), target).responsible is UNKNOWN
    private = tried(page(), Kind.PAGE, Outcome.UNEXPECTED_CONTENT, private=True)
    assert verdict(seen(page(), experiments=[private], facts=[CLIENTS]), target).responsible is GATEWAY
    clean = walk(target, "wan", tls=GENUINE)
    assert verdict(seen(page(), clean, facts=BOTH), target).responsible is GATEWAY
    assert verdict(seen(page(), page("wan"), facts=BOTH), target).responsible is NETWORK


# --- the path's quality


def with_addresses(vantage: str, **outcomes: Outcome):
    names = {"four": "52.97.1.1", "dead": "52.97.1.2", "six": "2603:1026::1"}
    results = tuple(AddressResult(address=names[name], outcome=outcome) for name, outcome in outcomes.items())
    return walk(vantage=vantage, addresses=results)


def test_ipv6_is_the_networks_unless_another_vantage_has_it():
    here = with_addresses("clients", six=Outcome.TIMEOUT, four=Outcome.OK)
    assert verdict(seen(here, facts=[CLIENTS])).responsible is NETWORK
    there = with_addresses("wan", six=Outcome.OK, four=Outcome.OK)
    assert verdict(seen(here, there, facts=BOTH)).responsible is GATEWAY
    without = with_addresses("wan", four=Outcome.OK)
    assert verdict(seen(here, without, facts=BOTH)).responsible is NETWORK


def test_a_dead_address():
    here = with_addresses("clients", four=Outcome.OK, dead=Outcome.TIMEOUT)
    assert verdict(seen(here, facts=[CLIENTS])).responsible is NETWORK
    reached = with_addresses("wan", four=Outcome.OK, dead=Outcome.OK)
    assert verdict(seen(here, reached, facts=BOTH)).responsible is GATEWAY
    same = with_addresses("wan", four=Outcome.OK, dead=Outcome.TIMEOUT)
    assert verdict(seen(here, same, facts=BOTH)).responsible is MICROSOFT


def test_a_slow_path():
    here = took(walk(), connect=1.0, tls=2.2)
    assert verdict(seen(here, facts=[CLIENTS])).responsible is NETWORK
    assert verdict(seen(here, walk(vantage="wan"), facts=BOTH)).responsible is GATEWAY
    assert verdict(seen(here, took(walk(vantage="wan"), connect=1.0, tls=2.1), facts=BOTH)).responsible is NETWORK
    busy = took(walk(vantage="wan"), tls=0.9)
    assert busy.tls is not None
    assert verdict(seen(here, busy, facts=BOTH)).responsible is NETWORK
    by_itself = replace(busy, tls=replace(busy.tls, own_seconds=0.85))
    assert verdict(seen(here, by_itself, facts=BOTH)).responsible is GATEWAY


# --- this machine's, Microsoft's


def test_old_tls_alone_everywhere_is_microsofts():
    here, there = (broken("smtp", Phase.TLS, Outcome.PROTOCOL_VERSION_REFUSED, vantage=v) for v in ("clients", "wan"))
    old = tried(here, Kind.OLD_TLS, Outcome.OK, Phase.TLS, genuine=True)
    assert verdict(seen(here, there, experiments=[old], facts=BOTH), "smtp").responsible is MICROSOFT
    assert verdict(seen(here, experiments=[old], facts=[CLIENTS]), "smtp").responsible is UNKNOWN


def test_words_before_tls_need_two_independent_vantages():
    here, there = (
        broken("smtp", Phase.GREETING, Outcome.UNAVAILABLE, "421 4.3.2 Service not active", v)
        for v in ("clients", "wan")
    )
    assert verdict(seen(here, facts=[CLIENTS]), "smtp").responsible is UNKNOWN
    assert verdict(seen(here, there, facts=BOTH), "smtp").responsible is MICROSOFT


# --- packets of both sides


def test_tampering_seen_on_both_sides_is_the_strongest_evidence():
    connection = Connection(
        start=NOON, end=NOON, client=None, client_port=None, server="52.97.1.1", server_port=993, ip_version=4,
        target="imap", outcome=ConnectionOutcome.HELLO_RESET,
        tampering=(TamperingSeen(kind=Tampering.RESET_FORGED, direction="to_client", detail="TTL 64"),),
    )  # fmt: skip
    probe = broken("imap", Phase.TLS, Outcome.RESET)
    kinds = [tried(probe, Kind(k), Outcome.OK, Phase.TLS) for k in ("no_name", "other_name")]
    only = verdict(seen(probe, experiments=kinds, facts=[CLIENTS], connections=(connection,)))
    assert (only.cause, only.responsible) == (Cause.SNI_RESET, GATEWAY)
    assert any("reset_forged" in each.observation for each in only.evidence)


def test_lost_packets_are_placed_by_the_other_vantages_handshakes_or_its_many_walks():
    """Where no handshakes were counted there, walks that waited for no segment tell as much."""
    probe = broken("imap", Phase.CONNECT, Outcome.TIMEOUT)
    lossy = [tried(probe, Kind.AGAIN, Outcome.OK), tried(probe, Kind.LOSS, Outcome.OK, tried=20, hit=7)]

    def placed(*more, elsewhere=None):
        there = others("wan") if elsewhere is None else elsewhere
        return verdict(seen(probe, *there, experiments=[*lossy, *more], facts=BOTH), "imap").responsible

    clean = tried(walk("imap", "wan"), Kind.LOSS, Outcome.OK, Phase.CONNECT, tried=20, hit=0)
    assert placed(clean) is GATEWAY
    assert placed(replace(clean, hit=7)) is NETWORK
    assert placed() is GATEWAY
    assert placed(elsewhere=others("wan")[:5]) is NETWORK
    waited = [took(each, connect=0.25) if each.target == "imap" else each for each in others("wan")]
    assert placed(elsewhere=waited) is NETWORK


def test_a_lossy_path_is_not_slow_besides():
    slow = took(walk("imap"), connect=1.05, tls=1.2)
    loss = tried(slow, Kind.LOSS, Outcome.OK, Phase.CONNECT, tried=20, hit=7)
    again = [tried(slow, Kind.AGAIN, Outcome.OK, Phase.TLS, seconds=1.4) for _ in range(2)]
    assert verdict(seen(slow, experiments=again), "imap").cause is Cause.SLOW_PATH
    assert verdict(seen(slow, experiments=[*again, loss]), "imap").cause is Cause.PACKET_LOSS


@pytest.mark.parametrize(("phase", "outcome"), [(Phase.DNS, Outcome.NAME_NOT_FOUND), (Phase.CONNECT, Outcome.REFUSED)])
def test_a_proxy_that_cannot_be_reached_is_not_judged_by_who_goes_without_it(phase, outcome):
    lost = failed(healthy("imap", "proxied", proxied=True), phase, outcome)
    direct = healthy("imap", "clients")
    assert verdict(seen(lost, direct, facts=[CLIENTS]), vantage="proxied").responsible is Responsible.UNKNOWN
    same = healthy("imap", "clients", proxied=True)
    assert verdict(seen(lost, same, facts=[CLIENTS]), vantage="proxied").responsible is Responsible.GATEWAY
