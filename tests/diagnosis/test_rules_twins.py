"""Every fault has a twin that looks the same from a desk; each pair here differs by one observation alone.

By hand, without a network: a round goes in, a cause comes out (`shared/faults.md` row by row).
"""

from dataclasses import replace

import pytest

from exporter.diagnosis.experiment import Kind
from exporter.diagnosis.seen import Seen
from exporter.observations import AddressResult, AuthResult, Probe
from exporter.vocabulary import AuthOutcome, Cause, Mechanism, Outcome, Phase, Responsible
from tests.diagnosis.made import (
    CLIENTS,
    FORGED,
    GENUINE,
    WAN,
    addresses,
    broken,
    causes,
    healthy,
    marked,
    others,
    seen,
    took,
    tried,
    verdict,
    walk,
)

RESET, TIMEOUT, OK = Outcome.RESET, Outcome.TIMEOUT, Outcome.OK


def hello(probe: Probe, **outcomes: Outcome):
    """Experiments with the ClientHello, by kind."""
    return [tried(probe, Kind(kind), outcome, Phase.TLS) for kind, outcome in outcomes.items()]


# --- healthy


def test_healthy():
    only = verdict(seen(*others()))
    assert (only.cause, only.journeys, only.next_experiment) == (Cause.HEALTHY, (), None)
    assert only.confidence > 0.9


def test_a_server_that_accepts_anything_is_not_microsoft():
    accepted = AuthResult(mechanism=Mechanism.TOKEN, outcome=AuthOutcome.ACCEPTED, reply="a2 OK")
    probe = marked(walk(tls=FORGED), Phase.AUTH, Outcome.UNRECOGNIZED, "a worthless token was accepted", auth=accepted)
    assert causes(seen(probe)) == [Cause.PROTOCOL_REWRITTEN]


def test_measured_from_this_machine_alone_is_said():
    only = verdict(seen(walk(vantage="wan"), facts=[WAN]), vantage="wan")
    assert only.cause is Cause.HEALTHY
    assert "vantage create" in (only.next_experiment or "")
    assert any("this machine alone" in each.observation for each in only.evidence)


# --- names


@pytest.mark.parametrize("outcome", [Outcome.NAME_NOT_FOUND, Outcome.SERVER_FAILURE, TIMEOUT])
def test_a_name_that_does_not_resolve(outcome):
    assert causes(seen(broken("imap", Phase.DNS, outcome, "says 10.0.0.1"))) == [Cause.DNS_FAILURE]


def test_a_name_that_resolves_when_asked_again_is_no_fault():
    probe = broken("imap", Phase.DNS, TIMEOUT)
    assert causes(seen(probe, experiments=[tried(probe, Kind.AGAIN, OK)])) == [Cause.HEALTHY]


def test_a_private_address_is_a_redirection():
    probe = broken("imap", Phase.CONNECT, TIMEOUT)
    probe = marked(probe, Phase.DNS, Outcome.ADDRESS_SUSPICIOUS, "10.1.1.1 (private)")
    assert causes(seen(probe)) == [Cause.DNS_REDIRECTED]


def test_a_private_address_with_microsofts_chain_is_a_relay():
    probe = walk(tls=GENUINE, address="10.1.1.1")
    probe = marked(probe, Phase.DNS, Outcome.ADDRESS_SUSPICIOUS, "10.1.1.1 (private)")
    assert causes(seen(probe)) == [Cause.HEALTHY]


def test_a_private_address_among_public_ones_is_a_redirection_too_and_no_dead_address_of_microsofts():
    """The resolver gave 10.0.0.5 besides: that nobody answers there, or over IPv6 at ::, isn't Microsoft's doing."""
    for bad, detail in (("10.0.0.5", "10.0.0.5 (private)"), ("::", ":: (a sinkhole)")):
        probe = addresses(walk(tls=GENUINE, address="52.97.1.1"), **{"52.97.1.1": OK, bad: TIMEOUT})
        probe = marked(probe, Phase.DNS, Outcome.ADDRESS_SUSPICIOUS, detail)
        assert causes(seen(probe)) == [Cause.DNS_REDIRECTED]


