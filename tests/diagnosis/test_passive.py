"""Verdicts from packets alone, by hand-made connections: what separates a fault from its twin is what others met."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from exporter.diagnosis.experiment import Kind
from exporter.diagnosis.judge import judge
from exporter.diagnosis.seen import Seen
from exporter.observations import Connection, TamperingSeen, Verdict, WireAlert, WireAuth
from exporter.vocabulary import (
    AuthOutcome,
    Cause,
    ClientFamily,
    ClosedBy,
    ConnectionOutcome,
    Mechanism,
    Outcome,
    Phase,
    Responsible,
    Tampering,
)
from tests.diagnosis import made
from tests.diagnosis.made import CLIENTS, NOON, WAN, addresses, broken, marked, tried, walk

GATEWAY, NETWORK, UNKNOWN = Responsible.GATEWAY, Responsible.NETWORK, Responsible.UNKNOWN
ESTABLISHED, HELLO_RESET = ConnectionOutcome.ESTABLISHED, ConnectionOutcome.HELLO_RESET
NAMES = {
    "imap": "imap-mail.outlook.com",
    "sign_in_work": "login.microsoftonline.com",
    "outlook_web": "outlook.live.com",
}
SERVERS = {"imap": "52.97.1.1", "sign_in_work": "20.190.1.1", "outlook_web": "52.97.1.2"}


def seen(target: str = "imap", outcome: ConnectionOutcome = ESTABLISHED, **more: Any) -> Connection:
    values: dict[str, Any] = {
        "start": NOON, "end": NOON + timedelta(seconds=2), "client": "10.0.0.7", "client_port": 40_000,
        "server": SERVERS[target], "server_port": 993 if target == "imap" else 443, "ip_version": 4, "target": target,
        "sni": NAMES[target], "outcome": outcome, "tcp_handshake_seconds": 0.02, "tls_handshake_seconds": 0.05,
        "first_reply_seconds": 0.05, "ja4": "t13d1516h2_aa_bb", "client_family": ClientFamily.OPENSSL,
    }  # fmt: skip
    return Connection(**{**values, **more})


def verdict(connections: Sequence[Connection], target: str = "imap", vantage: str = "wire", **more: Any) -> Verdict:
    judged = [each.verdict for each in judge(Seen(connections=tuple(connections), **more))]
    (only,) = [each for each in judged if (each.target, each.vantage) == (target, vantage)]
    return only


def auth(mechanism: Mechanism, outcome: AuthOutcome, **more: Any) -> Connection:
    return seen(auth=WireAuth(mechanism=mechanism, outcome=outcome), **more)


def client_alert(name: str = "unknown_ca", **more: Any) -> Connection:
    alert = WireAlert(name=name, level="fatal", sender="client", encrypted=False)
    return seen(outcome=ConnectionOutcome.HANDSHAKE_FAILED, alert=alert, **more)


def done(kind: Tampering, connection: Connection) -> Connection:
    return replace(connection, tampering=(TamperingSeen(kind=kind, direction="to_client", detail="after 517 bytes"),))


def test_healthy():
    accepted = auth(Mechanism.TOKEN, AuthOutcome.ACCEPTED)
    assert verdict([seen(), accepted]).cause is Cause.HEALTHY


def test_a_capture_of_beginnings_and_ends_says_nothing():
    assert judge(Seen(connections=(seen(outcome=ConnectionOutcome.INCOMPLETE),))) == []


def test_each_interface_is_a_vantage_of_its_own():
    both = [seen(interface="eth0"), seen(interface="eth1", outcome=ConnectionOutcome.NO_ANSWER)]
    assert verdict(both, vantage="wire:eth0").cause is Cause.HEALTHY
    assert verdict(both, vantage="wire:eth1").cause is Cause.TCP_DROPPED


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        (ConnectionOutcome.NO_ANSWER, Cause.TCP_DROPPED),
        (ConnectionOutcome.REFUSED, Cause.TCP_RESET),
        (ConnectionOutcome.UNREACHABLE, Cause.TCP_UNREACHABLE),
    ],
)
def test_no_connection(outcome, cause):
    only = verdict([seen(outcome=outcome), seen(outcome=outcome, retry_of=1), seen("outlook_web")])
    assert (only.cause, only.responsible) == (cause, UNKNOWN)
    assert "--inside" in (only.next_experiment or "")


def test_one_failure_among_many_is_no_fault_and_many_are():
    fine = [seen() for _ in range(9)]
    bad = seen(outcome=ConnectionOutcome.NO_ANSWER)
    assert verdict([*fine, bad]).cause is Cause.HEALTHY
    assert verdict([*fine, *[bad] * 4]).cause is Cause.TCP_DROPPED


def test_some_servers_of_a_name():
    dead = seen(outcome=ConnectionOutcome.NO_ANSWER, server="52.97.1.9")
    assert verdict([seen(), dead]).cause is Cause.PARTIAL_OUTAGE
    six = replace(dead, server="2603:1026::1", ip_version=6)
    only = verdict([seen(), six])
    assert (only.cause, only.responsible) == (Cause.IPV6_BROKEN, NETWORK)


def test_a_connection_without_a_name_is_known_by_others_there_or_by_its_address():
    nameless = replace(seen(outcome=ConnectionOutcome.NO_ANSWER), target=None, sni=None)
    assert verdict([nameless, nameless]).cause is Cause.TCP_DROPPED  # 52.97.1.1:993 is Exchange Online's
    elsewhere = replace(nameless, server="192.0.2.7")
    assert judge(Seen(connections=(elsewhere,))) == []
    known = replace(elsewhere, outcome=ESTABLISHED, target="imap")
    assert {e.verdict.target for e in judge(Seen(connections=(known, elsewhere)))} == {"imap"}


def test_reset_by_name_on_a_server_that_answers_others():
    reset = seen("sign_in_work", HELLO_RESET)
    other = seen("outlook_web", server=SERVERS["sign_in_work"])
    assert verdict([reset, reset, other], "sign_in_work").cause is Cause.SNI_RESET


def test_a_reset_from_next_door_is_not_the_servers():
    """Its TTL tells; where the tap may lie beyond the gateway it tells nobody's name."""
    forged = seen("sign_in_work", HELLO_RESET, closed_by=ClosedBy.RESET_SERVER, server_ttl=44, reset_ttl=64)
    other = seen("outlook_web", server=SERVERS["sign_in_work"])
    only = verdict([forged, forged, other], "sign_in_work")
    assert (only.cause, only.responsible) == (Cause.SNI_RESET, GATEWAY)
    assert any("from 0 hops away, the server is 20 away" in each.observation for each in only.evidence)
    for changed in ({"reset_ttl": 107}, {"reset_ttl": 58}, {"client": "198.51.100.20"}, {"client": None}):
        lone = replace(forged, **changed)
        only = verdict([lone, lone, other], "sign_in_work")
        assert (only.cause, only.responsible) == (Cause.SNI_RESET, UNKNOWN), changed


