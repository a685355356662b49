"""Whole captures: what is told of each connection besides its outcome, and what is only counted."""

import ssl
import struct
from collections.abc import Callable
from dataclasses import replace

import pytest

from exporter.observations import Connection
from exporter.vocabulary import AuthOutcome, ClosedBy, ConnectionOutcome, Mechanism
from exporter.wire.capture_file import MAX_TIME
from exporter.wire.tracker import Tracker, TrackerConfig
from tests.wire.conversation import MILLISECOND, SECOND, START, Conversation, inspect, inspect_file, one
from tests.wire.flights import Flight, Talk, client_context, healthy
from tests.wire.frames import (
    ACK,
    ETHERNET,
    FIN,
    PSH,
    RST,
    SYN,
    TCP,
    UDP,
    Frame,
    enhanced,
    ethernet,
    interface,
    ip,
    option,
    section,
    tcp,
    udp,
)

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


def counted(frames: list[Frame], **config: object) -> Tracker:
    tracker = Tracker(TrackerConfig(everything=True, **config), lambda connection: None)  # type: ignore[arg-type]
    for time, data, *_ in frames:
        tracker.packet(time, ETHERNET, data, 0, len(data), len(data))
    return tracker


# ---- addresses, tags, interfaces ----------------------------------------------------------------------------------------


def test_ipv6_with_tags():
    made = Conversation(client=("2001:db8::7", 50_000), server=("2001:db8:1::5", 993), vlan=(20, 7))
    connection = one(made.opens().plays(healthy()).closes())
    assert (connection.client, connection.server, connection.ip_version) == ("2001:db8::7", "2001:db8:1::5", 6)
    assert connection.vlan == (20, 7)


def test_the_interface_of_a_pcapng_is_named():
    data = section() + interface(options=option(2, b"wan0") + option(9, b"\x09"))
    data += b"".join(
        enhanced(frame, units=10**9) for frame in Conversation().opens().plays(healthy()).closes().frames()
    )
    (connection,) = inspect_file(data)
    assert connection.interface == "wan0"


def test_a_tag_that_the_kernel_took_off_is_the_outer_one():
    found: list[Connection] = []
    tracker = Tracker(TrackerConfig(everything=True), found.append)
    for time, data, *_ in Conversation(vlan=(7,)).segment(True, SYN).segment(False, RST | ACK, sequence=0).frames():
        tracker.packet(time, ETHERNET, data, 0, len(data), len(data), "eth0", 100)
    assert [(each.vlan, each.interface) for each in found] == [((100, 7), "eth0")]


def test_ports_are_used_again():
    first = Conversation().opens().plays(healthy())
    second = Conversation(first=(70_000, 80_000), now=first.now).opens().plays(healthy(V12)).closes()
    one_, two = inspect([*first.frames(), *second.frames()])
    assert (one_.tls_version, one_.closed_by, two.tls_version) == ("TLSv1.3", None, "TLSv1.2")


def test_late_segments_of_a_connection_that_is_over_begin_none():
    made = Conversation().opens().plays(healthy()).closes()
    late = [made.frame(replace(sent, time=made.now + 10**6)) for sent in made.sent[-8:]]
    assert len(inspect([*made.frames(), *late])) == 1


def forwarded(made: Conversation, head: Callable[[bool, bool], bytes]) -> list[Frame]:
    """As a router captures it at all its interfaces: each packet comes in at one and goes out at the other."""
    frames: list[Frame] = []
    for sent in made.sent:
        time, data, *_ = made.frame(sent)
        frames += [(time + 20_000 * out, head(sent.from_client, out) + data[14:]) for out in (False, True)]
    return frames


def cooked(from_client: bool, out: bool) -> bytes:
    return struct.pack(">HHH8xH", 4 if out else 0, 1, 6, 0x0800)


def cooked2(from_client: bool, out: bool) -> bytes:
    return struct.pack(">HHIHBB8x", 0x0800, 0, 2 + (from_client == out), 1, 4 if out else 0, 6)