def elsewhere(*, genuine: bool, ours: str = "198.51.100.7"):
    """A forged chain here; the second resolver has another address."""
    probe = addresses(walk(tls=FORGED), **{ours: OK})
    probe = marked(probe, Phase.TLS, Outcome.CERTIFICATE_UNTRUSTED)
    return seen(
        probe,
        experiments=[
            tried(probe, Kind.SECOND_RESOLVER, OK, Phase.DNS, addresses=("52.97.9.9",)),
            tried(probe, Kind.OTHER_ADDRESS, OK, Phase.TLS, address="52.97.9.9", genuine=genuine),
        ],
    )


def test_led_to_a_public_address_that_is_somebody_elses():
    assert causes(elsewhere(genuine=True)) == [Cause.DNS_REDIRECTED]


def test_at_an_address_that_microsoft_publishes_nobody_was_led_elsewhere():
    assert causes(elsewhere(genuine=True, ours="52.97.1.2")) == [Cause.TLS_INTERCEPTED]


def test_silence_where_the_name_was_led_and_an_answer_where_another_resolver_leads():
    probe = addresses(broken("imap", Phase.CONNECT, TIMEOUT), **{"198.51.100.7": TIMEOUT})
    other = [
        tried(probe, Kind.AGAIN, TIMEOUT),
        tried(probe, Kind.SECOND_RESOLVER, OK, Phase.DNS, addresses=("52.97.9.9",)),
        tried(probe, Kind.OTHER_ADDRESS, OK, Phase.TLS, address="52.97.9.9", genuine=True),
    ]
    assert causes(seen(probe, experiments=other)) == [Cause.DNS_REDIRECTED]
    published = addresses(probe, **{"52.97.1.2": TIMEOUT})  # a filter by address: Microsoft has many
    assert causes(seen(published, experiments=other)) == [Cause.TCP_DROPPED]


def test_intercepted_at_the_right_address_too():
    assert causes(elsewhere(genuine=False)) == [Cause.TLS_INTERCEPTED]


def test_an_address_where_relays_are_expected_is_not_a_redirection():
    round_ = replace(elsewhere(genuine=True), private_networks=("198.51.100.0/24",))
    assert causes(round_) == [Cause.TLS_INTERCEPTED]


# --- reach


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        (TIMEOUT, Cause.TCP_DROPPED),
        (Outcome.REFUSED, Cause.TCP_RESET),
        (Outcome.UNREACHABLE, Cause.TCP_UNREACHABLE),
    ],
)
def test_no_connection(outcome, cause):
    assert causes(seen(broken("imap", Phase.CONNECT, outcome))) == [cause]


def test_silence_beside_icmp_errors_on_the_same_port_is_one_that_was_rationed():
    """Filters' rejections are limited to so many a second."""
    rejected = broken("imap_office365", Phase.CONNECT, Outcome.UNREACHABLE, "ICMP type 3 code 3 from 10.0.0.1")
    silent, elsewhere = broken("imap", Phase.CONNECT, TIMEOUT), broken("pop", Phase.CONNECT, TIMEOUT)
    assert causes(seen(silent, rejected)) == [Cause.TCP_UNREACHABLE]
    assert causes(seen(elsewhere, rejected), "pop") == [Cause.TCP_DROPPED]
    no_route = broken("imap_office365", Phase.CONNECT, Outcome.UNREACHABLE, "No route to host")
    assert causes(seen(silent, no_route)) == [Cause.TCP_DROPPED]


def test_a_connection_that_stands_when_tried_again_is_a_lost_packet():
    probe = broken("imap", Phase.CONNECT, TIMEOUT)
    assert causes(seen(probe, experiments=[tried(probe, Kind.AGAIN, OK)])) == [Cause.HEALTHY]


def test_many_lost_packets_are_packet_loss():
    probe = broken("imap", Phase.CONNECT, TIMEOUT)
    again = tried(probe, Kind.AGAIN, OK)
    loss = tried(probe, Kind.LOSS, OK, tried=20, hit=7)
    assert causes(seen(probe, experiments=[again, loss])) == [Cause.PACKET_LOSS]
    few = tried(probe, Kind.LOSS, OK, tried=20, hit=1)
    assert causes(seen(probe, experiments=[again, few])) == [Cause.HEALTHY]


