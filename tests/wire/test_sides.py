"""Two views of one connection, made by hand: what is told of it, and what isn't."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from exporter.observations import Connection
from exporter.vocabulary import ClosedBy, ConnectionOutcome, Tampering
from exporter.wire.clear_text import StartTls
from exporter.wire.sides import compared, matched
from exporter.wire.sighting import Sighting

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
RANDOM = b"r" * 32


def sighting(
    *,
    random: bytes | None = RANDOM,
    at: float = 0.0,
    side: str = "inside",
    sent: int = 600,
    received: int = 3_000,
    **more,
) -> Sighting:
    """An established connection, closed by the client after a second."""
    start = NOON + timedelta(seconds=at)
    connection = Connection(
        start=start, end=start + timedelta(seconds=1), client="10.0.0.7", client_port=50_000, server="203.0.113.1",
        server_port=443, ip_version=4, interface=side, sni="login.live.com", closed_by=ClosedBy.CLIENT,
        outcome=ConnectionOutcome.ESTABLISHED, tcp_handshake_seconds=0.02, tls_handshake_seconds=0.05,
    )  # fmt: skip
    fields = {name: more.pop(name) for name in list(more) if name in Connection.__dataclass_fields__}
    connection = replace(connection, **fields)
    began = start.timestamp()
    known = Sighting(
        connection=connection, random=random, hello_size=517 if random else None, starttls=None, banner_length=None,
        ehlo_reply_length=None, spoken=False, sent=sent, received=received, client_spoke=began + 0.4,
        server_spoke=began + 0.5, closed_at=began + 1.0,
    )  # fmt: skip
    return known._replace(**more)


def kinds(inside: Sighting, outside: Sighting | None, **more) -> set[Tampering]:
    first, *_ = compared([inside], [] if outside is None else [outside], **more)
    return {each.kind for each in first.tampering}


def test_what_passes_untouched_is_untouched_through_nat():
    other = sighting(side="outside", client="198.51.100.1", client_port=61_000)
    assert kinds(sighting(), other) == set()


def test_clocks_of_two_captures_may_differ_by_minutes():
    """The randoms that match say by how much, and then those without one are matched by time as well."""
    inside = [sighting(), sighting(at=10, random=None, outcome=ConnectionOutcome.NO_ANSWER, closed_by=ClosedBy.TIMEOUT)]
    outside = [
        sighting(at=100, side="outside"),
        sighting(at=110, side="outside", random=None, outcome=ConnectionOutcome.NO_ANSWER, closed_by=ClosedBy.TIMEOUT),
    ]
    pairs, left = matched(inside, outside)
    assert [other for _, other in pairs] == outside
    assert left == []


def test_the_same_random_is_matched_once_and_other_servers_never():
    twice = [sighting(), sighting(at=0.1)]
    pairs, _ = matched(twice, [sighting(side="outside")])
    assert [other is not None for _, other in pairs] == [True, False]
    elsewhere = sighting(side="outside", random=None, server="203.0.113.9")
    assert matched([sighting(random=None)], [elsewhere])[0][0][1] is None


def test_a_reset_that_the_server_never_sent():
    inside = sighting(closed_by=ClosedBy.RESET_SERVER, outcome=ConnectionOutcome.HELLO_RESET)
    assert Tampering.RESET_FORGED in kinds(inside, sighting(side="outside", closed_by=ClosedBy.RESET_CLIENT))
    real = sighting(side="outside", closed_by=ClosedBy.RESET_SERVER, outcome=ConnectionOutcome.HELLO_RESET)
    assert kinds(inside, real) == set()


def test_a_servers_reset_that_never_came():
    inside = sighting(closed_by=ClosedBy.TIMEOUT)
    assert Tampering.RESET_NOT_FORWARDED in kinds(inside, sighting(side="outside", closed_by=ClosedBy.RESET_SERVER))


def test_a_cut_after_long_silence_is_one_of_idle_connections():
    began = NOON.timestamp()
    inside = sighting(closed_by=ClosedBy.RESET_SERVER)._replace(closed_at=began + 400)
    assert kinds(inside, sighting(side="outside", closed_by=None)._replace(closed_at=None)) == {Tampering.IDLE_CUT}
    forgotten = sighting(sent=700, closed_by=ClosedBy.TIMEOUT)._replace(client_spoke=began + 400)
    assert kinds(forgotten, sighting(side="outside", closed_by=None)) == {Tampering.IDLE_CUT}


def test_lost_payload_names_its_direction_and_place():
    [told, *_] = compared([sighting(sent=2_000)], [sighting(side="outside", sent=600)])
    [lost] = told.tampering
    assert (lost.kind, lost.direction) == (Tampering.PAYLOAD_DROPPED, "to_server")
    assert lost.detail == "1400 bytes after the first 600"
    [told, *_] = compared([sighting(received=100)], [sighting(side="outside")])
    assert told.tampering[0].direction == "to_client"


def test_a_terminating_proxy_and_its_certificate():
    outside = sighting(side="outside", random=b"s" * 32, certificate_issuer="CN=DigiCert")
    assert kinds(sighting(certificate_issuer="CN=Fortinet"), outside) == {
        Tampering.TERMINATED, Tampering.CERTIFICATE_REPLACED,
    }  # fmt: skip
    assert kinds(sighting(), outside) == {Tampering.TERMINATED}


def test_a_hello_that_was_changed_on_its_way():
    assert kinds(sighting(), sighting(side="outside")._replace(hello_size=480)) == {Tampering.HELLO_REWRITTEN}


def test_a_clamped_segment_size():
    clamped = sighting()._replace(server_mss=1_360)
    assert kinds(clamped, sighting(side="outside")._replace(server_mss=1_460)) == {Tampering.MSS_CLAMPED}
    assert kinds(clamped, sighting(side="outside")._replace(server_mss=1_360)) == set()
    assert kinds(clamped, sighting(side="outside")) == set()


def test_the_servers_answer_to_a_syn_that_goes_no_further():
    inside, outside = (
        sighting(side=side, random=None, outcome=ConnectionOutcome.NO_ANSWER, closed_by=ClosedBy.TIMEOUT)
        for side in ("inside", "outside")
    )
    assert kinds(inside, outside) == set()
    first, *_ = compared([inside], [outside._replace(server_mss=1_460)])
    (found,) = first.tampering
    assert (found.kind, found.direction) == (Tampering.SYN_NOT_FORWARDED, "to_client")


def test_mail_in_clear():
    inside = sighting(random=None, spoken=True, starttls=StartTls.ABSENT, banner_length=120)
    outside = sighting(side="outside", random=None, spoken=True, starttls=StartTls.OFFERED, banner_length=90)
    assert kinds(inside, outside) == {Tampering.STARTTLS_REMOVED, Tampering.GREETING_REWRITTEN}
    silent = sighting(side="outside", random=None, received=0)
    assert Tampering.BANNER_INJECTED in kinds(inside, silent)
    assert kinds(inside._replace(banner_length=90), outside._replace(starttls=StartTls.ABSENT)) == set()


def test_a_command_in_clear_that_goes_no_further():
    """What the server said is the same on both sides: one stream, of which a part is missing."""

    def spoken(side: str, sent: int, banner: int = 90) -> Sighting:
        return sighting(
            side=side, sent=sent, received=240, random=None, spoken=True, starttls=StartTls.ASKED,
            banner_length=banner, ehlo_reply_length=150,
        )  # fmt: skip

    assert kinds(spoken("inside", 40), spoken("outside", 30)) == {Tampering.PAYLOAD_DROPPED}
    assert Tampering.PAYLOAD_DROPPED not in kinds(spoken("inside", 40), spoken("outside", 20, banner=120))


def test_a_delay_is_told_only_where_it_is_the_gateways():
    slow = sighting(tls_handshake_seconds=1.4)
    assert kinds(slow, sighting(side="outside")) == {Tampering.DELAY_ADDED}
    assert kinds(slow, sighting(side="outside", tls_handshake_seconds=1.3)) == set()
    assert kinds(sighting(tls_handshake_seconds=1.4, retransmissions=1), sighting(side="outside")) == set()
    held = sighting(tcp_handshake_seconds=0.8)
    assert kinds(held, sighting(side="outside")) == {Tampering.DELAY_ADDED}


def test_a_gateway_that_answers_itself_is_told_by_what_it_kept_or_said():
    """haproxy that refuses a name takes the connection first; a mail relay speaks for the server."""
    kept = sighting(outcome=ConnectionOutcome.HELLO_RESET, closed_by=ClosedBy.RESET_SERVER)
    assert kinds(kept, None) == {Tampering.TERMINATED, Tampering.HELLO_NOT_FORWARDED}
    spoke = sighting(random=None, outcome=ConnectionOutcome.NOT_TLS, spoken=True, received=294)
    assert kinds(spoke, None) == {Tampering.TERMINATED, Tampering.BANNER_INJECTED}


def test_what_never_left_is_told_only_of_captures_of_the_same_time():
    refused = sighting(random=None, outcome=ConnectionOutcome.NO_ANSWER, closed_by=ClosedBy.TIMEOUT)
    assert kinds(refused, None) == {Tampering.SYN_NOT_FORWARDED}
    assert kinds(refused, None, covered=False) == set()
    assert kinds(sighting(), None) == {Tampering.TERMINATED}
    begun = replace(sighting().connection, outcome=ConnectionOutcome.INCOMPLETE)
    assert kinds(sighting()._replace(connection=begun), None) == set()


def test_the_outsides_own_connections_are_told_behind():
    own = sighting(side="outside", random=b"o" * 32, server="203.0.113.50")
    first, second = compared([sighting()], [own, sighting(side="outside")])
    assert (first.interface, second.interface) == ("inside", "outside")
    assert second.tampering == ()


def asked(**more) -> Sighting:
    """One that asks a proxy of ours for the same server."""
    return sighting(server="10.0.0.1", server_port=3128, asked_port=443, **more)


def test_two_connections_by_way_of_a_proxy_are_one_and_their_differences_no_tampering():
    """The proxy's own segment size, the head it was asked with, and how each of the two is closed."""
    inside = asked(server_mss=1_400, sent=700, received=2_900, closed_by=ClosedBy.CLIENT)
    outside = sighting(side="outside", server_mss=1_460, closed_by=ClosedBy.RESET_CLIENT)
    assert kinds(inside, outside) == set()
    assert kinds(sighting(server_mss=1_400, sent=700, received=2_900), outside) >= {
        Tampering.MSS_CLAMPED, Tampering.RESET_FORGED, Tampering.PAYLOAD_DROPPED
    }  # fmt: skip


