"""Phase dns, against a DNS server on loopback that commits each fault."""

import asyncio
from contextlib import asynccontextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from exporter.lab.dns_server import DnsServer, Lie, Names
from exporter.probe.failures import PhaseFailure
from exporter.probe.resolve import NameService, resolve, suspicion
from exporter.probe.vantage import LocalSockets
from exporter.vocabulary import Outcome

HOST = "imap-mail.outlook.com"
PUBLIC: dict[str, tuple[str, ...]] = {HOST: ("52.96.1.1", "52.96.1.2", "2603:1026::1")}


@asynccontextmanager
async def asking(addresses=None, fault=None, hosts=None, port=None):
    server = DnsServer(
        Names(addresses if addresses is not None else PUBLIC, lie=fault and Lie(fault), lied_about=frozenset({HOST}))
    )
    await server.start()
    try:
        resolvers = [("127.0.0.1", server.port if port is None else port)]
        yield NameService(hosts=hosts or {}, resolvers=resolvers, sockets=LocalSockets()), server
    finally:
        await server.stop()


async def test_all_addresses_of_both_families():
    async with asking() as (service, _):
        found = await resolve(HOST, service, ip_version="any", public=True)
    assert sorted(found.addresses) == sorted(PUBLIC[HOST])
    assert found.outcome is Outcome.OK


@pytest.mark.parametrize(("version", "count"), [("4", 2), ("6", 1)])
async def test_one_family(version, count):
    async with asking() as (service, _):
        found = await resolve(HOST, service, ip_version=version, public=True)
    assert len(found.addresses) == count


@pytest.mark.parametrize(
    ("fault", "outcome", "words"),
    [
        ("nxdomain", Outcome.NAME_NOT_FOUND, "NXDOMAIN"),
        ("servfail", Outcome.SERVER_FAILURE, "SERVFAIL"),
        ("empty", Outcome.NAME_NOT_FOUND, "empty answer"),
    ],
)
async def test_faults_are_told_apart(fault, outcome, words):
    async with asking(fault=fault) as (service, _):
        with pytest.raises(PhaseFailure) as caught:
            await resolve(HOST, service, ip_version="any", public=True)
    assert caught.value.outcome is outcome
    assert words in (caught.value.detail or "")


async def test_a_truncated_answer_is_asked_for_over_tcp():
    async with asking(fault="truncated") as (service, _):
        found = await resolve(HOST, service, ip_version="any", public=True)
    assert sorted(found.addresses) == sorted(PUBLIC[HOST])


EIGHT = tuple(f"52.96.2.{number}" for number in range(8))
EIGHT_MORE = tuple(f"2603:1026::{number}" for number in range(8))


@pytest.mark.parametrize(
    ("addresses", "version", "counts"),
    [
        (EIGHT + EIGHT_MORE, "any", (4, 4)),
        (EIGHT_MORE + EIGHT, "any", (4, 4)),
        (EIGHT + EIGHT_MORE[:2], "any", (6, 2)),
        (EIGHT + EIGHT_MORE, "4", (8, 0)),
        (EIGHT + EIGHT_MORE, "6", (0, 8)),
        (EIGHT * 2, "any", (8, 0)),
    ],
)
async def test_of_many_addresses_both_families_are_looked_at(addresses, version, counts):
    """Outlook's names have eight of each, and the answer to A mostly comes first."""
    async with asking({HOST: addresses}) as (service, _):
        found = await resolve(HOST, service, ip_version=version, public=True)
    six = sum(":" in address for address in found.addresses)
    assert (len(found.addresses) - six, six) == counts
    assert len(set(found.addresses)) == len(found.addresses)


