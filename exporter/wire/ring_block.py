"""Packets in a block of a TPACKET_V3 ring (Linux packet_mmap.rst)."""

import mmap
import struct
from collections.abc import Iterator
from typing import Final

from exporter.wire.capture_file import PacketTuple
from exporter.wire.decode import LinkType

_VLAN_VALID: Final = 1 << 4
_VLAN_ID: Final = 0x0FFF
_SECOND: Final = 1_000_000_000
_packet: Final = struct.Struct(
    "@IIIIIIHH4xI"
).unpack_from  # next, sec, nsec, captured, length, status, mac, net, …, tci


def packets_of(ring: mmap.mmap, place: int, count: int, link_type: LinkType, interface: str) -> Iterator[PacketTuple]:
    """`count` packets from `place` on. Their bytes stay in the ring."""
    for _ in range(count):
        following, seconds, nanoseconds, captured, length, status, mac, _, tag = _packet(ring, place)
        start = place + mac
        time = seconds * _SECOND + nanoseconds
        yield time, link_type, ring, start, start + captured, length, interface, vlan_of(status, tag)
        place += following


def vlan_of(status: int, tag: int) -> int | None:
    """The tag that the card or kernel took off (tp_status, tp_vlan_tci)."""
    return tag & _VLAN_ID or None if status & _VLAN_VALID else None