def with_addresses(**outcomes: Outcome) -> Probe:
    names = {"four": "52.97.1.1", "other": "52.97.1.2", "six": "2603:1026::1", "six_too": "2603:1026::2"}
    results = tuple(AddressResult(address=names[name], outcome=outcome) for name, outcome in outcomes.items())
    return walk(addresses=results)


def test_ipv6_is_broken_though_ipv4_works():
    assert causes(seen(with_addresses(six=TIMEOUT, four=OK))) == [Cause.IPV6_BROKEN]
    assert causes(seen(with_addresses(six=OK, four=OK))) == [Cause.HEALTHY]
    assert causes(seen(with_addresses(six=Outcome.SKIPPED, four=OK))) == [Cause.HEALTHY]


def test_some_addresses_are_dead():
    assert causes(seen(with_addresses(four=OK, other=TIMEOUT))) == [Cause.PARTIAL_OUTAGE]
    assert causes(seen(with_addresses(six=OK, six_too=Outcome.REFUSED, four=OK))) == [Cause.PARTIAL_OUTAGE]


def test_both_families_in_trouble_are_two_faults():
    found = causes(seen(with_addresses(six=TIMEOUT, four=OK, other=Outcome.REFUSED)))
    assert set(found) == {Cause.IPV6_BROKEN, Cause.PARTIAL_OUTAGE}


def test_an_address_that_answers_when_tried_again_is_not_dead():
    probe = with_addresses(four=OK, other=TIMEOUT)
    again = tried(probe, Kind.DEAD_ADDRESS, OK, Phase.CONNECT, address="52.97.1.2")
    assert causes(seen(probe, experiments=[again])) == [Cause.HEALTHY]


# --- TLS without an answer


def by_kind(outcome: Outcome, **outcomes: Outcome) -> list[Cause]:
    probe = broken("imap", Phase.TLS, outcome)
    return causes(seen(probe, experiments=hello(probe, again=outcome, **outcomes)))


def test_reset_by_name_or_whatever_the_name():
    assert by_kind(RESET, no_name=OK, other_name=OK, small_hello=RESET) == [Cause.SNI_RESET]
    assert by_kind(RESET, no_name=RESET, other_name=RESET, small_hello=RESET, tls_1_2=RESET, tls_1_3=RESET) == [
        Cause.TLS_RESET
    ]


@pytest.mark.parametrize(("outcome", "cause"), [(TIMEOUT, Cause.SNI_DROPPED), (RESET, Cause.SNI_RESET)])
def test_names_that_have_in_common_what_the_filter_minds_all_fail_and_another_passes(outcome, cause):
    """Every name on the port fails: that there is no other among the targets' speaks for no other filter."""
    mail = [broken(name, Phase.TLS, outcome) for name in ("imap", "imap_office365", "pop", "pop_office365")]
    rest = others("clients", "imap", "imap_office365", "pop", "pop_office365")
    tries = hello(mail[0], again=outcome, no_name=OK, other_name=OK, small_hello=outcome, small_answer=outcome)
    assert causes(seen(*mail, *rest, experiments=tries)) == [cause]


def test_an_alert_without_the_name_is_an_answer_too():
    assert by_kind(RESET, no_name=Outcome.ALERT, other_name=RESET, small_hello=RESET) == [Cause.SNI_RESET]


def test_an_alert_that_every_form_gets_is_nothing_that_a_form_gets_through():
    alert = Outcome.ALERT
    every = {"no_name": alert, "other_name": alert, "small_hello": alert, "small_segments": alert}
    assert by_kind(alert, **every) == [Cause.UNKNOWN]


def test_reset_for_its_size():
    small = {"no_name": RESET, "other_name": RESET, "small_hello": OK, "small_segments": RESET}
    assert by_kind(RESET, **small) == [Cause.LARGE_HELLO_DROPPED]


