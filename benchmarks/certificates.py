"""A root and an RSA-2048 leaf for one address: what public servers' handshakes cost."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True, slots=True)
class Files:
    """PEM files: the root that clients trust, and the server's certificate and key."""

    root: Path
    certificate: Path
    key: Path


def make_certificates(directory: Path, address: str) -> Files:
    """Writes a root and a leaf for `address` into `directory`."""
    root_key, leaf_key = _key(), _key()
    root_name = _name("Benchmark root")
    root = _sign(_builder(root_name, root_name, root_key, is_authority=True), root_key)
    leaf = _builder(_name(address), root_name, leaf_key, is_authority=False)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    signed = _sign(leaf.add_extension(names, critical=False).add_extension(usage, critical=False), root_key)
    files = Files(directory / "root.pem", directory / "server.pem", directory / "server.key")
    files.root.write_bytes(root)
    files.certificate.write_bytes(signed)
    files.key.touch(mode=0o600)
    files.key.write_bytes(
        leaf_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return files


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPrivateKey, *, is_authority: bool
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )


def _sign(builder: x509.CertificateBuilder, key: rsa.RSAPrivateKey) -> bytes:
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
