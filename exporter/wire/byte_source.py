"""Bytes of a capture in large pieces as they come, out of gzip where that is around them; never more than a few pieces.

A pipe gives what it has, so that packets are told while the capture goes on.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

#: Bytes asked for at a time: large enough that reading costs nothing, small enough that malloc uses its memory again.
PIECE: Final = 65_536

_GZIP: Final = b"\x1f\x8b"
_Read = Callable[[int], bytes | None]


class Readable(Protocol):
    """A raw or buffered binary stream: what is there of at most `count` bytes, nothing at the end."""

    def read(self, count: int, /) -> bytes | None: ...


class BrokenCompressionError(Exception):
    """The gzip stream ends early or isn't sound; what came before is good."""


def pieces(stream: Readable) -> Iterator[bytes]:
    """The stream's bytes, some PIECE at a time, until its end. Raises OSError, BrokenCompressionError."""
    read: _Read = getattr(stream, "read1", stream.read)
    first = read(PIECE) or b""
    while len(first) < len(_GZIP) and (more := read(PIECE)):
        first += more
    if first.startswith(_GZIP):
        yield from _inflated(first, read)
        return
    if first:
        yield first
    while piece := read(PIECE):
        yield piece


def _inflated(waiting: bytes, read: _Read) -> Iterator[bytes]:
    """gzip files may be concatenated, and padded with zeros (RFC 1952, 2.2)."""
    inflate, inside = zlib.decompressobj(wbits=31), False
    while waiting := waiting or read(PIECE) or b"":
        if not inside and not (waiting := waiting.lstrip(b"\0")):
            continue
        inside = True
        try:
            piece = inflate.decompress(waiting, PIECE)
        except zlib.error:
            raise BrokenCompressionError("its gzip data is damaged") from None
        waiting = inflate.unconsumed_tail
        if inflate.eof:
            waiting = inflate.unused_data
            inflate, inside = zlib.decompressobj(wbits=31), False
        if piece:
            yield piece
    if inside:
        if piece := inflate.flush():
            yield piece
        raise BrokenCompressionError("its gzip data ends early")
