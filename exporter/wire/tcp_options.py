"""TCP options of a segment (RFC 9293, 3.1; RFC 7323): what a gateway likes to rewrite."""

from collections.abc import Iterator
from typing import Final

from exporter.wire.capture_file import Buffer
from exporter.wire.segments import Segment

_MSS: Final = 2
_STAMPS: Final = 8


def options_of(segment: Segment, buffer: Buffer) -> bytes:
    """The options in front of the payload: the header's beginning is looked for by what is known of it."""
    ports = segment.source_port.to_bytes(2) + segment.destination_port.to_bytes(2)
    known = ports + segment.sequence.to_bytes(4) + segment.acknowledgment.to_bytes(4)
    for length in range(20, 64, 4):
        at = segment.start - length
        if at >= 0 and bytes(buffer[at : at + 12]) == known and buffer[at + 12] >> 4 == length // 4:
            return bytes(buffer[at + 20 : segment.start])
    return b""


def mss_of(options: bytes) -> int | None:
    """The maximum segment size that a SYN asks for, bytes."""
    value = next((value for kind, value in _each(options) if kind == _MSS and len(value) == 2), None)
    return int.from_bytes(value) if value is not None else None


def has_timestamps(options: bytes) -> bool:
    """Whether it brings timestamps (RFC 7323)."""
    return any(kind == _STAMPS for kind, _ in _each(options))


def _each(options: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(options) and options[at]:
        if options[at] == 1:
            at += 1
            continue
        if at + 1 >= len(options) or options[at + 1] < 2:
            return
        yield options[at], options[at + 2 : at + options[at + 1]]
        at += options[at + 1]
