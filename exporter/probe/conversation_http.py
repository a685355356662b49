"""HTTP: a page, ActiveSync's empty Bearer, an account's token, and the token endpoint's refusal of an empty request.

RFC 9110, 6749, 6750.

h11 reads and writes; what an answer means is judged by `protocols/http` and the known replies.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass

import h11
from OpenSSL import SSL

from exporter import __version__
from exporter.probe.exchange import Conversation
from exporter.probe.failures import PhaseFailure
from exporter.probe.presenter import Credential
from exporter.probe.way import RunningPhase
from exporter.protocols import http
from exporter.vocabulary import AuthOutcome, Mechanism, Outcome, Phase, Protocol

#: Bytes of a body that are kept; the rest is left unread.
MAX_BODY = 65_536
#: Bytes of a response head, at most.
MAX_HEAD = 65_536

USER_AGENT = f"outlook-auth-exporter/{__version__}"

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response: lower-cased headers, the body's first 64 KiB, and when its last byte was read (monotonic seconds)."""

    status: int
    headers: Headers
    body: bytes
    sent: float
    ended: float

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def is_throttled(self) -> bool:
        """429, or Exchange's 503 with X-MS-ASThrottle (MS-ASHTTP)."""
        return self.status == 429 or (self.status == 503 and self.header("x-ms-asthrottle") is not None)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def line(self) -> str:
        """The status and the beginning of what came with it, for people."""
        location = self.header("location")
        said = f"redirect to {location}" if location else " ".join(self.text.split())
        return f"HTTP {self.status} {said}".strip()


class HttpSession:
    """Requests one after another over one connection."""

    def __init__(self, talk: Conversation, host: str) -> None:
        self._talk = talk
        self._host = host
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)

    async def request(
        self, method: str, path: str, headers: Sequence[tuple[str, str]] = (), body: bytes | None = None
    ) -> Answer:
        """Sends one request and reads its answer. Raises PhaseFailure where what comes back isn't HTTP."""
        if self._connection.our_state is h11.DONE:
            self._connection.start_next_cycle()
        lines = [("Host", self._host), ("User-Agent", USER_AGENT), ("Accept", "*/*"), *headers]
        if body is not None:
            lines.append(("Content-Length", str(len(body))))
        try:
            data = self._connection.send(h11.Request(method=method, target=path, headers=lines)) or b""
            if body:
                data += self._connection.send(h11.Data(data=body)) or b""
            data += self._connection.send(h11.EndOfMessage()) or b""
            return await self._answer(await self._talk.stream.send(data))
        except (h11.LocalProtocolError, UnicodeError):  # a header that can't be sent; the cause's frames hold it
            raise PhaseFailure(Outcome.NOT_OFFERED, "the token has characters that HTTP can't carry") from None
        except h11.RemoteProtocolError as error:
            raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, f"not HTTP: {error}: {self._peek()}") from error

    @property
    def patience(self) -> float:
        """How long a request outside the phases may take, seconds."""
        way = self._talk.way
        return max(min(way.timeout, way.deadline.at - way.clock()), 0.0)

    @property
    def can_go_on(self) -> bool:
        """Whether the server lets this connection be used again."""
        return self._connection.our_state is h11.DONE and self._connection.their_state is h11.DONE

    def _peek(self) -> str:
        return self._connection.trailing_data[0][:512].decode("latin-1")

    async def _answer(self, sent: float) -> Answer:
        response: h11.Response | None = None
        body = b""
        while True:
            event = self._connection.next_event()
            if event is h11.NEED_DATA:
                data = await self._talk.stream.receive()
                if not data and response is None:
                    raise PhaseFailure(Outcome.CLOSED, "closed by the server without an answer")
                self._connection.receive_data(data)
                if response is None and not _may_be_http(self._connection.trailing_data[0]):
                    raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, f"not HTTP: {self._peek()}")
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
            if isinstance(event, h11.EndOfMessage) or event is h11.PAUSED or len(body) >= MAX_BODY:
                break
        if response is None:
            raise PhaseFailure(Outcome.CLOSED, "closed by the server without an answer")
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.headers]
        self._talk.read_date(http.date_of(headers))
        ended = self._talk.heard()
        return Answer(status=response.status_code, headers=headers, body=body[:MAX_BODY], sent=sent, ended=ended)


