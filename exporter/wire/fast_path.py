"""Most frames there are, in one look: TCP in IPv4 without options or IPv6 without extensions, in Ethernet with a tag.

Everything else is for `decode`. What a direction of a connection is found by stands together in such a packet:
addresses, then ports.

This is the hottest code there is, and written twice: with struct for the interpreter, byte by byte for mypyc, which
makes machine code of that. Tests hold one against the other, and both against `decode`.
"""

import struct
from typing import TYPE_CHECKING, Final

from exporter.wire.capture_file import Buffer
from exporter.wire.segments import Segment

if TYPE_CHECKING:  # machine words, where it is machine code; the interpreter's int else
    from mypy_extensions import i64

COMPILED: Final = not __file__.endswith(".py")

_IPV4: Final = 0x0800
_IPV6: Final = 0x86DD
_VLAN: Final = 0x8100
_TCP: Final = 6
_TAG: Final = 4
#: Ethernet, IP and TCP headers without options.
_SHORTEST_IPV4: Final = 54
_SHORTEST_IPV6: Final = 74

_read_ipv4: Final = struct.Struct(">12xHBxHxxHxBxx12sIIBB").unpack_from
_read_ipv6: Final = struct.Struct(">18xHBx36sIIBB").unpack_from


class Frame:
    """The latest frame that was read. `key`: addresses and ports. Its captured payload begins at `begin` and ends at
    `end`; `length` is what the wire carried. `vlan`: the id of its tag, 0 without one.
    """

    __slots__ = ("acknowledgment", "begin", "end", "flags", "key", "length", "sequence", "start", "vlan")

    def __init__(self) -> None:
        self.start: i64 = -1  # of the frame in its buffer
        self.key = b""
        self.sequence: i64 = 0
        self.acknowledgment: i64 = 0
        self.flags: i64 = 0
        self.vlan: i64 = 0
        self.begin: i64 = 0
        self.end: i64 = 0
        self.length: i64 = 0

    def read(self, buffer: Buffer, start: "i64", end: "i64") -> bool:
        """Whether buffer[start:end] is such a frame of Ethernet; then the other fields are its own."""
        self.start = -1
        self.vlan = 0
        if end - start < _SHORTEST_IPV4:
            return False
        if COMPILED and isinstance(buffer, bytes):
            return self._read_bytes(buffer, start, end)
        return self._read(buffer, start, end)

    def _read(self, buffer: Buffer, start: int, end: int) -> bool:
        at = start
        kind, first, total, fragment, protocol, key, number, acked, offset, flags = _read_ipv4(buffer, at)
        if kind == _VLAN and end - start >= _SHORTEST_IPV4 + _TAG:
            at += _TAG
            self.vlan = (buffer[at + 10] & 0x0F) << 8 | buffer[at + 11]
            kind, first, total, fragment, protocol, key, number, acked, offset, flags = _read_ipv4(buffer, at)
        if kind == _IPV4:
            if first != 0x45 or fragment & 0x3FFF:
                return False
            header, ends = 34, at + 14 + total
        elif kind == _IPV6 and first >> 4 == 6 and end - at >= _SHORTEST_IPV6:
            total, protocol, key, number, acked, offset, flags = _read_ipv6(buffer, at)
            header, ends = 54, at + 54 + total
        else:
            return False
        if protocol != _TCP or not total:
            return False
        self.key, self.sequence, self.acknowledgment, self.flags = key, number, acked, flags
        return self._set_payload(start, at + header, offset, ends, end)

    def _read_bytes(self, buffer: bytes, start: "i64", end: "i64") -> bool:
        """The same, without a tuple and an object for each number."""
        at: i64 = start
        kind: i64
        total: i64
        tcp: i64
        addresses: i64
        ends: i64
        if buffer[at + 12] == 0x81 and buffer[at + 13] == 0 and end - start >= _SHORTEST_IPV4 + _TAG:
            at += _TAG
            self.vlan = (buffer[at + 10] & 0x0F) << 8 | buffer[at + 11]
        kind = buffer[at + 12] << 8 | buffer[at + 13]
        if kind == _IPV4:
            total = buffer[at + 16] << 8 | buffer[at + 17]
            if buffer[at + 14] != 0x45 or buffer[at + 23] != _TCP or buffer[at + 20] & 0x3F or buffer[at + 21]:
                return False
            tcp, addresses, ends = at + 34, 8, at + 14 + total
        elif kind == _IPV6 and buffer[at + 14] >> 4 == 6 and end - at >= _SHORTEST_IPV6:
            total = buffer[at + 18] << 8 | buffer[at + 19]
            if buffer[at + 20] != _TCP:
                return False
            tcp, addresses, ends = at + 54, 32, at + 54 + total
        else:
            return False
        if total == 0:
            return False
        self.key = buffer[tcp - addresses : tcp + 4]
        self.sequence = _word(buffer, tcp + 4)
        self.acknowledgment = _word(buffer, tcp + 8)
        self.flags = buffer[tcp + 13]
        return self._set_payload(start, tcp, buffer[tcp + 12], ends, end)

    def segment(self) -> Segment:
        """The same as the careful reader gives it, but for the time to live."""
        size = len(self.key) // 2 - 2
        ports = int.from_bytes(self.key[-4:])
        return Segment(
            self.key[:size], self.key[size:-4], ports >> 16, ports & 0xFFFF, self.sequence, self.acknowledgment,
            self.flags, 0, self.begin, self.end, self.length, 0, (self.vlan,) if self.vlan else (),
        )  # fmt: skip

    def _set_payload(self, start: "i64", tcp: "i64", offset: "i64", ends: "i64", end: "i64") -> bool:
        """`tcp`: where its header begins; `ends`: where the packet ended on the wire, `end` the frame as captured."""
        begin: i64 = tcp + ((offset & 0xF0) >> 2)
        if begin < tcp + 20 or begin > end or begin > ends:
            return False
        self.start, self.begin, self.length = start, begin, ends - begin
        self.end = ends if ends < end else end
        return True


def _word(buffer: bytes, at: "i64") -> "i64":
    first: i64 = buffer[at]
    second: i64 = buffer[at + 1]
    third: i64 = buffer[at + 2]
    fourth: i64 = buffer[at + 3]
    return first << 24 | second << 16 | third << 8 | fourth
