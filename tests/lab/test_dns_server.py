"""The lab's resolver: truth and lies, over UDP and TCP, asked by dnspython."""

import asyncio
import socket
import struct

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.lab.dns_server import DnsServer, Lie, Names, answer

HOST, OTHER = "imap-mail.outlook.com", "login.microsoftonline.com"


def names(lie: Lie | None = None) -> Names:
    addresses = {HOST: ("127.60.0.1", "127.60.1.1"), OTHER: ("127.60.0.2",)}
    return Names(addresses, lie=lie, lied_about=frozenset({HOST}))


def asked(known: Names, name: str = HOST, kind: str = "A") -> dns.message.Message | None:
    wire = answer(known, dns.message.make_query(name, kind).to_wire())
    return dns.message.from_wire(wire) if wire is not None else None


def addresses(reply: dns.message.Message | None) -> list[str]:
    assert reply is not None
    found = [str(item) for rrset in reply.answer for item in rrset if rrset.rdtype.name in ("A", "AAAA")]
    return sorted(found)


def test_the_truth() -> None:
    assert addresses(asked(names())) == ["127.60.0.1", "127.60.1.1"]
    assert addresses(asked(names(), HOST.upper())) == ["127.60.0.1", "127.60.1.1"]
    nothing = asked(names(), HOST, "AAAA")
    assert nothing is not None
    assert (nothing.rcode(), nothing.answer) == (dns.rcode.NOERROR, [])
    unknown = asked(names(), "www.example.com")
    assert unknown is not None
    assert unknown.rcode() == dns.rcode.NXDOMAIN


def test_aliases_lead_to_the_address() -> None:
    reply = asked(names(), OTHER)
    assert reply is not None
    assert [rrset.rdtype.name for rrset in reply.answer] == ["CNAME", "CNAME", "A"]
    assert addresses(reply) == ["127.60.0.2"]


@pytest.mark.parametrize(
    ("lie", "code"),
    [(Lie.NXDOMAIN, dns.rcode.NXDOMAIN), (Lie.SERVFAIL, dns.rcode.SERVFAIL), (Lie.REFUSED, dns.rcode.REFUSED)],
)
def test_refusals(lie: Lie, code: dns.rcode.Rcode) -> None:
    reply = asked(names(lie))
    assert reply is not None
    assert (reply.rcode(), reply.answer) == (code, [])
    assert addresses(asked(names(lie), OTHER)) == ["127.60.0.2"]


def test_other_lies() -> None:
    assert addresses(asked(names(Lie.EMPTY))) == []
    assert asked(names(Lie.SILENCE)) is None
    assert addresses(asked(names(Lie.SINKHOLE))) == ["0.0.0.0"]
    assert addresses(asked(names(Lie.SINKHOLE), HOST, "AAAA")) == []
    assert addresses(asked(names(Lie.DEAD_IPV6), HOST, "AAAA")) == ["::1"]
    assert len(addresses(asked(names(Lie.DEAD_IPV6)))) == 2


@given(st.binary(max_size=100))
def test_nonsense_gets_no_answer_or_a_message(wire: bytes) -> None:
    reply = answer(names(), wire)
    if reply is not None:
        dns.message.from_wire(reply)


async def test_over_udp_and_tcp() -> None:
    known = names(Lie.TRUNCATED)
    server = DnsServer(known)
    await server.start()
    try:
        query = dns.message.make_query(HOST, "A")
        udp = await dns.asyncquery.udp(query, server.address, port=server.port, timeout=2)
        assert udp.flags & dns.flags.TC
        tcp = await dns.asyncquery.tcp(query, server.address, port=server.port, timeout=2)
        assert addresses(tcp) == ["127.60.0.1", "127.60.1.1"]
        assert list(known.asked) == [HOST, HOST]
        known.lie = Lie.SILENCE
        with pytest.raises(dns.exception.Timeout):
            await dns.asyncquery.udp(query, server.address, port=server.port, timeout=0.1)
    finally:
        await server.stop()


async def test_tcp_byte_by_byte() -> None:
    server = DnsServer(names())
    await server.start()
    reader, writer = await asyncio.open_connection(server.address, server.port)
    try:
        query = dns.message.make_query(HOST, "A").to_wire()
        for byte in struct.pack(">H", len(query)) + query:
            writer.write(bytes([byte]))
            await writer.drain()
        (length,) = struct.unpack(">H", await reader.readexactly(2))
        assert len(addresses(dns.message.from_wire(await reader.readexactly(length)))) == 2
    finally:
        writer.close()
        await writer.wait_closed()
        await server.stop()


async def test_two_servers_have_ports_of_their_own() -> None:
    first, second = DnsServer(names()), DnsServer(names())
    await first.start()
    await second.start()
    try:
        assert first.port != second.port
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, pytest.raises(OSError, match="in use"):
            udp.bind((first.address, first.port))
    finally:
        await first.stop()
        await second.stop()
