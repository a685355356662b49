"""What a server says in clear at the beginning: ServerHello, the group it chose, whether it resumed a session.

Any bytes at all: None where they tell nothing, whatever was cut. Nothing here raises.
"""

from typing import NamedTuple

from exporter.protocols.client_hello import ClientHello
from exporter.protocols.tls_extensions import (
    ALPN,
    KEY_SHARE,
    PRE_SHARED_KEY,
    SUPPORTED_VERSIONS,
    protocol_names,
    read_extensions,
)
from exporter.protocols.tls_names import cipher_name, group_name, version_name
from exporter.protocols.tls_records import HandshakeType

#: The random of a ServerHello that is a HelloRetryRequest (RFC 8446, 4.1.3).
HELLO_RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")

_SESSION_ID = 38
#: Drafts 18 to 21 of TLS 1.3, whose ServerHello has neither session id nor compression (draft-21, 4.1.3).
_SHORT_DRAFTS = range(0x7F12, 0x7F16)
_NAMED_CURVE = 3
#: Bytes of the public key by group, to tell an ECDHE key exchange from a DHE one (RFC 8422 5.4, RFC 7748).
_POINT_LENGTHS = {23: 65, 24: 97, 25: 133, 26: 65, 27: 97, 28: 129, 29: 32, 30: 56}


class ServerHello(NamedTuple):
    """A ServerHello. `version`, `cipher` and `group` are the contract's names: `TLSv1.3`, IANA's for the others.

    `version` is the negotiated one. `group` is TLS 1.3's; in a HelloRetryRequest the one it asks for. `alpn` is said in
    clear up to TLS 1.2. `psk`: TLS 1.3 resumed a session. `partial`: its end is missing or its lengths disagree.
    """

    version: str
    cipher: str
    group: str | None
    hello_retry_request: bool
    session_id: bytes
    psk: bool
    alpn: bytes | None
    extensions: tuple[int, ...]
    partial: bool


def read_server_hello(message: bytes) -> ServerHello | None:
    """Of a handshake message from its first byte; None where the cipher isn't there yet."""
    size = 4 + int.from_bytes(message[1:4])
    data = message[:size]
    if len(data) <= _SESSION_ID or data[0] != HandshakeType.SERVER_HELLO:
        return None
    short = int.from_bytes(data[4:6]) in _SHORT_DRAFTS
    session_end = _SESSION_ID if short else _SESSION_ID + 1 + data[_SESSION_ID]
    compression_end = session_end + (2 if short else 3)
    if len(data) < session_end + 2:
        return None
    begin = compression_end + 2
    end = begin + int.from_bytes(data[compression_end:begin])
    extensions, reached = read_extensions(data[:end], begin)
    bodies = dict(reversed(extensions))  # the first of each counts
    version, share = bodies.get(SUPPORTED_VERSIONS, b""), bodies.get(KEY_SHARE, b"")
    names = protocol_names(bodies.get(ALPN, b""))
    return ServerHello(
        version=version_name(int.from_bytes(version if len(version) == 2 else data[4:6])),
        cipher=cipher_name(data[session_end] << 8 | data[session_end + 1]),
        group=group_name(share[0] << 8 | share[1]) if len(share) >= 2 else None,
        hello_retry_request=data[6:38] == HELLO_RETRY_RANDOM,
        session_id=b"" if short else data[_SESSION_ID + 1 : session_end],
        psk=PRE_SHARED_KEY in bodies,
        alpn=names[0] if names else None,
        extensions=tuple(kind for kind, _ in extensions),
        partial=len(data) < size or not (compression_end == size or reached == end == size),
    )


def is_resumed(client: ClientHello | None, server: ServerHello) -> bool:
    """Whether an earlier session goes on: a chosen PSK, or before TLS 1.3 the client's session id given back.

    Before TLS 1.3 a client that offers a ticket sends a session id of its own making, to see this (RFC 5077, 3.4).
    """
    if server.version == "TLSv1.3":
        return server.psk
    return client is not None and bool(server.session_id) and server.session_id == client.session_id


def key_exchange_group(message: bytes) -> str | None:
    """The group of an ECDHE ServerKeyExchange (RFC 8422, 5.4); None of any other. It may be cut behind 8 bytes."""
    if len(message) < 8 or message[0] != HandshakeType.SERVER_KEY_EXCHANGE or message[4] != _NAMED_CURVE:
        return None
    group = message[5] << 8 | message[6]
    return group_name(group) if _POINT_LENGTHS.get(group) == message[7] else None
