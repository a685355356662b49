"""Accounts, handshakes and presenters for tests, without a wire."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from exporter.accounts.presenting import AccountPresenter
from exporter.accounts.withholding import why_withheld
from exporter.observations import TlsResult
from exporter.probe.identity import Identity
from exporter.probe.presenter import Credential, Link
from exporter.secret_files import Secret
from exporter.settings_account import AccountSettings
from exporter.vocabulary import AccountKind, Mechanism, Outcome

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
USER = "someone@outlook.com"
TOKEN = "EwB" + "q7Zx9" * 240
PASSWORD = "correct horse battery staple"
IMAP = "imap-mail.outlook.com"


def link(
    host: str = IMAP,
    *,
    signatures: bool | None = True,
    right_name: bool = True,
    days: tuple[float, float] = (-10, 80),
    reasons: tuple[Outcome, ...] = (),
    trusted: bool | None = None,
    issuer: str = "DigiCert Inc",
) -> Link:
    """A handshake: genuine and trusted unless said otherwise. `days`: from when until when it is valid."""
    tls = TlsResult(
        version="TLSv1.3",
        trusted=not reasons if trusted is None else trusted,
        reasons=reasons,
        signatures_genuine=signatures,
        issuer_organization=issuer,
    )
    begins, ends = (NOW + timedelta(days=each) for each in days)
    return Link(host, tls, Identity(signatures=signatures, right_name=right_name, not_before=begins, not_after=ends))


def presenter(
    *, mechanism: Mechanism = Mechanism.TOKEN, token_expired: bool | None = False, user: str = USER, secret: str = ""
) -> AccountPresenter:
    """An account's, whose gate is the real one."""
    text = secret or (TOKEN if mechanism is Mechanism.TOKEN else PASSWORD)
    owned = Credential(user, Secret(text.encode()), mechanism)
    return AccountPresenter(owned, lambda seen: why_withheld(seen, own_hosts=(), now=NOW), token_expired=token_expired)


def account(**more: object) -> AccountSettings:
    """A personal account."""
    fields: dict[str, object] = {
        "name": "me", "kind": AccountKind.OAUTH_PERSONAL, "client_id": "app", "username": USER,
    }  # fmt: skip
    return AccountSettings.model_validate({**fields, **more})


def app_certificate() -> tuple[str, str]:
    """An application's key and a self-signed certificate of it, PEM."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "the app")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(now).not_valid_after(now + timedelta(days=20))
    certificate = builder.sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private.decode(), certificate.public_bytes(pem).decode()
