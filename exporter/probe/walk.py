"""One walk to one host from one vantage: resolve → connect → proxy → tls → conversation, each step visible.

What is presented at its end is the presenter's business: the canary, or an account's secret over this very connection.
The result is plain data; the chain of certificates is kept as it came, so that the round can judge it once the clock is
known.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from exporter.catalogue import Target
from exporter.observations import AddressResult, PhaseResult, TlsResult
from exporter.probe import identity
from exporter.probe.connect import Connecting, in_order
from exporter.probe.conversation_http import (
    activesync_conversation,
    bearer_conversation,
    page_conversation,
    plain_conversation,
    sign_in_conversation,
)
from exporter.probe.conversation_imap import imap_conversation
from exporter.probe.conversation_pop import pop_conversation
from exporter.probe.conversation_smtp import smtp_conversation
from exporter.probe.exchange import Conversation, Findings, Upgrade
from exporter.probe.failures import PhaseFailure
from exporter.probe.handshake_result import in_words, tls_result
from exporter.probe.identity import Identity, Roots
from exporter.probe.presenter import CanaryOffer, CanaryPresenter, Link, Presenter
from exporter.probe.proxy import ProxyCredentials, http_connect, socks5
from exporter.probe.record import Recorder
from exporter.probe.resolve import NameService, resolve, where
from exporter.probe.stream import PrefixedStream, Stream, TcpStream
from exporter.probe.tls import STACK, Handshake, TlsClient, TlsStream
from exporter.probe.way import Deadline, WalkEnded, Way
from exporter.protocols.http import is_microsoft_host
from exporter.protocols.replies import Replies
from exporter.vocabulary import Outcome, Phase, Protocol, phases_of

#: ALPN offered, by protocol: h11 speaks HTTP/1.1 alone, and mail clients offer none.
_ALPN = {
    Protocol.HTTPS: ("http/1.1",),
    Protocol.SIGN_IN: ("http/1.1",),
    Protocol.ACTIVESYNC: ("http/1.1",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy on the way: scheme is http, https or socks5."""

    scheme: str
    host: str
    port: int
    credentials: ProxyCredentials | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vantage:
    """A point from which targets are walked to: its sockets, its name service, perhaps its proxy.

    `problem`: asked before each walk why the vantage itself isn't there; None: there is nothing that could be missing.
    """

    name: str
    names: NameService
    ip_version: str = "any"
    proxy: Proxy | None = None
    problem: Callable[[], str | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What every walk shares: the trust store, the roots, the known replies, clocks."""

    tls: TlsClient
    roots: Roots
    replies: Replies
    clock: Callable[[], float]
    wall_clock: Callable[[], datetime]
    timeout: float


@dataclass(frozen=True, slots=True)
class Errand:
    """A conversation of somebody else's at the end of the way (a token request), in the place of the target's own."""

    run: Callable[[Conversation, str], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class HostWalk:
    """What one walk found."""

    host: str
    phases: tuple[PhaseResult, ...] = ()
    addresses: tuple[AddressResult, ...] = ()
    address: str | None = None
    tls: TlsResult | None = None
    identity: Identity | None = None
    findings: Findings = field(default_factory=Findings)
    ended_well: bool = False

    @property
    def failed(self) -> PhaseResult | None:
        """The first phase that isn't ok, or None. Phases behind it are skipped and don't count by themselves."""
        return next((result for result in self.phases if result.outcome is not Outcome.OK), None)


async def walk(
    target: Target,
    host: str,
    vantage: Vantage,
    tools: Tools,
    *,
    deadline: Deadline,
    offer_canary: CanaryOffer | None = None,
    presenter: Presenter | None = None,
    errand: Errand | None = None,
    start: int = 0,
    recorder: Recorder | None = None,
) -> HostWalk:
    """Walks the whole way to one host, as far as it goes. Never raises but for cancellation.

    `presenter`: what is presented at the end; without one the canary, where `offer_canary` gives one. What a real
    presenter's conversation says is never recorded. `errand`: what is done there instead of all that.
    """
    presents = presenter or CanaryPresenter(offer_canary or (lambda _path: None))
    phases = _phases(target, vantage, presents)
    way = Way(phases=phases, deadline=deadline, clock=tools.clock, timeout=tools.timeout)
    recorder = None if presents.real or errand else recorder
    step = _Step(target, host, vantage, tools, way, presents, recorder, HostWalk(host=host), errand)
    try:
        await step.run(start)
        step.walk.ended_well = True
    except WalkEnded:
        pass
    except Exception as error:
        way.broken_by(error)
    except BaseException:
        step.abandon()
        raise
    await step.finish()
    return step.walk


def _phases(target: Target, vantage: Vantage, presenter: Presenter) -> tuple[Phase, ...]:
    """A walk's phases. An account asks no page first, and `session` follows only its own sign-in."""
    phases = phases_of(target.protocol, starttls=target.starttls, proxied=vantage.proxy is not None)
    if not presenter.real:
        return phases
    if target.protocol is Protocol.IMAP:
        return (*phases, Phase.SESSION)
    kept = tuple(phase for phase in phases if phase not in (Phase.HTTP, Phase.AUTH))
    return (*kept, Phase.AUTH)


class _Step:
    """The steps of one walk, in order. Holds what the next step needs: the stream, the address."""

    def __init__(
        self,
        target: Target,
        host: str,
        vantage: Vantage,
        tools: Tools,
        way: Way,
        presenter: Presenter,
        recorder: Recorder | None,
        result: HostWalk,
        errand: Errand | None,
    ) -> None:
        self.target, self.host, self.vantage, self.tools, self.way = target, host, vantage, tools, way
        self.presenter, self.recorder, self.walk, self.errand = presenter, recorder, result, errand
        self.connecting: Connecting | None = None
        self.stream: Stream | None = None
        self.secured: TlsStream | None = None

    async def run(self, start: int) -> None:
        first_host, first_port = self.host, self.target.port
        if self.vantage.proxy is not None:
            first_host, first_port = self.vantage.proxy.host, self.vantage.proxy.port
        addresses = await self.resolve(first_host)
        stream: Stream = await self.connect(addresses, first_port, start)
        already = b""
        if self.vantage.proxy is not None:
            stream, already = await self.pass_proxy(stream, self.vantage.proxy)
        if not self.target.starttls and self.target.protocol is not Protocol.HTTP:
            stream = await self.tls(stream, already)
        elif already:
            stream = PrefixedStream(stream, already)
        await self.converse(stream)

    async def resolve(self, name: str) -> Sequence[str]:
        reason = None if self.vantage.problem is None else self.vantage.problem()  # ours to ask: no part of DNS's time
        async with self.way.phase(Phase.DNS) as phase:
            if reason is not None:
                raise PhaseFailure(Outcome.SKIPPED, reason)
            self.way.keep_addresses.extend(resolver for resolver, _ in self.vantage.names.resolvers)
            phase.detail = f"no answer from {', '.join(where(each) for each in self.vantage.names.resolvers)}"
            public = self.vantage.proxy is None and is_microsoft_host(name)
            found = await resolve(name, self.vantage.names, ip_version=self.vantage.ip_version, public=public)
            self.way.keep_addresses.extend(found.addresses)
            phase.outcome, phase.detail = found.outcome, found.detail
        return found.addresses

    async def connect(self, addresses: Sequence[str], port: int, start: int) -> TcpStream:
        async with self.way.phase(Phase.CONNECT) as phase:
            sockets = self.vantage.names.sockets
            ordered = in_order(addresses, start)
            timeout = self.tools.timeout * 0.98  # each attempt ends by itself before the phase does
            self.connecting = Connecting(ordered, port, sockets, self.tools.clock, timeout)
            try:
                stream, self.walk.address, phase.seconds = await self.connecting.first()
            finally:
                self.way.keep_addresses.extend(self.connecting.senders())  # who rejects is the evidence
        self.stream = stream
        return stream

    async def pass_proxy(self, stream: Stream, proxy: Proxy) -> tuple[Stream, bytes]:
        async with self.way.phase(Phase.PROXY) as phase:
            if proxy.scheme == "https":
                stream, phase.outcome, phase.detail = await self.secure_proxy(stream, proxy)
            ask = socks5 if proxy.scheme.startswith("socks5") else http_connect
            already = await ask(stream, self.host, self.target.port, proxy.credentials)
        self.stream = stream
        return stream, already

    async def secure_proxy(self, stream: Stream, proxy: Proxy) -> tuple[Stream, Outcome, str | None]:
        """TLS to the proxy itself, as far as this machine trusts it: its credentials go no further than that."""
        name = None if identity.is_address(proxy.host) else proxy.host
        secured, shake = await self.tools.tls.handshake(stream, name)
        chain, who = identity.known_chain(shake.chain, proxy.host, self.tools.roots)
        reasons = identity.trust_reasons(shake.errors, chain, who, self.tools.roots)
        if not reasons:
            return secured, Outcome.OK, None
        detail = f"the proxy's own certificate: {', '.join(reasons)}"
        if proxy.credentials is not None:
            raise PhaseFailure(reasons[0], f"{detail}; the credentials were not sent")
        return secured, reasons[0], detail

    async def tls(self, stream: Stream, already: bytes = b"") -> Stream:
        async with self.way.phase(Phase.TLS) as phase:
            name = None if identity.is_address(self.host) else self.host
            try:
                secured, shake = await self.tools.tls.handshake(
                    stream, name, _ALPN.get(self.target.protocol, ()), already
                )
            except PhaseFailure as failure:
                self.walk.tls = TlsResult(stack=STACK, alert=failure.alert)
                raise
            phase.seconds = shake.seconds
            reasons = self.judge_certificate(shake)
            if reasons:
                phase.outcome, phase.detail = reasons[0], in_words(reasons, self.walk.tls)
        self.secured = secured
        return secured

    def judge_certificate(self, shake: Handshake) -> tuple[Outcome, ...]:
        chain, who = identity.known_chain(shake.chain, self.host, self.tools.roots)
        reasons = identity.trust_reasons(shake.errors, chain, who, self.tools.roots)
        self.walk.identity = who
        self.walk.tls = tls_result(shake, chain, reasons, who, self.tools.wall_clock())
        return reasons

    async def converse(self, stream: Stream) -> None:
        if self.recorder is not None:
            stream = self.recorder.listen(stream, self.way)
        talk = Conversation(
            way=self.way,
            stream=stream,
            replies=self.tools.replies,
            protocol=self.target.protocol,
            presenter=self.presenter,
            wall_clock=self.tools.wall_clock,
            link=self.link,
            findings=self.walk.findings,
        )
        talk.findings.marks.extend(_path_marks(self.walk))
        if self.errand is not None:
            await self.errand.run(talk, self.host)
        else:
            await converse(talk, self.target, self.host, self.upgrade, genuine=self.signatures())
        if self.secured is not None:
            await self.secured.say_goodbye()

    async def upgrade(self, already: bytes) -> Stream:
        """TLS behind STARTTLS, over the same connection."""
        assert self.stream is not None
        secured = await self.tls(self.stream, already)
        self.walk.findings.marks.extend(_path_marks(self.walk))
        return secured if self.recorder is None else self.recorder.listen(secured, self.way)

    def link(self) -> Link | None:
        """The handshake that the conversation runs over now; None in clear (TLS to a proxy is not it)."""
        if self.secured is None or self.walk.tls is None or self.walk.identity is None:
            return None
        return Link(self.host, self.walk.tls, self.walk.identity)

    def signatures(self) -> bool | None:
        return self.walk.identity.signatures if self.walk.identity else None

    async def finish(self) -> None:
        """Waits for the other addresses, closes everything, and completes the record."""
        try:
            if self.connecting is not None:
                self.walk.addresses = await self.connecting.results()
        finally:
            self.abandon()
            self.walk.phases = self.way.finished()

    def abandon(self) -> None:
        """Closes everything at once, whatever still runs."""
        if self.connecting is not None:
            self.connecting.close()
        if self.stream is not None:
            self.stream.close()


async def converse(
    talk: Conversation,
    target: Target,
    host: str,
    upgrade: Upgrade,
    *,
    genuine: bool | None,
) -> None:
    """The conversation of the target's protocol, over an open stream (a socket's, or a recording's)."""
    secure = upgrade if target.starttls else None
    match target.protocol:
        case Protocol.ACTIVESYNC | Protocol.HTTPS if talk.presenter.real:
            await bearer_conversation(talk, host, target.path)
        case Protocol.IMAP:
            await imap_conversation(talk, secure)
        case Protocol.SMTP:
            await smtp_conversation(talk, secure)
        case Protocol.POP:
            await pop_conversation(talk, secure)
        case Protocol.SIGN_IN:
            await sign_in_conversation(talk, host, target.path, genuine=genuine)
        case Protocol.ACTIVESYNC:
            await activesync_conversation(talk, host, target.path, genuine=genuine)
        case Protocol.HTTPS:
            await page_conversation(talk, host, target.path, genuine=genuine)
        case Protocol.HTTP:
            await plain_conversation(talk, host, target.path)


def _path_marks(found: HostWalk) -> list[object]:
    """What distinguishes a path: when it changes, the canary is brought forward."""
    tls = found.tls
    return [] if tls is None else [tls.version, tls.issuer_organization, tls.issuer_common_name, tls.trusted]
