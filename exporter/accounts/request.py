"""One HTTP request of an identity provider over a vantage's whole way, each phase timed; a secret only if it may go.

Redirects are answers like any other: nothing is sent anywhere else.
"""

from collections.abc import Callable
from dataclasses import dataclass

from exporter.accounts.withholding import Withheld
from exporter.catalogue import Target
from exporter.observations import PhaseResult
from exporter.probe.conversation_http import Answer, HttpSession
from exporter.probe.exchange import Conversation
from exporter.probe.failures import PhaseFailure
from exporter.probe.presenter import Link
from exporter.probe.walk import Errand, Tools, Vantage, walk
from exporter.probe.way import Deadline
from exporter.protocols import http
from exporter.secret_files import Secret
from exporter.vocabulary import Outcome, Phase, Protocol

#: Given the handshake that the request would go over, why it stays here; None: it may go.
Gate = Callable[[Link | None], Withheld | None]

#: A Host header names every other port (RFC 9110 7.2).
HTTPS_PORT = 443
#: Headers that the session writes itself.
_OURS = frozenset({"host", "user-agent", "accept", "content-length", "connection", "transfer-encoding"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked, of which host. The body may hold a secret, and so is one."""

    method: str
    host: str
    port: int
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: Secret | None = None


@dataclass(slots=True)
class Reply:
    """What came of it. `answer` None: the request didn't get through, `phases` tell where it ended.

    `sent`: the request's body, whose secrets an answer may repeat.
    """

    phases: tuple[PhaseResult, ...] = ()
    answer: Answer | None = None
    withheld: Withheld | None = None
    sent: Secret | None = None

    @property
    def seconds(self) -> float | None:
        """From the request's last byte to the response's last byte."""
        return None if self.answer is None else round(max(self.answer.ended - self.answer.sent, 0.0), 6)

    @property
    def retry_after(self) -> float | None:
        """What the server asks us to wait, seconds."""
        return None if self.answer is None else http.retry_after(self.answer.headers)


async def send(request: Request, vantage: Vantage, tools: Tools, *, deadline: Deadline, gate: Gate) -> Reply:
    """Walks there and asks once. Never raises but for cancellation."""
    reply = Reply(sent=request.body)

    async def ask(talk: Conversation, host: str) -> None:
        async with talk.way.phase(Phase.TOKEN) as phase:
            reply.withheld = gate(talk.link())
            if reply.withheld is not None:
                raise PhaseFailure(Outcome.SKIPPED, reply.withheld.words)
            body = b"" if request.body is None else request.body.reveal_bytes()
            headers = [(name, value) for name, value in request.headers if name.lower() not in _OURS]
            session = HttpSession(talk, host if request.port == HTTPS_PORT else f"{host}:{request.port}")
            answer = await session.request(
                request.method, request.path, headers, body if request.body is not None else None
            )
            reply.answer, phase.seconds = answer, answer.ended - answer.sent
            if answer.is_throttled:
                phase.outcome, phase.detail = Outcome.THROTTLED, f"HTTP {answer.status}"
            elif answer.status >= 500:
                phase.outcome, phase.detail = Outcome.UNAVAILABLE, f"HTTP {answer.status}"
            elif answer.status // 100 != 2:
                phase.outcome, phase.detail = Outcome.REJECTED, f"HTTP {answer.status}"

    target = Target(name=request.host, protocol=Protocol.SIGN_IN, hosts=(request.host,), port=request.port)
    errand = Errand(ask)
    found = await walk(target, request.host, vantage, tools, deadline=deadline, errand=errand)
    reply.phases = found.phases
    return reply
