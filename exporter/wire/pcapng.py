"""pcapng: blocks of many kinds, of which interfaces, packets and statistics concern us. Keys to decrypt never do."""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from exporter.wire.capture_file import (
    MAX_CAPTURED,
    MAX_FRAME,
    MAX_TIME,
    ByteFeed,
    CaptureDamagedError,
    CaptureEndsError,
    NotACaptureError,
    PacketTuple,
)
from exporter.wire.decode import LinkType
from exporter.wire.skim import Skimmer

_SECTION: Final = 0x0A0D0D0A
_INTERFACE: Final = 1
_OLD_PACKET: Final = 2
_SIMPLE_PACKET: Final = 3
_STATISTICS: Final = 5
_PACKET: Final = 6
_BYTE_ORDERS: Final = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
#: Block type, two lengths; the shortest of each kind that is read.
_EMPTY_BLOCK: Final = 12
_SHORTEST: Final = {_SECTION: 28, _INTERFACE: 20, _OLD_PACKET: 32, _SIMPLE_PACKET: 16, _STATISTICS: 24, _PACKET: 32}
#: Bytes of a block without packet that are read; more are options nobody writes.
_MAX_DESCRIPTION: Final = 65_536
#: Interfaces of one section.
_MAX_INTERFACES: Final = 1_024
_MAX_NAME: Final = 64
_SECOND: Final = 1_000_000_000
_END: Final = 0
_IF_NAME: Final = 2
_IF_RESOLUTION: Final = 9
_IF_OFFSET: Final = 14
_DROPPED_BY_INTERFACE: Final = 5
_DROPPED_BY_SYSTEM: Final = 7


def is_pcapng(magic: bytes) -> bool:
    return magic == b"\x0a\x0d\x0d\x0a"


class _Interface(NamedTuple):
    link_type: int
    snap_length: int
    name: str | None
    units: int  # of time, a second
    offset: int  # seconds


