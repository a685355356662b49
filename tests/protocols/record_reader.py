"""TLS records and handshake messages read plainly, one direction, bytes in order: what tests take flights apart with.

The inspector's own reading (exporter.wire.reading) is quicker and keeps less; this one is easy to believe.
"""

from typing import NamedTuple

from exporter.protocols.tls_records import HEADER_LENGTH, MAX_KEPT, begins_record


class NotARecord(Exception):
    """These bytes don't begin a TLS record."""


class Record(NamedTuple):
    """`length` is the header's field, `body` what is there of it: empty where it wasn't asked for."""

    content_type: int
    version: int
    length: int
    body: bytes


class RecordReader:
    """Feed bytes in order, take records until None. With `bodies` false each record is given out at its header."""

    def __init__(self, *, bodies: bool = True) -> None:
        self.bodies = bodies
        self._buffer = bytearray()
        self._skip = 0  # bytes still to come of a body that nobody wants
        self._damaged = False

    def feed(self, data: bytes) -> None:
        """Never raises. What follows an unwanted body's bytes is kept until taken."""
        if self._damaged:
            return
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        self._buffer += data[skipped:]

    def next_record(self) -> Record | None:
        """The next record, None when more bytes are needed. Raises NotARecord, then and at every later call."""
        if self._damaged or not begins_record(self._buffer):
            self._damaged = True
            self._buffer.clear()
            raise NotARecord
        if len(self._buffer) < HEADER_LENGTH:
            return None
        head = self._buffer
        content_type, version, length = head[0], head[1] << 8 | head[2], head[3] << 8 | head[4]
        end = HEADER_LENGTH + length
        if self.bodies and len(head) < end:
            return None
        body = bytes(head[HEADER_LENGTH : min(end, HEADER_LENGTH + MAX_KEPT)]) if self.bodies else b""
        self._skip = max(end - len(head), 0)
        del self._buffer[:end]
        return Record(content_type, version, length, body)


class HandshakeReader:
    """Handshake messages out of the bodies of handshake records: one may span several, one body may carry several.

    A message is given out whole with its four header bytes, or with its first MAX_KEPT bytes where it has more.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skip = 0

    @property
    def pending(self) -> bytes:
        """The beginning of a message whose rest hasn't come."""
        return bytes(self._buffer)

    def feed(self, body: bytes) -> list[bytes]:
        """The messages that this body completes."""
        skipped = min(self._skip, len(body))
        self._skip -= skipped
        self._buffer += body[skipped:]
        messages = []
        while len(self._buffer) >= 4:
            size = 4 + int.from_bytes(self._buffer[1:4])
            kept = min(size, MAX_KEPT)
            if len(self._buffer) < kept:
                break
            messages.append(bytes(self._buffer[:kept]))
            self._skip = max(size - len(self._buffer), 0)
            del self._buffer[:size]
        return messages
