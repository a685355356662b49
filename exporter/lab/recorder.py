"""A capture made without any right: connections are carried by us, and written down as the packets they would be.

For who may not read an interface's packets. Times are those at which we carried the bytes; segments, sequence numbers
and checksums (none) are made up.
"""

import asyncio
import contextlib
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address

#: Bytes of a segment.
_MSS = 1_400
_FIN, _SYN, _PSH, _ACK = 1, 2, 8, 16
_READ = 65_536

Address = tuple[str, int]
#: Takes a frame: when it passed, nanoseconds since 1970, and its bytes.
Take = Callable[[int, bytes], None]


@dataclass(slots=True)
class _Ends:
    """A connection's two ends, and where each one's sequence numbers stand."""

    client: Address
    server: Address
    take: Take
    next: dict[bool, int] = field(default_factory=lambda: {True: 1_000, False: 500_000})

    def segment(self, from_client: bool, flags: int, payload: bytes = b"") -> None:
        """One more segment, now."""
        here, there = (self.client, self.server) if from_client else (self.server, self.client)
        acknowledgment = self.next[not from_client] if flags & _ACK else 0
        tcp = struct.pack(
            ">HHIIBBHHH", here[1], there[1], self.next[from_client], acknowledgment, 0x50, flags, 65_535, 0, 0
        )
        addresses = ip_address(here[0]).packed + ip_address(there[0]).packed
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 40 + len(payload), 0, 0x4000, 64, 6, 0)
        self.take(time.time_ns(), bytes(12) + b"\x08\x00" + ip + addresses + tcp + payload)
        self.next[from_client] += len(payload) + bool(flags & (_SYN | _FIN))


async def carried(client: Address, server: Address, take: Take) -> Address:
    """A place on loopback whose first connection is carried to `server`, as if `client` had made it.

    Raises OSError where nobody listens there.
    """
    ends = _Ends(client, server, take)
    ends.segment(True, _SYN)
    there = await asyncio.open_connection(*server)
    ends.segment(False, _SYN | _ACK)
    ends.segment(True, _ACK)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listener.close()
        ways = ((reader, there[1], True), (there[0], writer, False))
        await asyncio.gather(*(_one_way(ends, *way) for way in ways))

    listener = await asyncio.start_server(carry, "127.0.0.1", 0)
    host, port = listener.sockets[0].getsockname()[:2]
    return host, port


async def _one_way(ends: _Ends, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, from_client: bool) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_READ):
            for begin in range(0, len(data), _MSS):
                flags = _ACK | (_PSH if begin + _MSS >= len(data) else 0)
                ends.segment(from_client, flags, data[begin : begin + _MSS])
            writer.write(data)
            await writer.drain()
    ends.segment(from_client, _FIN | _ACK)
    with contextlib.suppress(OSError):
        writer.close()
        await writer.wait_closed()