def test_another_name_on_the_same_server_is_what_it_is_compared_with():
    reset = seen("sign_in_work", HELLO_RESET)
    other = replace(seen("sign_in_work"), target=None, sni="www.bing.com")
    only = verdict([reset, reset, other], "sign_in_work")
    assert only.cause is Cause.SNI_RESET
    assert any("the same server answers other names: www.bing.com" in each.observation for each in only.evidence)


def test_reset_whatever_the_name():
    reset = seen("imap", HELLO_RESET)
    resets = [reset, replace(reset, sni="outlook.office365.com", target="imap_office365")]
    only = verdict([*resets, *resets, seen("outlook_web")])
    assert only.cause is Cause.TLS_RESET


def test_swallowed_by_name_or_by_form():
    swallowed = seen("sign_in_work", ConnectionOutcome.HELLO_UNANSWERED)
    assert verdict([swallowed, seen("outlook_web")], "sign_in_work").cause is Cause.SNI_DROPPED
    small = seen("sign_in_work", ja4="t12d0605h1_cc_dd", client_family=ClientFamily.JAVA)
    assert verdict([swallowed] * 3 + [small], "sign_in_work").cause is Cause.LARGE_HELLO_DROPPED


def test_clients_that_refuse_the_certificate():
    only = verdict([client_alert(), client_alert(client_family=ClientFamily.APPLE)])
    assert (only.cause, only.responsible) == (Cause.TLS_INTERCEPTED, UNKNOWN)