def test_reset_without_experiments_goes_by_its_peers():
    by_name = seen(broken("sign_in_work", Phase.TLS, RESET), *others("clients", "sign_in_work"))
    assert causes(by_name, "sign_in_work") == [Cause.SNI_RESET]
    mail = [broken(name, Phase.TLS, RESET) for name in ("imap", "imap_office365", "pop")]
    by_port = seen(*mail, *others("clients", "imap", "imap_office365", "pop", "pop_office365"))
    assert causes(by_port) == [Cause.TLS_RESET]


def test_reset_alone_is_unknown_and_says_what_would_decide():
    only = verdict(seen(broken("imap", Phase.TLS, RESET)))
    assert only.cause is Cause.UNKNOWN
    assert "ClientHello" in (only.next_experiment or "")
    assert {each.points_to for each in only.evidence} >= {Cause.SNI_RESET, Cause.TLS_RESET}


def test_silence_by_name_by_size_by_path():
    by_name = {"no_name": OK, "other_name": OK, "small_hello": TIMEOUT, "small_answer": TIMEOUT}
    by_size = {"no_name": TIMEOUT, "other_name": TIMEOUT, "small_hello": OK, "small_answer": Outcome.ALERT}
    assert by_kind(TIMEOUT, **by_name) == [Cause.SNI_DROPPED]
    assert by_kind(TIMEOUT, **by_size, small_segments=TIMEOUT) == [Cause.LARGE_HELLO_DROPPED]
    assert by_kind(TIMEOUT, **by_size, small_segments=OK) == [Cause.MTU_BLACKHOLE]


def test_silence_where_only_a_small_answer_comes_is_the_path():
    swallowed = {"no_name": TIMEOUT, "other_name": TIMEOUT, "small_hello": TIMEOUT}
    assert by_kind(TIMEOUT, **swallowed, small_answer=Outcome.ALERT, small_segments=OK) == [Cause.MTU_BLACKHOLE]
    assert by_kind(TIMEOUT, **swallowed, small_answer=Outcome.ALERT, small_segments=TIMEOUT) == [Cause.MTU_BLACKHOLE]


def test_silence_whatever_is_sent_has_no_name():
    everything = dict.fromkeys(
        ("no_name", "other_name", "small_hello", "small_answer", "small_segments", "tls_1_2", "tls_1_3"), TIMEOUT
    )
    assert by_kind(TIMEOUT, **everything) == [Cause.UNKNOWN]


def test_a_version_is_blocked_by_alert_reset_or_silence():
    refused = Outcome.PROTOCOL_VERSION_REFUSED
    assert by_kind(refused, no_name=refused, other_name=refused, small_hello=refused, tls_1_2=OK, tls_1_3=refused) == [
        Cause.TLS_VERSION_BLOCKED
    ]
    assert by_kind(RESET, no_name=RESET, other_name=RESET, small_hello=RESET, tls_1_2=OK, tls_1_3=RESET) == [
        Cause.TLS_VERSION_BLOCKED
    ]


def test_a_server_without_tls_1_3_is_not_a_blocked_version():
    """TLS 1.3 alone is refused by the server's own alert; both fail by name."""
    refused = Outcome.PROTOCOL_VERSION_REFUSED
    found = by_kind(RESET, no_name=OK, other_name=OK, small_hello=RESET, tls_1_2=RESET, tls_1_3=refused)
    assert found == [Cause.SNI_RESET]


# --- whose certificate


def untrusted(signatures: bool | None) -> Probe:
    tls = replace(GENUINE, trusted=False, genuine=signatures, signatures_genuine=signatures)
    return marked(walk(tls=tls), Phase.TLS, Outcome.CERTIFICATE_UNTRUSTED, "certificate_untrusted")


def test_intercepted_or_a_root_that_is_missing_here():
    assert causes(seen(untrusted(False))) == [Cause.TLS_INTERCEPTED]
    assert causes(seen(untrusted(True))) == [Cause.ROOT_NOT_TRUSTED]


def test_intercepted_though_trusted_here():
    trusted = walk(tls=replace(FORGED, trusted=True, reasons=()))
    assert causes(seen(trusted)) == [Cause.TLS_INTERCEPTED]


