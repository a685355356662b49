"""Phase `tls`: a handshake driven through memory BIOs, timed from our ClientHello to our Finished at the kernel.

asyncio's own TLS mistimes by milliseconds when many handshakes run, and drops the chain of a failed one. pyOpenSSL also
tells the group and sends the hello of today's clients (post-quantum key share). A certificate that OpenSSL refuses
doesn't end the handshake: its errors are collected and the conversation goes on, without any secret.
"""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import OpenSSL
from OpenSSL import SSL, crypto

from exporter.probe.failures import PhaseFailure, of_clear_alert, of_tls_error
from exporter.probe.stream import READ_SIZE, Stream, arrived
from exporter.vocabulary import Outcome

#: Bytes of TLS records taken out of the BIO at once.
_FLIGHT = 65_536
#: Bytes of handshake a server may send before ours is over; a chain of ten certificates is some 20 KiB.
MAX_HANDSHAKE = 262_144
#: Bytes of the server's beginning that are kept to tell what it speaks.
_SHOWN = 512

#: How long close_notify may take to be handed to the kernel, seconds.
GOODBYE_SECONDS = 1.0

#: OpenSSL's names of TLS 1.2 suites → IANA's; those of TLS 1.3 are the same in both.
_IANA_CIPHERS = {
    "ECDHE-RSA-AES256-GCM-SHA384": "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "ECDHE-RSA-CHACHA20-POLY1305": "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305": "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "ECDHE-RSA-AES256-SHA384": "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384",
    "ECDHE-RSA-AES128-SHA256": "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "ECDHE-ECDSA-AES256-SHA384": "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384",
    "ECDHE-ECDSA-AES128-SHA256": "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "ECDHE-RSA-AES256-SHA": "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "ECDHE-RSA-AES128-SHA": "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "ECDHE-ECDSA-AES256-SHA": "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "ECDHE-ECDSA-AES128-SHA": "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "DHE-RSA-AES256-GCM-SHA384": "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
    "DHE-RSA-AES128-GCM-SHA256": "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
    "DHE-RSA-CHACHA20-POLY1305": "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "DHE-RSA-AES256-SHA256": "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256",
    "DHE-RSA-AES128-SHA256": "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256",
    "DHE-RSA-AES256-SHA": "TLS_DHE_RSA_WITH_AES_256_CBC_SHA",
    "DHE-RSA-AES128-SHA": "TLS_DHE_RSA_WITH_AES_128_CBC_SHA",
    "AES256-GCM-SHA384": "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "AES128-GCM-SHA256": "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "AES256-SHA256": "TLS_RSA_WITH_AES_256_CBC_SHA256",
    "AES128-SHA256": "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "AES256-SHA": "TLS_RSA_WITH_AES_256_CBC_SHA",
    "AES128-SHA": "TLS_RSA_WITH_AES_128_CBC_SHA",
}
_IANA_GROUPS = {"prime256v1": "secp256r1", "P-256": "secp256r1", "P-384": "secp384r1", "P-521": "secp521r1"}

STACK = f"pyOpenSSL {OpenSSL.__version__}, {SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What a completed handshake told. `errors`: X509_V_ERR numbers by this machine's store and clock.

    `own_seconds`: the part of `seconds` in which the server's bytes, as the kernel stamped them, lay here unanswered.
    """

    seconds: float
    own_seconds: float
    version: str
    cipher: str | None
    group: str | None
    alpn: str | None
    chain: tuple[bytes, ...]
    errors: tuple[int, ...]


@dataclass(slots=True)
class _Notes:
    """Collected by OpenSSL's verify callback, per connection."""

    errors: list[int] = field(default_factory=list)


