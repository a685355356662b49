"""The same handshake with another ClientHello: smaller, older, split elsewhere, with another name, or dying on its way.

A variant goes over ordinary sockets, as the prober's own. pyOpenSSL makes the bytes; how they leave is ours.
"""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from exporter.diagnosis.experiments.sockets import AdjustedSockets, KernelAccount
from exporter.probe.exchange import FAREWELL_SECONDS
from exporter.probe.failures import PhaseFailure, of_os_error
from exporter.probe.stream import Stream
from exporter.probe.tls import Handshake, TlsClient, TlsStream
from exporter.vocabulary import Outcome

#: Between the pieces of a split ClientHello, seconds: so long that no path joins them again.
PAUSE = 0.03


class Form(StrEnum):
    """Forms of a ClientHello. The usual one is large: it has a post-quantum key share, as today's clients'."""

    USUAL = "usual"
    SMALL = "small"  # the same versions, one small key share
    TLS_1_2 = "tls_1_2"
    TLS_1_3 = "tls_1_3"
    OLD = "old"  # TLS 1.0 and 1.1
    OTHER = "other"  # other suites in another order, no tickets: another fingerprint
    SMALL_ANSWER = "small_answer"  # a suite that no server of Microsoft's speaks: the answer is an alert of 7 bytes


def _small(context: SSL.Context) -> None:
    context.set_tmp_ecdh(ec.SECP256R1())