def test_an_own_server_with_an_own_certificate_is_nobodys_interception():
    own = walk(host="mail.contoso.example", tls=replace(FORGED, trusted=True, reasons=()))
    assert causes(seen(own)) == [Cause.HEALTHY]


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        (Outcome.CERTIFICATE_EXPIRED, Cause.CERTIFICATE_EXPIRED),
        (Outcome.CERTIFICATE_NOT_YET_VALID, Cause.CERTIFICATE_NOT_YET_VALID),
        (Outcome.CERTIFICATE_NAME_MISMATCH, Cause.CERTIFICATE_NAME_MISMATCH),
    ],
)
def test_a_faulty_certificate_of_microsofts(outcome, cause):
    probe = marked(walk(tls=replace(GENUINE, trusted=False, genuine=False)), Phase.TLS, outcome)
    only = verdict(seen(probe, *others("clients", "imap")))
    assert (only.cause, only.responsible) == (cause, Responsible.MICROSOFT)


def test_out_of_date_only_by_our_own_clock():
    """Two hosts' Dates agree that this machine is a year ahead."""
    year = 365 * 86_400.0
    old = marked(walk(tls=GENUINE), Phase.TLS, Outcome.CERTIFICATE_EXPIRED)
    old = replace(old, time=old.time.replace(year=2027))
    dated = [replace(healthy(n, "clients"), clock_skew_seconds=year) for n in ("graph", "outlook_web")]
    only = verdict(seen(old, *dated))
    assert (only.cause, only.responsible) == (Cause.CLOCK_SKEW, Responsible.APPLIANCE)


def test_one_server_with_a_wrong_clock_is_its_own_trouble():
    dated = [replace(healthy(n, "clients"), clock_skew_seconds=0.2) for n in ("graph", "outlook_web", "autodiscover")]
    wrong = replace(healthy("smtp", "clients"), clock_skew_seconds=600.0)
    assert causes(seen(wrong, *dated), "smtp") == [Cause.HEALTHY]


def test_a_late_answer_is_no_wrong_clock():
    late = [took(replace(healthy(n, "clients"), clock_skew_seconds=3.1), http=3.05) for n in ("graph", "outlook_web")]
    assert Cause.CLOCK_SKEW not in causes(seen(*late), "graph")


def test_a_missing_intermediate_and_whose_it_is():
    tls = replace(GENUINE, trusted=False, genuine=None, signatures_genuine=None)
    probe = marked(walk(tls=tls), Phase.TLS, Outcome.CERTIFICATE_CHAIN_INCOMPLETE)
    assert verdict(seen(probe)).responsible is Responsible.UNKNOWN
    checked = tried(probe, Kind.OTHER_CHAIN, OK, Phase.TLS, genuine=True)
    assert verdict(seen(probe, experiments=[checked])).responsible is Responsible.MICROSOFT


# --- mail


def test_starttls_is_stripped_by_somebody_behind_microsofts_banner():
    assert causes(seen(broken("smtp", Phase.STARTTLS, Outcome.NOT_OFFERED)), "smtp") == [Cause.STARTTLS_STRIPPED]


def test_starttls_offered_and_refused():
    refused = broken("smtp", Phase.STARTTLS, Outcome.REJECTED, "500 5.5.1 Command unrecognized")
    assert causes(seen(refused), "smtp") == [Cause.STARTTLS_STRIPPED]


@pytest.mark.parametrize(
    ("outcome", "detail"),
    [(Outcome.REJECTED, "EHLO: 550 5.7.1 Access denied"), (TIMEOUT, "EHLO: not answered in time")],
)
def test_ehlo_refused_or_swallowed_takes_no_starttls_out(outcome, detail):
    ended = broken("smtp", Phase.STARTTLS, outcome, detail)
    assert causes(seen(ended), "smtp") == [Cause.UNKNOWN]
    only = verdict(seen(ended, healthy("smtp", "wan"), facts=[CLIENTS, WAN]), "smtp")
    assert (only.cause, only.responsible) == (Cause.PROTOCOL_REWRITTEN, Responsible.GATEWAY)


