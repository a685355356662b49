"""A frame down to its TCP segment: pure functions by struct, nothing is copied but addresses.

Ethernet (VLAN, QinQ, ISL, LLC/SNAP), PPP, Linux cooked v1 and v2, raw IP, loopback; IPv4 with options, IPv6 with
extension headers; the common tunnels (`encapsulation`). Odd link types are for the slow path, which gives IP back.
"""

import struct
from typing import Final, NamedTuple

from exporter.wire.capture_file import Buffer
from exporter.wire.encapsulation import IN_IP, IN_UDP, IPV4, IPV6, Stripped, strip
from exporter.wire.link_headers import LinkType, begin
from exporter.wire.segments import Datagram, Decoded, IcmpError, NotRead, Segment

__all__ = ["Datagram", "Decoded", "IcmpError", "LinkType", "NotRead", "Segment", "decode"]

#: Headers of one inside the other: VLAN in MPLS in GRE, and then no more.
MAX_LAYERS: Final = 12
#: IPv6 extension headers of one packet.
MAX_EXTENSIONS: Final = 16


class _Ip(NamedTuple):
    """An IP header: what it carries, and where that begins, ends in the capture, and ended on the wire."""

    source: bytes
    destination: bytes
    protocol: int
    ttl: int
    start: int
    end: int
    wire_end: int


_TCP: Final = 6
_UDP: Final = 17
_ICMP: Final = 1
_ICMPV6: Final = 58
_ROUTING: Final = 43
_FRAGMENT: Final = 44
_AUTHENTICATION: Final = 51
_EXTENSIONS = frozenset({0, _ROUTING, 60, 135, 139, 140})
#: ICMP types that say that a segment didn't arrive: destination unreachable, time exceeded; IPv6: packet too big too.
_ICMP_ERRORS: Final = frozenset({3, 11})
_ICMPV6_ERRORS: Final = frozenset({1, 2, 3})

_ipv4 = struct.Struct(">BxHxxHBB").unpack_from
_ipv6 = struct.Struct(">HBB").unpack_from
_tcp = struct.Struct(">HHIIBBH").unpack_from
_ports = struct.Struct(">HH").unpack_from
_ports_and_sequence = struct.Struct(">HHI").unpack_from
_short = struct.Struct(">H").unpack_from


def decode(link_type: int, buffer: Buffer, start: int, end: int, original: int) -> Decoded:
    """What the frame buffer[start:end] carries; never raises, whatever the bytes are. `original`: its wire length."""
    wire_end = start + max(original, end - start)
    vlan: tuple[int, ...] = ()
    following = begin(link_type, buffer, start, end)
    for _ in range(MAX_LAYERS):
        if isinstance(following, NotRead):
            return following
        kind, offset, tag = following
        if tag:
            vlan = (*vlan, tag)
        if kind not in (IPV4, IPV6):
            following = strip(kind, buffer, offset, end)
            continue
        ip = _read_ip(buffer, offset, end, wire_end)
        if isinstance(ip, NotRead):
            return ip
        if ip.protocol == _TCP:
            return _read_tcp(buffer, ip, vlan)
        inside = _inside(buffer, ip)
        if not isinstance(inside, Stripped):
            return inside
        following, end, wire_end = inside, ip.end, ip.wire_end
    return NotRead.UNKNOWN


def _read_ip(buffer: Buffer, offset: int, end: int, wire_end: int) -> _Ip | NotRead:
    if offset >= end:
        return NotRead.CUT
    version = buffer[offset] >> 4
    if version == 4:
        return _read_ipv4(buffer, offset, end, wire_end)
    return _read_ipv6(buffer, offset, end, wire_end) if version == 6 else NotRead.OTHER


def _read_ipv4(buffer: Buffer, offset: int, end: int, wire_end: int) -> _Ip | NotRead:
    if end - offset < 20:
        return NotRead.CUT
    first, total, fragment, ttl, protocol = _ipv4(buffer, offset)
    if fragment & 0x3FFF:
        return NotRead.FRAGMENT
    begin = offset + (first & 0x0F) * 4
    if total:  # 0 where the card splits the packet later: then it is as long as the frame
        wire_end = offset + total
        end = min(end, wire_end)
    if begin < offset + 20 or begin > end:
        return NotRead.CUT
    source, destination = buffer[offset + 12 : offset + 16], buffer[offset + 16 : offset + 20]
    if protocol == _AUTHENTICATION:
        protocol, begin = _past_authentication(buffer, begin, end)
    return _Ip(source, destination, protocol, ttl, begin, end, wire_end)


