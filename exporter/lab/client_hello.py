"""What a filtering gateway reads of a ClientHello (RFC 8446 4.1.2, RFC 6066 3): its size, the name, the versions."""

import struct
from dataclasses import dataclass

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _SUPPORTED_VERSIONS = 0, 43
#: A hello that goes on for longer isn't one.
MAX_HELLO = 65_536
TLS_1_2, TLS_1_3 = 0x0303, 0x0304


@dataclass(frozen=True, slots=True)
class ClientHello:
    """`size`: of the record or records that carry it, headers included, bytes."""

    size: int
    server_name: str | None
    versions: frozenset[int]


def begins_tls(data: bytes) -> bool:
    """Whether a client's bytes, at the beginning of a line, begin a TLS handshake."""
    return data[:1] == bytes([_HANDSHAKE])


def read_client_hello(data: bytes) -> ClientHello | None:
    """The hello at the beginning of `data`; None while it isn't whole. Raises ValueError for anything else."""
    message, size = b"", 0
    while True:
        header = data[size : size + 5]
        if header and (header[0] != _HANDSHAKE or (len(header) > 1 and header[1] != 3)):
            raise ValueError("not a handshake record")
        if size > MAX_HELLO:
            raise ValueError("endless ClientHello")
        if len(header) < 5:
            return None
        (length,) = struct.unpack_from(">H", header, 3)
        record = data[size + 5 : size + 5 + length]
        if len(record) < length:
            return None
        message, size = message + record, size + 5 + length
        if len(message) >= 4:
            if message[0] != _CLIENT_HELLO:
                raise ValueError("not a ClientHello")
            if len(message) >= 4 + int.from_bytes(message[1:4]):
                return _parse(message[4:], size)


def _parse(body: bytes, size: int) -> ClientHello:
    try:
        (legacy,) = struct.unpack_from(">H", body, 0)
        at = 34 + 1 + body[34]
        at += 2 + int.from_bytes(body[at : at + 2])
        at += 1 + body[at]
        extensions = _extensions(body[at + 2 :])
        versions = extensions.get(_SUPPORTED_VERSIONS)
        name = extensions.get(_SERVER_NAME)
        spoken = frozenset(struct.unpack(f">{(len(versions) - 1) // 2}H", versions[1:])) if versions else {legacy}
        return ClientHello(size, name[5:].decode("ascii").lower() if name else None, frozenset(spoken))
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise ValueError("damaged ClientHello") from error


def _extensions(data: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at + 4 <= len(data):
        kind, length = struct.unpack_from(">HH", data, at)
        found[kind] = data[at + 4 : at + 4 + length]
        at += 4 + length
    return found