@pytest.mark.parametrize(("link_type", "head"), [(113, cooked), (276, cooked2)])
def test_a_forwarded_packet_is_no_retransmission(link_type: int, head: Callable[[bool, bool], bytes]):
    made = Conversation().opens().plays(healthy()).closes()
    found: list[Connection] = []
    tracker = Tracker(TrackerConfig(everything=True), found.append)
    for time, data, *_ in forwarded(made, head):
        tracker.packet(time, link_type, data, 0, len(data), len(data))
    assert [(each.outcome, each.retransmissions) for each in found] == [(ConnectionOutcome.ESTABLISHED, 0)]
    assert tracker.counts.elsewhere == len(made.sent) - 1  # the last one comes behind the end


def test_two_interfaces_in_one_file_are_one_connection():
    made = Conversation().opens().plays(healthy()).closes()
    data = section() + interface(options=option(2, b"lan")) + interface(options=option(2, b"wan"))
    for frame in made.frames():
        data += enhanced(frame) + enhanced((frame[0] + 20_000, frame[1]), number=1)
    (connection,) = inspect_file(data)
    assert (connection.interface, connection.retransmissions) == ("lan", 0)


def test_a_connection_may_move_to_another_interface():
    made = Conversation().opens().plays(healthy()[:3])
    moved = len(made.sent)
    made.wait(2).plays(healthy()[3:]).closes()
    data = section() + interface(options=option(2, b"one")) + interface(options=option(2, b"two"))
    data += b"".join(enhanced(frame, number=place >= moved) for place, frame in enumerate(made.frames()))
    (connection,) = inspect_file(data)
    assert connection.outcome is ConnectionOutcome.ESTABLISHED
    assert connection.bytes_received == sum(len(data) for side, data in healthy() if not side)


# ---- TLS ----------------------------------------------------------------------------------------------------------------


def test_hello_retry_request_counts_into_the_handshake():
    retry = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
    body = (
        b"\x03\x03" + retry + b"\0\x13\x02\0" + struct.pack(">HHHH", 12, 43, 2, 0x0304) + struct.pack(">HHH", 51, 2, 24)
    )
    message = b"\x02" + len(body).to_bytes(3) + body
    record = b"\x16\x03\x03" + len(message).to_bytes(2) + message
    hello, flight, *rest = healthy()
    again = (True, b"\x14\x03\x03\0\1\1" + hello[1])
    dummy = b"\x14\x03\x03\0\1\1"
    story: list[Flight] = [hello, (False, record + dummy), again, flight, *rest]
    made = Conversation().opens().plays(story).closes()
    connection = one(made)
    assert connection.outcome is ConnectionOutcome.ESTABLISHED
    assert connection.tls_handshake_seconds == pytest.approx(0.008)
    assert connection.hello_retry is True
    for snap_length in range(54, 300):  # where the retry can't be read, its second hello is no Finished
        frames = [(time, data[:snap_length], len(data)) for time, data in made.frames()]  # type: ignore[misc]
        for cut in inspect(frames):
            assert cut.tls_handshake_seconds in (None, connection.tls_handshake_seconds), snap_length
            assert cut.hello_retry is not False, snap_length
    assert connection.group == one(Conversation().opens().plays(healthy()).closes()).group  # the last ServerHello's


def test_resumption_has_no_certificate_and_the_client_finishes_last():
    context = client_context()
    first = Talk(V12, client=context).shake().says(False, b"x")
    resumed = Talk(V12, client=context, session=first.established_session).shake()
    connection = one(Conversation().opens().plays(resumed.says(False, b"* OK\r\n").flights).closes())
    assert (connection.outcome, connection.certificate_issuer) == (ConnectionOutcome.ESTABLISHED, None)
    assert connection.tls_handshake_seconds == pytest.approx(0.004)


def test_the_issuer_is_told_where_it_is_in_clear():
    assert one(Conversation().opens().plays(healthy(V12)).closes()).certificate_issuer == "CN=Lab CA"
    assert one(Conversation().opens().plays(healthy(V13)).closes()).certificate_issuer is None


