"""Frames written by hand: Ethernet, tags, IPv4 and IPv6, TCP, UDP and ICMP. No checksums; nobody here looks at them."""

import struct
from ipaddress import ip_address

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
ETHERNET_ADDRESSES = bytes.fromhex("020000000001020000000002")
CLIENT, SERVER = "192.0.2.10", "198.51.100.20"
CLIENT6, SERVER6 = "2001:db8::10", "2001:db8:ffff::20"


def ethernet(packet: bytes, *, tags: bytes = b"", pad: int = 60) -> bytes:
    """A frame around an IP packet, padded as cards do; `tags` stand before the type."""
    kind = b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"
    return (ETHERNET_ADDRESSES + tags + kind + packet).ljust(pad, b"\0")


def vlan(number: int, tpid: int = 0x8100) -> bytes:
    return struct.pack(">HH", tpid, number)


def pppoe(packet: bytes) -> bytes:
    """A frame of a PPPoE session around an IP packet."""
    protocol = 0x0021 if packet[0] >> 4 == 4 else 0x0057
    head = struct.pack(">HBBHHH", 0x8864, 0x11, 0, 1, len(packet) + 2, protocol)
    return (ETHERNET_ADDRESSES + head + packet).ljust(60, b"\0")


def ip(source: str, destination: str, protocol: int, payload: bytes, *, options: bytes = b"", extensions: bytes = b"",
       fragment: int = 0, total: int | None = None, ttl: int = 64) -> bytes:  # fmt: skip
    """`extensions`: of IPv6, whole, the first one's type in front: `bytes([0]) + …`."""
    here, there = ip_address(source).packed, ip_address(destination).packed
    if len(here) == 4:
        length = 20 + len(options) + len(payload) if total is None else total
        first = 0x45 + len(options) // 4
        head = struct.pack(">BBHHHBBH", first, 0, length, 1, fragment, ttl, protocol, 0)
        return head + here + there + options + payload
    following, rest = (extensions[0], extensions[1:]) if extensions else (protocol, b"")
    length = len(rest) + len(payload) if total is None else total
    return struct.pack(">IHBB", 0x6000_0000, length, following, ttl) + here + there + rest + payload


def tcp(source_port: int, destination_port: int, flags: int, payload: bytes = b"", *, sequence: int = 1,
        acknowledgment: int = 0, options: bytes = b"", window: int = 65_535) -> bytes:  # fmt: skip
    offset = (20 + len(options)) // 4 << 4
    head = struct.pack(
        ">HHIIBBHHH", source_port, destination_port, sequence & 0xFFFFFFFF, acknowledgment & 0xFFFFFFFF, offset, flags,
        window, 0, 0,
    )  # fmt: skip
    return head + options + payload


def udp(source_port: int, destination_port: int, payload: bytes) -> bytes:
    return struct.pack(">HHHH", source_port, destination_port, 8 + len(payload), 0) + payload


def icmp(kind: int, code: int, quoted: bytes) -> bytes:
    return struct.pack(">BBHI", kind, code, 0, 0) + quoted


def segment(flags: int, payload: bytes = b"", *, server_port: int = 993, client_port: int = 50_000, to_server: bool = True,
            version: int = 4, client: str | None = None, server: str | None = None, extensions: bytes = b"",
            ip_options: bytes = b"", **words) -> bytes:  # fmt: skip
    """An IP packet of a client's connection."""
    here = client or (CLIENT if version == 4 else CLIENT6)
    there = server or (SERVER if version == 4 else SERVER6)
    ports = (client_port, server_port) if to_server else (server_port, client_port)
    source, destination = (here, there) if to_server else (there, here)
    return ip(source, destination, 6, tcp(*ports, flags, payload, **words), extensions=extensions, options=ip_options)


def record(kind: int, body: bytes) -> bytes:
    """A TLS record."""
    return struct.pack(">BHH", kind, 0x0303, len(body)) + body