def _may_be_http(begun: bytes) -> bool:
    """Whether a response may begin so; h11 itself waits for an empty line that something else never sends."""
    return begun.startswith(b"HTTP/") or b"HTTP/".startswith(begun)


async def page_conversation(talk: Conversation, host: str, path: str, *, genuine: bool | None) -> None:
    """Phase `http` of a web target: any answer of Microsoft's is ok, but for throttling and outage."""
    session = HttpSession(talk, host)
    async with talk.way.phase(Phase.HTTP) as phase:
        answer = await session.request("GET", path)
        phase.seconds = answer.ended - answer.sent
        judge_page(talk, phase, answer, host, genuine=genuine)


def judge_page(
    talk: Conversation, phase: RunningPhase, answer: Answer, host: str, *, genuine: bool | None, plain: bool = False
) -> None:
    """Whether a page is Microsoft's: by a genuine chain, or its own headers; a gateway's page has neither.

    Raises PhaseFailure: throttled, unavailable, unexpected_content.
    """
    marker = http.is_microsoft(answer.headers, host)
    if answer.is_throttled:
        talk.findings.retry_after = http.retry_after(answer.headers)
        raise PhaseFailure(Outcome.THROTTLED, answer.line())
    elsewhere = http.redirect_host(answer.headers) if answer.status // 100 == 3 else None
    foreign = elsewhere is not None and not http.is_microsoft_host(elsewhere) and elsewhere != host
    if foreign and (genuine is not True):
        raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, answer.line())
    if answer.status >= 500 and answer.status != 511:
        words = "" if marker else " (none of Microsoft's headers)"
        raise PhaseFailure(Outcome.UNAVAILABLE, f"{answer.line()}{words}")
    if genuine or marker or elsewhere is not None:
        phase.detail = f"HTTP {answer.status}" + (f", {marker}" if marker else "")
        return
    if not plain or _may_be_a_gateways(answer):
        raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, f"{answer.line()} (none of Microsoft's headers)")
    phase.detail = f"HTTP {answer.status}"


def _may_be_a_gateways(answer: Answer) -> bool:
    """Whether an answer in clear is a gateway's page rather than that of a host for certificates' revocation.

    Those are read without a sign-in; content networks put HTML into what they say of a path that isn't there.
    """
    if answer.status in (401, 403, 407, 511):
        return True
    html = "html" in (answer.header("content-type") or "") or answer.body.lstrip()[:1] == b"<"
    return html and answer.status not in (404, 405)


async def plain_conversation(talk: Conversation, host: str, path: str) -> None:
    """Phase `http` in clear (revocation): an answer that is no gateway's page."""
    session = HttpSession(talk, host)
    async with talk.way.phase(Phase.HTTP) as phase:
        answer = await session.request("GET", path)
        phase.seconds = answer.ended - answer.sent
        judge_page(talk, phase, answer, host, genuine=None, plain=True)


async def activesync_conversation(talk: Conversation, host: str, path: str, *, genuine: bool | None) -> None:
    """OPTIONS without credentials (Exchange Online answers 451), then an empty Bearer, as iOS sends it."""
    session = HttpSession(talk, host)
    async with talk.way.phase(Phase.HTTP) as phase:
        answer = await session.request("OPTIONS", path)
        phase.seconds = answer.ended - answer.sent
        judge_page(talk, phase, answer, host, genuine=genuine)
        talk.findings.marks.append(answer.status)
    if session.can_go_on and (credential := talk.credential()) is not None:
        await _authorize(talk, session, "OPTIONS", path, credential)


async def bearer_conversation(talk: Conversation, host: str, path: str) -> None:
    """An account's token at ActiveSync or Graph, in one request. No redirect is ever followed."""
    method = "OPTIONS" if talk.protocol is Protocol.ACTIVESYNC else "GET"
    if (credential := talk.credential()) is not None:
        await _authorize(talk, HttpSession(talk, host), method, path, credential)


