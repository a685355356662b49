"""The list of extensions that ends every hello (RFC 8446, 4.2)."""

import struct

#: Registry TLS ExtensionType: those that tell something here.
SERVER_NAME, STATUS_REQUEST, SUPPORTED_GROUPS, EC_POINT_FORMATS, SIGNATURE_ALGORITHMS, ALPN = 0, 5, 10, 11, 13, 16
SIGNED_CERTIFICATE_TIMESTAMP, PADDING, ENCRYPT_THEN_MAC, EXTENDED_MASTER_SECRET = 18, 21, 22, 23
COMPRESS_CERTIFICATE, RECORD_SIZE_LIMIT, DELEGATED_CREDENTIAL, SESSION_TICKET = 27, 28, 34, 35
HEARTBEAT = 15
PRE_SHARED_KEY, EARLY_DATA, SUPPORTED_VERSIONS, PSK_MODES, POST_HANDSHAKE_AUTH = 41, 42, 43, 45, 49
SIGNATURE_ALGORITHMS_CERT, KEY_SHARE = 50, 51
ENCRYPTED_CLIENT_HELLO, RENEGOTIATION_INFO = 0xFE0D, 0xFF01

_unpack_head = struct.Struct(">HH").unpack_from


def read_extensions(data: bytes, begin: int) -> tuple[list[tuple[int, bytes]], int]:
    """Types and contents from the first extension's type to the end of `data`; the last may be cut.

    Also the place where the next one would begin: len(data) where all lengths agree.
    """
    found = []
    size = len(data)
    while begin + 4 <= size:
        kind, length = _unpack_head(data, begin)
        end = begin + 4 + length
        found.append((kind, data[begin + 4 : end]))
        begin = end
    return found, begin


def protocol_names(body: bytes) -> tuple[bytes, ...]:
    """The names of an ALPN extension (RFC 7301, 3.1); one that is cut is left out."""
    names, at = [], 2
    while at < len(body):
        end = at + 1 + body[at]
        if end <= len(body):
            names.append(body[at + 1 : end])
        at = end
    return tuple(names)
