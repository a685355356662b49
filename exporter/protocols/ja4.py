"""JA4, the fingerprint of a client's TLS stack: FoxIO's specification of plain JA4 (BSD-3-Clause), for TLS over TCP.

https://github.com/FoxIO-LLC/ja4/blob/main/technical_details/JA4.md. Of the JA4+ family only this one is free to use.
"""

from collections.abc import Iterable
from hashlib import sha256

from exporter.protocols.client_offer import Offer
from exporter.protocols.tls_extensions import ALPN, SERVER_NAME
from exporter.protocols.tls_names import is_grease

_VERSIONS = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3", 0x0002: "s2"}
_SAID_BEFORE = (SERVER_NAME, ALPN)  # in the first part
_MOST = 99
_HASH_LENGTH = 12


def ja4(offer: Offer) -> str:
    """`t13d1516h2_8daaf6152771_e5627efa2ab1`: 36 characters."""
    ciphers = _hex(offer.ciphers)
    extensions = _hex(offer.extensions)
    named = "d" if SERVER_NAME in offer.extensions else "i"
    counts = f"{min(len(ciphers), _MOST):02}{min(len(extensions), _MOST):02}"
    rest = sorted(_hex(kind for kind in offer.extensions if kind not in _SAID_BEFORE))
    signatures = _hex(offer.signature_algorithms)
    features = ",".join(rest) + ("_" + ",".join(signatures) if signatures else "")
    first = f"t{_version(offer)}{named}{counts}{_alpn(offer.alpn)}"
    return f"{first}_{_hash(','.join(sorted(ciphers)))}_{_hash(features)}"


def _hex(numbers: Iterable[int]) -> list[str]:
    return [f"{number:04x}" for number in numbers if not is_grease(number)]


def _version(offer: Offer) -> str:
    """The highest offered; the legacy version counts only where supported_versions is absent."""
    if offer.supported_versions is None:
        return _VERSIONS.get(offer.legacy_version, "00")
    return _VERSIONS.get(max((n for n in offer.supported_versions if not is_grease(n)), default=0), "00")


def _alpn(names: tuple[bytes, ...]) -> str:
    """First and last character of the first protocol, or of its hexadecimal form where one isn't alphanumeric."""
    first = names[0] if names else b""
    if not first:
        return "00"
    ends = bytes((first[0], first[-1]))
    text = ends.decode("ascii") if ends.isalnum() else first.hex()
    return text[0] + text[-1]


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:_HASH_LENGTH] if text else "0" * _HASH_LENGTH


def stack_of(ja4: str | None) -> str | None:
    """The parts of a JA4 that don't depend on name and ALPN: hashes of cipher suites and of extensions."""
    return ja4.partition("_")[2] if ja4 is not None else None
