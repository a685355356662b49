"""How TLS records and handshake messages begin, and how long they may be (RFC 8446, 5.1 and 4; RFC 5246, E.2)."""

from enum import IntEnum


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
