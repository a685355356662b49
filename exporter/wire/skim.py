"""Passes over packets that tell nothing but their sequence number: most of a file, at the least cost for each.

A frame is passed over when it is plain TCP in Ethernet of a direction that is known, without SYN, FIN or RST, and
either is an acknowledgment, or belongs to a connection of which nothing more is to be learned (`Half.plain`). All else
is left to the tracker.
"""

import struct

from exporter.wire.capture_file import Buffer
from exporter.wire.flow import BEHIND, SEQUENCE_MASK, Half
from exporter.wire.streams import count_segment
from exporter.wire.timers import Clock

_IPV4, _IPV6, _VLAN, _TCP, _TAG = 0x0800, 0x86DD, 0x8100, 6, 4
_SYN_FIN_RST, _ACK = 0x07, 0x10
#: Ethernet, IP and TCP headers without options.
_SHORTEST_IPV4, _SHORTEST_IPV6 = 54, 74

_read_ipv4 = struct.Struct(">12xHBxHxxHxBxx12sIIBB").unpack_from
_read_ipv6 = struct.Struct(">18xHBx36sIIBB").unpack_from


class Skimmer:
    """`halves`: the tracker's, by addresses and ports as they stand in a packet."""

    __slots__ = ("_clock", "_halves")

    def __init__(self, halves: dict[bytes, Half], clock: Clock) -> None:
        self._halves = halves
        self._clock = clock

    def passes(self, time: int, buffer: Buffer, start: int, end: int) -> bool:
        """Whether the Ethernet frame buffer[start:end] was dealt with; else the tracker has to look at it."""
        clock = self._clock
        if time >= clock.next_due or end - start < _SHORTEST_IPV4:
            return False
        kind, first, total, fragment, protocol, key, sequence, acknowledgment, offset, flags = _read_ipv4(buffer, start)
        if kind == _VLAN and end - start >= _SHORTEST_IPV4 + _TAG:
            start += _TAG
            kind, first, total, fragment, protocol, key, sequence, acknowledgment, offset, flags = _read_ipv4(
                buffer, start
            )
        if kind == _IPV4:
            if first != 0x45 or fragment & 0x3FFF or total < 40:
                return False
            length = total - 20 - ((offset & 0xF0) >> 2)
        elif kind == _IPV6 and end - start >= _SHORTEST_IPV6:
            total, protocol, key, sequence, acknowledgment, offset, flags = _read_ipv6(buffer, start)
            length = total - ((offset & 0xF0) >> 2)
        else:
            return False
        if protocol != _TCP or flags & _SYN_FIN_RST or length < 0:
            return False
        half = self._halves.get(key)
        if half is None or not half.plain or (length and half.plain == 1 and not _is_inside(half, sequence, length)):
            return False
        clock.packets += 1
        if time > clock.now:
            clock.now = time
        half.last = time
        if flags & _ACK and 0 < (acknowledgment - half.acked & SEQUENCE_MASK) < BEHIND:
            half.acked = acknowledgment
        if not length:
            half.claimed = sequence
        elif sequence == half.high:
            half.reaches(sequence + length & SEQUENCE_MASK, time)
        else:
            count_segment(half, sequence, length, time)
        return True


def _is_inside(half: Half, sequence: int, length: int) -> bool:
    """Whether the segment follows the one before, and the protected record that began there goes on behind it."""
    if half.opened is None or sequence != half.high:
        return False
    return 0 < (half.head - sequence - length & SEQUENCE_MASK) < BEHIND