def old_hello() -> bytes:
    """In SSL 2.0's form, as clients sent it until about 2010."""
    body = b"\x01\x03\x01" + struct.pack(">HHH", 6, 0, 16) + b"\0\0\x35\0\0\x0a" + bytes(16)
    return struct.pack(">H", 0x8000 | len(body)) + body


def old_server(version: int = 0x0300) -> bytes:
    body = struct.pack(">H", version) + bytes(32) + b"\0\0\x35\0"
    message = b"\x02" + len(body).to_bytes(3) + body + b"\x0e\0\0\0"
    return b"\x16" + struct.pack(">HH", version, len(message)) + message


@pytest.mark.parametrize(("version", "name"), [(0x0300, "SSLv3"), (0x0301, "TLSv1"), (0x0302, "TLSv1.1")])
def test_old_versions_and_old_hellos(version: int, name: str):
    head = struct.pack(">H", version)
    finished = b"\x14" + head + b"\0\1\1" + b"\x16" + head + b"\0\x40" + bytes(64)
    client = b"\x16" + head + b"\0\x46\x10\0\0\x42" + bytes(66) + finished
    story: list[Flight] = [(True, old_hello()), (False, old_server(version)), (True, client), (False, finished)]
    connection = one(Conversation(server=("192.0.2.1", 443)).opens().plays(story).closes())
    assert (connection.outcome, connection.tls_version) == (ConnectionOutcome.ESTABLISHED, name)
    assert connection.cipher == "TLS_RSA_WITH_AES_256_CBC_SHA"
    assert connection.sni is None
    assert connection.tls_handshake_seconds == pytest.approx(0.004)


def test_a_name_is_found_in_records_of_a_byte_each():
    message = healthy()[0][1][5:]
    pieces = b"".join(b"\x16\x03\x01\0\1" + message[i : i + 1] for i in range(len(message)))
    connection = one(Conversation().opens().says(True, pieces).resets(False))
    assert (connection.sni, connection.outcome) == ("imap-mail.outlook.com", ConnectionOutcome.HELLO_RESET)


def test_a_warning_before_the_handshake_goes_on():
    hello, flight, *rest = healthy()
    warned = (False, b"\x15\x03\x03\0\2\1\x70" + flight[1])
    connection = one(Conversation().opens().plays([hello, warned, *rest]).closes())
    assert connection.outcome is ConnectionOutcome.ESTABLISHED
    assert connection.alert is not None
    assert (connection.alert.name, connection.alert.level, connection.alert.sender) == (
        "unrecognized_name", "warning", "server",
    )  # fmt: skip


# ---- replies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V12, V13])
@pytest.mark.parametrize("tickets", [0, 1, 2])
@pytest.mark.parametrize("port", [993, 443])
def test_the_first_reply_is_no_ticket(version: ssl.TLSVersion, tickets: int, port: int):
    """On 993 the server greets, on 443 the client asks; tickets stand before either."""
    talk = Talk(version, tickets=tickets).shake()
    made = Conversation(server=("192.0.2.1", port)).opens().plays(talk.flights)
    end = next(sent.time for sent in reversed(made.sent) if sent.payload and sent.from_client == (version is V13))
    end = next(sent.time for sent in made.sent if sent.payload == talk.flights[2][1]) if version is V13 else end
    if port == 443:
        made.says(True, talk.says(True, b"GET / HTTP/1.1\r\n\r\n").flights[-1][1])
    made.wait(0.25)
    reply = made.now
    made.says(False, talk.says(False, b"HTTP/1.1 200 OK\r\n\r\n" * 9).flights[-1][1])
    connection = one(made.says(True, talk.says(True, b"bye\r\n").flights[-1][1]).closes())
    assert connection.first_reply_seconds == pytest.approx((reply - end) / 1e9)


def test_a_sign_in_host_is_timed_from_the_request():
    talk = Talk(name="login.microsoftonline.com").shake()
    made = Conversation(server=("192.0.2.1", 443)).opens().plays(talk.flights).wait(1)
    made.says(True, talk.says(True, b"POST /common/oauth2/v2.0/token HTTP/1.1\r\n\r\n").flights[-1][1]).wait(2)
    made.says(False, talk.says(False, b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20).flights[-1][1])
    connection = one(made.closes())
    assert connection.target == "sign_in_work"
    assert connection.reply_seconds == pytest.approx(2.002)
    assert connection.first_reply_seconds == pytest.approx(3.005, abs=0.002)


