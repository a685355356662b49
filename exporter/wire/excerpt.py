"""The packets of a few connections, read once more from a capture: what each was, and what of it may be shown.

The tracker keeps no packets, so those that a verdict rests on are looked for again. Of each connection its beginning
and its end are kept, within bounds.
"""

import socket
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exporter.observations import Connection
from exporter.wire.capture_file import Buffer, CaptureDamagedError, CaptureFile, NotACaptureError
from exporter.wire.decode import LinkType, decode
from exporter.wire.outcome import SECOND
from exporter.wire.segments import IcmpError, NotRead, Segment
from exporter.wire.shown_payload import ShownPayload
from exporter.wire.slow_path import SlowPath
from exporter.wire.tcp import ACK, FIN, RST, SYN
from exporter.wire.tcp_options import options_of

#: Packets kept of a connection's beginning and of its end; connections of one capture.
HEAD, TAIL, MAX_CONNECTIONS = 48, 24, 64
#: Packets this much behind a connection's last one are still its own: a reset that comes late, nanoseconds.
LATE: Final = 2 * SECOND

#: A router takes less to forward a packet, nanoseconds.
FORWARDED: Final = SECOND // 20

Key = tuple[bytes, int, bytes, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """A packet as it may be shown. `number`: in its capture, from 1; `time`: nanoseconds since 1970.

    `position`: of its first payload byte, counted from its direction's SYN; None where that wasn't seen. `length`: of
    its payload on the wire, of which `payload` has what was captured, zeros where it may not be shown. `what`: names of
    the records that begin in it. `icmp`: an error about a packet of the client's instead of a segment.
    """

    number: int
    time: int
    from_client: bool
    ttl: int = 0
    flags: int = 0
    sequence: int = 0
    acknowledgment: int = 0
    window: int = 0
    options: bytes = b""
    position: int | None = None
    length: int = 0
    payload: bytes = b""
    what: tuple[str, ...] = ()
    icmp: IcmpError | None = None


@dataclass(slots=True)
class Excerpt:
    """A connection's packets. `left_out`: how many between `head` and `tail` are not kept."""

    connection: Connection
    head: list[Packet] = field(default_factory=list)
    tail: deque[Packet] = field(default_factory=lambda: deque(maxlen=TAIL))
    left_out: int = 0

    def add(self, packet: Packet) -> None:
        """The next in the order of capture; one that was captured again as it was forwarded is left out."""
        before = self.tail[-1] if self.tail else self.head[-1] if self.head else None
        if before is not None and _is_forwarded(before, packet):
            return
        if len(self.head) < HEAD:
            self.head.append(packet)
            return
        self.left_out += len(self.tail) == TAIL
        self.tail.append(packet)

    def __iter__(self) -> Iterator[Packet]:
        yield from self.head
        yield from self.tail


def _is_forwarded(before: Packet, packet: Packet) -> bool:
    """Whether it is the same packet, a router later: a capture of all interfaces has it twice."""
    one = before.from_client, before.flags, before.sequence, before.acknowledgment, before.length
    two = packet.from_client, packet.flags, packet.sequence, packet.acknowledgment, packet.length
    return packet.icmp is None and one == two and before.ttl != packet.ttl and packet.time - before.time < FORWARDED


@dataclass(slots=True)
class _Followed:
    """A connection that is looked for."""

    excerpt: Excerpt
    begins: int
    ends: int
    first: dict[bool, int] = field(default_factory=dict)
    shown: dict[bool, ShownPayload] = field(default_factory=lambda: {way: ShownPayload(way) for way in (True, False)})


def excerpts(path: Path, connections: Sequence[Connection], *, interface: str | None = None) -> list[Excerpt]:
    """The packets of these connections, in their order; one that isn't found has none. Never raises for what a file
    holds: what can't be read gives nothing.

    `interface`: the name that the file's own interfaces were given when it was read for `connections`.
    """
    wanted = [_followed(each) for each in connections[:MAX_CONNECTIONS]]
    if not wanted:
        return []
    by_key: dict[Key, list[_Followed]] = {}
    for each in wanted:
        by_key.setdefault(_key_of(each.excerpt.connection), []).append(each)
    slow = SlowPath()
    try:
        with path.open("rb") as stream:
            for number, packet in enumerate(CaptureFile(stream).packets(), start=1):
                time, link_type, buffer, start, end, original, own, *_ = packet
                decoded = decode(link_type, buffer, start, end, original)
                if decoded is NotRead.UNKNOWN and (inside := slow.unwrap(time, link_type, bytes(buffer[start:end]))):
                    buffer, decoded = inside, decode(LinkType.RAW, inside, 0, len(inside), len(inside))
                if not isinstance(decoded, Segment | IcmpError):
                    continue
                from_client, followed = _of(by_key, decoded, time, interface or own)
                if followed is not None:
                    followed.excerpt.add(_packet(followed, number, time, from_client, decoded, buffer))
    except (CaptureDamagedError, NotACaptureError, OSError):
        pass  # it was told when the file was judged
    return [each.excerpt for each in wanted]


def _followed(connection: Connection) -> _Followed:
    begins, ends = (round(each.timestamp() * 1e6) * 1_000 for each in (connection.start, connection.end))
    return _Followed(Excerpt(connection), begins, ends + LATE)


def _key_of(connection: Connection) -> Key:
    client, server = connection.client, _packed(connection.server)
    return b"" if client is None else _packed(client), connection.client_port or 0, server, connection.server_port


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def _of(
    by_key: dict[Key, list[_Followed]], decoded: Segment | IcmpError, time: int, interface: str | None
) -> tuple[bool, _Followed | None]:
    """Whether the client sent it (of an ICMP error: what it quotes), and the connection it is of."""
    here, there = (decoded.source, decoded.source_port), (decoded.destination, decoded.destination_port)
    for from_client, key in ((True, (*here, *there)), (False, (*there, *here))):
        candidates = (
            each for each in by_key.get(key, ())
            if each.begins <= time + 1_000 and time <= each.ends
            and each.excerpt.connection.interface in (None, interface)
        )  # fmt: skip
        if (found := max(candidates, key=lambda each: each.begins, default=None)) is not None:
            return from_client, found
    return False, None


def _packet(
    followed: _Followed, number: int, time: int, from_client: bool, decoded: Segment | IcmpError, buffer: Buffer
) -> Packet:
    if isinstance(decoded, IcmpError):
        return Packet(number=number, time=time, from_client=False, icmp=decoded)
    if decoded.flags & SYN:
        followed.first[from_client] = decoded.sequence + 1
        if decoded.flags & ACK:
            followed.first.setdefault(not from_client, decoded.acknowledgment)
    first = followed.first.get(from_client)
    position = None if first is None else (decoded.sequence + bool(decoded.flags & SYN) - first) & 0xFFFF_FFFF
    if position is not None and position >= 0x8000_0000:
        position -= 1 << 32
    data = bytes(buffer[decoded.start : decoded.end])[: decoded.length]
    at = position if position is not None else decoded.sequence
    payload, what = followed.shown[from_client].take(at, data)
    return Packet(
        number=number, time=time, from_client=from_client, ttl=decoded.ttl, flags=decoded.flags,
        sequence=decoded.sequence, acknowledgment=decoded.acknowledgment, window=decoded.window,
        options=options_of(decoded, buffer), position=position, length=decoded.length, payload=payload, what=what,
    )  # fmt: skip


def kind_of(packet: Packet) -> str:
    """`syn`, `syn-ack`, `rst`, `fin`, `data`, `ack` or `icmp`: what it is first of all."""
    flags = packet.flags
    if packet.icmp is not None:
        return "icmp"
    if flags & RST:
        return "rst"
    if flags & SYN:
        return "syn-ack" if flags & ACK else "syn"
    if packet.length:
        return "data"
    return "fin" if flags & FIN else "ack"
