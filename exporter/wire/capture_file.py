"""Captures as files: pcap and pcapng, gzip around either, from a path or a stream.

`packets()` gives what the tracker takes. Everything before a damage is given, then `CaptureDamagedError` names the
packet. Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng; libpcap's savefile.c for what old writers did.
"""

import mmap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from exporter.wire.byte_source import BrokenCompressionError, Readable, pieces

if TYPE_CHECKING:
    from exporter.wire.skim import Skimmer

#: What packets are cut out of: slices of it are bytes, and struct reads it in place. A ring buffer is an mmap.
Buffer = bytes | mmap.mmap

#: Bytes of a frame that are kept: jumbo frames and GRO super-segments (BIG TCP: 512 KiB) fit.
MAX_FRAME: Final = 1_048_576
#: A captured length above this is damage, not a long frame (libpcap's largest, for USB).
MAX_CAPTURED: Final = 134_217_728


class Packet(NamedTuple):
    """One captured frame: the bytes buffer[start:end]. The readers give plain tuples of this shape.

    `time`: nanoseconds since 1970. `link_type`: LINKTYPE_ of the tcpdump registry. `original`: bytes it had on the
    wire. `interface`: its name where the capture tells. `vlan`: the tag that the kernel took off, None in files.
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
    """The unread part of a capture: `buffer` from `offset` on. `fill` makes it longer; readers move `offset`."""

    def __init__(self, stream: Readable) -> None:
        self._pieces = pieces(stream)
        self.buffer = b""
        self.offset = 0

    def fill(self, count: int) -> bool:
        """Makes at least `count` bytes available. False where the capture ends exactly here.

        Raises CaptureEndsError where it ends before `count` bytes.
        """
        have = len(self.buffer) - self.offset
        if have >= count:
            return True
        waiting = [self.buffer[self.offset :]]
        try:
            for piece in self._pieces:
                waiting.append(piece)
                have += len(piece)
                if have >= count:
                    break
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
            self.buffer, self.offset = next(self._pieces, b""), 0
            if not self.buffer:
                raise CaptureEndsError
        self.offset += count


class CaptureFile:
    """An opened capture. Raises NotACaptureError at once where it is none, OSError where it can't be read.

    `dropped`: packets lost, as far as the capturing program wrote that down.
    """

    def __init__(self, stream: Readable) -> None:
        from exporter.wire.pcap import PcapReader, is_pcap
        from exporter.wire.pcapng import PcapngReader, is_pcapng

        feed = ByteFeed(stream)
        try:
            feed.fill(4)
            magic = feed.buffer[:4]
        except (CaptureEndsError, BrokenCompressionError):
            magic = b""
        self._reader: PcapReader | PcapngReader
        if is_pcap(magic):
            self._reader = PcapReader(feed)
        elif is_pcapng(magic):
            self._reader = PcapngReader(feed)
        else:
            raise NotACaptureError("neither pcap nor pcapng")

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