def _past_authentication(buffer: Buffer, offset: int, end: int) -> tuple[int, int]:
    """RFC 4302: signed, but in clear."""
    return (buffer[offset], offset + (buffer[offset + 1] + 2) * 4) if end - offset >= 2 else (_AUTHENTICATION, end)


def _read_ipv6(buffer: Buffer, offset: int, end: int, wire_end: int) -> _Ip | NotRead:
    """With its extension headers. Behind a routing header with hops left, the last of them is the destination."""
    if end - offset < 40:
        return NotRead.CUT
    length, protocol, ttl = _ipv6(buffer, offset + 4)
    if length:  # 0 for jumbograms, and where the card splits the packet later
        wire_end = offset + 40 + length
        end = min(end, wire_end)
    source, destination = buffer[offset + 8 : offset + 24], buffer[offset + 24 : offset + 40]
    offset += 40
    for _ in range(MAX_EXTENSIONS):
        if protocol == _AUTHENTICATION:
            protocol, offset = _past_authentication(buffer, offset, end)
        elif protocol == _FRAGMENT:
            if end - offset < 8:
                return NotRead.CUT
            if _short(buffer, offset + 2)[0] & 0xFFF9:
                return NotRead.FRAGMENT
            protocol, offset = buffer[offset], offset + 8
        elif protocol in _EXTENSIONS:
            if end - offset < 8:
                return NotRead.CUT
            following = offset + (buffer[offset + 1] + 1) * 8
            if protocol == _ROUTING and buffer[offset + 3] and following <= end and following - offset >= 24:
                last = offset + 8 if buffer[offset + 2] == 4 else following - 16  # RFC 8754 has them in reverse
                destination = buffer[last : last + 16]
            protocol, offset = buffer[offset], following
        else:
            break
        if offset > end:
            return NotRead.CUT
    return _Ip(source, destination, protocol, ttl, offset, end, wire_end)


def _read_tcp(buffer: Buffer, ip: _Ip, vlan: tuple[int, ...]) -> Segment | NotRead:
    if ip.end - ip.start < 16:
        return NotRead.CUT
    source_port, destination_port, sequence, acknowledgment, offset, flags, window = _tcp(buffer, ip.start)
    header = (offset >> 4) * 4
    length = ip.wire_end - ip.start - header
    if header < 20 or length < 0:
        return NotRead.CUT
    begin = min(ip.start + header, ip.end)
    return Segment(
        ip.source, ip.destination, source_port, destination_port, sequence, acknowledgment, flags, window,
        begin, ip.end, length, ip.ttl, vlan,
    )  # fmt: skip


def _inside(buffer: Buffer, ip: _Ip) -> Stripped | Datagram | IcmpError | NotRead:
    """What isn't TCP: a datagram, an error, or another packet."""
    if ip.protocol == _UDP:
        if ip.end - ip.start < 8:
            return NotRead.CUT
        source_port, destination_port = _ports(buffer, ip.start)
        if destination_port in IN_UDP:
            inside = IN_UDP[destination_port](buffer, ip.start + 8, ip.end)
            if isinstance(inside, Stripped):
                return inside
        return Datagram(ip.source, ip.destination, source_port, destination_port, ip.start + 8, ip.end)
    if ip.protocol in (_ICMP, _ICMPV6):
        return _read_icmp(buffer, ip)
    return IN_IP[ip.protocol](buffer, ip.start, ip.end) if ip.protocol in IN_IP else NotRead.OTHER


def _read_icmp(buffer: Buffer, ip: _Ip) -> IcmpError | NotRead:
    if ip.end - ip.start < 8:
        return NotRead.CUT
    kind, code = buffer[ip.start], buffer[ip.start + 1]
    if kind not in (_ICMP_ERRORS if ip.protocol == _ICMP else _ICMPV6_ERRORS):
        return NotRead.OTHER
    quoted = _read_ip(buffer, ip.start + 8, ip.end, ip.wire_end)
    if isinstance(quoted, NotRead) or quoted.protocol != _TCP or quoted.end - quoted.start < 8:
        return NotRead.OTHER
    source_port, destination_port, sequence = _ports_and_sequence(buffer, quoted.start)
    return IcmpError(ip.source, kind, code, quoted.source, quoted.destination, source_port, destination_port, sequence)
