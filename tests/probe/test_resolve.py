"""Phase dns, against a DNS server on loopback that commits each fault."""

from contextlib import asynccontextmanager

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
