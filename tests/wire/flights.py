"""Real TLS bytes without a network: both ends of OpenSSL through memory, flight by flight."""

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ISSUER = "Lab CA"
_keep: list[TemporaryDirectory[str]] = []


@cache
def _identity() -> tuple[str, str]:
    """Files of a certificate, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    directory = TemporaryDirectory()
    _keep.append(directory)
    chain, secret = Path(directory.name, "chain.pem"), Path(directory.name, "key.pem")
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(chain), str(secret)


@cache
def server_context(version: ssl.TLSVersion, tickets: int = 2, curve: str | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*_identity())
    context.minimum_version = context.maximum_version = version
    context.num_tickets = tickets
    if curve is not None:
        context.set_ecdh_curve(curve)
    return context


def client_context(*, trusting: bool = True, ciphers: str | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_ecdh_curve("prime256v1")  # one small key share, whichever OpenSSL this is: a hello is one segment
    if trusting:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if ciphers is not None:
        context.set_ciphers(ciphers)
    return context


Flight = tuple[bool, bytes]  # from the client, the bytes


@dataclass
class Talk:
    """A client and a server; `flights` are what each sent, in order."""

    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    name: str | None = "imap-mail.outlook.com"
    client: ssl.SSLContext = field(default_factory=client_context)
    session: ssl.SSLSession | None = None
    tickets: int = 2
    curve: str | None = None  # the only one that the server takes

    def __post_init__(self) -> None:
        self.flights: list[Flight] = []
        self._to_server, self._to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._client = self.client.wrap_bio(
            self._to_client, self._to_server, server_hostname=self.name, session=self.session
        )
        context = server_context(self.version, self.tickets, self.curve)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._server = context.wrap_bio(self._in, self._out, server_side=True)

    def shake(self) -> "Talk":
        """The handshake, as far as it gets."""
        for _ in range(4):
            for from_client, end in ((True, self._client), (False, self._server)):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    pass
                except ssl.SSLError:
                    self._pass_on(from_client)
                    return self
                self._pass_on(from_client)
        return self

    def says(self, from_client: bool, data: bytes) -> "Talk":
        """A record of application data."""
        (self._client if from_client else self._server).write(data)
        self._pass_on(from_client)
        self._read(not from_client)
        return self

    def closes(self, from_client: bool) -> "Talk":
        """close_notify."""
        try:
            (self._client if from_client else self._server).unwrap()
        except ssl.SSLError:
            pass
        self._pass_on(from_client)
        return self

    @property
    def established_session(self) -> ssl.SSLSession | None:
        return self._client.session

    def _pass_on(self, from_client: bool) -> None:
        data = (self._to_server if from_client else self._out).read()
        if data:
            self.flights.append((from_client, data))
            (self._in if from_client else self._to_client).write(data)

    def _read(self, from_client: bool) -> None:
        try:
            (self._client if from_client else self._server).read(65_536)
        except ssl.SSLError:
            pass


@cache
def healthy(
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, name: str | None = "imap-mail.outlook.com"
) -> list[Flight]:
    """A handshake and a little conversation, as IMAP's: the server greets, the client asks."""
    talk = Talk(version, name).shake()
    talk.says(False, b"* OK ready\r\n").says(True, b"a CAPABILITY\r\n").says(
        False, b"* CAPABILITY IMAP4rev1\r\na OK\r\n"
    )
    return talk.closes(True).flights