def test_a_proxy_that_resets_the_client_where_the_server_had_closed():
    """As squid does where the client was still saying its farewell; but one that ends what goes on is to blame."""
    inside = asked(closed_by=ClosedBy.RESET_SERVER)
    assert kinds(inside, sighting(side="outside", closed_by=ClosedBy.SERVER)) == set()
    assert kinds(inside, sighting(side="outside", closed_by=ClosedBy.CLIENT)) == {Tampering.RESET_FORGED}


def test_a_proxy_that_ends_tls_is_known_by_name_port_and_time():
    inside, outside = asked(), sighting(side="outside", random=b"s" * 32, server="203.0.113.9", at=0.2)
    assert kinds(inside, outside) == {Tampering.TERMINATED}
    for other in (replace_name(outside, "graph.microsoft.com"), replace_name(outside, None), sighting(
        side="outside", random=b"s" * 32, server_port=993, at=0.2
    )):  # fmt: skip
        assert matched([inside], [other])[0][0][1] is None


def test_a_proxy_beyond_the_gateway_is_a_server_like_any():
    """Both sides ask it: addresses must agree, and what differs was done on the way."""
    outside = sighting(side="outside", server="10.0.0.1", server_port=3128, asked_port=443, server_mss=1_460)
    assert kinds(asked(server_mss=1_400), outside) == {Tampering.MSS_CLAMPED}


def replace_name(other: Sighting, name: str | None) -> Sighting:
    return other._replace(connection=replace(other.connection, sni=name))
