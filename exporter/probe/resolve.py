"""Phase `dns`: every A and AAAA of a name, as a client of that vantage would get them.

The hosts file comes first, as for clients. Then each resolver in turn, A and AAAA asked together over UDP, over TCP
where the answer is truncated (RFC 7766). Time-outs, NXDOMAIN, SERVFAIL and an empty answer are told apart; extended
errors (RFC 8914), by which filters say that they block, go into the detail.
"""

import asyncio
import ipaddress
import itertools
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from exporter.probe.failures import PhaseFailure, of_os_error
from exporter.probe.vantage import SocketMaker
from exporter.vocabulary import Outcome

#: Addresses of a name that are looked at, at most.
MAX_ADDRESSES = 8
#: How long one resolver is waited for before the next try, seconds (a lost packet must not look like a dead resolver).
TRY_SECONDS = 1.6
#: EDNS payload offered (RFC 9715).
UDP_PAYLOAD = 1232

#: What resolvers answer that don't know EDNS (RFC 6891 7).
_NOT_UNDERSTOOD = frozenset({dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS})

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = tuple[str, int]

#: Where no public service can be. Documentation and benchmark ranges are left out: no filter answers with them, and
#: labs use them as "the internet".
SUSPICIOUS: tuple[tuple[IpNetwork, str], ...] = tuple(
    (ipaddress.ip_network(network), what)
    for network, what in (
        ("0.0.0.0/8", "sinkhole"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.168.0.0/16", "private"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("::/128", "sinkhole"),
        ("::1/128", "loopback"),
        ("100::/64", "discard"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("ff00::/8", "multicast"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What a name resolved to: addresses, IPv6 and IPv4 mixed, in the order of the answers."""

    addresses: tuple[str, ...]
    outcome: Outcome = Outcome.OK
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NameService:
    """What a vantage asks: its hosts file, and its resolvers in order."""

    hosts: Mapping[str, Sequence[str]]
    resolvers: Sequence[Resolver]
    sockets: SocketMaker
    resolver_sockets: SocketMaker | None = None
    private_networks: Sequence[IpNetwork] = ()

    def sockets_to(self, resolver: str) -> SocketMaker:
        """A resolver on this machine (127.0.0.53) can't be asked through a bound interface."""
        local = self.resolver_sockets is not None and ipaddress.ip_address(resolver).is_loopback
        return self.resolver_sockets if local and self.resolver_sockets else self.sockets


async def resolve(name: str, service: NameService, *, ip_version: str, public: bool) -> Resolution:
    """The addresses of `name`; `public`: the name is Microsoft's, so that a private address is suspicious.

    Raises PhaseFailure: name_not_found, server_failure, timeout, refused, unreachable.
    """
    try:
        literal = str(ipaddress.ip_address(name))
    except ValueError:
        pass
    else:
        return Resolution(addresses=_of_family((literal,), ip_version, name), detail="an address, not a name")
    if listed := service.hosts.get(name.lower().rstrip(".")):
        return Resolution(addresses=_of_family(listed, ip_version, name), detail="from the hosts file")
    answer = await _ask_all(name, service)
    addresses = _of_family(answer.addresses, ip_version, name)
    suspicious = [
        f"{address} ({what})" for address in addresses if (what := suspicion(address, service.private_networks))
    ]
    if suspicious and (public or any("sinkhole" in each for each in suspicious)):  # no server has 0.0.0.0
        detail = f"{', '.join(suspicious)}, answered by {answer.detail}"
        return Resolution(addresses=addresses, outcome=Outcome.ADDRESS_SUSPICIOUS, detail=detail)
    return Resolution(addresses=addresses, detail=answer.detail)


def suspicion(address: str, legitimate: Sequence[IpNetwork] = ()) -> str | None:
    """Why no public service can have this address, or None. An IPv4 address mapped into IPv6 counts as IPv4."""
    parsed: IpAddress = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    if any(parsed in network for network in legitimate if network.version == parsed.version):
        return None
    return next((what for network, what in SUSPICIOUS if network.version == parsed.version and parsed in network), None)


def _of_family(addresses: Sequence[str], ip_version: str, name: str) -> tuple[str, ...]:
    unique = list(dict.fromkeys(addresses))
    families = {"6": [each for each in unique if ":" in each], "4": [each for each in unique if ":" not in each]}
    wanted = [family for version, family in families.items() if ip_version in ("any", version)]
    if not any(wanted):
        raise PhaseFailure(Outcome.NAME_NOT_FOUND, f"{name} has no IPv{ip_version} address")
    # In turns: a name with eight addresses of each family has four of each looked at, not one family alone.
    turns = (address for pair in itertools.zip_longest(*wanted) for address in pair if address is not None)
    return tuple(itertools.islice(turns, MAX_ADDRESSES))


@dataclass(frozen=True, slots=True)
class _Answer:
    """One resolver's answer to one question; `failure` where it held no address.

    `understood`: not so where the resolver rejects the question's form, as some do that know no EDNS. `of_all_types`:
    it holds for the other question too (NXDOMAIN, RFC 8020), or is about the resolver itself.
    """

    addresses: tuple[str, ...]
    failure: PhaseFailure | None = None
    note: str | None = None
    understood: bool = True
    of_all_types: bool = False


async def _ask_all(name: str, service: NameService) -> Resolution:
    """Each resolver in turn, twice, as the C library does; the first that answers decides."""
    if not service.resolvers:
        raise PhaseFailure(Outcome.SERVER_FAILURE, "no resolver is configured")
    failure: PhaseFailure | None = None
    tries = 0
    while True:  # the phase's time-out ends it
        tries += 1
        for resolver in service.resolvers:
            asked = where(resolver)
            try:
                # Whatever drops EDNS on the way lets the second try pass.
                answers = await _ask(name, resolver, service, TRY_SECONDS * min(tries, 2), edns=tries == 1)
            except TimeoutError:
                if failure is None and tries > 1:
                    failure = PhaseFailure(Outcome.TIMEOUT, f"no answer from {asked}")
                continue
            except PhaseFailure as error:
                failure = PhaseFailure(error.outcome, f"{error.detail} from {asked}")
                continue
            addresses = tuple(address for answer in answers for address in answer.addresses)
            if addresses:
                notes = [note for answer in answers if (note := answer.note)]
                return Resolution(addresses=addresses, detail="; ".join(dict.fromkeys([asked, *notes])))
            said = next(answer.failure for answer in answers if answer.failure)
            failure = PhaseFailure(said.outcome, f"{said.detail}, says {asked}")
            if failure.outcome is Outcome.NAME_NOT_FOUND:
                raise failure
        if failure is not None and failure.outcome is not Outcome.TIMEOUT:
            raise failure


def where(resolver: Resolver) -> str:
    """A resolver as people write it, its port only where it isn't 53."""
    host, port = resolver
    return host if port == 53 else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _ask(name: str, resolver: Resolver, service: NameService, seconds: float, *, edns: bool) -> list[_Answer]:
    """Both families' answers; once more as RFC 1035 knows the question where the resolver takes no other."""
    sockets = service.sockets_to(resolver[0])
    answers = await _ask_once(name, resolver, sockets, seconds, edns=edns)
    if edns and not any(answer.understood for answer in answers):
        return await _ask_once(name, resolver, sockets, seconds, edns=False)
    return answers


async def _ask_once(
    name: str, resolver: Resolver, sockets: SocketMaker, seconds: float, *, edns: bool
) -> list[_Answer]:
    """A and AAAA from one resolver, over one UDP socket; one of the two is enough when the other stays silent."""
    queries = {query.id: query for kind in ("A", "AAAA") for query in [_query(name, kind, edns=edns)]}
    answers: dict[int, _Answer] = {}
    try:
        family = socket.AF_INET6 if ":" in resolver[0] else socket.AF_INET
        with sockets.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect(resolver)
            for query in queries.values():
                sock.send(query.to_wire())
            async with asyncio.timeout(seconds):
                while len(answers) < len(queries):
                    reply = _parsed(await asyncio.get_running_loop().sock_recv(sock, 65_535), queries)
                    if reply is not None and reply.id not in answers:
                        answers[reply.id] = _judge(await _whole(reply, queries, resolver, sockets), name)
    except TimeoutError:
        if not any(answer.addresses or answer.of_all_types for answer in answers.values()):
            raise  # that there is no address of one family says nothing of the other
        silent = [dns.rdatatype.to_text(q.question[0].rdtype) for i, q in queries.items() if i not in answers]
        answers[-1] = _Answer((), note=f"no answer to {', '.join(silent)}")
    except OSError as error:
        raise of_os_error(error) from error
    return list(answers.values())


async def _whole(
    reply: dns.message.Message, queries: Mapping[int, dns.message.Message], resolver: Resolver, sockets: SocketMaker
) -> dns.message.Message:
    """The reply, asked for again over TCP where it came truncated; what came counts when that fails."""
    if not reply.flags & dns.flags.TC:
        return reply
    return await _over_tcp(queries[reply.id], resolver, sockets) or reply


def _query(name: str, kind: str, *, edns: bool) -> dns.message.Message:
    try:
        return dns.message.make_query(name, kind, use_edns=0 if edns else False, payload=UDP_PAYLOAD if edns else None)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise PhaseFailure(Outcome.NAME_NOT_FOUND, f"not a host name: {error}") from error


def _parsed(wire: bytes, waiting: Mapping[int, dns.message.Message]) -> dns.message.Message | None:
    """The reply, or None for what is no answer to one of our questions (a forger's guess, garbage)."""
    try:
        reply = dns.message.from_wire(wire, ignore_trailing=True, raise_on_truncation=False)
    except (dns.exception.DNSException, ValueError, struct.error):
        return None
    query = waiting.get(reply.id)
    return reply if query is not None and query.is_response(reply) else None


async def _over_tcp(query: dns.message.Message, resolver: Resolver, sockets: SocketMaker) -> dns.message.Message | None:
    """The same question over TCP; None where that fails (the truncated answer then counts)."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in resolver[0] else socket.AF_INET
    try:
        with sockets.socket(family, socket.SOCK_STREAM) as sock:
            await loop.sock_connect(sock, resolver)
            wire = query.to_wire()
            await loop.sock_sendall(sock, struct.pack(">H", len(wire)) + wire)
            (length,) = struct.unpack(">H", await _exactly(sock, 2))
            return _parsed(await _exactly(sock, length), {query.id: query})
    except OSError:
        return None


async def _exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = await asyncio.get_running_loop().sock_recv(sock, count - len(data))
        if not more:
            raise ConnectionResetError("the resolver closed the connection")
        data += more
    return data


def _judge(reply: dns.message.Message, name: str) -> _Answer:
    extended = "; ".join(error.to_text() for error in reply.extended_errors())
    said = f" ({extended})" if extended else ""
    rcode = dns.rcode.to_text(reply.rcode())
    if reply.rcode() == dns.rcode.NXDOMAIN:
        nowhere = PhaseFailure(Outcome.NAME_NOT_FOUND, f"{rcode} for {name}{said}")
        return _Answer((), nowhere, of_all_types=True)
    if reply.rcode() != dns.rcode.NOERROR:
        failure = PhaseFailure(Outcome.SERVER_FAILURE, f"{rcode} for {name}{said}")
        return _Answer((), failure, understood=reply.rcode() not in _NOT_UNDERSTOOD, of_all_types=True)
    addresses: list[str] = []
    alias: str | None = None
    for rrset in reply.answer:
        if rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
            addresses.extend(str(rdata.address) for rdata in rrset)
        elif rrset.rdtype == dns.rdatatype.CNAME:
            alias = str(rrset[0].target).rstrip(".")
    note = f"by way of {alias}" if alias else None
    if not addresses:
        empty = PhaseFailure(Outcome.NAME_NOT_FOUND, f"an empty answer (NOERROR, no address) for {name}{said}")
        return _Answer((), empty, note)
    return _Answer(tuple(addresses), note=note)
