"""Hellos written from lists, for tests. It shares nothing with the parsers."""

import struct
from collections.abc import Iterable, Sequence

RANDOM = bytes(range(32))

SERVER_NAME, GROUPS, POINT_FORMATS, SIGNATURES, ALPN, VERSIONS, KEY_SHARE = 0, 10, 11, 13, 16, 43, 51


def vector(data: bytes, length_bytes: int) -> bytes:
    """With its length in front (RFC 8446, 3.4)."""
    return len(data).to_bytes(length_bytes, "big") + data


def numbers(values: Iterable[int]) -> bytes:
    return b"".join(struct.pack(">H", value) for value in values)


def server_name(name: bytes) -> tuple[int, bytes]:
    return SERVER_NAME, vector(b"\0" + vector(name, 2), 2)


def alpn(*names: bytes) -> tuple[int, bytes]:
    return ALPN, vector(b"".join(vector(name, 1) for name in names), 2)


def versions(*values: int) -> tuple[int, bytes]:
    return VERSIONS, vector(numbers(values), 1)


def signatures(*values: int) -> tuple[int, bytes]:
    return SIGNATURES, vector(numbers(values), 2)


def groups(*values: int) -> tuple[int, bytes]:
    return GROUPS, vector(numbers(values), 2)


def key_share(*shares: tuple[int, bytes]) -> tuple[int, bytes]:
    return KEY_SHARE, vector(b"".join(numbers([group]) + vector(key, 2) for group, key in shares), 2)


def extension_list(extensions: Iterable[tuple[int, bytes]]) -> bytes:
    return b"".join(numbers([kind]) + vector(body, 2) for kind, body in extensions)


def client_hello(
    ciphers: Sequence[int] = (0x1301,),
    extensions: Iterable[tuple[int, bytes]] | None = (),
    legacy: int = 0x0303,
    session_id: bytes = b"",
    compression: bytes = b"\0",
) -> bytes:
    """A handshake message; without the list of extensions at all where they are None."""
    tail = b"" if extensions is None else vector(extension_list(extensions), 2)
    body = numbers([legacy]) + RANDOM + vector(session_id, 1) + vector(numbers(ciphers), 2) + vector(compression, 1)
    return b"\x01" + vector(body + tail, 3)


def server_hello(
    cipher: int = 0xC02F,
    extensions: Iterable[tuple[int, bytes]] | None = (),
    random: bytes = RANDOM,
    session_id: bytes = b"",
    legacy: int = 0x0303,
) -> bytes:
    """A handshake message."""
    tail = b"" if extensions is None else vector(extension_list(extensions), 2)
    return b"\x02" + vector(numbers([legacy]) + random + vector(session_id, 1) + numbers([cipher]) + b"\0" + tail, 3)


def described(ciphers: str, extensions: str, sigalgs: str, alpn_name: str, legacy: int = 0x0303) -> bytes:
    """A hello from published lists of hexadecimal numbers, as in `1301,1302`; contents as far as they are known."""
    known = {
        SERVER_NAME: server_name(b"example.com")[1],
        ALPN: alpn(alpn_name.encode())[1] if alpn_name else b"",
        SIGNATURES: signatures(*hexadecimal(sigalgs))[1],
        VERSIONS: versions(0x0A0A, 0x0304, 0x0303)[1],
        GROUPS: groups(29, 23, 24)[1],
        POINT_FORMATS: b"\x01\0",
    }
    listed = [(kind, known.get(kind, b"")) for kind in hexadecimal(extensions)]
    return client_hello(hexadecimal(ciphers), listed, legacy)


def hexadecimal(text: str) -> list[int]:
    return [int(part, 16) for part in text.split(",") if part]
