"""A DNS server for the lab, UDP and TCP on one loopback port: the catalogue's names, and the lies of filters."""

import asyncio
import socket
import struct
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from exporter.lab.conduit import Conduit
from exporter.lab.listener import Listener, Reach

_TTL = 60
#: Questions remembered, at most.
_MAX_ASKED = 10_000
#: Ports tried until one is free for UDP and TCP alike.
_TRIES = 20
_MAX_QUERY = 65_535
#: A TCP client that says nothing is left after so many seconds.
_PATIENCE = 5.0

#: Names under which the real hosts' addresses are found (facts 1); the lab's lead to the same address.
ALIASES = {
    "login.microsoftonline.com": ("login.mso.msidentity.com", "ak.privatelink.msidentity.com"),
    "outlook.office365.com": ("outlook.ha.office365.com", "outlook.ms-acdc.office.com"),
}


class Lie(StrEnum):
    """What a filter or a broken resolver does to a name."""

    NXDOMAIN = "nxdomain"
    SERVFAIL = "servfail"
    REFUSED = "refused"
    EMPTY = "empty"
    SILENCE = "silence"
    SINKHOLE = "sinkhole"
    DEAD_IPV6 = "dead_ipv6"
    TRUNCATED = "truncated"


@dataclass(slots=True)
class Names:
    """What the server knows, and to which names it lies. `asked`: the names of questions, the latest ones."""

    addresses: dict[str, tuple[str, ...]]
    lie: Lie | None = None
    lied_about: frozenset[str] = frozenset()
    sinkhole: str = "0.0.0.0"  # noqa: S104 - what filters answer, never bound
    dead_ipv6: str = "::1"  # where the lab never listens
    asked: deque[str] = field(default_factory=lambda: deque(maxlen=_MAX_ASKED))

    def found(self, name: str, lie: Lie | None) -> list[str]:
        """The addresses answered for a name."""
        match lie:
            case Lie.EMPTY:
                return []
            case Lie.SINKHOLE:
                return [self.sinkhole]
            case Lie.DEAD_IPV6:
                return [*self.addresses[name], self.dead_ipv6]
            case _:
                return list(self.addresses[name])


_REFUSALS = {Lie.NXDOMAIN: dns.rcode.NXDOMAIN, Lie.SERVFAIL: dns.rcode.SERVFAIL, Lie.REFUSED: dns.rcode.REFUSED}


def answer(names: Names, wire: bytes, *, tcp: bool = False) -> bytes | None:
    """The reply to one query; None where it stays silent, or where it isn't a query."""
    try:
        query = dns.message.from_wire(wire)
        question = query.question[0]
    except (dns.exception.DNSException, IndexError):
        return None
    name = question.name.to_text(omit_final_dot=True).lower()
    names.asked.append(name)
    lie = names.lie if name in names.lied_about else None
    if lie is Lie.SILENCE:
        return None
    reply = dns.message.make_response(query, recursion_available=True)
    if lie is Lie.TRUNCATED and not tcp:
        reply.flags |= dns.flags.TC
    elif lie in _REFUSALS:
        reply.set_rcode(_REFUSALS[lie])
    elif name not in names.addresses:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    else:
        _answer_addresses(reply, question, name, names.found(name, lie), aliased=lie is not Lie.SINKHOLE)
    return reply.to_wire()


def _answer_addresses(
    reply: dns.message.Message, question: dns.rrset.RRset, name: str, found: list[str], *, aliased: bool
) -> None:
    """CNAMEs, and behind them the addresses of the family asked for; none is NOERROR without any."""
    owner = question.name.to_text()
    for alias in ALIASES.get(name, ()) if aliased else ():
        reply.answer.append(dns.rrset.from_text(owner, _TTL, "IN", "CNAME", f"{alias}."))
        owner = f"{alias}."
    family = {dns.rdatatype.A: False, dns.rdatatype.AAAA: True}.get(question.rdtype)
    wanted = [address for address in found if (":" in address) is family]
    if wanted:
        reply.answer.append(dns.rrset.from_text(owner, _TTL, "IN", question.rdtype, *wanted))


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, names: Names) -> None:
        self._names = names
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = answer(self._names, data)
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, addr)


class DnsServer:
    """Serves `names` on one address, UDP and TCP on the same free port, or on that one."""

    def __init__(self, names: Names, address: str = "127.0.0.1", *, port: int = 0) -> None:
        self.names = names
        self.address, self.port = address, port
        self._wanted = port
        self._udp: asyncio.BaseTransport | None = None
        self._tcp: Listener | None = None

    async def start(self) -> None:
        """Raises OSError where no port is free for both."""
        for attempt in range(_TRIES):
            udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Udp(self.names), local_addr=(self.address, self._wanted)
            )
            self.port = udp.get_extra_info("sockname")[1]
            tcp = Listener(self.address, self.port, self._handle)
            try:
                tcp.switch(Reach.OPEN)
            except OSError:
                udp.close()
                if attempt == _TRIES - 1:
                    raise
                continue
            self._udp, self._tcp = udp, tcp
            return

    async def stop(self) -> None:
        """Closes both."""
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            await self._tcp.stop()

    async def _handle(self, sock: socket.socket) -> None:
        conduit, data = Conduit(sock), b""
        try:
            async with asyncio.timeout(_PATIENCE):
                while chunk := await conduit.receive():
                    data += chunk
                    while len(data) >= 2 and len(data) >= 2 + int.from_bytes(data[:2]):
                        length = 2 + int.from_bytes(data[:2])
                        query, data = data[2:length], data[length:]
                        reply = answer(self.names, query, tcp=True)
                        if reply is not None:
                            await conduit.send(struct.pack(">H", len(reply)) + reply)
        except (OSError, TimeoutError):
            pass