def test_a_sign_in_is_inferred_from_lengths():
    talk = Talk().shake()
    talk.says(False, b"* OK The Microsoft Exchange IMAP4 service is ready. [" + b"A" * 104 + b"=]\r\n")
    talk.says(True, b"A1 CAPABILITY\r\n")
    talk.says(
        False,
        b"* CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+\r\nA1 OK CAPABILITY completed.\r\n",
    )
    talk.says(True, b"A2 AUTHENTICATE XOAUTH2 " + b"e" * 2_000 + b"\r\n")
    talk.says(False, b"A2 NO AUTHENTICATE failed.\r\n").says(True, b"A3 LOGOUT\r\n")
    connection = one(Conversation().opens().plays(talk.closes(True).flights).closes())
    assert connection.auth is not None
    assert (connection.auth.mechanism, connection.auth.outcome) == (Mechanism.TOKEN, AuthOutcome.REFUSED)


# ---- TCP ----------------------------------------------------------------------------------------------------------------


def test_keep_alives_and_probes_of_a_closed_window_are_no_retransmissions():
    made = Conversation().opens().plays(healthy())
    for _ in range(5):
        made.wait(45).segment(True, ACK, b"\0", sequence=made.next[True] - 1).segment(False, ACK)
        made.wait(45).segment(True, ACK, sequence=made.next[True] - 1).segment(False, ACK)
    assert one(made.closes()).retransmissions == 0


def test_retransmissions_of_both_sides_and_of_syn_and_fin():
    made = Conversation().segment(True, SYN).wait(1).segment(True, SYN, sequence=1_000)
    made.segment(False, SYN | ACK).segment(True, ACK)
    for from_client, data in healthy():
        made.segment(from_client, PSH | ACK, data).wait(0.3)
        made.segment(from_client, PSH | ACK, data, sequence=made.next[from_client] - len(data))
    made.segment(True, FIN | ACK).wait(0.5).segment(True, FIN | ACK, sequence=made.next[True] - 1)
    connection = one(made.segment(False, FIN | ACK).segment(True, ACK))
    assert connection.retransmissions == 1 + len(healthy()) + 1
    assert connection.outcome is ConnectionOutcome.ESTABLISHED


@pytest.mark.parametrize(("late", "expected"), [(0.001, 0), (0.050, 1)])
def test_what_fills_a_hole_was_sent_again_when_it_is_late(late: float, expected: int):
    """However busy the connection is meanwhile: a fast retransmission comes between the segments of a full window."""
    made = Conversation().opens().plays(healthy())
    lost, made.next[False] = made.next[False], made.next[False] + 100
    made.segment(False, ACK, b"b" * 100).wait(late - 0.001).segment(False, ACK, b"c" * 100)
    made.now -= 500_000
    made.segment(False, ACK, b"a" * 100, sequence=lost)
    assert one(made.closes()).retransmissions == expected


def test_bytes_up_to_a_reset():
    made = Conversation().opens().plays(healthy()).segment(True, RST | ACK)
    connection = one(made)
    assert connection.closed_by is ClosedBy.RESET_CLIENT
    assert connection.bytes_sent == sum(len(data) for side, data in healthy() if side)
    assert connection.bytes_received == sum(len(data) for side, data in healthy() if not side)


def test_bytes_that_the_capture_lacks_are_not_left_out_silently():
    """A wrong number is worse than none: the reset's own number tells, or the acknowledgments tell that more passed."""
    sent = sum(len(data) for side, data in healthy() if side)

    def reset_behind_a_lost_farewell(from_client: bool) -> Connection:
        made = Conversation().opens().plays(healthy())
        farewell = len(made.sent) - 2
        assert made.sent[farewell].payload
        return one(made.resets(from_client).without(farewell))

    told, untold = map(reset_behind_a_lost_farewell, (True, False))
    assert (told.closed_by, told.bytes_sent) == (ClosedBy.RESET_CLIENT, sent)
    assert (untold.closed_by, untold.bytes_sent) == (ClosedBy.RESET_SERVER, None)


