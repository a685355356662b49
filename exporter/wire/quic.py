"""Whether a datagram to port 443 begins a QUIC connection. Other things go there: DNSCrypt, VPNs, games.

RFC 8999, 5.1: a long header's first bit is 1, and the version follows. Only these are spoken, so that ciphertext looks
like one of them once in 260,000 datagrams.
"""

from typing import Final

#: First byte and version.
QUIC_HEADER: Final = 5
#: RFC 9000; RFC 9369 and its drafts.
_VERSIONS: Final = frozenset({0x0000_0001, 0x6B33_43CF, 0x709A_50C4})
#: The version's upper three bytes: IETF's drafts, Google's Q046 to Q059 and T048 to T051, Meta's.
_FAMILIES: Final = frozenset({b"\xff\x00\x00", b"Q04", b"Q05", b"T04", b"T05", b"\xfa\xce\xb0"})


def begins_quic(datagram: bytes) -> bool:
    """Of a client's datagram, or its beginning."""
    if len(datagram) < QUIC_HEADER or datagram[0] & 0xC0 != 0xC0:
        return False
    version = datagram[1:5]
    return int.from_bytes(version) in _VERSIONS or version[:3] in _FAMILIES or _is_reserved(version)


def _is_reserved(version: bytes) -> bool:
    """?a?a?a?a, to exercise version negotiation (RFC 9000, 15)."""
    return all(byte & 0x0F == 0x0A for byte in version)
