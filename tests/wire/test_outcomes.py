"""The contract's outcomes, each by its definition: the furthest point that a connection reached."""

import ssl

import pytest

from exporter.vocabulary import ClosedBy, ConnectionOutcome
from tests.wire.conversation import START, Conversation, inspect, one
from tests.wire.flights import Talk, client_context, healthy
from tests.wire.frames import ACK, FIN, ICMP, ICMPV6, PSH, RST, SYN, TCP, Frame, ethernet, icmp_error, ip, tcp

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def hello() -> bytes:
    return healthy()[0][1]


def far_later(conversation: Conversation, seconds: float) -> list[Frame]:
    """The conversation's frames, and one of something else that much later."""
    other = conversation.wait(seconds).now, ethernet(ip("10.9.9.9", "10.9.9.8", 47, b""))
    return [*conversation.frames(), other]


# ---- no answer, refused, unreachable -----------------------------------------------------------------------------------


def test_nothing_came_back_for_three_seconds():
    conversation = Conversation().segment(True, SYN).wait(1).segment(True, SYN, sequence=1_000).wait(2)
    (connection,) = inspect(far_later(conversation, 0.1))
    assert connection.outcome is ConnectionOutcome.NO_ANSWER
    assert connection.tcp_handshake_seconds is None
    assert connection.retransmissions == 1
    assert (connection.bytes_sent, connection.bytes_received) == (None, None)


def test_a_capture_that_ends_before_three_seconds_cannot_tell():
    (connection,) = inspect(far_later(Conversation().segment(True, SYN), 2.5))
    assert connection.outcome is ConnectionOutcome.INCOMPLETE
    assert connection.closed_by is None


def test_the_client_gave_up_before_three_seconds():
    connection = one(Conversation().segment(True, SYN).wait(1).segment(True, RST, sequence=1_001))
    assert (connection.outcome, connection.closed_by) == (ConnectionOutcome.NO_ANSWER, ClosedBy.RESET_CLIENT)


def test_a_late_answer_is_an_answer():
    conversation = Conversation().segment(True, SYN).wait(1).segment(True, SYN, sequence=1_000).wait(2.1)
    conversation.segment(False, SYN | ACK).segment(True, ACK).plays(healthy()).closes()
    connection = one(conversation)
    assert connection.outcome is ConnectionOutcome.ESTABLISHED
    assert connection.tcp_handshake_seconds == pytest.approx(3.102)
    assert connection.retransmissions == 1


def test_silence_is_told_while_the_capture_goes_on():
    (connection,) = inspect(far_later(Conversation().segment(True, SYN), 100))
    assert (connection.outcome, connection.closed_by) == (ConnectionOutcome.NO_ANSWER, ClosedBy.TIMEOUT)


def test_refused():
    connection = one(Conversation().segment(True, SYN).segment(False, RST | ACK, sequence=0))
    assert (connection.outcome, connection.closed_by) == (ConnectionOutcome.REFUSED, ClosedBy.RESET_SERVER)


def test_refused_and_tried_again_with_the_same_syn_is_one_connection():
    """As Windows does, twice, half a second apart."""
    conversation = Conversation()
    for _ in range(3):
        conversation.segment(True, SYN, sequence=1_000).segment(False, RST | ACK, sequence=0, acknowledgment=1_001)
        conversation.wait(0.5)
    assert one(conversation).outcome is ConnectionOutcome.REFUSED


def test_a_reset_that_acknowledges_something_else_refuses_nothing():
    conversation = Conversation().segment(True, SYN).segment(False, RST | ACK, sequence=0, acknowledgment=77)
    conversation.segment(False, SYN | ACK, acknowledgment=1_001).segment(True, ACK).plays(healthy()).closes()
    assert one(conversation).outcome is ConnectionOutcome.ESTABLISHED


@pytest.mark.parametrize(("kind", "code"), [(3, 1), (3, 3), (3, 13), (11, 0)])
def test_unreachable_by_icmp(kind: int, code: int):
    conversation = Conversation().segment(True, SYN)
    quoted = conversation.frames()[0][1][14:][:28]  # the IP header and 8 bytes, as RFC 792 has it
    error = START + 10**7, ethernet(ip("10.0.0.254", "10.0.0.1", ICMP, icmp_error(kind, code, quoted)))
    (connection,) = inspect([*conversation.frames(), error])
    assert connection.outcome is ConnectionOutcome.UNREACHABLE


