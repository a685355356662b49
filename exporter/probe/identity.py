"""Is a chain Microsoft's, and if a client here refuses it, for which reasons?

Two questions kept apart. *Trust* follows this machine: its store, its clock, its name check; OpenSSL answered it in the
handshake, error by error. *Genuine* follows signatures up to a known root key, whatever this machine trusts; names of
issuers prove nothing, for anyone can write "DigiCert Inc".
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib import resources
from pathlib import Path

import service_identity
import service_identity.cryptography
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID, NameOID
from OpenSSL import crypto

from exporter.clean import clean
from exporter.observations import CertificateInfo
from exporter.vocabulary import Outcome

#: Presented chains whose judgement is remembered.
KEPT_CHAINS = 128
#: Certificates of a presented chain that are looked at.
MAX_CHAIN = 10

#: X509_V_ERR_* (openssl/x509_vfy.h) that mean something of their own; every other error is `certificate_untrusted`.
_NOT_YET_VALID, _EXPIRED = 9, 10
_NO_ISSUER = frozenset({2, 20, 21})

#: X509_V_FLAG_PARTIAL_CHAIN and X509_V_FLAG_NO_CHECK_TIME: dates are judged apart, by the corrected clock.
_ROOTS_SUFFICE, _NO_CHECK_TIME = 0x80000, 0x200000

#: Which reason is reported first, as browsers do: whose certificate it is, then for which name, then when.
_ORDER = (
    Outcome.CERTIFICATE_UNTRUSTED,
    Outcome.CERTIFICATE_CHAIN_INCOMPLETE,
    Outcome.CERTIFICATE_NAME_MISMATCH,
    Outcome.CERTIFICATE_EXPIRED,
    Outcome.CERTIFICATE_NOT_YET_VALID,
)


#: What reading a certificate's extensions raises where they are malformed, besides their being absent.
_MALFORMED = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


class RootsFileError(Exception):
    """The file of roots can't be used; the message names it."""