def test_a_direction_that_was_not_captured_has_no_length():
    made = Conversation().opens().plays(healthy()).resets(False)
    unseen = one(made.without(*(place for place, sent in enumerate(made.sent) if sent.from_client)))
    assert (unseen.bytes_sent, unseen.bytes_received) == (None, sum(len(data) for side, data in healthy() if not side))


@pytest.mark.parametrize("reset", [RST | ACK, RST])
def test_what_the_kernel_left_out_is_not_counted_up_to_a_reset(reset: int):
    """Live, bulk never comes here: only the client's reset tells that there was more."""
    made = Conversation().opens().plays(healthy())
    for _ in range(5):
        made.segment(False, ACK, b"b" * 1_400)
    made.segment(True, reset)
    bulk = [place for place, sent in enumerate(made.sent) if sent.payload[:3] == b"bbb"]
    seen = one(made.without(*bulk), filtered=True)
    assert (seen.closed_by, seen.bytes_received) == (ClosedBy.RESET_CLIENT, None)
    assert seen.bytes_sent == sum(len(data) for side, data in healthy() if side)


@pytest.mark.parametrize(("port", "told"), [(993, True), (8_993, False)])
def test_a_clients_bytes_up_to_a_reset_live(port: int, told: bool):
    """A server's reset without acknowledgment doesn't tell how far the client was: only that its last segment was seen
    does, which the kernel's filter lets pass where it knows the server by its port."""
    made = Conversation(server=("192.0.2.1", port)).opens().plays(healthy()).segment(False, RST)
    seen = one(made, filtered=True)
    assert seen.closed_by is ClosedBy.RESET_SERVER
    assert seen.bytes_sent == (sum(len(data) for side, data in healthy() if side) if told else None)


def test_a_reset_with_a_number_of_elsewhere_does_not_tell_how_far_its_sender_was():
    made = Conversation().opens().plays(healthy())
    made.segment(True, RST | ACK, sequence=made.next[True] + 5_000)
    connection = one(made)
    assert (connection.closed_by, connection.bytes_sent) == (ClosedBy.RESET_CLIENT, None)
    assert connection.bytes_received == sum(len(data) for side, data in healthy() if not side)


def test_a_half_closed_connection_has_one_known_length():
    connection = one(Conversation().opens().plays(healthy()).segment(True, FIN | ACK))
    assert connection.bytes_sent == sum(len(data) for side, data in healthy() if side)
    assert connection.bytes_received is None


def test_a_sign_ins_time_is_as_exact_as_the_capture():
    """Seconds since 1970 as a float would be off by a quarter of a microsecond."""
    talk = Talk(V13).shake().says(False, b"* OK ready\r\n").says(True, b"a LOGIN me@x.example secret-word\r\n")
    made = Conversation().opens().plays(talk.flights).wait(0.000_123_457)
    answered = talk.says(False, b"a NO LOGIN failed.\r\n").flights[-1:]
    connection = one(made.plays(answered).closes())
    assert connection.auth is not None
    assert connection.auth.seconds == 0.002_123_457  # two segments of a millisecond


def test_packets_without_times_have_no_durations():
    """As simple packet blocks of pcapng are, and what some programs write."""
    made = Conversation(now=0).opens().plays(healthy()).closes()
    made.sent = [replace(each, time=0) for each in made.sent]
    connection = one(made)
    assert connection.outcome is ConnectionOutcome.ESTABLISHED
    durations = (connection.tcp_handshake_seconds, connection.tls_handshake_seconds, connection.first_reply_seconds)
    assert (*durations, connection.auth and connection.auth.seconds) == (None,) * 4


def test_start_and_end():
    made = Conversation().opens().plays(healthy()).wait(30).closes()
    connection = one(made)
    assert connection.start.timestamp() == START / 1e9
    assert connection.end.timestamp() == pytest.approx(made.sent[-1].time / 1e9)


