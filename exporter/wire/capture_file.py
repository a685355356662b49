"""Captures as files: pcap and pcapng, gzip around either, from a path or a stream.

`packets()` gives what the tracker takes. Everything before a damage is given, then `CaptureDamagedError` names the
packet. Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng; libpcap's savefile.c for what old writers did.
"""

import mmap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from exporter.wire.byte_source import BrokenCompressionError, Readable, pieces

if TYPE_CHECKING:
    from exporter.wire.pcap import PcapReader
    from exporter.wire.pcapng import PcapngReader
    from exporter.wire.skim import Skimmer

#: What packets are cut out of: slices of it are bytes, and struct reads it in place. A ring buffer is an mmap.
Buffer = bytes | mmap.mmap

#: Bytes of a frame that are kept: jumbo frames and GRO super-segments (BIG TCP: 512 KiB) fit.
MAX_FRAME: Final = 1_048_576
#: Times lie from 0 to this, in the year 2255: machine code counts nanoseconds in 64 bits with a sign.
MAX_TIME: Final = 9_000_000_000_000_000_000
#: A captured length above this is damage, not a long frame (libpcap's largest, for USB).
MAX_CAPTURED: Final = 134_217_728


class Packet(NamedTuple):
    """One captured frame: the bytes buffer[start:end]. The readers give plain tuples of this shape.

    `time`: nanoseconds since 1970, at most MAX_TIME. `link_type`: LINKTYPE_ of the tcpdump registry. `original`: bytes
    it had on the wire. `interface`: its name where the capture tells. `vlan`: the tag that the kernel took off, None
    in files.
    """

    time: int
    link_type: int
    buffer: Buffer
    start: int
    end: int
    original: int
    interface: str | None = None
    vlan: int | None = None


PacketTuple = tuple[int, int, Buffer, int, int, int, str | None, int | None]


class NotACaptureError(Exception):
    """The bytes are neither pcap nor pcapng."""


class CaptureDamagedError(Exception):
    """The capture can't be read on from `packet` (counted from 1)."""

    def __init__(self, packet: int, reason: str) -> None:
        super().__init__(f"damaged at packet {packet}: {reason}")
        self.packet = packet
        self.reason = reason


class CaptureEndsError(Exception):
    """Bytes that must follow aren't there."""


class ByteFeed:
    """The unread part of a capture: `buffer` from `offset` on. `fill` makes it longer; readers move `offset`.

    What lies across two pieces is put together alone, and all else read in the piece itself: most bytes of a capture
    tell nothing, and copying them once more would cost as much as looking at the rest.
    """

    def __init__(self, stream: Readable) -> None:
        self._pieces = pieces(stream)
        self.buffer = b""
        self.offset = 0
        self._piece = b""  # the latest; its first `_taken` bytes stand at the end of `buffer`, unless it is that itself
        self._taken = 0

    def fill(self, count: int) -> bool:
        """Makes at least `count` bytes available. False where the capture ends exactly here.

        Raises CaptureEndsError where it ends before `count` bytes.
        """
        have = len(self.buffer) - self.offset
        if have < count and have <= self._taken:  # all of it is of the piece
            self.buffer, self.offset = self._piece, self._taken - have
            self._taken = len(self._piece)
            have = len(self.buffer) - self.offset
        if have >= count:
            return True
        waiting = [self.buffer[self.offset :]]
        try:
            while have < count:
                if self._taken == len(self._piece):
                    self._piece, self._taken = next(self._pieces, b""), 0
                    if not self._piece:
                        break
                part = self._piece[self._taken : self._taken + count - have]
                waiting.append(part)
                self._taken += len(part)
                have += len(part)
        finally:
            self.buffer, self.offset = b"".join(waiting), 0
        if have >= count:
            return True
        if have == 0:
            return False
        raise CaptureEndsError

    def skip(self, count: int) -> None:
        """Passes over bytes without keeping them. Raises CaptureEndsError."""
        while (have := len(self.buffer) - self.offset) < count:
            count -= have
            self.buffer, self.offset = self._piece[self._taken :] or next(self._pieces, b""), 0
            self._piece = self.buffer
            self._taken = len(self.buffer)
            if not self.buffer:
                raise CaptureEndsError
        self.offset += count


class CaptureFile:
    """An opened capture. Raises NotACaptureError at once where it is none, OSError where it can't be read.

    `dropped`: packets lost, as far as the capturing program wrote that down.
    """

    _reader: "PcapReader | PcapngReader"

    def __init__(self, stream: Readable) -> None:
        from exporter.wire.pcap import PcapReader, is_pcap

        feed = ByteFeed(stream)
        try:
            feed.fill(4)
            magic = feed.buffer[:4]
        except (CaptureEndsError, BrokenCompressionError):
            magic = b""
        self._reader = PcapReader(feed) if is_pcap(magic) else _pcapng_reader(feed, magic)

    @property
    def dropped(self) -> int:
        return self._reader.dropped

    def skim(self, skimmer: "Skimmer") -> None:
        """From the next piece on, what this passes over isn't among the packets."""
        self._reader.skimmer = skimmer

    def packets(self) -> Iterator[PacketTuple]:
        """Raises CaptureDamagedError behind the last whole packet, OSError where reading fails."""
        try:
            yield from self._reader.packets()
        except CaptureEndsError:
            raise CaptureDamagedError(self._reader.count + 1, "the file ends in the middle of it") from None
        except BrokenCompressionError as error:
            raise CaptureDamagedError(self._reader.count + 1, str(error)) from None


def _pcapng_reader(feed: ByteFeed, magic: bytes) -> "PcapngReader":
    from exporter.wire.pcapng import PcapngReader, is_pcapng

    if not is_pcapng(magic):
        raise NotACaptureError("neither pcap nor pcapng")
    return PcapngReader(feed)
