"""TLS records and the handshake messages inside them, one direction, bytes in order (RFC 8446, 5.1 and 4).

Invariant: however the bytes are cut, the same records come out; of a record's body nothing is kept that isn't asked
for, and never more than MAX_KEPT bytes of it.
"""

from enum import IntEnum
from typing import NamedTuple


class ContentType(IntEnum):
    """Registry TLS ContentType."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23
    HEARTBEAT = 24


class HandshakeType(IntEnum):
    """Registry TLS HandshakeType: those that tell something in clear."""

    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12


HEADER_LENGTH = 5
#: Of a record's body, in any version (TLS 1.2: 2^14 + 2048).
MAX_LENGTH = 16_384 + 2_048
#: Bytes kept of one body, and of one handshake message. A genuine ClientHello has under 4 KiB.
MAX_KEPT = 16_384

_FIRST_TYPE, _LAST_TYPE = int(min(ContentType)), int(max(ContentType))
_MAJOR, _LAST_MINOR = 3, 4
_SSLV2_MIN = 5


class NotARecord(Exception):
    """These bytes don't begin a TLS record."""


class Record(NamedTuple):
    """`length` is the header's field, `body` what is there of it: empty where it wasn't asked for."""

    content_type: int
    version: int
    length: int
    body: bytes


def begins_record(data: bytes | bytearray) -> bool:
    """Whether these bytes, of which five at most are looked at, can begin a record."""
    size = len(data)
    return (
        (size < 1 or _FIRST_TYPE <= data[0] <= _LAST_TYPE)
        and (size < 2 or data[1] == _MAJOR)
        and (size < 3 or data[2] <= _LAST_MINOR)
        and (size < HEADER_LENGTH or data[3] << 8 | data[4] <= MAX_LENGTH)
    )


def begins_sslv2_hello(data: bytes | bytearray) -> bool:
    """Whether these bytes can begin a ClientHello in SSL 2.0's form (RFC 5246, E.2), which some old clients send."""
    size = len(data)
    return (
        size > 0
        and data[0] & 0x80 != 0
        and (size < 3 or data[2] == HandshakeType.CLIENT_HELLO)
        and (size < 4 or data[3] in (0, _MAJOR))
        and (size < _SSLV2_MIN or data[4] <= _LAST_MINOR)
    )


def sslv2_hello_length(data: bytes | bytearray) -> int | None:
    """Bytes of the ClientHello in SSL 2.0's form, its two header bytes included; None where it isn't one (yet)."""
    if len(data) < _SSLV2_MIN or not begins_sslv2_hello(data):
        return None
    return 2 + ((data[0] & 0x7F) << 8 | data[1])


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