def test_payload_in_the_syn():
    """TCP Fast Open (RFC 7413)."""
    made = Conversation().segment(True, SYN, healthy()[0][1]).segment(False, SYN | ACK).segment(True, ACK)
    assert one(made.plays(healthy()[1:]).closes()).outcome is ConnectionOutcome.ESTABLISHED


# ---- client certificates ------------------------------------------------------------------------------------------------


def record(length: int) -> bytes:
    """Application data as TLS 1.3 shows it."""
    return b"\x17\x03\x03" + length.to_bytes(2) + bytes(length)


@pytest.mark.parametrize("joined", [True, False])
def test_the_finished_behind_a_clients_certificate_ends_the_handshake(joined: bool):
    """Each message in a record of its own, as OpenSSL sends them: what the client says to the mail server comes after."""
    shaken = next(flight for flight in Talk().shake().flights if not flight[0])
    (hello, *_) = healthy()
    flight = [record(900), record(281), record(69)]
    made = Conversation().opens().plays([hello, shaken])
    for data in [b"".join(flight)] if joined else flight:
        made.segment(True, PSH | ACK, data)
    finished = made.now - MILLISECOND
    made.says(False, record(251) + record(251)).says(False, record(62)).says(True, record(29)).says(False, record(130))
    made.says(True, record(75)).says(False, record(37)).says(True, record(26)).closes()
    connection = one(made)
    assert connection.outcome is ConnectionOutcome.ESTABLISHED
    begun = next(sent.time for sent in made.sent if sent.payload)
    assert connection.tls_handshake_seconds == pytest.approx((finished - begun) / SECOND)
    assert connection.auth is not None
    assert (connection.auth.mechanism, connection.auth.outcome) == (Mechanism.PASSWORD, AuthOutcome.REFUSED)


# ---- what is counted ----------------------------------------------------------------------------------------------------


def test_quic_is_counted_by_connection():
    def packet(port: int, first: int, to: int = 443, version: str = "00000001") -> Frame:
        initial = bytes([first]) + bytes.fromhex(version) + b"\x08" + bytes(30)
        return START, ethernet(ip("10.0.0.1", "192.0.2.1", UDP, udp(port, to, initial)))

    tracker = counted([packet(1, 0xC3), packet(1, 0xC3), packet(2, 0xC0), packet(3, 0x40), packet(4, 0xC0, to=53)])
    assert (tracker.counts.quic, tracker.counts.packets) == (2, 5)
    spoken = ["6b3343cf", "ff00001d", "51303436", "54303531", "faceb002", "1a2a3a4a"]
    others = ["00000000", "01000001", "51303399", "1a2a3a4b"]  # the second is DNS, whose identifier begins with 0xC?
    versions = [packet(port, 0xC0, version=version) for port, version in enumerate(spoken + others, 1)]
    assert counted(versions).counts.quic == len(spoken)
    assert counted([(START, ethernet(ip("10.0.0.1", "192.0.2.1", UDP, udp(1, 443, b"\xc0"))))]).counts.quic == 0


def test_fragments_and_cut_headers_are_counted():
    whole = ip("10.0.0.1", "192.0.2.1", TCP, tcp(1, 993, 1, 0, SYN))
    fragment = ip("10.0.0.1", "192.0.2.1", TCP, bytes(40), fragment=0x2000)
    tracker = counted([(START, ethernet(fragment)), (START, ethernet(whole)[:40]), (START, ethernet(whole))])
    assert (tracker.counts.fragments, tracker.counts.cut, len(tracker)) == (1, 1, 1)


def test_times_that_nobody_lives_in():
    frames = [
        (time, frame[1]) for time, frame in zip((0, 2**62, MAX_TIME), Conversation().opens().frames(), strict=True)
    ]
    found: list[Connection] = []
    tracker = Tracker(TrackerConfig(everything=True), found.append)
    for time, data in frames:
        tracker.packet(time, ETHERNET, data, 0, len(data), len(data))
    tracker.finish()
    assert [connection.end.year for connection in found] == [1970, 2116]
