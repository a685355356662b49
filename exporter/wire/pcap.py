"""pcap: a header, then packets one behind the other."""

import struct
from collections.abc import Iterator
from typing import Final

from exporter.wire.capture_file import (
    MAX_CAPTURED,
    MAX_FRAME,
    ByteFeed,
    CaptureDamagedError,
    NotACaptureError,
    PacketTuple,
)
from exporter.wire.decode import LinkType
from exporter.wire.fast_path import COMPILED
from exporter.wire.skim import Skimmer

#: Magic number: nanoseconds of one unit of its fractions, bytes of a packet's header.
_KINDS = {
    0xA1B2C3D4: (1_000, 16),
    0xA1B23C4D: (1, 16),
    0xA1B2CD34: (1_000, 24),  # Kuznetzov's patch: interface number, protocol, direction behind the four words
}
_MAGICS: Final = {struct.pack(order + "I", magic): (order, magic) for magic in _KINDS for order in "<>"}
_HEADER: Final = 24
#: Bits above are the length of a frame check sequence.
_LINK_TYPE_MASK: Final = 0x03FF_FFFF
_SECOND: Final = 1_000_000_000


def is_pcap(magic: bytes) -> bool:
    return magic in _MAGICS


class PcapReader:
    """Raises NotACaptureError where the header is cut or of another version."""

    dropped = 0  # pcap doesn't say

    def __init__(self, feed: ByteFeed) -> None:
        from exporter.wire.capture_file import CaptureEndsError

        self._feed = feed
        self.skimmer: Skimmer | None = None
        self.count = 0
        order, magic = _MAGICS[feed.buffer[:4]]
        self._unit, self._header = _KINDS[magic]
        self._little = order == "<"
        try:
            feed.fill(_HEADER)
        except CaptureEndsError:
            raise NotACaptureError("the pcap header is cut") from None
        self._version = struct.unpack_from(order + "HH", feed.buffer, 4)
        if self._version[0] != 2:
            raise NotACaptureError(f"pcap of version {self._version[0]}, which nothing writes")
        (link_type,) = struct.unpack_from(order + "I", feed.buffer, 20)
        self._link_type = link_type & _LINK_TYPE_MASK
        self._words = struct.Struct(order + "IIII")
        feed.offset = _HEADER

    def packets(self) -> Iterator[PacketTuple]:
        """Raises CaptureDamagedError, CaptureEndsError."""
        feed, header, unit, link_type = self._feed, self._header, self._unit, self._link_type
        unpack = self._words.unpack_from
        while feed.fill(header):
            buffer, offset, count = feed.buffer, feed.offset, self.count
            size = len(buffer)
            skimmer = self.skimmer if link_type == LinkType.ETHERNET else None
            in_a_row = COMPILED and self._little
            last = size - header
            while offset <= last:
                if skimmer is not None and in_a_row:
                    before = skimmer.clock.packets
                    offset = skimmer.skim(buffer, offset, size, header, unit)
                    count += skimmer.clock.packets - before
                    if offset > last:
                        break
                seconds, fraction, captured, original = unpack(buffer, offset)
                start = offset + header
                end = start + captured
                if end > size or captured > original:
                    break
                offset = end
                count += 1
                time = seconds * _SECOND + fraction * unit
                if skimmer is None or in_a_row or not skimmer.passes(time, buffer, start, end):
                    yield time, link_type, buffer, start, end, original, None, None
            feed.offset, self.count = offset, count
            if offset > last:
                continue
            _, _, captured, original = unpack(buffer, offset)
            if captured <= original and captured <= MAX_FRAME:
                feed.fill(header + captured)  # its end is in the next piece
            else:
                yield self._odd_packet()

    def _odd_packet(self) -> PacketTuple:
        """One that is longer than it was on the wire, or than anything is."""
        feed, header = self._feed, self._header
        seconds, fraction, captured, original = self._words.unpack_from(feed.buffer, feed.offset)
        if captured > original and self._version[1] <= 3:
            captured, original = original, captured  # the words stood the other way round before 2.4
        if captured > MAX_CAPTURED:
            raise CaptureDamagedError(self.count + 1, f"a length of {captured} bytes")
        time = seconds * _SECOND + fraction * self._unit
        if captured > MAX_FRAME:
            feed.skip(header + captured)
            end = start = feed.offset
        else:
            feed.fill(header + captured)
            start = feed.offset + header
            feed.offset = end = start + captured
        self.count += 1
        return time, self._link_type, feed.buffer, start, end, max(original, captured), None, None
