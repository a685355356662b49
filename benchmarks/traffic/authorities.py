"""Certificates of several issuers, RSA and EC, for all the names that are asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Authority:
    """An issuer: RFC 4514 text of its name, its PEM file, and PEM of a chain with its key for all names."""

    issuer: str
    root: Path
    chain: Path


def make_authority(
    directory: Path, common_name: str, organization: str, names: Sequence[str], *, rsa_key: bool
) -> Authority:
    """Writes its files, named by the common name, into `directory`."""
    root_key, leaf_key = _key(rsa_key), _key(rsa_key)
    root_name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
    root = _signed(root_name, root_name, root_key, root_key, x509.BasicConstraints(ca=True, path_length=None))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    leaf = _signed(subject, root_name, leaf_key, root_key, alternatives)
    key = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files = Authority(root_name.rfc4514_string(), directory / f"{common_name}.root", directory / f"{common_name}.chain")
    files.root.write_bytes(root)
    files.chain.write_bytes(key + leaf + root)
    return files


def _key(rsa_key: bool) -> _Key:
    return rsa.generate_private_key(65_537, 2048) if rsa_key else ec.generate_private_key(ec.SECP256R1())


def _signed(subject: x509.Name, issuer: x509.Name, key: _Key, signer: _Key, extension: x509.ExtensionType) -> bytes:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    )
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
