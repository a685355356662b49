"""What the conversations share: replies read off a stream, and who presents what over it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from OpenSSL import SSL

from exporter.probe.failures import PhaseFailure
from exporter.probe.presenter import BAD_NEWS, Credential, Link, Presenter
from exporter.probe.stream import Stream, arrived
from exporter.probe.way import WalkEnded, Way
from exporter.protocols.replies import KnownReply, Replies
from exporter.vocabulary import AuthOutcome, Mechanism, OfferedMechanism, Outcome
from exporter.vocabulary import Protocol as Spoken

Reply = TypeVar("Reply")
Made = TypeVar("Made")

#: Carries on behind STARTTLS: given bytes already received (none may be), the stream over TLS.
Upgrade = Callable[[bytes], Awaitable[Stream]]

#: SASL challenges answered before giving up; a token exchange has one at most.
MAX_CHALLENGES = 3
_TOKEN = frozenset({OfferedMechanism.XOAUTH2})
#: How long a farewell may take to be handed to the kernel, seconds.
FAREWELL_SECONDS = 1.0


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


def _no_link() -> Link | None:
    return None


@dataclass(slots=True, kw_only=True)
class Conversation:
    """One walk's conversation: where it runs, what judges it, what it found.

    `link`: the completed handshake it runs over now; None while it is in clear.
    """

    way: Way
    stream: Stream
    replies: Replies
    protocol: Spoken
    presenter: Presenter
    wall_clock: Callable[[], datetime]
    link: Callable[[], Link | None] = _no_link
    findings: Findings = field(default_factory=Findings)

    async def next_reply(self, reader: Reader, take: Callable[[], Reply | None]) -> Reply:
        """The next whole reply, however it was cut on its way. Raises PhaseFailure(closed) at the end of the stream."""
        while (reply := take()) is None:
            data = await self.stream.receive()
            if not data:
                where = "in the middle of a reply" if self.way.in_the_middle else "without a reply"
                raise PhaseFailure(Outcome.CLOSED, f"closed by the server {where}")
            reader.feed(data)
            self.way.in_the_middle = True
        self.way.in_the_middle = False
        return reply

    def heard(self) -> float:
        """When the last bytes received arrived, seconds of the walk's clock: as the kernel says, else now."""
        stamp = arrived(self.stream)
        return self.way.clock() if stamp is None else stamp

    async def farewell(self, line: bytes) -> None:
        """The last, polite word; nobody waits for its answer, and that it doesn't arrive changes nothing."""
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self.stream.send(line)
        except (OSError, SSL.Error):
            pass

    @asynccontextmanager
    async def taking_leave(self, line: Callable[[], bytes]) -> AsyncIterator[None]:
        """Says goodbye behind what is done in it; of a real session also where that failed, for servers count them."""
        try:
            yield
        except WalkEnded:
            if self.presenter.real:
                await self.farewell(line())
            raise
        await self.farewell(line())

    def require(self, offered: tuple[OfferedMechanism, ...], passwords: frozenset[OfferedMechanism], said: str) -> None:
        """Raises PhaseFailure(not_offered) where what is to be presented can't be. `passwords`: ways to send one."""
        wanted = passwords if self.presenter.mechanism is Mechanism.PASSWORD else _TOKEN
        if not wanted & set(offered):
            raise PhaseFailure(Outcome.NOT_OFFERED, said)

    def judge(self, step: str, line: str) -> KnownReply | None:
        """What Microsoft means by that line, or None where it isn't one of its known words."""
        return self.replies.judge(self.protocol, step, line)

    def read_date(self, date: datetime | None) -> None:
        """Notes the server's clock beside ours."""
        if date is not None and self.findings.server_date is None:
            self.findings.server_date, self.findings.date_read_at = date, self.wall_clock()

    def credential(self) -> Credential | None:
        """What is to be presented now, over a path that looks like this."""
        return self.presenter.credential(self)


def sendable(make: Callable[[], Made]) -> Made:
    """What `make` makes of a credential. Raises PhaseFailure where this protocol can't carry it."""
    try:
        return make()
    except ValueError as error:
        raise PhaseFailure(Outcome.NOT_OFFERED, str(error)) from None  # the cause's frames hold the credential


def bad_news(known: KnownReply | None, line: str) -> None:
    """Raises PhaseFailure where the line is one of Microsoft's words for throttling or being down."""
    if known is not None and (outcome := BAD_NEWS.get(known.meaning)) is not None:
        raise PhaseFailure(outcome, line)