def test_another_server_without_starttls_is_not_stripped():
    probe = broken("smtp", Phase.STARTTLS, Outcome.NOT_OFFERED)
    probe = marked(probe, Phase.GREETING, Outcome.UNRECOGNIZED, "220 relay.contoso.example ESMTP Postfix")
    only = verdict(seen(probe), "smtp")
    assert only.confidence < 0.9
    assert any("banner isn't Microsoft's" in each.observation for each in only.evidence)


def test_masked_words_are_inspection():
    probe = broken("smtp", Phase.STARTTLS, Outcome.NOT_OFFERED, "no STARTTLS among: XXXXXXXA; keywords are masked")
    probe = marked(probe, Phase.GREETING, Outcome.UNRECOGNIZED, "220 ********")
    assert causes(seen(probe), "smtp") == [Cause.STARTTLS_STRIPPED]


def test_a_mechanism_is_stripped_by_who_terminates_tls():
    probe = replace(broken("imap", Phase.CAPABILITY, Outcome.NOT_OFFERED, "no AUTH=XOAUTH2"), tls=FORGED)
    assert causes(seen(probe)) == [Cause.AUTH_MECHANISM_STRIPPED]


def test_what_microsoft_itself_does_not_offer_nobody_took_out():
    probe = replace(broken("imap", Phase.CAPABILITY, Outcome.NOT_OFFERED, "no AUTH=XOAUTH2"), tls=GENUINE)
    assert causes(seen(probe)) == [Cause.UNKNOWN]


def test_new_words_of_microsofts_are_never_the_gateways():
    probe = marked(walk(tls=GENUINE), Phase.GREETING, Outcome.UNRECOGNIZED, "* OK Exchange vNext is ready")
    only = verdict(seen(probe))
    assert only.cause is Cause.HEALTHY
    assert any("replies_file" in each.observation for each in only.evidence)


@pytest.mark.parametrize("said", ["HTTP 403 <html>blocked</html>", "HTTP 302 redirect to http://<ip>/portal"])
def test_what_refuses_no_token_is_no_new_word_of_a_refusal(said):
    """Over a genuine chain nobody in between said it; that sign-in works it doesn't show either."""
    probe = marked(walk("sign_in_work", tls=GENUINE), Phase.TOKEN, Outcome.UNRECOGNIZED, said)
    assert causes(seen(probe), "sign_in_work") == [Cause.UNKNOWN]
    new = marked(walk("sign_in_work", tls=GENUINE), Phase.TOKEN, Outcome.UNRECOGNIZED, "HTTP 400 AADSTS999999: new")
    assert causes(seen(new), "sign_in_work") == [Cause.HEALTHY]


def test_other_words_behind_somebody_elses_tls():
    probe = marked(walk(tls=FORGED), Phase.GREETING, Outcome.UNRECOGNIZED, "* OK Mail Proxy")
    assert causes(seen(probe)) == [Cause.PROTOCOL_REWRITTEN]


@pytest.mark.parametrize("outcome", [RESET, Outcome.CLOSED, TIMEOUT])
def test_cut_when_the_token_goes_by(outcome):
    assert causes(seen(broken("imap", Phase.AUTH, outcome))) == [Cause.AUTH_DROPPED]


def test_a_server_that_leaves_with_words_cut_nothing():
    probe = broken("imap", Phase.AUTH, Outcome.CLOSED, "* BYE Microsoft Exchange Server IMAP4 server signing off.")
    assert Cause.AUTH_DROPPED not in causes(seen(probe))


def test_cut_at_every_vantage_may_be_the_service():
    both = [broken("imap", Phase.AUTH, RESET, vantage=vantage) for vantage in ("clients", "wan")]
    both = [replace(probe, tls=GENUINE) for probe in both]
    found = verdict(seen(*both, facts=[CLIENTS, WAN]))
    assert found.responsible is not Responsible.GATEWAY


