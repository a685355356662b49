"""Addresses in a DNS answer, sans-IO: a name that was asked for, and the A and AAAA records that came with it.

RFC 1035, 4.1. Never raises, whatever the bytes are; never looks at more than MAX_RECORDS.
"""

import struct
from typing import Final, NamedTuple

#: Records of one answer: Microsoft's have under 20, CNAMEs included.
MAX_RECORDS: Final = 64
_HEADER: Final = 12
_ADDRESS_LENGTHS: Final = {1: 4, 28: 16}  # A, AAAA
_INTERNET: Final = 1

_header = struct.Struct(">HHHHHH").unpack_from
_record = struct.Struct(">HHIH").unpack_from


class Answer(NamedTuple):
    """`name`: what was asked for, in lower case without the last dot. Every address in the answer belongs to it."""

    name: str
    addresses: tuple[bytes, ...]


def read_answer(message: bytes) -> Answer | None:
    """The answer in a datagram from port 53; None where it is none, or has no address."""
    if len(message) < _HEADER:
        return None
    _, flags, questions, answers, _, _ = _header(message)
    if not flags & 0x8000 or flags & 0x000F or questions != 1:
        return None
    labels, offset = _labels(message)
    if labels is None:
        return None
    addresses = _addresses(message, offset + 4, min(answers, MAX_RECORDS))
    return Answer(b".".join(labels).decode("latin-1").lower(), addresses) if addresses else None


def _labels(message: bytes) -> tuple[list[bytes] | None, int]:
    """Of the question, which has nothing before it to be compressed against."""
    labels: list[bytes] = []
    offset = _HEADER
    while offset < len(message) and (length := message[offset]) < 64:
        offset += 1
        if not length:
            return labels, offset
        labels.append(message[offset : offset + length])
        offset += length
    return None, offset


def _addresses(message: bytes, offset: int, count: int) -> tuple[bytes, ...]:
    found = []
    for _ in range(count):
        offset = _past_name(message, offset)
        if offset + 10 > len(message):
            break
        kind, network, _, length = _record(message, offset)
        offset += 10
        if network == _INTERNET and _ADDRESS_LENGTHS.get(kind) == length and offset + length <= len(message):
            found.append(message[offset : offset + length])
        offset += length
    return tuple(found)


def _past_name(message: bytes, offset: int) -> int:
    """Where a record's name ends: at a zero, or behind a pointer."""
    while offset < len(message):
        length = message[offset]
        if length >= 0xC0:
            return offset + 2
        offset += 1 + length
        if not length:
            break
    return offset
