"""Which connections are ours, and whose: by name, by addresses that names were seen to have, by networks."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.catalogue import TARGETS, Target
from exporter.vocabulary import ClientFamily, ConnectionOutcome, Protocol
from exporter.wire.dns_answers import read_answer
from exporter.wire.servers import MAX_NAMES, Servers
from tests.wire.conversation import START, Conversation, inspect
from tests.wire.flights import healthy
from tests.wire.frames import RST, SYN, UDP, Frame, dns_answer, ethernet, ip, udp

SOMEWHERE = ip_address("198.51.100.7").packed


def servers(*networks: str) -> Servers:
    return Servers(TARGETS, [ip_network(network) for network in networks])


@pytest.mark.parametrize(
    ("name", "port", "target"),
    [
        ("imap-mail.outlook.com", 993, "imap"), ("smtp-mail.outlook.com", 587, "smtp"),
        ("pop-mail.outlook.com", 995, "pop"), ("outlook.office365.com", 993, "imap_office365"),
        ("outlook.office365.com", 995, "pop_office365"), ("outlook.office365.com", 443, "outlook_office365"),
        ("login.live.com", 443, "sign_in_personal"), ("logincdn.msftauth.net", 443, "sign_in_assets"),
        ("imap-mail.outlook.com", 143, "imap"), ("smtp-mail.outlook.com", 25, "smtp"),
        ("imap-mail.outlook.com", 10_993, "imap"), ("outlook.office365.com", 4_430, "activesync"),
        ("imap-mail.outlook.com", 587, None), ("www.example.com", 443, None), (None, 993, None),
    ],
)  # fmt: skip
def test_a_name_and_a_port_are_a_target(name: str | None, port: int, target: str | None):
    assert servers().target(name, SOMEWHERE, port) == target


def test_phones_connector_is_told_by_the_phone():
    assert servers().target("outlook.office365.com", SOMEWHERE, 443, ClientFamily.APPLE) == "activesync"
    assert servers().target("outlook.office365.com", SOMEWHERE, 443, ClientFamily.OPENSSL) == "outlook_office365"


def test_an_address_is_known_by_the_name_that_had_it_last():
    known = servers()
    known.learn("imap-mail.outlook.com", SOMEWHERE)
    known.learn("www.example.com", SOMEWHERE)
    assert known.target(None, SOMEWHERE, 993) == "imap"
    assert known.target(None, SOMEWHERE, 443) is None
    known.learn("outlook.office365.com", SOMEWHERE)
    assert known.target(None, SOMEWHERE, 993) == "imap_office365"
    assert known.target("www.example.com", SOMEWHERE, 993) is None  # a name says more than an address
    assert known.is_ours(None, SOMEWHERE)
    assert not known.is_ours(None, SOMEWHERE[::-1])


def test_configured_networks_and_exchanges():
    known = servers("10.0.0.0/8", "fd00::/8")
    for address in ("10.1.2.3", "fd12::1", "52.97.1.2", "40.99.0.1"):
        packed = ip_address(address).packed
        assert known.target(None, packed, 993) == "imap"
        assert known.target(None, packed, 25) == "smtp"
        assert known.target(None, packed, 443) is None
        assert known.is_ours(None, packed)
    assert known.is_ours("whatever.example", ip_address("10.1.2.3").packed)
    assert not known.is_ours("whatever.example", ip_address("52.97.1.2").packed)
    assert not known.is_ours(None, ip_address("11.0.0.1").packed)
    assert not known.is_ours(None, ip_address("2001:db8::1").packed)


def test_custom_targets_are_known_like_the_catalogues():
    relay = Target(
        name="relay", protocol=Protocol.SMTP, hosts=("relay.example",), port=2_525, starttls=True, custom=True
    )
    assert Servers(TARGETS | {"relay": relay}).target("relay.example", SOMEWHERE, 2_525) == "relay"


def test_what_is_learnt_is_bounded_and_the_oldest_goes():
    known = servers()
    for number in range(MAX_NAMES + 10):
        known.learn("login.live.com", number.to_bytes(4))
    assert not known.is_ours(None, (0).to_bytes(4))
    assert known.is_ours(None, (MAX_NAMES + 9).to_bytes(4))
    assert len(known._hosts) == MAX_NAMES


# ---- DNS ---------------------------------------------------------------------------------------------------------------


def test_an_answer_with_an_alias_and_both_families():
    answer = read_answer(dns_answer("Imap-Mail.Outlook.com", ["192.0.2.1", "2001:db8::7"], alias="x.example"))
    assert answer is not None
    assert answer.name == "imap-mail.outlook.com"
    assert answer.addresses == (ip_address("192.0.2.1").packed, ip_address("2001:db8::7").packed)


@pytest.mark.parametrize(
    "message",
    [
        b"", bytes(11), dns_answer("a.example", []),
        dns_answer("a.example", ["192.0.2.1"])[:2] + b"\x01\0" + dns_answer("a.example", ["192.0.2.1"])[4:],  # a query
        dns_answer("a.example", ["192.0.2.1"])[:2] + b"\x81\x83" + dns_answer("a.example", ["192.0.2.1"])[4:],  # NXDOMAIN
    ],
)  # fmt: skip
def test_what_is_no_answer(message: bytes):
    assert read_answer(message) is None


@given(cut=st.integers(0, 90))
def test_an_answer_cut_anywhere(cut: int):
    whole = dns_answer("a.example", ["192.0.2.1", "192.0.2.2"], alias="b.example")
    answer = read_answer(whole[:cut])
    assert answer is None or set(answer.addresses) <= {b"\xc0\0\2\1", b"\xc0\0\2\2"}


@settings(max_examples=300)
@given(data=st.binary(max_size=80))
def test_any_datagram(data: bytes):
    read_answer(data)
    read_answer(b"\0\0\x81\x80\0\1\xff\xff\0\0\0\0" + data)


# ---- in captures -------------------------------------------------------------------------------------------------------


def answer_frame(name: str, address: str, source_port: int = 53) -> Frame:
    message = dns_answer(name, [address])
    return START - 10**9, ethernet(ip("10.0.0.53", "10.0.0.1", UDP, udp(source_port, 40_001, message)))


def refused(port: int) -> list[Frame]:
    conversation = Conversation(server=("192.0.2.1", port))
    return conversation.segment(True, SYN).segment(False, RST | 16, sequence=0).frames()


def test_a_connection_without_a_hello_goes_to_whom_dns_answered():
    (connection,) = inspect([answer_frame("imap-mail.outlook.com", "192.0.2.1"), *refused(993)])
    assert (connection.target, connection.outcome) == ("imap", ConnectionOutcome.REFUSED)
    (connection,) = inspect([answer_frame("www.example.com", "192.0.2.1"), *refused(993)])
    assert connection.target is None


def test_revocation_is_told_where_it_cannot_be_reached():
    (connection,) = inspect([answer_frame("ocsp.digicert.com", "192.0.2.1"), *refused(80)])
    assert connection.target == "revocation"
    plain = Conversation(server=("192.0.2.1", 80)).opens().says(True, b"POST / HTTP/1.1\r\n\r\n").closes()
    assert inspect([answer_frame("ocsp.digicert.com", "192.0.2.1"), *plain.frames()]) == []


def test_an_answer_from_another_port_teaches_nothing():
    (connection,) = inspect([answer_frame("imap-mail.outlook.com", "192.0.2.1", 5_353), *refused(993)])
    assert connection.target is None


def test_a_hello_without_name_goes_where_one_with_a_name_went():
    named = Conversation().opens().plays(healthy()).closes()
    nameless = Conversation(client=("10.0.0.9", 1_234), now=named.now).opens().plays(healthy(name=None)).closes()
    first, second = inspect([*named.frames(), *nameless.frames()])
    assert (first.target, second.target, second.sni) == ("imap", "imap", None)


def test_live_only_ours_are_told():
    frames = [
        *Conversation().opens().plays(healthy()).closes().frames(),
        *Conversation(client=("10.0.0.2", 1)).opens().plays(healthy(name="www.example.com")).closes().frames(),
        *Conversation(server=("192.0.2.77", 993)).segment(True, SYN).segment(False, RST | 16, sequence=0).frames(),
    ]
    (connection,) = inspect(frames, everything=False)
    assert connection.target == "imap"
    both = inspect(frames, everything=False, servers=(ip_network("192.0.2.0/24"),))
    assert [each.target for each in both] == ["imap", "imap", "imap"]
    assert len(inspect(frames, everything=True)) == 3
