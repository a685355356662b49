"""Runs a conversation over a script: what the server will send, in which pieces; no socket, no clock."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from exporter.catalogue import TARGETS, Target
from exporter.observations import PhaseResult
from exporter.probe.exchange import Conversation, Findings
from exporter.probe.presenter import CanaryPresenter, Link, Presenter
from exporter.probe.walk import converse
from exporter.probe.way import Deadline, WalkEnded, Way
from exporter.protocols.replies import Replies
from exporter.vocabulary import Outcome, Phase, phases_of

REPLIES = Replies.load()
TOKEN = "t0ken." + "x" * 1200


@dataclass(frozen=True)
class Told:
    """What the conversation made of it."""

    phases: dict[Phase, PhaseResult]
    findings: Findings
    sent: bytes

    def outcome(self, phase: str) -> str:
        return str(self.phases[Phase(phase)].outcome)

    def outcomes(self) -> list[tuple[str, str]]:
        return [(str(p.phase), str(p.outcome)) for p in self.phases.values() if p.outcome is not Outcome.SKIPPED]


class ScriptedStream:
    """Plays a recorded server back, or a test's script: what it would send, in order; then the end of the stream."""

    def __init__(self, script: list[bytes], clock: Any = None) -> None:
        self.script = list(script)
        self.sent: list[bytes] = []
        self._clock = clock or (lambda: 0.0)

    async def send(self, data: bytes) -> float:
        self.sent.append(data)
        return float(self._clock())

    async def receive(self) -> bytes:
        return self.script.pop(0) if self.script else b""

    def close(self) -> None:
        self.script.clear()


async def hear(
    target: str | Target,
    *script: bytes,
    pieces: Iterable[int] = (),
    genuine: bool | None = True,
    canary: bool = True,
    presenter: Presenter | None = None,
    link: Link | None = None,
) -> Told:
    """Plays `script` (one item a read) to the conversation of a target; `pieces` cuts it all at those offsets instead.

    `presenter`: an account's instead of the canary's, over the handshake `link`.
    """
    walked = TARGETS[target] if isinstance(target, str) else target
    phases = tuple(
        phase
        for phase in phases_of(walked.protocol, starttls=walked.starttls, proxied=False)
        if phase not in (Phase.DNS, Phase.CONNECT, Phase.TLS)
    )
    phases = (*phases, Phase.SESSION) if presenter is not None else phases
    way = Way(phases=phases, deadline=Deadline(1e9), clock=lambda: 0.0, timeout=5.0)
    stream = ScriptedStream(cut(b"".join(script), pieces) if pieces else list(script))
    talk = Conversation(
        way=way,
        stream=stream,
        replies=REPLIES,
        protocol=walked.protocol,
        presenter=presenter or CanaryPresenter(lambda _path: TOKEN if canary else None),
        link=lambda: link,
        wall_clock=lambda: datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC),
    )

    async def upgrade(already: bytes) -> ScriptedStream:
        assert already == b""
        return stream

    try:
        await converse(talk, walked, walked.host, upgrade, genuine=genuine)
    except WalkEnded:
        pass
    return Told({result.phase: result for result in way.finished()}, talk.findings, b"".join(stream.sent))


def cut(data: bytes, offsets: Iterable[int]) -> list[bytes]:
    """The bytes in pieces, none empty."""
    places = sorted({0, len(data), *(offset % (len(data) + 1) for offset in offsets)})
    return [data[start:end] for start, end in pairwise(places) if start < end]