def secret_alert(**more: Any) -> Connection:
    alert = WireAlert(name=None, level=None, sender="client", encrypted=True)
    return seen(outcome=ConnectionOutcome.HANDSHAKE_FAILED, alert=alert, tls_version="TLSv1.3", **more)


def test_one_client_that_refuses_what_others_accept_is_no_interception():
    """A printer without the root tries again and again; phones that refuse while computers accept are several."""
    printer = [client_alert(client="10.0.0.90", retry_of=number) for number in range(5)]
    assert verdict([*printer, seen(), seen(client="10.0.0.8")]).cause is Cause.HEALTHY
    phones = [client_alert(client=f"10.0.0.{number}") for number in (90, 91, 92)]
    assert verdict([*phones, seen(), seen(client="10.0.0.8")]).cause is Cause.TLS_INTERCEPTED


def test_alerts_that_cannot_be_read_tell_by_their_place():
    several = [secret_alert(client=f"10.0.0.{n}", client_family=ClientFamily.APPLE) for n in range(3)]
    assert verdict(several).cause is Cause.TLS_INTERCEPTED
    only = verdict([secret_alert()])
    assert only.cause is Cause.UNKNOWN
    assert any(each.points_to == Cause.TLS_INTERCEPTED for each in only.evidence)
    assert verdict([secret_alert(client="10.0.0.90"), seen()]).cause is Cause.HEALTHY


def test_the_issuer_in_clear_tells_whose_it_is():
    forged = client_alert(tls_version="TLSv1.2", certificate_issuer="CN=FortiGate CA,O=Fortinet")
    assert verdict([forged]).responsible is GATEWAY
    own = client_alert(tls_version="TLSv1.2", certificate_issuer="CN=DigiCert Cloud Services CA-1,O=DigiCert Inc")
    only = verdict([own, seen()])
    assert (only.cause, only.responsible) == (Cause.ROOT_NOT_TRUSTED, Responsible.APPLIANCE)


def test_who_refuses_what_is_seen_to_be_microsofts_lacks_a_root_and_sees_no_forgery_elsewhere():
    own = client_alert(target="imap", tls_version="TLSv1.2", certificate_issuer="CN=DigiCert Cloud Services CA-1")
    hidden = client_alert(target="sign_in_work")
    assert verdict([own, hidden], "sign_in_work").cause is Cause.UNKNOWN  # an incomplete chain looks the same
    fine = seen("sign_in_work", client="10.0.0.20")
    assert verdict([own, hidden, fine], "sign_in_work").cause is Cause.ROOT_NOT_TRUSTED
    another = client_alert(target="sign_in_work", client="10.0.0.8")
    assert verdict([own, another], "sign_in_work").cause is Cause.TLS_INTERCEPTED
    dates = [replace(each, alert=replace(each.alert, name="bad_certificate")) for each in (own, hidden) if each.alert]
    assert {verdict(dates, name).cause for name in ("imap", "sign_in_work")} == {Cause.UNKNOWN}


def test_clients_that_say_that_it_has_expired():
    """One whose clock is wrong is alone with it."""
    old = [client_alert("certificate_expired", client=f"10.0.0.{number}") for number in (7, 8, 9)]
    only = verdict(old)
    assert (only.cause, only.responsible) == (Cause.CERTIFICATE_EXPIRED, UNKNOWN)
    assert verdict([*old[:1] * 5, seen(client="10.0.0.20"), seen(client="10.0.0.21")]).cause is Cause.HEALTHY


def test_a_certificates_fault_that_walks_found_is_why_clients_refuse_it():
    """Both sides of the gateway see it, and it isn't the network's."""
    wrong = marked(walk("imap"), Phase.TLS, Outcome.CERTIFICATE_NOT_YET_VALID)
    refused = client_alert("bad_certificate", interface="inside")
    round_ = made.seen(
        wrong, replace(wrong, vantage="wan"), facts=(CLIENTS, WAN), connections=(refused,), two_sided=True
    )
    said = {each.verdict.vantage: each.verdict for each in judge(round_)}
    assert {each.cause for each in said.values()} == {Cause.CERTIFICATE_NOT_YET_VALID}
    assert said["wire:inside"].responsible is said["clients"].responsible is Responsible.MICROSOFT