async def _authorize(talk: Conversation, session: HttpSession, method: str, path: str, credential: Credential) -> None:
    async with talk.way.phase(Phase.AUTH) as phase:
        answer = await session.request(method, path, [("Authorization", talk.presenter.authorization(credential))])
        phase.seconds = answer.ended - answer.sent
        found = talk.findings
        found.offered = http.challenges(answer.headers)
        line = _refusal_line(answer, told_why=talk.presenter.real)
        if answer.is_throttled:
            _throttled(talk, answer, line)
        if answer.status >= 500:
            found.auth_outcome = AuthOutcome.UNKNOWN
            raise PhaseFailure(Outcome.UNAVAILABLE, line)
        if answer.status // 100 == 2:  # the body may be somebody's profile
            talk.presenter.accepted(talk, phase, f"HTTP {answer.status}" if talk.presenter.real else line)
        else:
            talk.presenter.refused(talk, phase, line, talk.judge("auth", line))


def _refusal_line(answer: Answer, *, told_why: bool) -> str:
    """The status and the challenge; for a real token rather Graph's error or Exchange's diagnostics, which say why."""
    why = answer.header("www-authenticate")
    if told_why:
        why = http.graph_error(answer.body) or answer.header("x-ms-diagnostics") or why
    return f"HTTP {answer.status} {why}" if why else answer.line()


def _throttled(talk: Conversation, answer: Answer, line: str) -> None:
    found = talk.findings
    found.mechanism, found.reply, found.measured_at = Mechanism.TOKEN, line, talk.wall_clock()
    found.auth_outcome, found.retry_after = AuthOutcome.THROTTLED, http.retry_after(answer.headers)
    raise PhaseFailure(Outcome.THROTTLED, line)


async def sign_in_conversation(talk: Conversation, host: str, path: str, *, genuine: bool | None) -> None:
    """The token endpoint's own refusal of an empty request; between canaries the openid-configuration is read.

    That needs no credential and costs nobody anything; where it isn't Microsoft's, the canary is brought forward.
    """
    session = HttpSession(talk, host)
    token = talk.credential()
    if token is None and (well_known := _openid_path(path)) is not None:
        if await _openid_is_sound(session, well_known):
            return
        talk.findings.marks.append("openid-configuration is not Microsoft's")
        token = talk.credential()
        if not session.can_go_on:
            return
    if token is None:
        return
    async with talk.way.phase(Phase.TOKEN) as phase:
        form = [("Content-Type", "application/x-www-form-urlencoded")]
        answer = await session.request("POST", path, form, b"")
        phase.seconds = answer.ended - answer.sent
        _judge_token_refusal(talk, phase, answer, host, genuine=genuine)


def _openid_path(token_path: str) -> str | None:
    tenant, found, _ = token_path.partition("/oauth2/v2.0/token")
    return f"{tenant}/v2.0/.well-known/openid-configuration" if found else None


async def _openid_is_sound(session: HttpSession, path: str) -> bool:
    """Whether the metadata are those of a Microsoft identity provider (facts 5). No phase: nothing is said of it."""
    try:
        async with asyncio.timeout(session.patience):
            answer = await session.request("GET", path)
        metadata = json.loads(answer.body)
    except (PhaseFailure, OSError, ValueError, SSL.Error, TimeoutError):
        return False
    issuer = metadata.get("issuer") if isinstance(metadata, dict) else None
    return answer.status == 200 and isinstance(issuer, str) and http.is_issuer(issuer)


def _judge_token_refusal(
    talk: Conversation, phase: RunningPhase, answer: Answer, host: str, *, genuine: bool | None
) -> None:
    line = http.oauth_error(answer.body) or answer.line()
    if answer.is_throttled:
        _throttled(talk, answer, line)
    known = talk.judge("token", line)
    if known is None and answer.status >= 500 and answer.status != 511:
        talk.findings.auth_outcome = AuthOutcome.UNKNOWN
        talk.findings.reply, talk.findings.measured_at = line, talk.wall_clock()
        raise PhaseFailure(Outcome.UNAVAILABLE, answer.line())
    if known is None and http.oauth_error(answer.body) is None:
        judge_page(talk, phase, answer, host, genuine=genuine)
    if answer.status // 100 == 2:
        talk.presenter.accepted(talk, phase, line)
    else:
        talk.presenter.refused(talk, phase, line, known)
