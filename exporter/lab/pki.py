"""The lab's certificates: a root and intermediate that stand for Microsoft's, an inspecting gateway's, and broken ones."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority: its certificate, and the key that signs."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A server's certificate chain and key, as PEM in one file."""

    file: Path

    def context(self) -> ssl.SSLContext:
        """A server's context, TLS 1.2 and 1.3."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file)
        return context


def _name(organization: str, common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def authority(organization: str, common_name: str, issuer: Authority | None = None) -> Authority:
    """A CA, self-signed where no issuer is given."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(organization, common_name)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1000))
        .not_valid_after(now + timedelta(days=1000))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Authority(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def leaf(
    directory: Path,
    names: tuple[str, ...],
    issuer: Authority,
    *,
    chain: tuple[Authority, ...] = (),
    begins: timedelta = timedelta(days=-30),
    ends: timedelta = timedelta(days=70),
    organization: str = "Microsoft Corporation",
    issuer_url: str | None = None,
) -> Leaf:
    """A server certificate for those names, written with its chain and key; `begins` and `ends` count from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(organization, names[0]))
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.certificate.public_key()),  # type: ignore[arg-type]
            critical=False,
        )
    )
    if issuer_url is not None:
        place = x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(issuer_url)
        )
        builder = builder.add_extension(x509.AuthorityInformationAccess([place]), critical=False)
    certificate = builder.sign(issuer.key, hashes.SHA256())
    file = directory / f"leaf-{certificate.serial_number:x}.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    file.touch(mode=0o600)
    file.write_bytes(pem + b"".join(each.pem for each in chain) + secret)
    return Leaf(file)


class Pki:
    """All that the lab needs, made once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.root = authority("Embedded Outlook Lab", "Embedded Outlook Root")
        self.intermediate = authority("Embedded Outlook Lab", "Embedded Outlook TLS CA 1", self.root)
        self.inspection = authority("Fortinet", "FGT60E0000000000")
        self.roots_file = directory / "roots.pem"
        self.roots_file.write_bytes(self.root.pem)
        self.other_roots_file = directory / "other-roots.pem"
        self.other_roots_file.write_bytes(authority("Somebody Else", "Somebody Else's Root").pem)
        self._leaves: dict[tuple[str, str], ssl.SSLContext] = {}

    def context(self, host: str, kind: str = "genuine") -> ssl.SSLContext:
        """A server's context for a host: genuine, inspected, expired, not_yet_valid, wrong_name or incomplete."""
        if (host, kind) not in self._leaves:
            self._leaves[host, kind] = self._leaf(host, kind).context()
        return self._leaves[host, kind]

    def _leaf(self, host: str, kind: str) -> Leaf:
        whole, day = (self.intermediate,), timedelta(days=1)
        match kind:
            case "inspected":
                return leaf(
                    self._directory, (host,), self.inspection, chain=(self.inspection,), organization="Fortinet"
                )
            case "expired":
                return leaf(self._directory, (host,), self.intermediate, chain=whole, begins=-90 * day, ends=-2 * day)
            case "not_yet_valid":
                return leaf(self._directory, (host,), self.intermediate, chain=whole, begins=2 * day, ends=90 * day)
            case "wrong_name":
                return leaf(self._directory, ("www.example.invalid",), self.intermediate, chain=whole)
            case "incomplete":
                url = "http://cacerts.example.invalid/ca1.crt"
                return leaf(self._directory, (host,), self.intermediate, issuer_url=url)
            case _:
                return leaf(self._directory, (host,), self.intermediate, chain=whole)