def test_intercepted_though_clients_accept_it():
    assert verdict([seen(certificate_issuer="CN=Contoso Inspection CA,O=Contoso Ltd")]).cause is Cause.TLS_INTERCEPTED


def test_a_version_refused_by_the_server_side():
    alert = WireAlert(name="protocol_version", level="fatal", sender="server", encrypted=False)
    assert verdict([seen(outcome=ConnectionOutcome.HANDSHAKE_FAILED, alert=alert)]).cause is Cause.TLS_VERSION_BLOCKED


def test_mail_that_never_comes_to_tls():
    assert verdict([seen(outcome=ConnectionOutcome.NOT_TLS, server_port=587)] * 2).cause is Cause.STARTTLS_STRIPPED


def test_passwords_are_the_clients_to_change():
    refused = auth(Mechanism.PASSWORD, AuthOutcome.REFUSED)
    only = verdict([refused, seen()])
    assert (only.cause, only.responsible, only.journeys) == (
        Cause.PASSWORD_REFUSED, Responsible.CLIENT, ("imap_password",),
    )  # fmt: skip
    leaving = [auth(Mechanism.UNKNOWN, AuthOutcome.ABANDONED, retry_of=number) for number in range(6)]
    assert verdict(leaving).cause is Cause.PASSWORD_REFUSED
    assert verdict(leaving[:2]).cause is Cause.HEALTHY  # a look, not a loop


def test_tokens_of_one_client_or_of_all():
    refused = [auth(Mechanism.TOKEN, AuthOutcome.REFUSED, client=f"10.0.0.{n}") for n in range(4)]
    accepted = auth(Mechanism.TOKEN, AuthOutcome.ACCEPTED, client="10.0.0.99")
    one = verdict([refused[0], accepted])
    assert (one.cause, one.responsible) == (Cause.TOKEN_EXPIRED, Responsible.ACCOUNT)
    assert verdict(refused).cause is Cause.SERVICE_OUTAGE
    assert verdict([*refused, accepted]).cause is Cause.TOKEN_EXPIRED


def test_tokens_refused_of_whom_nobody_knows():
    """Without addresses it may be one account's, or everybody's."""
    refused = [auth(Mechanism.TOKEN, AuthOutcome.REFUSED, client=None)] * 4
    only = verdict(refused)
    assert (only.cause, only.responsible) == (Cause.UNKNOWN, UNKNOWN)
    assert "hashed" in (only.next_experiment or "")
    assert verdict([*refused, auth(Mechanism.TOKEN, AuthOutcome.ACCEPTED, client=None)]).cause is Cause.TOKEN_EXPIRED


def test_our_own_canary_is_nobodys_token():
    ours = auth(Mechanism.TOKEN, AuthOutcome.REFUSED)
    assert verdict([ours] * 4, own_stack="aa_bb").cause is Cause.HEALTHY
    theirs = auth(Mechanism.TOKEN, AuthOutcome.REFUSED, ja4="t13d1516h2_cc_dd")
    assert verdict([ours, theirs], own_stack="aa_bb").cause is Cause.TOKEN_EXPIRED
    assert verdict([ours]).cause is Cause.TOKEN_EXPIRED


def test_cut_when_the_token_goes_by():
    cut = auth(Mechanism.TOKEN, AuthOutcome.UNKNOWN, closed_by=ClosedBy.RESET_SERVER)
    assert verdict([cut, cut]).cause is Cause.AUTH_DROPPED


def test_idle_connections_that_die_at_one_age():
    def aged(seconds: float, closed_by: ClosedBy = ClosedBy.TIMEOUT) -> Connection:
        return seen(end=NOON + timedelta(seconds=seconds), closed_by=closed_by)

    assert verdict([aged(300), aged(302), aged(301)]).cause is Cause.IDLE_CUT
    assert verdict([aged(80), aged(300), aged(900)]).cause is Cause.HEALTHY  # people close their laptops
    assert verdict([aged(300, ClosedBy.CLIENT)] * 3).cause is Cause.HEALTHY


