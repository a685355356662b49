"""What the conversations share: replies read off a stream, the canary's place, and how a reply is judged."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from OpenSSL import SSL

from exporter.probe.failures import PhaseFailure
from exporter.probe.stream import Stream
from exporter.probe.way import RunningPhase, Way
from exporter.protocols.replies import IS_EXPECTED_REFUSAL, KnownReply, Meaning, Replies
from exporter.vocabulary import AuthOutcome, Mechanism, OfferedMechanism, Outcome
from exporter.vocabulary import Protocol as Spoken

Reply = TypeVar("Reply")

#: Carries on behind STARTTLS: given bytes already received (none may be), the stream over TLS.
Upgrade = Callable[[bytes], Awaitable[Stream]]

#: SASL challenges answered before giving up; a token exchange has one at most.
MAX_CHALLENGES = 3
#: How long a farewell may take to be handed to the kernel, seconds.
FAREWELL_SECONDS = 1.0

#: Given what distinguishes the path, the canary's token to present now, or None where none is due.
CanaryOffer = Callable[[tuple[object, ...]], str | None]


class Reader(Protocol):
    """A sans-IO parser: bytes in."""

    def feed(self, data: bytes) -> None: ...


@dataclass(slots=True)
class Findings:
    """What a conversation learned besides its phases."""

    offered: tuple[OfferedMechanism, ...] | None = None
    mechanism: Mechanism | None = None
    auth_outcome: AuthOutcome | None = None
    reply: str | None = None
    meaning: str | None = None
    measured_at: datetime | None = None
    server_date: datetime | None = None
    date_read_at: datetime | None = None
    retry_after: float | None = None
    marks: list[object] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Conversation:
    """One walk's conversation: where it runs, what judges it, what it found."""

    way: Way
    stream: Stream
    replies: Replies
    protocol: Spoken
    offer_canary: CanaryOffer
    wall_clock: Callable[[], datetime]
    findings: Findings = field(default_factory=Findings)

    async def next_reply(self, reader: Reader, take: Callable[[], Reply | None]) -> Reply:
        """The next whole reply, however it was cut on its way. Raises PhaseFailure(closed) at the end of the stream."""
        while (reply := take()) is None:
            data = await self.stream.receive()
            if not data:
                raise PhaseFailure(Outcome.CLOSED, "closed by the server without a reply")
            reader.feed(data)
        return reply

    async def farewell(self, line: bytes) -> None:
        """The last, polite word; nobody waits for its answer, and that it doesn't arrive changes nothing."""
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self.stream.send(line)
        except (OSError, SSL.Error):
            pass

    def judge(self, step: str, line: str) -> KnownReply | None:
        """What Microsoft means by that line, or None where it isn't one of its known words."""
        return self.replies.judge(self.protocol, step, line)

    def read_date(self, date: datetime | None) -> None:
        """Notes the server's clock beside ours."""
        if date is not None and self.findings.server_date is None:
            self.findings.server_date, self.findings.date_read_at = date, self.wall_clock()

    def canary(self) -> str | None:
        """The canary's token, where one is due for a path that looks like this."""
        return self.offer_canary(tuple(self.findings.marks))

    def judge_refusal(self, phase: RunningPhase, line: str, known: KnownReply | None) -> None:
        """The canary's fate by the final line: Microsoft's own refusal is what we want to see."""
        found = self.findings
        found.mechanism, found.reply, found.measured_at = Mechanism.TOKEN, line, self.wall_clock()
        if known is None:
            found.auth_outcome = AuthOutcome.REFUSED
            phase.outcome, phase.detail = Outcome.UNRECOGNIZED, line
            return
        found.meaning = known.meaning
        if known.meaning in IS_EXPECTED_REFUSAL:
            found.auth_outcome = AuthOutcome.EXPECTED_REFUSAL
        elif (outcome := BAD_NEWS.get(known.meaning)) is not None:
            found.auth_outcome = _AUTH_OUTCOMES.get(outcome, AuthOutcome.UNKNOWN)
            raise PhaseFailure(outcome, line)
        else:
            found.auth_outcome = AuthOutcome.REFUSED
            phase.outcome, phase.detail = Outcome.UNRECOGNIZED, line

    def judge_acceptance(self, phase: RunningPhase, line: str) -> None:
        """A worthless token was accepted: whoever answers isn't Microsoft."""
        found = self.findings
        found.mechanism, found.reply, found.measured_at = Mechanism.TOKEN, line, self.wall_clock()
        found.auth_outcome = AuthOutcome.ACCEPTED
        phase.outcome, phase.detail = Outcome.UNRECOGNIZED, f"a worthless token was accepted: {line}"


#: Meanings that end a walk, wherever they are met.
BAD_NEWS: dict[Meaning, Outcome] = {
    Meaning.THROTTLED: Outcome.THROTTLED,
    Meaning.UNAVAILABLE: Outcome.UNAVAILABLE,
    Meaning.BUSY: Outcome.UNAVAILABLE,
    Meaning.TLS_TOO_OLD: Outcome.REJECTED,
    Meaning.TENANT_RESTRICTED: Outcome.REJECTED,
}


_AUTH_OUTCOMES = {Outcome.THROTTLED: AuthOutcome.THROTTLED, Outcome.REJECTED: AuthOutcome.REFUSED}


def bad_news(known: KnownReply | None, line: str) -> None:
    """Raises PhaseFailure where the line is one of Microsoft's words for throttling or being down."""
    if known is not None and (outcome := BAD_NEWS.get(known.meaning)) is not None:
        raise PhaseFailure(outcome, line)