def test_an_answer_that_breaks_off_everywhere_is_not_the_services_silence():
    def both(detail: str) -> Seen:
        walks = [broken("imap", Phase.CAPABILITY, TIMEOUT, detail, vantage) for vantage in ("clients", "wan")]
        return seen(*(replace(each, tls=GENUINE) for each in walks), facts=[CLIENTS, WAN])

    assert verdict(both("nothing within 5 s")).cause is Cause.SERVICE_OUTAGE
    assert verdict(both("only part of an answer within 5 s")).cause is Cause.UNKNOWN


def test_cut_by_length_at_every_vantage_is_not_the_service():
    both = [broken("imap", Phase.AUTH, RESET, vantage=vantage) for vantage in ("clients", "wan")]
    both = [replace(probe, tls=GENUINE) for probe in both]
    long = [tried(probe, Kind.LONG_COMMAND, RESET, Phase.CAPABILITY) for probe in both]
    found = verdict(seen(*both, experiments=long, facts=[CLIENTS, WAN]))
    assert (found.cause, found.responsible) == (Cause.AUTH_DROPPED, Responsible.UNKNOWN)
    short = [tried(both[0], Kind.LONG_COMMAND, RESET, Phase.CAPABILITY), tried(both[0], Kind.SHORT_CANARY, OK)]
    assert verdict(seen(*both, experiments=short, facts=[CLIENTS, WAN])).cause is Cause.AUTH_DROPPED


# --- pages


def page(detail: str, tls=FORGED) -> Probe:
    return replace(broken("outlook_web", Phase.HTTP, Outcome.UNEXPECTED_CONTENT, detail), tls=tls)


@pytest.mark.parametrize(
    ("detail", "cause"),
    [
        ("HTTP 302 redirect to http://<ip>/login", Cause.CAPTIVE_PORTAL),
        ("HTTP 302 redirect to http://portal.hotel.example/welcome", Cause.CAPTIVE_PORTAL),
        ("HTTP 511 <html>", Cause.CAPTIVE_PORTAL),
        ("HTTP 307 redirect to https://gateway.zscaler.net/auD?block", Cause.BLOCK_PAGE),
        ("HTTP 302 redirect to https://<ip>:8090/ips/block/webcat?cat=71", Cause.BLOCK_PAGE),
        ("HTTP 403 <html><title>Access denied</title> by policy", Cause.BLOCK_PAGE),
        ("HTTP 200 <html><h1>Web Page Blocked</h1>", Cause.BLOCK_PAGE),
    ],
)
def test_a_portal_or_a_page_that_says_no(detail, cause):
    assert causes(seen(page(detail)), "outlook_web") == [cause]


def test_a_page_takes_interception_along():
    """A page over HTTPS needs interception: one cause, not two."""
    both = replace(page("HTTP 403 <html>blocked"), tls=replace(FORGED, trusted=True))
    assert causes(seen(both), "outlook_web") == [Cause.BLOCK_PAGE]


def test_proxies_say_what_they_want():
    def proxied(outcome: Outcome, detail: str) -> list[Cause]:
        from tests.diagnosis.made import failed

        return causes(seen(failed(healthy("imap", "clients", proxied=True), Phase.PROXY, outcome, detail)))

    assert proxied(Outcome.REJECTED, "407 Proxy Authentication Required: proxy authentication required (Basic)") == [
        Cause.PROXY_AUTH_REQUIRED
    ]
    assert proxied(Outcome.REJECTED, "403 Forbidden, says the proxy") == [Cause.BLOCK_PAGE]


# --- the service


def test_throttled_by_microsoft():
    probe = replace(broken("imap", Phase.AUTH, Outcome.THROTTLED, "a2 BAD Request is throttled."), tls=GENUINE)
    only = verdict(seen(probe))
    assert (only.cause, only.responsible) == (Cause.THROTTLED, Responsible.MICROSOFT)


def test_out_of_order_by_its_own_words_and_by_somebody_elses():
    words = broken("imap", Phase.AUTH, Outcome.UNAVAILABLE, "a2 NO Server Unavailable. 15")
    mine = verdict(seen(replace(words, tls=GENUINE)))
    assert (mine.cause, mine.responsible) == (Cause.SERVICE_OUTAGE, Responsible.MICROSOFT)
    assert Cause.SERVICE_OUTAGE not in causes(seen(replace(words, tls=FORGED)))