class TlsClient:
    """Makes handshakes as clients of today do, against this machine's trust store."""

    def __init__(self, trust_store: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """`trust_store`: a PEM file instead of SSL_CERT_FILE or the system's. Raises OSError where it can't be read."""
        self._clock = clock
        self._context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._context.set_min_proto_version(SSL.TLS1_2_VERSION)
        self._context.set_verify(SSL.VERIFY_PEER, _note_and_go_on)
        # Flags are set explicitly: Python 3.13's own default (VERIFY_X509_STRICT) refuses ordinary inspection CAs
        # for a formal fault, which would hide what matters. pyOpenSSL sets none.
        store = trust_store or _environment_file()
        if store is not None:
            _load(self._context, store)
        else:
            self._context.set_default_verify_paths()

    async def handshake(
        self, stream: Stream, server_name: str | None, alpn: tuple[str, ...] = (), already: bytes = b""
    ) -> "tuple[TlsStream, Handshake]":
        """TLS over `stream`. `already`: bytes of the server received so far.

        Raises PhaseFailure: alert, protocol_version_refused, closed, unexpected_content; OSError where TCP breaks.
        """
        connection = SSL.Connection(self._context, None)
        notes = _Notes()
        connection.set_app_data(notes)
        if server_name is not None:
            connection.set_tlsext_host_name(server_name.encode("ascii"))
        if alpn:
            connection.set_alpn_protos([name.encode("ascii") for name in alpn])
        connection.set_connect_state()
        if already:
            connection.bio_write(already)
        began, ended, own = await self._drive(connection, stream)
        chain = connection.get_peer_cert_chain() or []
        handshake = Handshake(
            seconds=max(ended - began, 0.0),
            own_seconds=own,
            version=connection.get_protocol_version_name(),
            cipher=_iana(_IANA_CIPHERS, connection.get_cipher_name()),
            group=_iana(_IANA_GROUPS, connection.get_group_name()),
            alpn=connection.get_alpn_proto_negotiated().decode("latin-1") or None,
            chain=tuple(crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate) for certificate in chain),
            errors=tuple(notes.errors),
        )
        return TlsStream(connection, stream), handshake

    async def _drive(self, connection: SSL.Connection, stream: Stream) -> tuple[float, float, float]:
        """Carries records until the handshake is over.

        Returns when the first and the last flight were handed to the kernel, and how long answers to the server's took.
        """
        began = ended = None
        own = 0.0
        received = 0
        first = b""
        while True:
            try:
                connection.do_handshake()
                done = True
            except SSL.WantReadError:
                done = False
            except SSL.Error as error:
                await _send_last(connection, stream)
                raise _failure(error, first) from error
            if flight := _outgoing(connection):
                ended = await stream.send(flight)
                began = ended if began is None else began
                if received and (came := arrived(stream)) is not None:
                    own += max(ended - came, 0.0)
            if done:
                return began or 0.0, ended or 0.0, own
            data = await stream.receive()
            received += len(data)
            first = first if len(first) >= _SHOWN else (first + data)[:_SHOWN]
            if not data:
                raise PhaseFailure(Outcome.CLOSED, "closed in the middle of the handshake")
            if received > MAX_HANDSHAKE:
                raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, "a handshake longer than 256 KiB")
            connection.bio_write(data)


class TlsStream:
    """Application data over a completed handshake."""

    def __init__(self, connection: SSL.Connection, stream: Stream) -> None:
        self._connection = connection
        self._stream = stream

    @property
    def arrived(self) -> float | None:
        return arrived(self._stream)

    async def send(self, data: bytes) -> float:
        view = memoryview(data)
        while view:
            view = view[self._connection.send(view[:16_384]) :]
        return await self._stream.send(_outgoing(self._connection))

    async def receive(self) -> bytes:
        while True:
            try:
                return bytes(self._connection.recv(READ_SIZE))
            except SSL.WantReadError:
                pass
            except SSL.ZeroReturnError:
                return b""
            except SSL.Error as error:
                raise of_tls_error(error) from error
            if answer := _outgoing(self._connection):  # key updates
                await self._stream.send(answer)
            data = await self._stream.receive()
            if not data:
                return b""
            self._connection.bio_write(data)

    async def say_goodbye(self) -> None:
        """close_notify, as a well-behaved client; errors don't matter any more."""
        try:
            self._connection.shutdown()
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._stream.send(_outgoing(self._connection))
        except (SSL.Error, OSError):
            pass

    def close(self) -> None:
        self._stream.close()


def _note_and_go_on(connection: SSL.Connection, _certificate: object, number: int, _depth: int, _ok: int) -> bool:
    notes = connection.get_app_data()
    if number and isinstance(notes, _Notes) and number not in notes.errors:
        notes.errors.append(number)
    return True


def _outgoing(connection: SSL.Connection) -> bytes:
    flight, more = b"", True
    while more:
        try:
            read = connection.bio_read(_FLIGHT)
        except SSL.WantReadError:
            return flight
        flight, more = flight + read, len(read) == _FLIGHT
    return flight


async def _send_last(connection: SSL.Connection, stream: Stream) -> None:
    """Our own alert, so that the server isn't left waiting."""
    if alert := _outgoing(connection):
        try:
            await stream.send(alert)
        except OSError:
            pass


def _failure(error: SSL.Error, first: bytes) -> PhaseFailure:
    failure = of_tls_error(error)
    if failure.alert is None and (told := of_clear_alert(first)) is not None:
        return told
    if failure.outcome is Outcome.UNEXPECTED_CONTENT and first and first[0] not in (0x14, 0x15, 0x16, 0x17):
        return PhaseFailure(Outcome.UNEXPECTED_CONTENT, f"not TLS but: {first.decode('latin-1')}")
    return failure


def _iana(table: dict[str, str], name: str | None) -> str | None:
    return table.get(name, name) if name else None


def _environment_file() -> Path | None:
    path = os.environ.get("SSL_CERT_FILE")
    return Path(path) if path else None


def _load(context: SSL.Context, store: Path) -> None:
    try:
        context.load_verify_locations(str(store))
    except SSL.Error as error:
        raise OSError(f"{store}: not a file of PEM certificates") from error