@asynccontextmanager
async def old_resolver(answer):
    """A resolver that answers a question with EDNS by `answer` alone: an RCODE, or nothing where None."""

    class Old(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, peer):
            query = dns.message.from_wire(data)
            reply = dns.message.make_response(query)
            if query.edns < 0:
                text = "52.96.1.1" if query.question[0].rdtype == dns.rdatatype.A else "2603:1026::1"
                reply.answer.append(
                    dns.rrset.from_text(query.question[0].name, 60, "IN", query.question[0].rdtype, text)
                )
            elif answer is None:
                return
            else:
                reply = dns.message.Message(query.id)  # many leave out the question too
                reply.flags = dns.flags.QR
                reply.set_rcode(answer)
            self.transport.sendto(reply.to_wire(), peer)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Old, ("127.0.0.1", 0))
    try:
        resolvers = [("127.0.0.1", transport.get_extra_info("sockname")[1])]
        yield NameService(hosts={}, resolvers=resolvers, sockets=LocalSockets())
    finally:
        transport.close()


@pytest.mark.parametrize("answer", [dns.rcode.FORMERR, dns.rcode.NOTIMP, None])
async def test_a_resolver_that_knows_no_edns_is_asked_without(answer, monkeypatch):
    monkeypatch.setattr("exporter.probe.resolve.TRY_SECONDS", 0.2)
    async with old_resolver(answer) as service:
        found = await resolve(HOST, service, ip_version="any", public=True)
    assert set(found.addresses) == {"52.96.1.1", "2603:1026::1"}
    assert found.outcome is Outcome.OK


async def test_that_there_is_no_ipv6_address_says_nothing_of_a_lost_answer_about_ipv4(monkeypatch):
    """A lost packet is asked for again, and not told as a name without addresses."""
    monkeypatch.setattr("exporter.probe.resolve.TRY_SECONDS", 0.2)
    lost: list[bytes] = []

    class Lossy(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, peer):
            reply = dns.message.make_response(dns.message.from_wire(data))
            question = reply.question[0]
            if question.rdtype == dns.rdatatype.A:
                if not lost:
                    lost.append(data)
                    return
                reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", "52.96.1.1"))
            self.transport.sendto(reply.to_wire(), peer)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Lossy, ("127.0.0.1", 0))
    try:
        resolvers = [("127.0.0.1", transport.get_extra_info("sockname")[1])]
        service = NameService(hosts={}, resolvers=resolvers, sockets=LocalSockets())
        found = await resolve(HOST, service, ip_version="any", public=True)
    finally:
        transport.close()
    assert lost
    assert found.addresses == ("52.96.1.1",)


async def test_a_closed_port_is_refused_not_silent():
    async with asking() as (_, server):
        port = server.port
    service = NameService(hosts={}, resolvers=[("127.0.0.1", port)], sockets=LocalSockets())
    with pytest.raises(PhaseFailure) as caught:
        await resolve(HOST, service, ip_version="any", public=True)
    assert caught.value.outcome is Outcome.REFUSED


async def test_a_sinkhole_is_suspicious_and_goes_on():
    async with asking(fault="sinkhole") as (service, _):
        found = await resolve(HOST, service, ip_version="4", public=True)
    assert found.outcome is Outcome.ADDRESS_SUSPICIOUS
    assert found.addresses == ("0.0.0.0",)


async def test_the_hosts_file_comes_first():
    async with asking(hosts={HOST: ["10.1.2.3"]}) as (service, server):
        found = await resolve(HOST.upper(), service, ip_version="any", public=True)
        assert not server.names.asked
    assert found.addresses == ("10.1.2.3",)
    assert found.outcome is Outcome.OK  # this machine's own configuration, not a redirection by the network


async def test_an_address_is_no_question():
    async with asking() as (service, server):
        found = await resolve("192.0.2.7", service, ip_version="any", public=False)
        assert not server.names.asked
    assert found.addresses == ("192.0.2.7",)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("0.0.0.0", "sinkhole"),
        ("10.1.2.3", "private"),
        ("192.168.0.1", "private"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("127.0.0.1", "loopback"),
        ("::ffff:10.0.0.1", "private"),
        ("fd00::1", "private"),
        ("::", "sinkhole"),
        ("52.96.0.1", None),
        ("2603:1026::1", None),
        ("203.0.113.9", None),
    ],
)
def test_suspicion(address, why):
    assert suspicion(address) == why
