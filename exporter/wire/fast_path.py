"""Most frames there are, in one look: TCP in IPv4 without options or IPv6 without extensions, in Ethernet with a tag.

Everything else is for `decode`. What a direction of a connection is found by stands together in such a packet:
addresses, then ports.
"""

import struct

from exporter.wire.capture_file import Buffer

#: Key, sequence and acknowledgment number, flags; where the captured payload begins and ends, and its length.
Fast = tuple[bytes, int, int, int, int, int, int]

_IPV4, _IPV6, _VLAN, _TCP = 0x0800, 0x86DD, 0x8100, 6
#: Ethernet, IP and TCP headers without options.
_SHORTEST_IPV4, _SHORTEST_IPV6, _TAG = 54, 74, 4

_read_ipv4 = struct.Struct(">12xHBxHxxHxBxx12sIIBB").unpack_from
_read_ipv6 = struct.Struct(">18xHBx36sIIBB").unpack_from


def read_ethernet(buffer: Buffer, start: int, end: int) -> Fast | None:
    """None where the frame isn't of the usual kind, or cut."""
    if end - start < _SHORTEST_IPV4:
        return None
    kind, first, total, fragment, protocol, key, sequence, acknowledgment, offset, flags = _read_ipv4(buffer, start)
    if kind == _VLAN:
        start += _TAG
        if end - start < _SHORTEST_IPV4:
            return None
        kind, first, total, fragment, protocol, key, sequence, acknowledgment, offset, flags = _read_ipv4(buffer, start)
    if kind == _IPV4:
        if first != 0x45 or protocol != _TCP or fragment & 0x3FFF or not total:
            return None
        header = (offset & 0xF0) >> 2
        begin, length, stop = start + 34 + header, total - 20 - header, start + 14 + total
    elif kind == _IPV6 and end - start >= _SHORTEST_IPV6:
        total, protocol, key, sequence, acknowledgment, offset, flags = _read_ipv6(buffer, start)
        if protocol != _TCP or not total:
            return None
        header = (offset & 0xF0) >> 2
        begin, length, stop = start + 54 + header, total - header, start + 54 + total
    else:
        return None
    if header < 20 or length < 0 or begin > end:
        return None
    return key, sequence, acknowledgment, flags, begin, stop if stop < end else end, length
