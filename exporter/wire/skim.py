"""Passes over packets that tell nothing but their sequence number: most of a file, at the least cost for each.

A frame is passed over when it is of a direction that is known, without SYN, FIN or RST, and either is an
acknowledgment, or lies inside a protected record, or belongs to a connection of which nothing more is to be learned
(`Half.plain`). All else is left to the tracker.
"""

from typing import TYPE_CHECKING, Final

from exporter.wire.capture_file import Buffer
from exporter.wire.fast_path import Frame
from exporter.wire.flow import BEHIND, SEQUENCE_MASK, Half
from exporter.wire.streams import count_segment
from exporter.wire.timers import Clock

if TYPE_CHECKING:  # see fast_path
    from mypy_extensions import i64

_SYN_FIN_RST: Final = 0x07
_ACK: Final = 0x10
_SECOND: Final = 1_000_000_000


class Skimmer:
    """`halves`: the tracker's. `frame`: the one that was read last, for the tracker to go on with."""

    __slots__ = ("clock", "frame", "halves")

    def __init__(self, halves: dict[bytes, Half], clock: Clock, frame: Frame) -> None:
        self.halves = halves
        self.clock = clock
        self.frame = frame

    def skim(self, buffer: bytes, offset: "i64", size: "i64", header: "i64", unit: "i64") -> "i64":
        """Passes over packets of a little-endian pcap file, from `offset` to the first that is to be looked at.

        For machine code: interpreted, one call for each packet is as fast.
        """
        while offset + header <= size:
            captured: i64 = _word(buffer, offset + 8)
            start: i64 = offset + header
            end: i64 = start + captured
            if end > size or captured > _word(buffer, offset + 12):
                break
            time: i64 = _word(buffer, offset) * _SECOND + _word(buffer, offset + 4) * unit
            if not self.passes(time, buffer, start, end):
                break
            offset = end
        return offset

    def passes(self, time: "i64", buffer: Buffer, start: "i64", end: "i64") -> bool:
        """Whether the Ethernet frame buffer[start:end] was dealt with; else the tracker has to look at it."""
        clock, frame = self.clock, self.frame
        if not frame.read(buffer, start, end) or time >= clock.next_due or frame.flags & _SYN_FIN_RST:
            return False
        half = self.halves.get(frame.key)
        if half is None or not half.plain or (frame.length and half.plain == 1 and not _is_inside(half, frame)):
            return False
        frame.start = -1
        clock.packets += 1
        if time > clock.now:
            clock.now = time
        half.last = time
        acked: i64 = half.acked
        acknowledgment: i64 = frame.acknowledgment
        if acknowledgment != acked and frame.flags & _ACK and (acknowledgment - acked & SEQUENCE_MASK) < BEHIND:
            half.acked = acknowledgment
        if not frame.length:
            half.claimed = frame.sequence
        elif frame.sequence == half.high:
            half.reaches(frame.sequence + frame.length & SEQUENCE_MASK, time)
        else:
            count_segment(half, frame.sequence, frame.length, time)
        return True


def _is_inside(half: Half, frame: Frame) -> bool:
    """Whether the segment follows the one before, and the protected record that began there goes on behind it."""
    if half.opened is None or frame.sequence != half.high:
        return False
    return 0 < (half.head - frame.sequence - frame.length & SEQUENCE_MASK) < BEHIND


def _word(buffer: bytes, at: "i64") -> "i64":
    first: i64 = buffer[at]
    second: i64 = buffer[at + 1]
    third: i64 = buffer[at + 2]
    fourth: i64 = buffer[at + 3]
    return first | second << 8 | third << 16 | fourth << 24