@pytest.mark.parametrize(("kind", "code"), [(1, 0), (1, 1), (1, 4), (3, 0)])
def test_unreachable_by_icmp_of_ipv6(kind: int, code: int):
    conversation = Conversation(client=("2001:db8::1", 40_000), server=("2001:db8:1::5", 993)).segment(True, SYN)
    quoted = conversation.frames()[0][1][14:]
    error = START + 10**7, ethernet(ip("2001:db8::fe", "2001:db8::1", ICMPV6, icmp_error(kind, code, quoted)))
    (connection,) = inspect([*conversation.frames(), error])
    assert connection.outcome is ConnectionOutcome.UNREACHABLE
    assert connection.ip_version == 6


def test_icmp_about_another_connection_or_another_syn_says_nothing():
    conversation = Conversation().segment(True, SYN)
    foreign = ip("10.0.0.1", "192.0.2.1", TCP, tcp(40_000, 993, 5_555, 0, SYN))[:28]
    error = START + 10**7, ethernet(ip("10.0.0.254", "10.0.0.1", ICMP, icmp_error(3, 1, foreign)))
    (connection,) = inspect([*conversation.frames(), error])
    assert connection.outcome is ConnectionOutcome.INCOMPLETE


def test_icmp_that_one_retry_met_does_not_undo_an_answer():
    conversation = Conversation().segment(True, SYN)
    quoted = conversation.frames()[0][1][14:][:28]
    error = START + 10**7, ethernet(ip("10.0.0.254", "10.0.0.1", ICMP, icmp_error(3, 1, quoted)))
    conversation.segment(False, SYN | ACK).segment(True, ACK).plays(healthy()).closes()
    first, *rest = conversation.frames()
    (connection,) = inspect([first, error, *rest])
    assert connection.outcome is ConnectionOutcome.ESTABLISHED


# ---- the hello ---------------------------------------------------------------------------------------------------------


def test_hello_unanswered_when_the_client_leaves():
    conversation = Conversation().opens().says(True, hello()).wait(2).closes(True)
    connection = one(conversation)
    assert (connection.outcome, connection.closed_by) == (ConnectionOutcome.HELLO_UNANSWERED, ClosedBy.CLIENT)
    assert connection.sni == "imap-mail.outlook.com"
    assert connection.tls_handshake_seconds is None


def test_hello_unanswered_for_five_seconds_though_sent_again():
    conversation = Conversation().opens().segment(True, PSH | ACK, hello())
    for pause in (0.2, 0.4, 0.8, 1.6, 3.2):
        conversation.wait(pause).segment(True, PSH | ACK, hello(), sequence=1_001)
    connection = one(conversation)
    assert connection.outcome is ConnectionOutcome.HELLO_UNANSWERED
    assert connection.retransmissions == 5


def test_hello_unanswered_is_not_told_before_five_seconds():
    (connection,) = inspect(far_later(Conversation().opens().says(True, hello()), 4))
    assert connection.outcome is ConnectionOutcome.INCOMPLETE


@pytest.mark.parametrize("how", ["reset", "fin"])
def test_hello_reset_by_the_servers_side(how: str):
    conversation = Conversation().opens().says(True, hello())
    connection = one(conversation.resets(False) if how == "reset" else conversation.closes(False))
    assert connection.outcome is ConnectionOutcome.HELLO_RESET
    assert connection.closed_by is (ClosedBy.RESET_SERVER if how == "reset" else ClosedBy.SERVER)
    assert connection.sni == "imap-mail.outlook.com"


def test_reset_before_the_hello():
    connection = one(Conversation().opens().resets(False))
    assert connection.outcome is ConnectionOutcome.HELLO_RESET


def test_a_hello_whose_first_half_was_reset():
    conversation = Conversation(mss=200).opens().segment(True, PSH | ACK, hello()[:200]).resets(False)
    assert one(conversation).outcome is ConnectionOutcome.HELLO_RESET


def test_connected_and_nothing_said():
    """As a health check does it: not a word was spoken, so nothing is told but that."""
    assert one(Conversation().opens().closes(True)).outcome is ConnectionOutcome.INCOMPLETE


