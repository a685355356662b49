"""The lab's certificates: roots and intermediates that stand for Microsoft's, inspecting gateways', and broken ones.

Subjects are realistic (facts 6.1, 6.3), so that nobody is tempted to judge by names; keys are made anew each time.
"""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from exporter.vocabulary import Protocol

Key = ec.EllipticCurvePrivateKey
Subject = Sequence[tuple[x509.ObjectIdentifier, str]]

_DAY = timedelta(days=1)
_FAMILY = (
    "*.outlook.com", "*.office365.com", "*.outlook.office365.com", "*.hotmail.com", "*.live.com", "*.office.com",
    "*.internal.outlook.com", "hotmail.com", "office365.com", "outlook.com", "outlook.office.com",
    "substrate.office.com",
)  # fmt: skip
_WORK_SIGN_IN = (
    "stamp2.login.microsoftonline.com", "login.microsoftonline-int.com", "login.microsoftonline-p.com",
    "login.microsoftonline.com", "login2.microsoftonline.com", "loginex.microsoftonline.com",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority: its certificate, and the key that signs."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def authority(subject: Subject, issuer: Authority | None = None) -> Authority:
    """A CA, self-signed where no issuer is given."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(
        subject, issuer.certificate.subject if issuer else _name(subject), key, -1000 * _DAY, 1000 * _DAY
    )
    builder = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_CA_USAGE, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if issuer is not None:
        builder = builder.add_extension(_authority_key(issuer), critical=False)
    return Authority(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def _authority_key(issuer: Authority) -> x509.AuthorityKeyIdentifier:
    """RFC 5280 4.2.1.1: in every certificate but a root's, and strict clients (Python 3.13) look for it."""
    digest = x509.SubjectKeyIdentifier.from_public_key(issuer.key.public_key()).digest
    return x509.AuthorityKeyIdentifier(digest, None, None)


def leaf(
    file: Path, names: Sequence[str], subject: Subject, issuer: Authority, *, chain: Sequence[Authority] = (),
    begins: timedelta = -30 * _DAY, ends: timedelta = 70 * _DAY, issuer_url: str | None = None,
) -> Path:  # fmt: skip
    """Writes a server certificate for those names, its chain and its key as PEM; `begins` and `ends` count from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(subject, issuer.certificate.subject, key, begins, ends)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_authority_key(issuer), critical=False)
    )
    if issuer_url is not None:
        place = x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(issuer_url)
        )
        builder = builder.add_extension(x509.AuthorityInformationAccess([place]), critical=False)
    certificate = builder.sign(issuer.key, hashes.SHA256())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.touch(mode=0o600)
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    file.write_bytes(pem + b"".join(each.pem for each in chain) + secret)
    return file


class Pki:
    """All that the lab needs; leaves are made when first asked for.

    `roots_file`: the roots of genuine chains. `trust_file`: what a client of the lab trusts, the company's inspection
    CA among them, but not the old genuine root (as Mozilla's store lost an old DigiCert root in 2026).
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.root = authority(_of("DigiCert Inc", "DigiCert Global Root G2 (embedded lab)"))
        self.old_root = authority(_of("DigiCert Inc", "DigiCert Global Root CA (embedded lab)"))
        self.intermediate = authority(_of("DigiCert Inc", "DigiCert Global G2 TLS RSA SHA256 2020 CA1"), self.root)
        self.old_intermediate = authority(_of("DigiCert Inc", "DigiCert Cloud Services CA-1"), self.old_root)
        self.inspection = authority(_FORTIGATE)
        self.company = authority(_of("Contoso Ltd", "Contoso TLS Inspection CA"))
        self.roots_file = self._write("roots.pem", self.root, self.old_root)
        self.trust_file = self._write("trust.pem", self.root, self.company)
        self._contexts: dict[tuple[str, str, Protocol | None], ssl.SSLContext] = {}
        self._leaves: dict[tuple[str, str], Path] = {}

    def context(self, host: str, kind: str = "genuine", protocol: Protocol | None = None) -> ssl.SSLContext:
        """A server's context for a host. Kinds: genuine, old_root, expired, not_yet_valid, wrong_name, incomplete,
        inspected (by a CA nobody trusts), inspected_trusted (by the company's)."""
        wanted = host, kind, protocol
        if wanted not in self._contexts:
            self._contexts[wanted] = _context(self._file(host, kind), protocol)
        return self._contexts[wanted]

    def _file(self, host: str, kind: str) -> Path:
        if (host, kind) not in self._leaves:
            self._leaves[host, kind] = self._leaf(host, kind)
        return self._leaves[host, kind]

    def _leaf(self, host: str, kind: str) -> Path:
        file = self._directory / f"{host}.{kind}.pem"
        names = _names(host)
        subject, issuer = _microsoft(names[0].removeprefix("*.")), self.intermediate
        match kind:
            case "genuine":
                return leaf(file, names, subject, issuer, chain=(issuer,))
            case "old_root":
                return leaf(file, names, subject, self.old_intermediate, chain=(self.old_intermediate,))
            case "expired":
                return leaf(file, names, subject, issuer, chain=(issuer,), begins=-90 * _DAY, ends=-2 * _DAY)
            case "not_yet_valid":
                return leaf(file, names, subject, issuer, chain=(issuer,), begins=2 * _DAY, ends=90 * _DAY)
            case "wrong_name":
                return leaf(file, ["graph.windows.net"], _microsoft("graph.windows.net"), issuer, chain=(issuer,))
            case "incomplete":
                return leaf(file, names, subject, issuer, issuer_url="http://cacerts.example.invalid/ca1.crt")
            case "inspected":
                return leaf(file, [host], subject, self.inspection, chain=(self.inspection,))
            case "inspected_trusted":
                return leaf(file, [host], subject, self.company)
            case _:
                raise ValueError(f"no such certificate: {kind}")

    def _write(self, name: str, *authorities: Authority) -> Path:
        file = self._directory / name
        file.write_bytes(b"".join(each.pem for each in authorities))
        return file


def _context(file: Path, protocol: Protocol | None) -> ssl.SSLContext:
    """As the real hosts negotiate (facts 6.2): IMAP and POP speak 1.2, sign-in wants secp384r1 and chooses no ALPN."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(file)
    if protocol in (Protocol.IMAP, Protocol.POP):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    elif protocol is Protocol.SIGN_IN:
        context.set_ecdh_curve("secp384r1")
    elif protocol in (Protocol.HTTPS, Protocol.ACTIVESYNC):
        context.set_alpn_protocols(["http/1.1"])
    return context


def _builder(
    subject: Subject, issuer: x509.Name, key: Key, begins: timedelta, ends: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
    )


def _names(host: str) -> Sequence[str]:
    """Which names the host's real certificate bears: the mail family shares one, so do the work sign-in hosts."""
    if host in _WORK_SIGN_IN:
        return _WORK_SIGN_IN
    if host in _FAMILY or f"*.{host.partition('.')[2]}" in _FAMILY:
        return ("outlook.com", *(name for name in _FAMILY if name != "outlook.com"))
    return (host,)


def _of(organization: str, common_name: str) -> Subject:
    return (
        (NameOID.COUNTRY_NAME, "US"),
        (NameOID.ORGANIZATION_NAME, organization),
        (NameOID.COMMON_NAME, common_name),
    )


def _microsoft(common_name: str) -> Subject:
    return (
        (NameOID.COUNTRY_NAME, "US"),
        (NameOID.STATE_OR_PROVINCE_NAME, "Washington"),
        (NameOID.LOCALITY_NAME, "Redmond"),
        (NameOID.ORGANIZATION_NAME, "Microsoft Corporation"),
        (NameOID.COMMON_NAME, common_name),
    )


_FORTIGATE: Subject = (
    (NameOID.COUNTRY_NAME, "US"),
    (NameOID.STATE_OR_PROVINCE_NAME, "California"),
    (NameOID.LOCALITY_NAME, "Sunnyvale"),
    (NameOID.ORGANIZATION_NAME, "Fortinet"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "Certificate Authority"),
    (NameOID.COMMON_NAME, "FG100FTK20000000"),
    (NameOID.EMAIL_ADDRESS, "support@fortinet.com"),
)
_CA_USAGE = x509.KeyUsage(
    digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
    data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
)  # fmt: skip


def _name(subject: Subject) -> x509.Name:
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in subject])
