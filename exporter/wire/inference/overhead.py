"""How many bytes of plain text a TLS record holds: exactly where the suite is an AEAD, as a range where it pads."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from exporter.wire.trace import Trace

TLS_1_3 = "TLSv1.3"
#: Behind TLS 1.1 a CBC record carries its own initialization vector (RFC 4346 6.2.3.2).
_WITHOUT_VECTOR = ("SSLv3", "TLSv1", "TLSv1.0")
#: Finished in TLS 1.3 with its header, by the suite's hash (RFC 8446 4.4.4).
_FINISHED = {"SHA256": 36, "SHA384": 52}
#: What JSSE appends to every record of TLS 1.3.
_JSSE_PADDING = 16
_MAC = {"MD5": 16, "SHA": 20, "SHA256": 32, "SHA384": 48}
#: Lengths, and kinds of connections, whose answer is remembered: the same come again and again.
_MAX_LENGTHS, _MAX_KINDS = 8_192, 256


class Length(NamedTuple):
    """Bytes of plain text: at least, at most."""

    low: int
    high: int


class Overhead(NamedTuple):
    """What a record's length field has over its plain text: at most, at least."""

    most: int
    least: int

    def plain(self, length: int) -> Length:
        return _plain(length - self.most, length - self.least)


@lru_cache(maxsize=_MAX_LENGTHS)
def _plain(low: int, high: int) -> Length:
    return Length(max(0, low), max(0, high))


def overheads(trace: Trace) -> tuple[Overhead, Overhead]:
    """Of the client's and the server's records."""
    return _overheads(trace.tls_version, trace.cipher, trace.finished_length)


@lru_cache(maxsize=_MAX_KINDS)
def _overheads(version: str, cipher: str, finished: int | None) -> tuple[Overhead, Overhead]:
    if version == TLS_1_3:
        fixed = 9 if cipher.endswith("CCM_8_SHA256") else 17  # inner type and tag (RFC 8446 5.2)
        least, most = _padding(cipher, finished, fixed)
        return Overhead(fixed + most, fixed + least), Overhead(fixed, fixed)
    both = _before_1_3(version, cipher)
    return both, both


def _padding(cipher: str, finished: int | None, fixed: int) -> tuple[int, int]:
    """The client's padding, at least and at most: what its Finished is too long by.

    An excess of JSSE's size is JSSE's; another may be messages in front of Finished, an empty Certificate for example.
    """
    expected = _FINISHED.get(cipher.rpartition("_")[2])
    if finished is None or expected is None:
        return 0, 0
    excess = finished - fixed - expected
    if excess == _JSSE_PADDING:
        return excess, excess
    return (0, excess) if 0 < excess < _JSSE_PADDING else (0, 0)


def _before_1_3(version: str, cipher: str) -> Overhead:
    for fits, overhead in _AEAD:
        if fits(cipher):
            return overhead
    mac = _MAC.get(cipher.rpartition("_")[2], 20)
    if "CBC" not in cipher:  # RC4, NULL
        return Overhead(mac, mac)
    block = 8 if "3DES" in cipher or "_DES_" in cipher else 16
    vector = 0 if version in _WITHOUT_VECTOR else block
    # Padding is 1 to `block` bytes, and the same range comes out whether the MAC is encrypted or behind (RFC 7366).
    return Overhead(vector + mac + block, vector + mac + 1)


_AEAD: tuple[tuple[Callable[[str], bool], Overhead], ...] = (
    (lambda cipher: "CHACHA20" in cipher, Overhead(16, 16)),  # RFC 7905: no explicit nonce
    (lambda cipher: cipher.endswith("CCM_8"), Overhead(16, 16)),  # RFC 6655: 8 of nonce, 8 of tag
    (lambda cipher: "GCM" in cipher or "CCM" in cipher, Overhead(24, 24)),
)
