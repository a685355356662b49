"""What decoding a frame gives."""

from enum import IntEnum
from typing import NamedTuple


class Segment(NamedTuple):
    """A TCP segment. Its captured payload is buffer[start:end]; `length` is what the wire carried (snap length cuts).

    `source`, `destination`: packed addresses (4 or 16 bytes). `vlan`: ids, the outer first. `ttl`: or hop limit.
    """

    source: bytes
    destination: bytes
    source_port: int
    destination_port: int
    sequence: int
    acknowledgment: int
    flags: int
    window: int
    start: int
    end: int
    length: int
    ttl: int
    vlan: tuple[int, ...]


class Datagram(NamedTuple):
    """A UDP datagram; as `Segment`."""

    source: bytes
    destination: bytes
    source_port: int
    destination_port: int
    start: int
    end: int


class IcmpError(NamedTuple):
    """An ICMP error about a TCP segment that `source` sent: the quoted header's addresses, ports, sequence number."""

    reporter: bytes
    type: int
    code: int
    source: bytes
    destination: bytes
    source_port: int
    destination_port: int
    sequence: int


class NotRead(IntEnum):
    """Why a frame gave nothing."""

    OTHER = 0  # ARP, other transport protocols: nothing of ours
    FRAGMENT = 1  # a fragment of an IP packet: counted, not followed
    UNKNOWN = 2  # a link type or encapsulation for the slow path
    CUT = 3  # headers beyond the snap length, or lengths that contradict each other


Decoded = Segment | Datagram | IcmpError | NotRead