def test_slow_path_or_slow_service():
    assert verdict([seen(tcp_handshake_seconds=0.9)] * 3).cause is Cause.SLOW_PATH
    assert verdict([seen(first_reply_seconds=4.0)] * 3).cause is Cause.SLOW_SERVICE
    late = [seen("sign_in_work", reply_seconds=5.0, first_reply_seconds=5.0)] * 3
    assert verdict(late, "sign_in_work").cause is Cause.SLOW_SIGN_IN


def test_segments_sent_again():
    assert verdict([seen(retransmissions=5)] * 3).cause is Cause.PACKET_LOSS
    assert verdict([seen(retransmissions=1), seen(), seen()]).cause is Cause.HEALTHY


# --- two sides


@pytest.mark.parametrize(
    ("kind", "connection", "cause"),
    [
        (Tampering.SYN_NOT_FORWARDED, seen(outcome=ConnectionOutcome.NO_ANSWER), Cause.TCP_DROPPED),
        (Tampering.HELLO_NOT_FORWARDED, seen(outcome=ConnectionOutcome.HELLO_UNANSWERED), Cause.SNI_DROPPED),
        (Tampering.CERTIFICATE_REPLACED, seen(), Cause.TLS_INTERCEPTED),
        (Tampering.TERMINATED, seen(), Cause.TLS_INTERCEPTED),
        (Tampering.STARTTLS_REMOVED, seen(outcome=ConnectionOutcome.NOT_TLS), Cause.STARTTLS_STRIPPED),
        (Tampering.RESET_FORGED, seen(outcome=ConnectionOutcome.NOT_TLS), Cause.STARTTLS_STRIPPED),
        (Tampering.PAYLOAD_DROPPED, seen(outcome=ConnectionOutcome.NOT_TLS), Cause.STARTTLS_STRIPPED),
        (Tampering.GREETING_REWRITTEN, seen(), Cause.PROTOCOL_REWRITTEN),
        (Tampering.DELAY_ADDED, seen(), Cause.SLOW_PATH),
        (Tampering.IDLE_CUT, seen(), Cause.IDLE_CUT),
    ],
)
def test_what_the_gateway_was_seen_to_do(kind, connection, cause):
    inside = replace(done(kind, connection), interface="inside")
    only = verdict([inside], vantage="wire:inside", two_sided=True)
    assert (only.cause, only.responsible) == (cause, GATEWAY)
    assert any(kind in each.observation for each in only.evidence)


def test_what_the_gateway_answered_itself_is_its_own_doing_and_no_interception():
    def answered(connection: Connection, kind: Tampering) -> Connection:
        tampering = tuple(TamperingSeen(kind=each, direction=None, detail="") for each in (Tampering.TERMINATED, kind))
        return replace(connection, interface="inside", tampering=tampering)

    kept = answered(seen("sign_in_work", HELLO_RESET), Tampering.HELLO_NOT_FORWARDED)
    spoke = answered(seen(outcome=ConnectionOutcome.NOT_TLS), Tampering.BANNER_INJECTED)
    both = [kept, spoke, seen("outlook_web", interface="inside")]
    only = verdict(both, "sign_in_work", "wire:inside", two_sided=True)
    assert (only.cause, only.responsible) == (Cause.SNI_RESET, GATEWAY)
    only = verdict(both, "imap", "wire:inside", two_sided=True)
    assert (only.cause, only.responsible) == (Cause.STARTTLS_STRIPPED, GATEWAY)


def test_a_forged_reset_is_of_the_name_that_it_answers_and_nothing_else():
    reset = replace(done(Tampering.RESET_FORGED, seen("sign_in_work", HELLO_RESET)), interface="inside")
    fine = seen("outlook_web", interface="inside")
    only = verdict([reset, fine], "sign_in_work", "wire:inside", two_sided=True)
    assert (only.cause, only.responsible) == (Cause.SNI_RESET, GATEWAY)


def test_what_fares_the_same_outside_begins_beyond():
    reset = seen("sign_in_work", HELLO_RESET, interface="inside")
    fine = seen("outlook_web", interface="inside")
    only = verdict([reset, reset, fine], "sign_in_work", "wire:inside", two_sided=True)
    assert (only.cause, only.responsible) == (Cause.SNI_RESET, NETWORK)


