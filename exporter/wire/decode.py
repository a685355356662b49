"""A frame down to its TCP segment: pure functions by struct, nothing is copied but addresses.

Ethernet (VLAN, QinQ, LLC/SNAP), Linux cooked v1 and v2, raw IP, loopback; IPv4 with options, IPv6 with extension
headers. What else there is (tunnels, odd link types) is unwrapped elsewhere and comes back as raw IP.
"""

from enum import IntEnum
from typing import NamedTuple

from exporter.wire.capture_file import Buffer


class LinkType(IntEnum):
    """Of the registry at tcpdump.org/linktypes.html, those that are read without help."""

    NULL = 0
    ETHERNET = 1
    RAW_BSD = 12
    RAW_OPENBSD = 14
    RAW = 101
    LOOP = 108
    LINUX_SLL = 113
    IPV4 = 228
    IPV6 = 229
    LINUX_SLL2 = 276


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


def decode(
    link_type: int, buffer: Buffer, start: int, end: int, original: int
) -> Segment | Datagram | IcmpError | NotRead:
    """What the frame buffer[start:end] carries; never raises, whatever the bytes are."""
    raise NotImplementedError
