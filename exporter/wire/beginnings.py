"""Segments of connections that aren't followed yet: whether to begin, and who is who, where no SYN tells."""

from collections.abc import Set as AbstractSet
from typing import Final

from exporter.wire.capture_file import Buffer
from exporter.wire.flow import SEQUENCE_MASK, Half
from exporter.wire.reading import looks_like_record
from exporter.wire.segments import Segment
from exporter.wire.tcp import FIN

_CLIENT_HELLO: Final = 1
_SERVER_HELLO: Final = 2
_HANDSHAKE: Final = 22
_RECORD_AND_TYPE: Final = 6


def is_another(half: Half, segment: Segment) -> bool:
    """Whether a SYN begins another connection between the same ports."""
    return half.from_client and half.first is not None and half.first != segment.sequence + 1 & SEQUENCE_MASK


def is_interesting(segment: Segment, buffer: Buffer, ports: AbstractSet[int]) -> bool:
    """Whether a segment in the middle of a connection is of TLS or of mail: by its port, or by its first bytes."""
    if segment.source_port in ports or segment.destination_port in ports:
        return segment.length > 0 or bool(segment.flags & FIN)
    return looks_like_record(buffer[segment.start : min(segment.start + _RECORD_AND_TYPE, segment.end)])


def comes_from_client(segment: Segment, buffer: Buffer, ports: AbstractSet[int]) -> bool:
    """Whether the client sent a segment in the middle of a connection: a hello tells, else the ports."""
    first = buffer[segment.start : min(segment.start + _RECORD_AND_TYPE, segment.end)]
    if len(first) == _RECORD_AND_TYPE and first[0] == _HANDSHAKE and looks_like_record(first):
        if first[5] == _CLIENT_HELLO:
            return True
        if first[5] == _SERVER_HELLO:
            return False
    known = (segment.source_port in ports) - (segment.destination_port in ports)
    return known < 0 if known else segment.source_port > segment.destination_port
