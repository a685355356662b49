"""Headers in front of IP, and tunnels inside it: each function takes one off.

What follows is named by its Ethernet type, where Ethernet itself and PPP have those that GRE uses for them.
"""

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from exporter.wire.capture_file import Buffer
from exporter.wire.segments import NotRead

IPV4: Final = 0x0800
IPV6: Final = 0x86DD
ETHERNET: Final = 0x6558
PPP: Final = 0x880B
_VLAN = frozenset({0x8100, 0x88A8, 0x9100, 0x9200, 0x9300})
_MPLS: Final = 0x8847
_MPLS_MULTICAST: Final = 0x8848
PPPOE: Final = 0x8864
_PPPOE_DISCOVERY: Final = 0x8863
#: Smaller numbers in its place are a length: IEEE 802.3 with LLC.
_SMALLEST_TYPE: Final = 0x0600
#: RFC 1042, and IEEE 802.1H's bridge tunnel.
_SNAP: Final = (b"\xaa\xaa\x03\x00\x00\x00", b"\xaa\xaa\x03\x00\x00\xf8")
#: Cisco's Inter-Switch Link: destination, and bytes in front of the Ethernet frame within.
_ISL: Final = (b"\x01\x00\x0c\x00\x00", b"\x03\x00\x0c\x00\x00")
_ISL_HEADER: Final = 26
_GPE_PROTOCOLS: Final = {1: IPV4, 2: IPV6, 3: ETHERNET}
_PPP_PROTOCOLS: Final = {0x0021: IPV4, 0x0057: IPV6, 0x0281: _MPLS}

_short = struct.Struct(">H").unpack_from
_long = struct.Struct(">I").unpack_from


class Stripped(NamedTuple):
    """What follows a header: its Ethernet type, where it begins, and the id of the VLAN tag that was taken off."""

    kind: int
    offset: int
    vlan: int = 0


def strip(kind: int, buffer: Buffer, offset: int, end: int) -> Stripped | NotRead:
    """Takes off a header of this kind that isn't IP."""
    if kind == ETHERNET:
        return _ethernet(buffer, offset, end)
    if kind in _VLAN:
        if end - offset < 4:
            return NotRead.CUT
        return _by_type(buffer, offset + 2, end, vlan=_short(buffer, offset)[0] & 0x0FFF)
    if kind in (_MPLS, _MPLS_MULTICAST):
        return _mpls(buffer, offset, end)
    if kind == PPPOE:
        return _ppp(buffer, offset + 6, end)
    if kind == PPP:
        return _ppp(buffer, offset, end)
    return NotRead.OTHER


def _ethernet(buffer: Buffer, offset: int, end: int) -> Stripped | NotRead:
    if end - offset < 14:
        return NotRead.CUT
    if buffer[offset : offset + 5] in _ISL and end - offset > _ISL_HEADER:
        return Stripped(ETHERNET, offset + _ISL_HEADER, _short(buffer, offset + 20)[0] >> 1)
    return _by_type(buffer, offset + 12, end)


def _by_type(buffer: Buffer, offset: int, end: int, vlan: int = 0) -> Stripped | NotRead:
    """At the two bytes that say what follows, or how long it is."""
    kind = _short(buffer, offset)[0]
    if kind >= _SMALLEST_TYPE:
        return Stripped(kind, offset + 2, vlan)
    inside = by_llc(buffer, offset + 2, end)
    return inside if isinstance(inside, NotRead) else Stripped(inside.kind, inside.offset, vlan)


def by_llc(buffer: Buffer, offset: int, end: int) -> Stripped | NotRead:
    """IEEE 802.2 with SNAP, which has an Ethernet type; else it is spanning tree and the like."""
    if end - offset < 8:
        return NotRead.CUT
    if buffer[offset : offset + 6] not in _SNAP:
        return NotRead.OTHER
    return Stripped(_short(buffer, offset + 6)[0], offset + 8)


def _mpls(buffer: Buffer, offset: int, end: int) -> Stripped | NotRead:
    """Labels up to the bottom of the stack; what follows has no type, so its first nibble tells (RFC 4928)."""
    while offset + 5 <= end:
        bottom = _long(buffer, offset)[0] & 0x100
        offset += 4
        if bottom:
            version = buffer[offset] >> 4
            if version in (4, 6):
                return Stripped(IPV4 if version == 4 else IPV6, offset)
            return Stripped(ETHERNET, offset + 4 if version == 0 else offset)  # a pseudowire, with its control word
    return NotRead.CUT


def _ppp(buffer: Buffer, offset: int, end: int) -> Stripped | NotRead:
    """Address and control are there or not, and the protocol's first byte may be left out (RFC 1661, 6.5 and 6.6)."""
    if end - offset < 4:
        return NotRead.CUT
    if buffer[offset : offset + 2] == b"\xff\x03":
        offset += 2
    protocol, length = (buffer[offset], 1) if buffer[offset] & 1 else (_short(buffer, offset)[0], 2)
    kind = _PPP_PROTOCOLS.get(protocol)
    return NotRead.OTHER if kind is None else Stripped(kind, offset + length)