def test_an_outage_that_another_vantage_does_not_see_is_not_microsofts():
    words = replace(broken("imap", Phase.AUTH, Outcome.UNAVAILABLE, "a2 NO Server Unavailable. 15"), tls=GENUINE)
    found = verdict(seen(words, walk(vantage="wan"), facts=[CLIENTS, WAN]))
    assert found.responsible is not Responsible.MICROSOFT


def test_restricted_tenants_only_where_sign_in_is_intercepted():
    said = "AADSTS500021: Access to 'contoso' tenant is denied."
    probe = broken("sign_in_work", Phase.TOKEN, Outcome.REJECTED, said)
    assert causes(seen(replace(probe, tls=FORGED)), "sign_in_work") == [Cause.TENANT_RESTRICTED]
    assert causes(seen(replace(probe, tls=GENUINE)), "sign_in_work") != [Cause.TENANT_RESTRICTED]


# --- slow


def test_a_late_answer_over_a_quick_way_and_over_a_slow_one():
    assert causes(seen(took(walk("sign_in_work"), token=4.0)), "sign_in_work") == [Cause.SLOW_SIGN_IN]
    assert causes(seen(took(walk("outlook_web"), http=4.0)), "outlook_web") == [Cause.SLOW_SERVICE]
    slow = took(walk("outlook_web"), connect=1.2, tls=2.5, http=4.0)
    assert causes(seen(slow), "outlook_web") == [Cause.SLOW_PATH]


def test_late_once_is_not_slow():
    probe = took(walk("sign_in_work"), token=4.0)
    quick = tried(probe, Kind.AGAIN, OK, Phase.TOKEN, seconds=0.2)
    assert causes(seen(probe, experiments=[quick, quick]), "sign_in_work") == [Cause.HEALTHY]


def test_a_slow_refusal_is_microsofts_way():
    assert causes(seen(took(walk("imap"), auth=17.5))) == [Cause.HEALTHY]


def test_what_answers_with_patience_is_slow_and_not_silent():
    probe = replace(broken("imap", Phase.GREETING, TIMEOUT), tls=GENUINE)
    patient = tried(probe, Kind.PATIENT, OK, Phase.GREETING, seconds=11.0)
    silent = tried(probe, Kind.AGAIN, TIMEOUT, Phase.GREETING)
    assert causes(seen(probe, experiments=[silent, patient])) == [Cause.SLOW_SERVICE]


# --- held connections


def test_idle_connections_are_cut_or_left_by_the_server():
    probe = walk()
    cut = tried(probe, Kind.HOLD, RESET, Phase.SESSION, idle=60.0)
    bye = tried(probe, Kind.HOLD, Outcome.CLOSED, Phase.SESSION, idle=60.0, detail="* BYE Connection is closed. 13")
    assert causes(seen(probe, experiments=[cut])) == [Cause.IDLE_CUT]
    assert causes(seen(probe, experiments=[bye])) == [Cause.HEALTHY]
    assert causes(seen(probe, experiments=[tried(probe, Kind.HOLD, OK, Phase.SESSION, idle=60.0)])) == [Cause.HEALTHY]


# --- several at once


def test_several_faults_the_nearest_to_the_wire_first():
    """IPv6 is dead, and a mail proxy cuts the token: two faults, none of the other's making."""
    probe = broken("imap", Phase.AUTH, RESET)
    probe = replace(
        probe,
        addresses=(
            AddressResult(address="2603:1026::1", outcome=TIMEOUT),
            AddressResult(address="52.97.1.1", outcome=OK),
        ),
    )
    assert causes(seen(probe)) == [Cause.IPV6_BROKEN, Cause.AUTH_DROPPED]


def test_interception_and_a_cut_token_are_two():
    probe = marked(replace(broken("imap", Phase.AUTH, RESET), tls=FORGED), Phase.TLS, Outcome.CERTIFICATE_UNTRUSTED)
    assert causes(seen(probe)) == [Cause.TLS_INTERCEPTED, Cause.AUTH_DROPPED]