class Roots:
    """The roots under which a genuine Microsoft certificate chains."""

    def __init__(self, certificates: Sequence[x509.Certificate]) -> None:
        self.certificates = tuple(certificates)
        self.organizations = frozenset(o for c in certificates if (o := organization(c.subject)))
        self.subjects = frozenset(c.subject.public_bytes() for c in certificates)
        self._store = crypto.X509Store()
        for certificate in certificates:
            self._store.add_cert(crypto.X509.from_cryptography(certificate))
        self._store.set_flags(_ROOTS_SUFFICE | _NO_CHECK_TIME)

    @classmethod
    def built_in(cls) -> "Roots":
        """DigiCert, Microsoft, GlobalSign and Baltimore roots, as Microsoft's hosts have used since 2020."""
        pem = resources.files("exporter.probe").joinpath("microsoft_roots.pem").read_bytes()
        return cls(x509.load_pem_x509_certificates(pem))

    @classmethod
    def load(cls, path: Path | None) -> "Roots":
        """The roots of a PEM file, or the built-in ones. Raises RootsFileError."""
        if path is None:
            return cls.built_in()
        try:
            return cls(x509.load_pem_x509_certificates(path.read_bytes()))
        except (OSError, ValueError) as error:
            raise RootsFileError(f"identity.roots_file: {path}: {error}") from error

    def verified_path(self, chain: Sequence[x509.Certificate]) -> list[x509.Certificate] | int:
        """Leaf to root where the signatures hold (dates aside), else OpenSSL's X509_V_ERR number."""
        leaf, *rest = [crypto.X509.from_cryptography(certificate) for certificate in chain]
        context = crypto.X509StoreContext(self._store, leaf, rest)
        try:
            return [certificate.to_cryptography() for certificate in context.get_verified_chain()]
        except crypto.X509StoreContextError as error:
            return int(error.errors[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a presented chain is. `signatures` None: the chain is incomplete, so that it can't be told."""

    signatures: bool | None
    right_name: bool
    not_before: datetime | None = None
    not_after: datetime | None = None

    def genuine(self, now: datetime) -> bool | None:
        """Signatures, name and dates, by the corrected clock `now`."""
        if self.signatures is not True:
            return self.signatures
        in_date = (
            self.not_before is not None and self.not_after is not None and self.not_before <= now <= self.not_after
        )
        return self.right_name and in_date


def parse_chain(chain: Sequence[bytes]) -> list[x509.Certificate]:
    """The DER certificates as presented, leaf first; one whose names or dates can't be read ends the list."""
    parsed: list[x509.Certificate] = []
    for der in chain[:MAX_CHAIN]:
        try:
            certificate = x509.load_der_x509_certificate(der)
            describe(certificate)  # parsed lazily: raises here
        except ValueError:
            break
        parsed.append(certificate)
    return parsed


def identify(chain: Sequence[x509.Certificate], name: str, roots: Roots) -> Identity:
    """Whether the chain is signed up to one of the roots, for that name, and from when until when."""
    if not chain:
        return Identity(signatures=False, right_name=False)
    right_name = name_matches(chain[0], name)
    path = roots.verified_path(chain)
    if isinstance(path, int):
        missing = path in _NO_ISSUER and _issuer_is_missing(chain, roots)
        return Identity(signatures=None if missing else False, right_name=right_name)
    issued = path[:-1] or path  # a root's own dates don't matter: it is known by its key
    return Identity(
        signatures=True,
        right_name=right_name,
        not_before=max(certificate.not_valid_before_utc for certificate in issued),
        not_after=min(certificate.not_valid_after_utc for certificate in issued),
    )


@lru_cache(maxsize=KEPT_CHAINS)
def known_chain(chain: tuple[bytes, ...], name: str, roots: Roots) -> tuple[tuple[x509.Certificate, ...], Identity]:
    """`parse_chain` and `identify` of what was presented, remembered: it is the same round after round.

    Nothing in either depends on the time: dates are judged apart, by the corrected clock.
    """
    parsed = parse_chain(chain)
    return tuple(parsed), identify(parsed, name, roots)


def is_address(host: str) -> bool:
    """Whether a host is an IP address, which has no server name (RFC 6066 3), and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def name_matches(leaf: x509.Certificate, name: str) -> bool:
    """RFC 6125: the name, or address, stands in the leaf's subjectAltName."""
    try:
        if is_address(name):
            service_identity.cryptography.verify_certificate_ip_address(leaf, name)
        else:
            service_identity.cryptography.verify_certificate_hostname(leaf, name)
    except (service_identity.VerificationError, service_identity.CertificateError, *_MALFORMED):
        return False
    return True


def trust_reasons(
    errors: Sequence[int], chain: Sequence[x509.Certificate], identity: Identity, roots: Roots
) -> tuple[Outcome, ...]:
    """Every reason for which a client here refuses the chain, the one to report first in front.

    `errors`: the X509_V_ERR numbers OpenSSL met in the handshake, with this machine's store and clock. A leaf that
    can't be read (an empty chain) is not trusted: nobody can say whose it is.
    """
    if not chain:
        return (Outcome.CERTIFICATE_UNTRUSTED,)
    reasons = set()
    for error in errors:
        if error == _EXPIRED:
            reasons.add(Outcome.CERTIFICATE_EXPIRED)
        elif error == _NOT_YET_VALID:
            reasons.add(Outcome.CERTIFICATE_NOT_YET_VALID)
        elif error in _NO_ISSUER and identity.signatures is not True and _issuer_is_missing(chain, roots):
            reasons.add(Outcome.CERTIFICATE_CHAIN_INCOMPLETE)
        else:
            reasons.add(Outcome.CERTIFICATE_UNTRUSTED)
    if not identity.right_name:
        reasons.add(Outcome.CERTIFICATE_NAME_MISMATCH)
    return tuple(outcome for outcome in _ORDER if outcome in reasons)


def _issuer_is_missing(chain: Sequence[x509.Certificate], roots: Roots) -> bool:
    """Whether the presented path stops short of an intermediate, rather than at a root nobody here knows.

    OpenSSL gives the same error for both. A path that ends in a self-signed certificate is whole. Else a leaf that says
    where its issuer is to be had (AIA, as public CAs' leaves do), or whose issuer's organization has a known root,
    lacks an intermediate; a private CA's leaf has neither. Only a name, so never a proof of being genuine.
    """
    last = _end_of_path(chain)
    if last.subject == last.issuer or last.issuer.public_bytes() in roots.subjects:
        return False
    if last is chain[0] and _names_its_issuers_place(last):
        return True
    return organization(last.issuer) in roots.organizations


def _end_of_path(chain: Sequence[x509.Certificate]) -> x509.Certificate:
    current, rest = chain[0], list(chain[1:])
    while issuer := next((c for c in rest if c.subject == current.issuer and current.subject != current.issuer), None):
        rest.remove(issuer)
        current = issuer
    return current


def _names_its_issuers_place(certificate: x509.Certificate) -> bool:
    try:
        access = certificate.extensions.get_extension_for_oid(ExtensionOID.AUTHORITY_INFORMATION_ACCESS).value
    except (x509.ExtensionNotFound, *_MALFORMED):
        return False
    assert isinstance(access, x509.AuthorityInformationAccess)
    return any(description.access_method == AuthorityInformationAccessOID.CA_ISSUERS for description in access)


def organization(name: x509.Name) -> str | None:
    """The O of a distinguished name."""
    return _attribute(name, NameOID.ORGANIZATION_NAME)


def common_name(name: x509.Name) -> str | None:
    """The CN of a distinguished name."""
    return _attribute(name, NameOID.COMMON_NAME)


def _attribute(name: x509.Name, oid: x509.ObjectIdentifier) -> str | None:
    attributes = name.get_attributes_for_oid(oid)
    return str(attributes[0].value) if attributes else None


def issuer_organization(certificate: x509.Certificate) -> str | None:
    """Who claims to have issued it (O), cleaned. A claim: `genuine` is decided by signatures."""
    name = organization(certificate.issuer)
    return clean(name) if name else None


def issuer_common_name(certificate: x509.Certificate) -> str | None:
    """Who claims to have issued it (CN), cleaned."""
    name = common_name(certificate.issuer)
    return clean(name) if name else None


@lru_cache(maxsize=1024)
def describe(certificate: x509.Certificate) -> CertificateInfo:
    """A certificate in the contract's words, names cleaned."""
    return CertificateInfo(
        subject=clean(certificate.subject.rfc4514_string()),
        issuer=clean(certificate.issuer.rfc4514_string()),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
    )
