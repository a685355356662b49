"""A small public key infrastructure of the tests: a root, an intermediate and leaves with every fault (RFC 5280)."""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


@dataclass(frozen=True, slots=True)
class Files:
    """Where a server finds its chain and key; `not_after` is the leaf's."""

    chain: Path
    key: Path
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Authority:
    """A root that signs one intermediate, which signs leaves; everything is written below `directory`."""

    root: Pair
    intermediate: Pair
    directory: Path

    @property
    def root_file(self) -> Path:
        return self.directory / "root.pem"

    def leaf(
        self,
        file_name: str,
        *,
        names: tuple[str, ...] = ("localhost", "127.0.0.1"),
        days: tuple[float, float] = (-1, 30),
        intermediate: bool = True,
    ) -> Files:
        """A server's files: valid from now+days[0] to now+days[1], presented with its intermediate or without."""
        pair = _signed(names[0], self.intermediate, days=days, names=names)
        chain = pair.pem + (self.intermediate.pem if intermediate else b"")
        return _written(self.directory, file_name, pair, chain)

    def unreadable(self, file_name: str) -> Files:
        """A server's files whose certificate has a date that is none: OpenSSL serves it, and hardly anyone reads it."""
        pair = _signed("localhost", self.intermediate, days=(-1, 30), names=("localhost", "127.0.0.1"))
        der = pair.certificate.public_bytes(serialization.Encoding.DER)
        begins = b"\x17\x0d" + pair.certificate.not_valid_before_utc.strftime("%y%m%d%H%M%SZ").encode()
        assert begins in der
        damaged = base64.encodebytes(der.replace(begins, b"\x17\x0d991332256161Z"))
        pem = b"-----BEGIN CERTIFICATE-----\n" + damaged + b"-----END CERTIFICATE-----\n"
        return _written(self.directory, file_name, pair, pem)

    def self_signed(self, file_name: str) -> Files:
        """A server's files whose certificate signs itself."""
        pair = _signed("localhost", None, days=(-1, 30), names=("localhost", "127.0.0.1"))
        return _written(self.directory, file_name, pair, pair.pem)


def make_authority(directory: Path, name: str = "Real servers' test") -> Authority:
    """A new root and intermediate; the root's certificate is `directory`/root.pem."""
    directory.mkdir(parents=True, exist_ok=True)
    root = _signed(f"{name} root", None, days=(-2, 60), is_authority=True)
    intermediate = _signed(f"{name} intermediate", root, days=(-2, 60), is_authority=True)
    authority = Authority(root, intermediate, directory)
    authority.root_file.write_bytes(root.pem)
    return authority


def _written(directory: Path, file_name: str, pair: Pair, chain: bytes) -> Files:
    files = Files(directory / f"{file_name}.pem", directory / f"{file_name}.key", pair.certificate.not_valid_after_utc)
    files.chain.write_bytes(chain)
    files.key.touch(mode=0o600)
    files.key.write_bytes(pair.key_pem)
    return files


def _signed(
    common_name: str,
    issuer: Pair | None,
    *,
    days: tuple[float, float],
    names: tuple[str, ...] = (),
    is_authority: bool = False,
) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(common_name)
    signer = issuer.key if issuer else key
    now = datetime.now(UTC).replace(microsecond=0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(_usage(is_authority), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return Pair(builder.sign(signer, hashes.SHA256()), key)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Real Servers Test"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _alternative(name: str) -> x509.GeneralName:
    if name.replace(".", "").isdigit():
        return x509.IPAddress(ip_address(name))
    return x509.DNSName(name)


def _usage(is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
