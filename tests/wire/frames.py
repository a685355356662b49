"""Frames and captures, byte by byte: a second writing of the formats, independent of the readers under test."""

import struct
from collections.abc import Iterable, Sequence
from ipaddress import ip_address

ETHERNET, RAW, NULL, LOOP, SLL, SLL2 = 1, 101, 0, 108, 113, 276
IPV4, IPV6 = 0x0800, 0x86DD
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58

#: A captured frame: nanoseconds since 1970, its bytes, and its length on the wire where it was cut.
Frame = tuple[int, bytes] | tuple[int, bytes, int]


def ethernet(packet: bytes, kind: int | None = None, vlan: Sequence[int] = (), tag: int = 0x8100) -> bytes:
    """Around an IP packet (its version tells the type), with VLAN tags, the outer first."""
    kind = kind if kind is not None else (IPV4 if packet[0] >> 4 == 4 else IPV6)
    tags = b"".join(struct.pack(">HH", tag if i == 0 else 0x8100, number) for i, number in enumerate(vlan))
    return bytes.fromhex("0200000000020200000000 01".replace(" ", "")) + tags + struct.pack(">H", kind) + packet


def ip(source: str, destination: str, protocol: int, payload: bytes, *, ttl: int = 64, **fields: int) -> bytes:
    """Of the version that the addresses have. `total`, `fragment`: IPv4's fields as they are to be written."""
    here, there = ip_address(source).packed, ip_address(destination).packed
    if len(here) == 16:
        return (
            struct.pack(">IHBB", 0x6000_0000, fields.get("total", len(payload)), protocol, ttl) + here + there + payload
        )
    total = fields.get("total", 20 + len(payload))
    header = struct.pack(">BBHHHBBH", 0x45, 0, total, 7, fields.get("fragment", 0), ttl, protocol, 0)
    return header + here + there + payload


def tcp(
    source_port: int, destination_port: int, sequence: int, acknowledgment: int, flags: int, payload: bytes = b"",
    *, options: bytes = b"", window: int = 65_535,
) -> bytes:  # fmt: skip
    offset = (20 + len(options)) // 4 << 4
    return (
        struct.pack(
            ">HHIIBBHHH", source_port, destination_port, sequence % (1 << 32), acknowledgment % (1 << 32), offset, flags,
            window, 0, 0,
        ) + options + payload
    )  # fmt: skip


def udp(source_port: int, destination_port: int, payload: bytes) -> bytes:
    return struct.pack(">HHHH", source_port, destination_port, 8 + len(payload), 0) + payload


def icmp_error(kind: int, code: int, quoted: bytes) -> bytes:
    return struct.pack(">BBHI", kind, code, 0, 0) + quoted


def dns_answer(name: str, addresses: Iterable[str], alias: str | None = None) -> bytes:
    """A response to a question for the name; with an alias, the addresses belong to that."""
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    records = []
    if alias is not None:
        target = b"".join(bytes([len(part)]) + part.encode() for part in alias.split(".")) + b"\0"
        records.append(b"\xc0\x0c" + struct.pack(">HHIH", 5, 1, 60, len(target)) + target)
    for text in addresses:
        packed = ip_address(text).packed
        owner = b"\xc0\x0c"
        records.append(owner + struct.pack(">HHIH", 1 if len(packed) == 4 else 28, 1, 60, len(packed)) + packed)
    header = struct.pack(">HHHHHH", 4711, 0x8180, 1, len(records), 0, 0)
    return header + question + struct.pack(">HH", 1, 1) + b"".join(records)


def pcap(frames: Iterable[Frame], *, link_type: int = ETHERNET, order: str = "<", nano: bool = False) -> bytes:
    """A pcap file of version 2.4."""
    unit = 1 if nano else 1_000
    written = [struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, 262_144, link_type)]
    for time, data, *original in frames:
        seconds, rest = divmod(time, 1_000_000_000)
        length = original[0] if original else len(data)
        written.append(struct.pack(order + "IIII", seconds, rest // unit, len(data), length) + data)
    return b"".join(written)


def block(kind: int, content: bytes, order: str = "<") -> bytes:
    """A block of pcapng around its content, padded."""
    content += bytes(-len(content) % 4)
    length = struct.pack(order + "I", 12 + len(content))
    return struct.pack(order + "I", kind) + length + content + length


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link_type: int = ETHERNET, *, options: bytes = b"", order: str = "<", snap_length: int = 0) -> bytes:
    return block(1, struct.pack(order + "HHI", link_type, 0, snap_length) + options, order)


def enhanced(frame: Frame, *, number: int = 0, units: int = 1_000_000, order: str = "<") -> bytes:
    """An enhanced packet block, of a time in units of a second."""
    time, data, *original = frame
    ticks = time * units // 1_000_000_000
    length = original[0] if original else len(data)
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFF_FFFF, len(data), length)
    return block(6, head + data, order)


def pcapng(frames: Iterable[Frame], *, link_type: int = ETHERNET, order: str = "<") -> bytes:
    return section(order) + interface(link_type, order=order) + b"".join(enhanced(f, order=order) for f in frames)