def _other(context: SSL.Context) -> None:
    context.set_cipher_list(b"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384")
    context.set_tls13_ciphersuites(b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384")
    context.set_options(SSL.OP_NO_TICKET)


def _old(context: SSL.Context) -> None:
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    context.set_min_proto_version(SSL.TLS1_VERSION)
    context.set_max_proto_version(SSL.TLS1_1_VERSION)


def _small_answer(context: SSL.Context) -> None:
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(b"ECDHE-ARIA256-GCM-SHA384")


_FORMS: dict[Form, Callable[[SSL.Context], None]] = {
    Form.USUAL: lambda context: None,
    Form.SMALL: _small,
    Form.TLS_1_2: lambda context: context.set_max_proto_version(SSL.TLS1_2_VERSION),
    Form.TLS_1_3: lambda context: context.set_min_proto_version(SSL.TLS1_3_VERSION),
    Form.OLD: _old,
    Form.OTHER: _other,
    Form.SMALL_ANSWER: _small_answer,
}


@cache
def _context(form: Form) -> SSL.Context:
    """Nothing is verified: whose chain it is, the prober's roots decide, and no secret goes over it."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_verify(SSL.VERIFY_NONE)
    _FORMS[form](context)
    return context


@dataclass(frozen=True, slots=True, kw_only=True)
class HelloChange:
    """What is changed of the ClientHello. `name`: another server name; `nameless`: none. `ttl`: of its packets."""

    form: Form = Form.USUAL
    name: str | None = None
    nameless: bool = False
    alpn: bool = True
    split: bool = False
    ttl: int | None = None


class ChangedTls(TlsClient):
    """Makes one handshake with a changed ClientHello; `account` is what the kernel then knew of the connection."""

    def __init__(
        self, change: HelloChange, sockets: AdjustedSockets, clock: Callable[[], float], then: "Then | None" = None
    ) -> None:
        self._clock = clock
        self._context = _context(change.form)
        self._change, self._sockets, self._then = change, sockets, then
        self.account = KernelAccount()

    async def handshake(
        self, stream: Stream, server_name: str | None, alpn: tuple[str, ...] = (), already: bytes = b""
    ) -> tuple[TlsStream, Handshake]:
        """See TlsClient."""
        change = self._change
        name = None if change.nameless else change.name or server_name
        over: Stream = SplitFirst(stream, name) if change.split else stream
        if change.ttl is not None:
            self._sockets.limit(change.ttl)
        try:
            secured, shake = await super().handshake(over, name, alpn if change.alpn else (), already)
        finally:
            self.account = self._sockets.account()
        return (self._then or Deaf)(secured), shake


class Wrapping(TlsClient):
    """The prober's own handshake, what is said over it given to somebody in between."""

    def __init__(self, tls: TlsClient, then: "Then") -> None:
        self._tls, self._then = tls, then

    async def handshake(
        self, stream: Stream, server_name: str | None, alpn: tuple[str, ...] = (), already: bytes = b""
    ) -> tuple[TlsStream, Handshake]:
        """See TlsClient."""
        secured, shake = await self._tls.handshake(stream, server_name, alpn, already)
        return self._then(secured), shake


class Listening(TlsClient):
    """The prober's own handshake; `chain` is what was presented, DER, leaf first. Nothing is said over it."""

    def __init__(self, tls: TlsClient) -> None:
        self._tls = tls
        self.chain: tuple[bytes, ...] = ()

    async def handshake(
        self, stream: Stream, server_name: str | None, alpn: tuple[str, ...] = (), already: bytes = b""
    ) -> tuple[TlsStream, Handshake]:
        """See TlsClient."""
        secured, shake = await self._tls.handshake(stream, server_name, alpn, already)
        self.chain = shake.chain
        return Deaf(secured), shake


class SplitFirst:
    """Sends what comes first in two pieces, cut inside the server's name (else in the middle)."""

    def __init__(self, stream: Stream, name: str | None) -> None:
        self._stream, self._name, self._first = stream, name, True

    async def send(self, data: bytes) -> float:
        if not self._first or len(data) < 2:
            return await self._stream.send(data)
        self._first = False
        at = data.find(self._name.encode()) if self._name else -1
        cut = at + len(self._name or "") // 2 if at > 0 else len(data) // 2
        began = await self._stream.send(data[:cut])
        await asyncio.sleep(PAUSE)
        await self._stream.send(data[cut:])
        return began

    async def receive(self) -> bytes:
        return await self._stream.receive()

    def close(self) -> None:
        self._stream.close()


class Deaf(TlsStream):
    """A handshake was all that was asked: the conversation ends before its first word, and nothing is sent."""

    def __init__(self, secured: TlsStream) -> None:
        super().__init__(secured._connection, secured._stream)

    async def send(self, data: bytes) -> float:
        return 0.0

    async def receive(self) -> bytes:
        return b""


class LongFirst(TlsStream):
    """Sends a long harmless command before the conversation's first one, and swallows its one-line answer."""

    def __init__(self, secured: TlsStream, command: bytes) -> None:
        super().__init__(secured._connection, secured._stream)
        self._command: bytes | None = command

    async def send(self, data: bytes) -> float:
        command, self._command = self._command, None
        if command is not None:
            await super().send(command)
            await _swallow_line(super().receive)
        return await super().send(data)


#: How long the answer to a command before a farewell may take, seconds: less than the farewell itself.
LAST_PATIENCE = 0.8 * FAREWELL_SECONDS
_FAREWELLS = (b"LOGOUT\r\n", b"QUIT\r\n")


class LongLast(TlsStream):
    """Sends a long harmless command behind all else, before the farewell. `outcome`: how that ended, None if it never
    came to it."""

    def __init__(self, secured: TlsStream, command: bytes) -> None:
        super().__init__(secured._connection, secured._stream)
        self._command: bytes | None = command
        self.outcome: Outcome | None = None

    async def send(self, data: bytes) -> float:
        command = self._command
        if command is not None and data.endswith(_FAREWELLS):
            self._command = None
            try:
                async with asyncio.timeout(LAST_PATIENCE):
                    await super().send(command)
                    await _swallow_line(super().receive)
                self.outcome = Outcome.OK
            except OSError as error:  # a timeout as well
                self.outcome = of_os_error(error).outcome
            except PhaseFailure as failure:
                self.outcome = failure.outcome
        return await super().send(data)


async def _swallow_line(receive: Callable[[], Awaitable[bytes]]) -> None:
    """Raises ConnectionResetError where the stream ends instead."""
    answer = b""
    while b"\n" not in answer:
        more = await receive()
        if not more:
            raise ConnectionResetError(errno.ECONNRESET, "closed at the long command")
        answer += more[:1024]


Then = Callable[[TlsStream], TlsStream]
