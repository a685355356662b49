"""What a client's TLS stack offers: the part of a ClientHello that doesn't depend on whom it talks to.

Fingerprints (`ja4`) and families (`client_family`) are functions of this alone.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from exporter.protocols.tls_extensions import (
    ALPN,
    COMPRESS_CERTIFICATE,
    DELEGATED_CREDENTIAL,
    EC_POINT_FORMATS,
    KEY_SHARE,
    PSK_MODES,
    RECORD_SIZE_LIMIT,
    SIGNATURE_ALGORITHMS,
    SIGNATURE_ALGORITHMS_CERT,
    SUPPORTED_GROUPS,
    SUPPORTED_VERSIONS,
    protocol_names,
)
from exporter.protocols.tls_names import is_grease, version_name

#: Extensions whose content is the stack's, not the connection's.
STACKS_OWN = frozenset(
    {ALPN, COMPRESS_CERTIFICATE, DELEGATED_CREDENTIAL, EC_POINT_FORMATS, PSK_MODES, RECORD_SIZE_LIMIT,
     SIGNATURE_ALGORITHMS, SIGNATURE_ALGORITHMS_CERT, SUPPORTED_GROUPS, SUPPORTED_VERSIONS}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Offer:
    """Numbers in the client's order, GREASE included.

    `bodies`: contents of the extensions that are the stack's own, of the others b"". `supported_versions` is None where
    that extension is absent; `versions` are its names, or else the legacy version's, GREASE left out.
    """

    legacy_version: int
    ciphers: tuple[int, ...]
    compression: bytes
    extensions: tuple[int, ...]
    supported_versions: tuple[int, ...] | None
    versions: tuple[str, ...]
    alpn: tuple[bytes, ...]
    groups: tuple[int, ...]
    key_shares: tuple[int, ...]
    signature_algorithms: tuple[int, ...]
    bodies: dict[int, bytes] = field(hash=False, repr=False)


def make_offer(legacy: bytes, ciphers: bytes, compression: bytes, extensions: Iterable[tuple[int, bytes]]) -> Offer:
    """Of vectors without their lengths and extensions with theirs, each cut anywhere; of key_share the groups only."""
    extensions = tuple(extensions)
    bodies: dict[int, bytes] = {}
    for kind, body in extensions:
        bodies.setdefault(kind, body)  # none comes twice (RFC 8446, 4.2)
    legacy_version = int.from_bytes(legacy)
    supported = _numbers(bodies[SUPPORTED_VERSIONS][1:]) if SUPPORTED_VERSIONS in bodies else None
    spoken = (legacy_version,) if supported is None else supported
    return Offer(
        legacy_version=legacy_version,
        ciphers=_numbers(ciphers),
        compression=compression,
        extensions=tuple(kind for kind, _ in extensions),
        supported_versions=supported,
        versions=tuple(version_name(number) for number in spoken if not is_grease(number)),
        alpn=protocol_names(bodies.get(ALPN, b"")),
        groups=_numbers(bodies.get(SUPPORTED_GROUPS, b"")[2:]),
        key_shares=_numbers(bodies.get(KEY_SHARE, b"")),
        signature_algorithms=_numbers(bodies.get(SIGNATURE_ALGORITHMS, b"")[2:]),
        bodies=bodies,
    )


def key_share_groups(body: bytes) -> bytes:
    """The groups of a key_share extension, two bytes each, without the keys (RFC 8446, 4.2.8)."""
    groups, at = [], 2
    while at + 4 <= len(body):
        groups.append(body[at : at + 2])
        at += 4 + (body[at + 2] << 8 | body[at + 3])
    return b"".join(groups)


def _numbers(vector: bytes) -> tuple[int, ...]:
    return struct.unpack_from(f">{len(vector) // 2}H", vector)
