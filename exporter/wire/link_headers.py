"""What comes first in a frame, by its link type.

Source: the registry at tcpdump.org/linktypes.html. What needs more than a look (802.11) is for the slow path.
"""

import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Final

from exporter.wire.capture_file import Buffer
from exporter.wire.encapsulation import ETHERNET, IPV4, PPP, PPPOE, Stripped, by_llc
from exporter.wire.segments import NotRead


class LinkType(IntEnum):
    """Those that are read without help."""

    NULL = 0
    ETHERNET = 1
    TOKEN_RING = 6
    SLIP = 8
    PPP = 9
    FDDI = 10
    RAW_BSD = 12
    RAW_OPENBSD = 14
    PPP_HDLC = 50
    PPP_ETHER = 51
    ATM_RFC1483 = 100
    RAW = 101
    C_HDLC = 104
    FRAME_RELAY = 107
    LOOP = 108
    ENC = 109
    LINUX_SLL = 113
    PFLOG = 117
    PPP_PPPD = 166
    PPP_WITH_DIRECTION = 204
    IPV4 = 228
    IPV6 = 229
    NFLOG = 239
    NETANALYZER = 240
    PKTAP = 258
    ETHERNET_MPACKET = 274
    LINUX_SLL2 = 276


#: The Ethernet type of what comes first (IP tells its own version), and bytes in front of it.
_PLAIN: Final[dict[int, tuple[int, int]]] = {
    LinkType.ETHERNET: (ETHERNET, 0), LinkType.NETANALYZER: (ETHERNET, 4), LinkType.ETHERNET_MPACKET: (ETHERNET, 8),
    LinkType.RAW: (IPV4, 0), LinkType.RAW_BSD: (IPV4, 0), LinkType.RAW_OPENBSD: (IPV4, 0),
    LinkType.IPV4: (IPV4, 0), LinkType.IPV6: (IPV4, 0),
    LinkType.NULL: (IPV4, 4), LinkType.LOOP: (IPV4, 4), LinkType.ENC: (IPV4, 12), LinkType.SLIP: (IPV4, 16),
    LinkType.PPP: (PPP, 0), LinkType.PPP_HDLC: (PPP, 0), LinkType.PPP_PPPD: (PPP, 2),
    LinkType.PPP_WITH_DIRECTION: (PPP, 1), LinkType.PPP_ETHER: (PPPOE, 0),
}  # fmt: skip
#: Where the Ethernet type of what comes first stands, and bytes in front of it.
_BY_TYPE: Final[dict[int, tuple[int, int]]] = {
    LinkType.LINUX_SLL: (14, 16),
    LinkType.LINUX_SLL2: (0, 20),
    LinkType.C_HDLC: (2, 4),
}
#: Captures of captures: PKTAP names the link type of what it wraps.
_MAX_WRAPPED: Final = 2

_short: Final = struct.Struct(">H").unpack_from
_native_shorts: Final = struct.Struct("<HH").unpack_from
_native_words: Final = struct.Struct("<III").unpack_from


def begin(link_type: int, buffer: Buffer, start: int, end: int, depth: int = 0) -> Stripped | NotRead:
    """What comes first in the frame buffer[start:end], and where."""
    if link_type in _PLAIN:
        kind, length = _PLAIN[link_type]
        return Stripped(kind, start + length)
    if link_type in _BY_TYPE:
        place, length = _BY_TYPE[link_type]
        return Stripped(_short(buffer, start + place)[0], start + length) if end - start > length else NotRead.CUT
    if link_type == LinkType.PKTAP and depth < _MAX_WRAPPED:
        if end - start < 12:
            return NotRead.CUT
        length, _, inner = _native_words(buffer, start)
        return begin(inner, buffer, start + length, end, depth + 1) if 12 <= length <= end - start else NotRead.CUT
    read = _OTHERS.get(link_type)
    return NotRead.UNKNOWN if read is None else read(buffer, start, end)


def cooked_place(link_type: int, buffer: Buffer, start: int) -> str | None:
    """Where a cooked frame passed that was read already: coming in or going out, and in the second version at which
    interface. On a router each packet passes twice. None for other links.
    """
    if link_type == LinkType.LINUX_SLL:
        return str(buffer[start + 1])
    if link_type == LinkType.LINUX_SLL2:
        return f"{_short(buffer, start + 6)[0]} {buffer[start + 10]}"
    return None


def _token_ring(buffer: Buffer, start: int, end: int) -> Stripped | NotRead:
    """IEEE 802.5, with routing information where the source address says so."""
    if end - start < 16:
        return NotRead.CUT
    routing = buffer[start + 14] & 0x1F if buffer[start + 8] & 0x80 else 0
    return by_llc(buffer, start + 14 + routing, end)


def _fddi(buffer: Buffer, start: int, end: int) -> Stripped | NotRead:
    return by_llc(buffer, start + 13, end)


def _frame_relay(buffer: Buffer, start: int, end: int) -> Stripped | NotRead:
    """RFC 2427, or Cisco's way with an Ethernet type, behind two bytes of address."""
    if end - start < 12:
        return NotRead.CUT
    control = buffer[start + 2 : start + 4]
    if control == b"\x03\xcc" or control == b"\x03\x8e":
        return Stripped(IPV4, start + 4)
    if buffer[start + 2 : start + 8] == b"\x03\x00\x80\x00\x00\x00":
        return Stripped(_short(buffer, start + 8)[0], start + 10)
    return Stripped(_short(buffer, start + 2)[0], start + 4)


def _pflog(buffer: Buffer, start: int, end: int) -> Stripped | NotRead:
    """BSD's packet filter: the header says its length, and is padded to four bytes."""
    if end - start < 4:
        return NotRead.CUT
    return Stripped(IPV4, start + (buffer[start] + 3 & ~3))


def _nflog(buffer: Buffer, start: int, end: int) -> Stripped | NotRead:
    """Linux' NFLOG: options in the byte order of the machine, nowadays little-endian; one of them is the packet."""
    at = start + 4
    while at + 4 <= end:
        length, kind = _native_shorts(buffer, at)
        if length < 4:
            return NotRead.CUT
        if kind == 9:
            return Stripped(IPV4, at + 4)
        at += length + 3 & ~3
    return NotRead.OTHER


_OTHERS: Final[dict[int, Callable[[Buffer, int, int], Stripped | NotRead]]] = {
    LinkType.TOKEN_RING: _token_ring,
    LinkType.FDDI: _fddi,
    LinkType.ATM_RFC1483: lambda buffer, start, end: by_llc(buffer, start, end),
    LinkType.FRAME_RELAY: _frame_relay,
    LinkType.PFLOG: _pflog,
    LinkType.NFLOG: _nflog,
}
