"""IMAP from the greeting to the canary's refusal (RFC 3501, 2595, 4959, 7628)."""

from dataclasses import dataclass

from exporter.probe.exchange import MAX_CHALLENGES, Conversation, Upgrade, bad_news
from exporter.probe.failures import PhaseFailure
from exporter.protocols import imap, sasl
from exporter.protocols.canary import CANARY_USER
from exporter.protocols.imap import ImapReader, ImapResponse
from exporter.vocabulary import OfferedMechanism, Outcome, Phase

#: Untagged responses to one command that are read, at most.
MAX_UNTAGGED = 100


@dataclass(slots=True)
class _Imap:
    talk: Conversation
    reader: ImapReader
    commands: int = 0

    def tag(self) -> str:
        self.commands += 1
        return f"a{self.commands}"

    async def response(self) -> ImapResponse:
        return await self.talk.next_reply(self.reader, self.reader.next_response)

    async def command(self, tag: str, line: bytes, step: str) -> tuple[ImapResponse, list[ImapResponse]]:
        """The tagged response and the untagged ones before it. A BYE in between is judged as what it says."""
        await self.talk.stream.send(line)
        return await self.completion(tag, step)

    async def completion(self, tag: str, step: str) -> tuple[ImapResponse, list[ImapResponse]]:
        untagged: list[ImapResponse] = []
        while len(untagged) <= MAX_UNTAGGED:
            response = await self.response()
            if response.tag in (tag, "+"):
                return response, untagged
            if response.status == "BYE":
                bad_news(self.talk.judge(step, response.line), response.line)
                raise PhaseFailure(Outcome.CLOSED, response.line)
            untagged.append(response)
        raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, "more than a hundred untagged responses to one command")


async def imap_conversation(talk: Conversation, upgrade: Upgrade | None) -> None:
    """Greeting, STARTTLS where `upgrade` is given, capabilities, and the canary where one is due."""
    session = _Imap(talk, ImapReader())
    await _greeting(session)
    if upgrade is not None:
        await _starttls(session, upgrade)
    capabilities = await _capability(session)
    token = talk.canary()
    if token is not None:
        await _canary(session, token, "SASL-IR" in (name.upper() for name in capabilities))


async def _greeting(session: _Imap) -> None:
    async with session.talk.way.phase(Phase.GREETING) as phase:
        greeting = await session.response()
        known = session.talk.judge("greeting", greeting.line)
        bad_news(known, greeting.line)
        if greeting.tag != "*" or greeting.status is None:
            raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, greeting.line)
        if greeting.status == "BYE":
            raise PhaseFailure(Outcome.REJECTED, greeting.line)
        if known is None:
            phase.outcome, phase.detail = Outcome.UNRECOGNIZED, greeting.line
        session.talk.findings.marks.append(known and known.id)


async def _starttls(session: _Imap, upgrade: Upgrade) -> None:
    async with session.talk.way.phase(Phase.STARTTLS):
        capabilities = await _read_capabilities(session, "starttls")
        if "STARTTLS" not in (name.upper() for name in capabilities):
            raise PhaseFailure(Outcome.NOT_OFFERED, f"no STARTTLS among: {' '.join(capabilities)}")
        tag = session.tag()
        answer, _ = await session.command(tag, imap.starttls(tag), "starttls")
        if answer.status != "OK":
            bad_news(session.talk.judge("starttls", answer.line), answer.line)
            raise PhaseFailure(Outcome.REJECTED, answer.line)
        if session.reader.pending:
            raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, "more plain text behind the go-ahead for TLS")
    session.talk.stream = await upgrade(b"")
    session.reader = ImapReader()


async def _capability(session: _Imap) -> tuple[str, ...]:
    async with session.talk.way.phase(Phase.CAPABILITY):
        capabilities = await _read_capabilities(session, "capability")
        offered = imap.offered(capabilities)
        session.talk.findings.offered = offered
        session.talk.findings.marks.append(tuple(sorted(offered)))
        if OfferedMechanism.XOAUTH2 not in offered:
            raise PhaseFailure(Outcome.NOT_OFFERED, f"no AUTH=XOAUTH2 among: {' '.join(capabilities)}")
    return capabilities


async def _read_capabilities(session: _Imap, step: str) -> tuple[str, ...]:
    tag = session.tag()
    answer, untagged = await session.command(tag, imap.capability(tag), step)
    if answer.status != "OK":
        bad_news(session.talk.judge(step, answer.line), answer.line)
        raise PhaseFailure(Outcome.REJECTED, answer.line)
    for response in [*untagged, answer]:
        if (found := imap.capabilities(response)) is not None:
            return found
    raise PhaseFailure(Outcome.UNRECOGNIZED if untagged else Outcome.UNEXPECTED_CONTENT, answer.line)


async def _canary(session: _Imap, token: str, initial_response: bool) -> None:
    """Presents the canary; `auth` is timed from the credential's last byte to the final line."""
    talk = session.talk
    async with talk.way.phase(Phase.AUTH) as phase:
        credential = sasl.xoauth2(CANARY_USER, token)
        tag = session.tag()
        if not initial_response:
            answer, _ = await session.command(tag, imap.authenticate_xoauth2(tag, None), "auth")
            if answer.tag == "+":
                sent = await talk.stream.send(sasl.response_line(credential))
                answer, _ = await session.completion(tag, "auth")
            else:
                sent = phase.began
        else:
            sent = await talk.stream.send(imap.authenticate_xoauth2(tag, credential))
            answer, _ = await session.completion(tag, "auth")
        challenge = None
        for _ in range(MAX_CHALLENGES):
            if answer.tag != "+":
                break
            challenge = challenge or sasl.parse_challenge(answer.text)
            await talk.stream.send(b"\r\n")
            answer, _ = await session.completion(tag, "auth")
        phase.seconds = talk.way.clock() - sent
        if answer.tag == "+":
            raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, "one SASL challenge after another")
        if answer.status == "OK":
            talk.judge_acceptance(phase, answer.line)
        else:
            # A JSON challenge is never Microsoft's, whatever line follows.
            talk.judge_refusal(phase, answer.line, None if challenge else talk.judge("auth", answer.line))
    await talk.farewell(imap.logout(session.tag()))