class PcapngReader:
    """Raises NotACaptureError where the first section's header is cut or no such thing."""

    def __init__(self, feed: ByteFeed) -> None:
        self._feed = feed
        self.skimmer: Skimmer | None = None
        self.count = 0
        self._order = "<"
        self._interfaces: list[_Interface] = []
        self._losses: dict[int, int] = {}  # of the section's interfaces, the latest figure of each
        self._lost_before = 0
        self._time = 0
        try:
            feed.fill(_SHORTEST[_SECTION])
            self._order = _BYTE_ORDERS[feed.buffer[8:12]]
        except (CaptureEndsError, KeyError):
            raise NotACaptureError("the pcapng header is cut or damaged") from None

    @property
    def dropped(self) -> int:
        return self._lost_before + sum(self._losses.values())

    def packets(self) -> Iterator[PacketTuple]:
        """Raises CaptureDamagedError, CaptureEndsError."""
        feed = self._feed
        while feed.fill(_EMPTY_BLOCK):
            kind, length = struct.unpack_from(self._order + "II", feed.buffer, feed.offset)
            if kind == _SECTION:
                length = self._begin_section()
            if length < _SHORTEST.get(kind, _EMPTY_BLOCK) or length > MAX_CAPTURED:
                raise self._damaged(f"a block of {length} bytes")
            if length > MAX_FRAME:
                yield from self._skipped(kind, length)
                continue
            feed.fill(length)
            start, end = feed.offset, feed.offset + length
            (repeated,) = struct.unpack_from(self._order + "I", feed.buffer, end - 4)
            if repeated != length:
                raise self._damaged("a block's two lengths differ")
            if kind in (_PACKET, _OLD_PACKET, _SIMPLE_PACKET):
                packet = self._simple_packet(start, end) if kind == _SIMPLE_PACKET else self._packet(kind, start, end)
                self.count += 1
                feed.offset = end
                time, link_type, buffer, start, stop, *_ = packet
                skimmer = self.skimmer if len(self._interfaces) == 1 else None
                if skimmer is None or link_type != LinkType.ETHERNET or not skimmer.passes(time, buffer, start, stop):
                    yield packet
            else:
                self._describe(kind, start, end)
                feed.offset = end

    def _damaged(self, reason: str) -> CaptureDamagedError:
        return CaptureDamagedError(self.count + 1, reason)

    def _skipped(self, kind: int, length: int) -> Iterator[PacketTuple]:
        """A block too long to keep; a packet in it counts, and nothing is read of it."""
        self._feed.skip(length)
        if kind in (_PACKET, _OLD_PACKET, _SIMPLE_PACKET):
            self.count += 1
            offset = self._feed.offset
            link_type = self._interfaces[0].link_type if self._interfaces else 0
            yield self._time, link_type, self._feed.buffer, offset, offset, length, None, None

    def _begin_section(self) -> int:
        """Sections may differ in byte order; their interfaces count from 0 again."""
        feed = self._feed
        feed.fill(_SHORTEST[_SECTION])
        order = _BYTE_ORDERS.get(feed.buffer[feed.offset + 8 : feed.offset + 12])
        if order is None:
            raise self._damaged("a section header without its byte order")
        self._lost_before, self._losses = self.dropped, {}
        self._order, self._interfaces = order, []
        return int(struct.unpack_from(order + "I", feed.buffer, feed.offset + 4)[0])

    def _packet(self, kind: int, start: int, end: int) -> PacketTuple:
        buffer = self._feed.buffer
        layout = "IIIII" if kind == _PACKET else "HxxIIII"
        number, high, low, captured, original = struct.unpack_from(self._order + layout, buffer, start + 8)
        if number >= len(self._interfaces):
            raise self._damaged(f"it belongs to interface {number}, which isn't described")
        if captured > end - start - 32:
            raise self._damaged(f"a length of {captured} bytes in a block of {end - start}")
        interface = self._interfaces[number]
        ticks = high << 32 | low
        time = ticks * _SECOND // interface.units + interface.offset * _SECOND
        self._time = time = min(max(time, 0), MAX_TIME)
        first = start + 28
        return time, interface.link_type, buffer, first, first + captured, max(original, captured), interface.name, None

    def _simple_packet(self, start: int, end: int) -> PacketTuple:
        """Without a time and without its captured length: of the first interface."""
        if not self._interfaces:
            raise self._damaged("no interface is described before it")
        interface = self._interfaces[0]
        (original,) = struct.unpack_from(self._order + "I", self._feed.buffer, start + 8)
        captured = min(original, interface.snap_length or original)
        if captured > end - start - 16:
            raise self._damaged(f"a length of {captured} bytes in a block of {end - start}")
        first = start + 12
        return (
            self._time, interface.link_type, self._feed.buffer, first, first + captured, original, interface.name, None
        )  # fmt: skip

    def _describe(self, kind: int, start: int, end: int) -> None:
        if kind == _INTERFACE:
            self._describe_interface(start, end)
        elif kind == _STATISTICS:
            (number,) = struct.unpack_from(self._order + "I", self._feed.buffer, start + 8)
            lost = 0
            for option, value in self._options(start + 20, end - 4):
                if option in (_DROPPED_BY_INTERFACE, _DROPPED_BY_SYSTEM) and len(value) == 8:
                    lost += struct.unpack(self._order + "Q", value)[0]
            if number < len(self._interfaces):
                self._losses[number] = lost

    def _describe_interface(self, start: int, end: int) -> None:
        if len(self._interfaces) >= _MAX_INTERFACES:
            raise self._damaged(f"more than {_MAX_INTERFACES} interfaces")
        link_type, snap_length = struct.unpack_from(self._order + "HxxI", self._feed.buffer, start + 8)
        name, units, offset = None, 1_000_000, 0
        for option, value in self._options(start + 16, end - 4):
            if option == _IF_NAME:
                name = value.decode("utf-8", "replace").rstrip("\0")[:_MAX_NAME] or None
            elif option == _IF_RESOLUTION and value:
                base, exponent = (2, value[0] & 0x7F) if value[0] & 0x80 else (10, value[0])
                units = base**exponent
            elif option == _IF_OFFSET and len(value) == 8:
                (offset,) = struct.unpack(self._order + "q", value)
        if name is None and self._interfaces:
            name = str(len(self._interfaces))
        self._interfaces.append(_Interface(link_type, snap_length, name, units, offset))

    def _options(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Code and value of each, until they end or stop making sense."""
        buffer = self._feed.buffer
        end = min(end, start + _MAX_DESCRIPTION)
        while start + 4 <= end:
            code, length = struct.unpack_from(self._order + "HH", buffer, start)
            if code == _END or start + 4 + length > end:
                return
            yield code, buffer[start + 4 : start + 4 + length]
            start += 4 + (length + 3 & ~3)
