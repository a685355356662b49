"""Excerpts as a pcapng for Wireshark: packets made anew from what may be shown, so nothing else can be in them.

Raw IP, an interface for each side; lengths, sequence numbers, flags, options and TTL are the packets' own, payload is
zeros but for TLS' handshake in clear, clients are pseudonyms, checksums are right for what is written.
Source: draft-ietf-opsawg-pcapng; RFC 1071 for the checksum.
"""

import ipaddress
import socket
import struct
from collections.abc import Sequence
from typing import Final

from exporter.wire.excerpt import Excerpt, Packet
from exporter.wire.pseudonyms import Pseudonyms

_RAW: Final = 101
_SECTION, _INTERFACE, _ENHANCED = 0x0A0D0D0A, 1, 6
_COMMENT, _NAME, _RESOLUTION = 1, 2, 9
#: The longest IP packet that is written, bytes; what a network card merged to more was several on the wire.
_LONGEST: Final = 65_500
#: A packet is written whole up to this, bytes; of a longer one (merged by a network card) no zeros at its end.
_WHOLE: Final = 1_600
_TCP, _ICMP, _ICMPV6 = 6, 1, 58

#: A packet to be written: its side, its connection, and a remark on it.
Entry = tuple[str, Excerpt, Packet, str]


def pcapng(entries: Sequence[Entry], names: Pseudonyms, *, program: str) -> bytes:
    """The file. Packet n of it is entry n, counted from 1."""
    sides = list(dict.fromkeys(side for side, *_ in entries)) or ["capture"]
    blocks = [_block(_SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + _option(4, program.encode()) + _end())]
    for side in sides:
        options = _option(_NAME, side.encode()) + _option(_RESOLUTION, b"\x09") + _end()
        blocks.append(_block(_INTERFACE, struct.pack("<HHI", _RAW, 0, 0) + options))
    for side, excerpt, packet, remark in entries:
        data = written(side, excerpt, packet, names)
        kept = max(len(data.rstrip(b"\0")), _WHOLE)
        blocks.append(_enhanced(sides.index(side), packet.time, data[:kept], len(data), remark))
    return b"".join(blocks)


def written(side: str, excerpt: Excerpt, packet: Packet, names: Pseudonyms) -> bytes:
    """The IP packet."""
    own = excerpt.connection
    place = "outside" if side == "outside" else "inside"
    real = own.client or own.server  # a capture always has it
    client = names.address(place, real), names.port(place, real, own.client_port or 0)
    server = own.server, own.server_port
    if packet.icmp is not None:
        return _icmp(place, packet, client, server, names)
    here, there = (client, server) if packet.from_client else (server, client)
    offset = (20 + len(packet.options)) // 4 << 4
    head = struct.pack(
        ">HHIIBBHHH", here[1], there[1], packet.sequence, packet.acknowledgment, offset, packet.flags & 0xFF,
        packet.window, 0, 0,
    )  # fmt: skip
    payload = packet.payload.ljust(packet.length, b"\0")[: _LONGEST - 60]
    return _ip(here[0], there[0], _TCP, packet.ttl, head + packet.options + payload, checksum_at=16)


def _icmp(place: str, packet: Packet, client: tuple[str, int], server: tuple[str, int], names: Pseudonyms) -> bytes:
    """The error, with the eight bytes of the segment that it is about (RFC 792)."""
    error = packet.icmp
    assert error is not None
    reporter = _text(error.reporter)
    if names.known(place, reporter):
        reporter = names.address(place, reporter)
    segment = struct.pack(">HHI", client[1], server[1], error.sequence)
    quoted = _ip(client[0], server[0], _TCP, 1, segment, checksum_at=None)
    message = struct.pack(">BBHI", error.type, error.code, 0, 0) + quoted
    kind = _ICMPV6 if ":" in client[0] else _ICMP
    return _ip(reporter, client[0], kind, 64, message, checksum_at=2)


def _ip(source: str, destination: str, protocol: int, ttl: int, content: bytes, *, checksum_at: int | None) -> bytes:
    """A packet whose checksums are right."""
    here, there = (ipaddress.ip_address(each).packed for each in (source, destination))
    if checksum_at is not None:
        pseudo = here + there + struct.pack(">II", len(content), protocol) if protocol != _ICMP else b""
        checksum = _checksum(pseudo + content)
        content = content[:checksum_at] + checksum.to_bytes(2) + content[checksum_at + 2 :]
    if len(here) == 16:
        return struct.pack(">IHBB", 0x6000_0000, len(content), protocol, ttl) + here + there + content
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(content), 0, 0x4000, ttl, protocol, 0) + here + there
    return head[:10] + _checksum(head).to_bytes(2) + head[12:] + content


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total = int(sum(struct.unpack(f">{len(data) // 2}H", data)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _text(address: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)


def _enhanced(interface: int, time: int, data: bytes, length: int, remark: str) -> bytes:
    data = data[:length]
    head = struct.pack("<IIIII", interface, time >> 32, time & 0xFFFF_FFFF, len(data), length)
    options = _option(_COMMENT, remark.encode()) + _end() if remark else b""
    return _block(_ENHANCED, head + _padded(data) + options)


def _block(kind: int, content: bytes) -> bytes:
    content = _padded(content)
    length = struct.pack("<I", 12 + len(content))
    return struct.pack("<I", kind) + length + content + length


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _end() -> bytes:
    return struct.pack("<HH", 0, 0)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