# ---- the handshake -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_established(version: ssl.TLSVersion):
    connection = one(Conversation().opens().plays(healthy(version)).closes())
    assert connection.outcome is ConnectionOutcome.ESTABLISHED
    assert connection.alert is None
    assert connection.tls_version == {VERSIONS[0]: "TLSv1.2", VERSIONS[1]: "TLSv1.3"}[version]
    assert connection.group == "secp256r1"
    assert connection.tls_handshake_seconds == pytest.approx(0.004)
    sent = sum(len(data) for from_client, data in healthy(version) if from_client)
    received = sum(len(data) for from_client, data in healthy(version) if not from_client)
    assert (connection.bytes_sent, connection.bytes_received) == (sent, received)
    assert connection.closed_by is ClosedBy.CLIENT


@pytest.mark.parametrize("version", VERSIONS)
def test_the_client_refuses_the_certificate(version: ssl.TLSVersion):
    """OpenSSL says so in clear, in TLS 1.3 too."""
    talk = Talk(version, client=client_context(trusting=False)).shake()
    connection = one(Conversation().opens().plays(talk.flights).closes())
    assert connection.outcome is ConnectionOutcome.HANDSHAKE_FAILED
    assert connection.alert is not None
    assert (connection.alert.name, connection.alert.level) == ("unknown_ca", "fatal")
    assert (connection.alert.sender, connection.alert.encrypted) == ("client", False)


def test_the_client_refuses_in_a_record_that_cannot_be_read():
    """As NSS, Go and Java do in TLS 1.3: a record too short for a Finished, then the end."""
    hello_, flight = healthy()[:2]
    alert = b"\x14\x03\x03\x00\x01\x01" + b"\x17\x03\x03\x00\x13" + bytes(19)
    connection = one(Conversation().opens().plays([hello_, flight, (True, alert)]).closes(True))
    assert connection.outcome is ConnectionOutcome.HANDSHAKE_FAILED
    assert connection.alert is not None
    assert (connection.alert.name, connection.alert.sender, connection.alert.encrypted) == (None, "client", True)


def test_java_pads_its_alert():
    hello_, flight = healthy()[:2]
    alert = b"\x14\x03\x03\x00\x01\x01" + b"\x17\x03\x03\x00\x23" + bytes(35)
    connection = one(Conversation().opens().plays([hello_, flight, (True, alert)]).closes(True))
    assert connection.outcome is ConnectionOutcome.HANDSHAKE_FAILED
    assert connection.alert is not None
    assert connection.alert.encrypted


def test_the_server_refuses_the_hello():
    client = client_context()
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    talk = Talk(ssl.TLSVersion.TLSv1_2, client=client)
    connection = one(Conversation().opens().plays(talk.shake().flights).closes(False))
    assert connection.outcome is ConnectionOutcome.HANDSHAKE_FAILED
    assert connection.alert is not None
    assert (connection.alert.name, connection.alert.sender) == ("protocol_version", "server")


@pytest.mark.parametrize(
    ("size", "outcome"), [(2_028, ConnectionOutcome.ESTABLISHED), (24, ConnectionOutcome.HANDSHAKE_FAILED)]
)
def test_a_clients_certificate_that_the_kernel_keeps_from_us(size: int, outcome: ConnectionOutcome):
    """At a port of which nothing is known; what is too short for a Finished behind it was an alert."""
    hello_, flight = healthy()[:2]
    made = Conversation(server=("192.0.2.1", 8_765)).opens().plays([hello_, flight, (True, b"\x14\x03\x03\0\1\1")])
    unseen = len(made.sent)
    made.segment(True, PSH | ACK, b"\x17\x03\x03" + (size - 5).to_bytes(2) + bytes(size - 5))
    assert one(made.closes(False).without(unseen), filtered=True).outcome is outcome


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("end", ["reset", "fin", "silence"])
def test_cut_in_the_middle_of_the_handshake(version: ssl.TLSVersion, end: str):
    conversation = Conversation().opens().plays(healthy(version)[:2])
    if end == "reset":
        conversation.resets(False)
    elif end == "fin":
        conversation.closes(False)
    (connection,) = inspect(far_later(conversation, 5.5))
    assert connection.outcome is ConnectionOutcome.HANDSHAKE_FAILED
    expected = {"reset": ClosedBy.RESET_SERVER, "fin": ClosedBy.SERVER, "silence": ClosedBy.TIMEOUT}[end]
    assert connection.closed_by is expected
    assert connection.alert is None


