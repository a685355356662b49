"""A DNS server for the lab, UDP and TCP on one loopback port: the catalogue's names, and the faults a filter causes."""

import asyncio
import struct
from dataclasses import dataclass, field
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


@dataclass(slots=True)
class Names:
    """What the server knows and does. `fault`: None, nxdomain, servfail, empty, silence, sinkhole or truncated."""

    addresses: dict[str, list[str]]
    fault: str | None = None
    faulty: frozenset[str] = frozenset()
    sinkhole: str = "0.0.0.0"  # noqa: S104 - what filters answer, never bound
    asked: list[str] = field(default_factory=list)


def answer(names: Names, wire: bytes, *, tcp: bool = False) -> bytes | None:
    """The reply to one query, or None where it stays silent."""
    try:
        query = dns.message.from_wire(wire)
        question = query.question[0]
    except (dns.exception.DNSException, IndexError):
        return None
    name = question.name.to_text(omit_final_dot=True).lower()
    if len(names.asked) < 10_000:
        names.asked.append(name)
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.RA
    fault = names.fault if name in names.faulty or not names.faulty else None
    if fault == "silence":
        return None
    if fault in ("nxdomain", "servfail") or name not in names.addresses:
        reply.set_rcode(dns.rcode.SERVFAIL if fault == "servfail" else dns.rcode.NXDOMAIN)
        return reply.to_wire()
    if fault == "truncated" and not tcp:
        reply.flags |= dns.flags.TC
        return reply.to_wire()
    known = [] if fault == "empty" else [names.sinkhole] if fault == "sinkhole" else names.addresses[name]
    wanted = [address for address in known if (":" in address) == (question.rdtype == dns.rdatatype.AAAA)]
    if wanted and question.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
        reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", question.rdtype, *wanted))
    return reply.to_wire()


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
    """Serves `names` on one address and port, UDP and TCP."""

    def __init__(self, names: Names, address: str = "127.0.0.1") -> None:
        self.names = names
        self._address = address
        self.port = 0
        self._udp: asyncio.BaseTransport | None = None
        self._tcp: asyncio.Server | None = None

    async def start(self) -> None:
        """Listens on a free port."""
        self._tcp = await asyncio.start_server(self._handle, self._address, 0)
        self.port = self._tcp.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(
            lambda: _Udp(self.names), local_addr=(self._address, self.port)
        )

    async def stop(self) -> None:
        """Closes both."""
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(5):
                (length,) = struct.unpack(">H", await reader.readexactly(2))
                reply = answer(self.names, await reader.readexactly(length), tcp=True)
                if reply is not None:
                    writer.write(struct.pack(">H", len(reply)) + reply)
                    await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
