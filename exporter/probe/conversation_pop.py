"""POP3 from the greeting to the canary's refusal (RFC 1939, 2449, 2595, 5034)."""

from dataclasses import dataclass

from exporter.probe.exchange import MAX_CHALLENGES, Conversation, Upgrade, bad_news
from exporter.probe.failures import PhaseFailure
from exporter.protocols import pop, sasl
from exporter.protocols.canary import CANARY_USER
from exporter.protocols.pop import PopReader, PopStatus
from exporter.vocabulary import OfferedMechanism, Outcome, Phase


@dataclass(slots=True)
class _Pop:
    talk: Conversation
    reader: PopReader

    async def status(self) -> PopStatus:
        return await self.talk.next_reply(self.reader, self.reader.next_status)

    async def command(self, line: bytes) -> PopStatus:
        await self.talk.stream.send(line)
        return await self.status()


async def pop_conversation(talk: Conversation, upgrade: Upgrade | None) -> None:
    """Greeting, STLS where `upgrade` is given, CAPA, and the canary where one is due."""
    session = _Pop(talk, PopReader())
    await _greeting(session)
    if upgrade is not None:
        await _stls(session, upgrade)
    await _capability(session)
    token = talk.canary()
    if token is not None:
        await _canary(session, token)


async def _greeting(session: _Pop) -> None:
    async with session.talk.way.phase(Phase.GREETING) as phase:
        greeting = await session.status()
        known = session.talk.judge("greeting", greeting.line)
        bad_news(known, greeting.line)
        if greeting.ok is None:
            raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, greeting.line)
        if not greeting.ok:
            raise PhaseFailure(Outcome.REJECTED, greeting.line)
        if known is None:
            phase.outcome, phase.detail = Outcome.UNRECOGNIZED, greeting.line
        session.talk.findings.marks.append(known and known.id)


async def _read_capabilities(session: _Pop, step: str) -> tuple[str, ...]:
    status = await session.command(pop.capa())
    if not status.ok:
        bad_news(session.talk.judge(step, status.line), status.line)
        raise PhaseFailure(Outcome.REJECTED, status.line)
    return await session.talk.next_reply(session.reader, session.reader.next_listing)


async def _stls(session: _Pop, upgrade: Upgrade) -> None:
    async with session.talk.way.phase(Phase.STARTTLS):
        capabilities = await _read_capabilities(session, "starttls")
        if "STLS" not in (line.upper() for line in capabilities):
            raise PhaseFailure(Outcome.NOT_OFFERED, f"no STLS among: {', '.join(capabilities)}")
        answer = await session.command(pop.stls())
        if not answer.ok:
            bad_news(session.talk.judge("starttls", answer.line), answer.line)
            raise PhaseFailure(Outcome.REJECTED, answer.line)
        if session.reader.pending:
            raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, "more plain text behind the go-ahead for TLS")
    session.talk.stream = await upgrade(b"")
    session.reader = PopReader()


async def _capability(session: _Pop) -> None:
    async with session.talk.way.phase(Phase.CAPABILITY):
        capabilities = await _read_capabilities(session, "capability")
        offered = pop.offered(capabilities)
        session.talk.findings.offered = offered
        session.talk.findings.marks.append(tuple(sorted(offered)))
        if OfferedMechanism.XOAUTH2 not in offered:
            raise PhaseFailure(Outcome.NOT_OFFERED, f"no SASL XOAUTH2 among: {', '.join(capabilities)}")


async def _canary(session: _Pop, token: str) -> None:
    """Presents the canary in two steps (Microsoft closes on the one-line form); timed from the credential's end."""
    talk = session.talk
    async with talk.way.phase(Phase.AUTH) as phase:
        status = await session.command(pop.auth_xoauth2())
        sent, challenge = phase.began, None
        if status.ok is None:
            sent = await talk.stream.send(sasl.response_line(sasl.xoauth2(CANARY_USER, token)))
            status = await session.status()
        for _ in range(MAX_CHALLENGES):
            if status.ok is not None:
                break
            challenge = challenge or sasl.parse_challenge(status.text)
            status = await session.command(b"\r\n")
        phase.seconds = talk.way.clock() - sent
        if status.ok is None:
            raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, "one SASL challenge after another")
        if status.ok:
            talk.judge_acceptance(phase, status.line)
        else:
            # A JSON challenge is never Microsoft's, whatever line follows.
            talk.judge_refusal(phase, status.line, None if challenge else talk.judge("auth", status.line))
    await talk.farewell(pop.quit_())
