"""Frames of one TCP connection, fast: Ethernet, perhaps a VLAN tag, IPv4 or IPv6, TCP (RFC 791, 8200, 9293).

IPv4's header checksum is right, TCP's is zero: as a capture on a sender with checksum offload shows it.
"""

import socket
import struct
from dataclasses import dataclass

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

_MACS = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
_VLAN, _IPV4, _IPV6 = 0x8100, 0x0800, 0x86DD
_TCP = struct.Struct("!HHIIBBHHH")
_IPV4_HEADER = struct.Struct("!BBHHHBBH4s4s")
_IPV6_HEADER = struct.Struct("!IHBB16s16s")
#: MSS 1460, window scale 7, SACK permitted: options of every SYN.
_SYN_OPTIONS = bytes.fromhex("020405b4 01030307 01010402".replace(" ", ""))


@dataclass(frozen=True, slots=True)
class Ends:
    """Both addresses, packed, and ports; `vlan` is None where there is no tag."""

    client: bytes
    client_port: int
    server: bytes
    server_port: int
    vlan: int | None = None

    @property
    def segment_size(self) -> int:
        """Bytes of payload that fit into 1500 bytes of IP."""
        return 1_460 if len(self.client) == 4 else 1_440


class Framer:
    """Makes frames of one direction."""

    def __init__(self, ends: Ends, *, from_client: bool) -> None:
        forth = (ends.client, ends.client_port), (ends.server, ends.server_port)
        (self._source, self._source_port), (self._target, self._target_port) = forth if from_client else forth[::-1]
        macs = b"".join(_MACS if from_client else _MACS[::-1])
        tag = b"" if ends.vlan is None else struct.pack("!HH", _VLAN, ends.vlan)
        self._ethernet = macs + tag + struct.pack("!H", _IPV4 if len(ends.client) == 4 else _IPV6)
        self._is_ipv4 = len(ends.client) == 4
        self._sum = sum(struct.unpack("!HHHH", self._source + self._target)) if self._is_ipv4 else 0

    def frame(self, flags: int, sequence: int, acknowledged: int, payload: bytes = b"") -> bytes:
        options = _SYN_OPTIONS if flags & SYN else b""
        length = 20 + len(options) + len(payload)
        header = _TCP.pack(
            self._source_port, self._target_port, sequence & 0xFFFFFFFF, acknowledged & 0xFFFFFFFF,
            (20 + len(options)) << 2, flags, 502, 0, 0,
        )  # fmt: skip
        if self._is_ipv4:
            total = 0x4500 + 20 + length + 0x4000 + 0x4006 + self._sum
            total = (total & 0xFFFF) + (total >> 16)
            checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
            outer = _IPV4_HEADER.pack(0x45, 0, 20 + length, 0, 0x4000, 64, 6, checksum, self._source, self._target)
        else:
            outer = _IPV6_HEADER.pack(0x60000000, length, 6, 64, self._source, self._target)
        return self._ethernet + outer + header + options + payload


def text(address: bytes) -> str:
    """An address as it is usually written."""
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)
