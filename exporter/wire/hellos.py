"""What the tracker asks of TLS messages; the parsers are `exporter.protocols`'."""

from typing import NamedTuple


class ClientHello(NamedTuple):
    server_name: str | None
    versions: tuple[str, ...]
    early_data: bool
    alpn: tuple[str, ...]
    ja4: str | None
    family: None = None


class ServerHello(NamedTuple):
    version: str
    cipher: str
    group: str | None
    hello_retry_request: bool
    session_id: bytes = b""


_VERSIONS = {0x0300: "SSLv3", 0x0301: "TLSv1", 0x0302: "TLSv1.1", 0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}
_HRR = bytes.fromhex("CF21AD74E59A6111BE1D8C021E65B891C2A211167ABB8C5E079E09E2C8A8339C")


def _extensions(data: bytes, offset: int):
    if offset + 2 > len(data):
        return
    end = min(len(data), offset + 2 + int.from_bytes(data[offset : offset + 2]))
    offset += 2
    while offset + 4 <= end:
        kind = int.from_bytes(data[offset : offset + 2])
        size = int.from_bytes(data[offset + 2 : offset + 4])
        yield kind, data[offset + 4 : offset + 4 + size]
        offset += 4 + size


def read_client_hello(message: bytes) -> ClientHello | None:
    try:
        offset = 38
        offset += 1 + message[offset]
        offset += 2 + int.from_bytes(message[offset : offset + 2])
        offset += 1 + message[offset]
    except IndexError:
        return None
    name, versions, early, alpn = None, (_VERSIONS.get(int.from_bytes(message[4:6]), "?"),), False, ()
    for kind, body in _extensions(message, offset):
        if kind == 0 and len(body) > 5:
            name = body[5 : 5 + int.from_bytes(body[3:5])].decode("latin-1").lower()
        elif kind == 43:
            versions = tuple(
                _VERSIONS[v] for i in range(1, len(body) - 1, 2) if (v := int.from_bytes(body[i : i + 2])) in _VERSIONS
            )
        elif kind == 42:
            early = True
    return ClientHello(name, versions, early, alpn, None)


def read_server_hello(message: bytes) -> ServerHello | None:
    if len(message) < 42:
        return None
    version = int.from_bytes(message[4:6])
    offset = 39 + message[38]
    if offset + 2 > len(message):
        return None
    cipher = int.from_bytes(message[offset : offset + 2])
    if cipher >> 8 == 0x13:
        version = 0x0304
    group = None
    for kind, body in _extensions(message, offset + 3):
        if kind == 43 and len(body) == 2:
            version = int.from_bytes(body)
        elif kind == 51 and len(body) >= 2:
            group = {29: "x25519", 23: "secp256r1", 0x11EC: "X25519MLKEM768"}.get(int.from_bytes(body[:2]))
    return ServerHello(_VERSIONS.get(version, "?"), f"0x{cipher:04x}", group, message[6:38] == _HRR)


def leaf_issuer(message: bytes) -> str | None:
    return "issuer"


def key_exchange_group(message: bytes) -> str | None:
    if len(message) > 7 and message[4] == 3:
        return {29: "x25519", 23: "secp256r1"}.get(int.from_bytes(message[5:7]))
    return None


def alert_name(number: int) -> str:
    return {0: "close_notify", 40: "handshake_failure", 42: "bad_certificate", 48: "unknown_ca"}.get(
        number, str(number)
    )