def test_what_was_touched_otherwise_is_not_laid_beyond():
    """What the gateway did isn't how the cause comes about, and still the two sides aren't alike."""
    late = done(Tampering.DELAY_ADDED, seen("sign_in_work", HELLO_RESET, interface="inside"))
    fine = seen("outlook_web", interface="inside")
    judged = judge(Seen(connections=(late, late, fine), two_sided=True))
    (reset,) = [each.verdict for each in judged if each.verdict.cause is Cause.SNI_RESET]
    assert reset.responsible is UNKNOWN


def led_to(server: str, *clients: Connection) -> dict[str, Verdict]:
    """By vantage what is said about imap where the clients' resolver leads there, and another one to a server of
    Microsoft's that answers from the same vantage."""
    probe = addresses(broken("imap", Phase.CONNECT, Outcome.TIMEOUT), **{server: Outcome.TIMEOUT})
    other = [
        tried(probe, Kind.AGAIN, Outcome.TIMEOUT),
        tried(probe, Kind.SECOND_RESOLVER, Outcome.OK, Phase.DNS, addresses=("52.97.9.9",)),
        tried(probe, Kind.OTHER_ADDRESS, Outcome.OK, Phase.TLS, address="52.97.9.9", genuine=True),
    ]
    round_ = made.seen(probe, walk("imap", "wan"), experiments=other, facts=(CLIENTS, WAN), connections=clients)
    return {each.verdict.vantage: each.verdict for each in judge(round_)}


def test_clients_silent_where_a_resolver_leads_falsely_are_led_there_too():
    unanswered = seen(server="203.0.113.77", sni=None, outcome=ConnectionOutcome.NO_ANSWER)
    said = led_to("203.0.113.77", unanswered)
    assert said["clients"].cause is said["wire"].cause is Cause.DNS_REDIRECTED
    assert said["clients"].responsible is said["wire"].responsible is GATEWAY
    elsewhere = led_to("203.0.113.77", replace(unanswered, server="52.97.9.9"))  # they weren't led: a fault of its own
    assert elsewhere["wire"].cause is Cause.TCP_DROPPED


def test_what_walks_placed_is_placed_for_the_same_fault_in_packets_and_for_no_other():
    reset = broken("imap", Phase.CONNECT, Outcome.REFUSED)
    again = tried(reset, Kind.AGAIN, Outcome.REFUSED)

    def said(outcome: ConnectionOutcome, **more: Any) -> Verdict:
        clients = (seen(outcome=outcome, **more),)
        round_ = made.seen(reset, walk("imap", "wan"), experiments=[again], facts=(CLIENTS, WAN), connections=clients)
        return next(each.verdict for each in judge(round_) if each.verdict.vantage.startswith("wire"))

    assert said(ConnectionOutcome.REFUSED).responsible is GATEWAY
    assert "clients" in said(ConnectionOutcome.REFUSED).evidence[-1].observation
    walked = next(each.verdict for each in judge(made.seen(reset, walk("imap", "wan"), experiments=[again],
                                                           facts=(CLIENTS, WAN))))  # fmt: skip
    assert said(ConnectionOutcome.REFUSED).confidence == walked.confidence
    assert said(ConnectionOutcome.NO_ANSWER).responsible is UNKNOWN
    assert said(ConnectionOutcome.REFUSED, interface="outside").responsible is UNKNOWN


def test_a_clamped_mss_is_no_fault():
    clamped = replace(done(Tampering.MSS_CLAMPED, seen()), interface="inside")
    assert verdict([clamped], vantage="wire:inside", two_sided=True).cause is Cause.HEALTHY


@pytest.mark.parametrize("outcome", [ConnectionOutcome.NOT_TLS, ConnectionOutcome.HANDSHAKE_FAILED])
def test_who_hangs_up_without_a_word_was_refused_nothing(outcome):
    """Checks of a TCP port, our own among them, hear a greeting and go."""
    checks = [seen(outcome=outcome, sni=None, bytes_sent=0, bytes_received=130, closed_by=ClosedBy.RESET_CLIENT)] * 9
    assert verdict([*checks, seen()]).cause is Cause.HEALTHY
    assert judge(Seen(connections=tuple(checks))) == []
    asked = [replace(each, bytes_sent=40) for each in checks]
    assert verdict(asked).cause is not Cause.HEALTHY