@pytest.mark.parametrize("version", VERSIONS)
def test_a_capture_that_ends_in_the_handshake_cannot_tell(version: ssl.TLSVersion):
    connection = one(Conversation().opens().plays(healthy(version)[:2]))
    assert (connection.outcome, connection.closed_by) == (ConnectionOutcome.INCOMPLETE, None)


def test_half_a_server_hello_is_tls_of_the_server():
    conversation = Conversation().opens().says(True, hello()).says(False, healthy()[1][1][:30]).resets(False)
    assert one(conversation).outcome is ConnectionOutcome.HANDSHAKE_FAILED


# ---- something else ----------------------------------------------------------------------------------------------------


def test_the_server_answers_with_something_else():
    page = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    connection = one(Conversation().opens().says(True, hello()).says(False, page).closes(False))
    assert connection.outcome is ConnectionOutcome.NOT_TLS
    assert connection.sni == "imap-mail.outlook.com"


def test_plain_text_at_a_port_of_tls():
    conversation = Conversation(server=("192.0.2.1", 443)).opens().says(True, b"GET / HTTP/1.0\r\n\r\n").closes()
    assert one(conversation).outcome is ConnectionOutcome.NOT_TLS


def test_what_is_neither_tls_nor_mail_is_not_told():
    conversation = Conversation(server=("192.0.2.1", 80)).opens().says(True, b"GET / HTTP/1.0\r\n\r\n").closes()
    assert inspect(conversation.frames()) == []
    assert inspect(Conversation(server=("192.0.2.1", 22)).opens().says(False, b"SSH-2.0-x\r\n").closes().frames()) == []


def test_tls_at_any_port_is_told():
    connection = one(Conversation(server=("192.0.2.1", 12_345)).opens().plays(healthy()).closes())
    assert (connection.outcome, connection.server_port) == (ConnectionOutcome.ESTABLISHED, 12_345)


# ---- resets that nobody had to believe ---------------------------------------------------------------------------------


def test_an_odd_reset_that_changed_nothing():
    conversation = Conversation().opens().plays(healthy()[:2])
    conversation.segment(False, RST, sequence=77).plays(healthy()[2:]).closes()
    connection = one(conversation)
    assert (connection.outcome, connection.closed_by) == (ConnectionOutcome.ESTABLISHED, ClosedBy.CLIENT)


def test_an_odd_reset_behind_which_nothing_comes():
    conversation = Conversation().opens().says(True, hello()).segment(False, RST, sequence=77)
    (connection,) = inspect(far_later(conversation, 20))
    assert (connection.outcome, connection.closed_by) == (ConnectionOutcome.HELLO_RESET, ClosedBy.RESET_SERVER)


def test_a_reset_behind_a_fin_leaves_the_closing_with_the_fin():
    conversation = Conversation().opens().plays(healthy()).segment(True, FIN | ACK).resets(False)
    assert one(conversation).closed_by is ClosedBy.CLIENT


def test_both_close_at_once():
    conversation = Conversation().opens().plays(healthy())
    conversation.segment(True, FIN | ACK).segment(False, FIN | ACK, acknowledgment=conversation.next[True] - 1)
    connection = one(conversation.segment(True, ACK).segment(False, ACK))
    assert connection.closed_by is ClosedBy.CLIENT
    assert connection.bytes_received == sum(len(data) for from_client, data in healthy() if not from_client)


@pytest.mark.parametrize("with_data", [False, True])
def test_farewells_that_overtook_each_other_in_the_capture(with_data: bool):
    """What a FIN acknowledges tells which was first, not where it stands in the file."""
    made = Conversation().opens().plays(healthy())
    if with_data:
        made.segment(False, ACK, b"\x17\x03\x03\0\x20" + bytes(32))
    made.closes(False)
    answer = made.sent.pop(len(made.sent) - 2)
    made.sent.insert(len(made.sent) - (3 if with_data else 2), answer)
    assert one(made).closed_by is ClosedBy.SERVER


def test_who_closed_is_not_known_where_one_side_was_not_captured():
    """The one that is there may have answered a farewell that isn't."""
    made = Conversation().opens().plays(healthy()).closes(False)
    for side in (True, False):
        unseen = [place for place, sent in enumerate(made.sent) if sent.from_client is side]
        assert one(made.without(*unseen)).closed_by is None
