"""Captures as files: pcap and pcapng, gzip around either, from a path or a stream.

`packets()` gives what the tracker takes. Everything before a damage is given, then `CaptureDamaged` names the packet.
"""

import mmap
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

#: What packets are cut out of: slices of it are bytes, and struct reads it in place. A ring buffer is an mmap.
Buffer = bytes | mmap.mmap


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


class NotACaptureError(Exception):
    """The bytes are neither pcap nor pcapng."""


class CaptureDamagedError(Exception):
    """The capture can't be read on from `packet` (counted from 1)."""

    def __init__(self, packet: int, reason: str) -> None:
        super().__init__(f"damaged at packet {packet}: {reason}")
        self.packet = packet
        self.reason = reason


class CaptureFile:
    """An opened capture. Raises NotACaptureError at once where it is none."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.dropped = 0  # as the capturing program wrote down

    def packets(self) -> Iterator[Packet]:
        """Raises CaptureDamagedError after the last whole packet."""
        raise NotImplementedError