# ---- inside IP and UDP ---------------------------------------------------------------------------------------------


def _gre(buffer: Buffer, offset: int, end: int) -> Stripped | NotRead:
    """RFC 2784 and 2890; version 1 is PPTP's (RFC 2637)."""
    if end - offset < 4:
        return NotRead.CUT
    flags, kind = _short(buffer, offset)[0], _short(buffer, offset + 2)[0]
    length = 4 + (4 if flags & 0x8000 else 0) + (4 if flags & 0x2000 else 0) + (4 if flags & 0x1000 else 0)
    if flags & 0x0007 == 1 and flags & 0x0080:
        length += 4  # PPTP's acknowledgment
    if kind == 0x88BE:  # ERSPAN: a mirrored frame, behind 8 bytes where there is a sequence number (type II)
        return Stripped(ETHERNET, offset + length + (8 if flags & 0x1000 else 0))
    if kind == 0x22EB and end - offset > length + 12:  # type III says in its last bit whether 8 more bytes follow
        return Stripped(ETHERNET, offset + length + (20 if buffer[offset + length + 11] & 1 else 12))
    return Stripped(kind, offset + length)


def _vxlan(buffer: Buffer, offset: int, end: int) -> Stripped | NotRead:
    """RFC 7348: the flag that says that there is a network identifier must be set."""
    if end - offset < 8 or not buffer[offset] & 0x08:
        return NotRead.OTHER
    return Stripped(ETHERNET, offset + 8)


def _vxlan_gpe(buffer: Buffer, offset: int, end: int) -> Stripped | NotRead:
    """draft-ietf-nvo3-vxlan-gpe: names what follows, where the flag says so."""
    kind = _GPE_PROTOCOLS.get(buffer[offset + 3]) if end - offset >= 8 and buffer[offset] & 0x04 else None
    return NotRead.OTHER if kind is None else Stripped(kind, offset + 8)


def _l2tp(buffer: Buffer, offset: int, end: int) -> Stripped | NotRead:
    """RFC 2661, 3.1: a data message of version 2 carries PPP behind the fields that its flags announce."""
    if end - offset < 12:
        return NotRead.OTHER
    flags = _short(buffer, offset)[0]
    if flags & 0x800F != 2:
        return NotRead.OTHER
    inner = offset + 6 + (2 if flags & 0x4000 else 0) + (4 if flags & 0x0800 else 0)
    if flags & 0x0200 and inner + 2 <= end:
        inner += 2 + _short(buffer, inner)[0]
    return Stripped(PPP, inner)


def _geneve(buffer: Buffer, offset: int, end: int) -> Stripped | NotRead:
    """RFC 8926."""
    if end - offset < 8 or buffer[offset] >> 6:
        return NotRead.OTHER
    return Stripped(_short(buffer, offset + 2)[0], offset + 8 + (buffer[offset] & 0x3F) * 4)


def _gtp(buffer: Buffer, offset: int, end: int) -> Stripped | NotRead:
    """3GPP TS 29.281, user data only."""
    if end - offset < 12 or buffer[offset] >> 5 != 1 or buffer[offset + 1] != 0xFF:
        return NotRead.OTHER
    flags, inner = buffer[offset] & 0x07, offset + 8
    if flags:
        following, inner = buffer[inner + 3], inner + 4
        while following and flags & 0x04 and inner < end and buffer[inner]:
            inner += buffer[inner] * 4
            following = buffer[inner - 1] if inner <= end else 0
    return Stripped(IPV4, inner)


def _teredo(buffer: Buffer, offset: int, end: int) -> Stripped | NotRead:
    """RFC 4380, without authentication and origin."""
    return Stripped(IPV6, offset) if end - offset > 40 and buffer[offset] >> 4 == 6 else NotRead.OTHER


_Strip = Callable[[Buffer, int, int], Stripped | NotRead]
#: By the protocol number of an IP header.
IN_IP: dict[int, _Strip] = {
    4: lambda buffer, offset, end: Stripped(IPV4, offset),
    41: lambda buffer, offset, end: Stripped(IPV6, offset),
    47: _gre,
    137: lambda buffer, offset, end: Stripped(_MPLS, offset),
}
#: By UDP destination port; 8472 is what Linux took for VXLAN before it had a number.
IN_UDP: dict[int, _Strip] = {
    1701: _l2tp, 2152: _gtp, 3544: _teredo, 4789: _vxlan, 4790: _vxlan_gpe, 6081: _geneve, 8472: _vxlan,
}  # fmt: skip
