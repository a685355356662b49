"""IMAP from the greeting to the answer to a credential, and a session's first command (RFC 3501, 2595, 4959, 7628)."""

from dataclasses import dataclass

from exporter.probe.exchange import MAX_CHALLENGES, Conversation, Upgrade, bad_news, sendable
from exporter.probe.failures import PhaseFailure
from exporter.probe.presenter import Credential
from exporter.protocols import imap, sasl
from exporter.protocols.imap import ImapReader, ImapResponse
from exporter.vocabulary import Mechanism, OfferedMechanism, Outcome, Phase

#: Untagged responses to one command that are read, at most.
MAX_UNTAGGED = 100
#: Whoever says LOGINDISABLED gets no password, in no form.
_BY_PASSWORD = frozenset({OfferedMechanism.LOGIN_COMMAND})


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
    """Greeting, STARTTLS where `upgrade` is given, capabilities, and what is to be presented."""
    session = _Imap(talk, ImapReader())
    await _greeting(session)
    if upgrade is not None:
        await _starttls(session, upgrade)
    capabilities = await _capability(session)
    if (credential := talk.credential()) is not None:
        await _sign_in(session, credential, capabilities)


async def _greeting(session: _Imap) -> None:
    async with session.talk.way.phase(Phase.GREETING) as phase:
        greeting = await session.response()
        phase.seconds = session.talk.heard() - phase.began
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
        missing = "LOGIN" if session.talk.presenter.mechanism is Mechanism.PASSWORD else "AUTH=XOAUTH2"
        session.talk.require(offered, _BY_PASSWORD, f"no {missing} among: {' '.join(capabilities)}")
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


async def _sign_in(session: _Imap, credential: Credential, capabilities: tuple[str, ...]) -> None:
    """Presents the credential; `auth` is timed from its last byte to the final line."""
    talk = session.talk
    async with talk.taking_leave(lambda: imap.logout(session.tag())):
        async with talk.way.phase(Phase.AUTH) as phase:
            tag = session.tag()
            sent, answer = await _present(session, credential, tag, capabilities)
            challenge = None
            for _ in range(MAX_CHALLENGES):
                if answer.tag != "+":
                    break
                challenge = challenge or sasl.parse_challenge(answer.text)
                await talk.stream.send(b"\r\n")
                answer, _ = await session.completion(tag, "auth")
            phase.seconds = talk.heard() - (phase.began if sent is None else sent)
            if answer.tag == "+":
                raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, "one SASL challenge after another")
            if answer.status == "OK":
                talk.presenter.accepted(talk, phase, answer.line)
            else:
                # A JSON challenge is never Microsoft's, whatever line follows.
                known = None if challenge else talk.judge("auth", answer.line)
                talk.presenter.refused(talk, phase, answer.line, known)
        if talk.presenter.real:
            await _session(session)


async def _present(
    session: _Imap, credential: Credential, tag: str, capabilities: tuple[str, ...]
) -> tuple[float | None, ImapResponse]:
    """When the credential's last byte was sent (None: it never was), and the server's answer."""
    talk, names = session.talk, {name.upper() for name in capabilities}
    secret = credential.secret
    if credential.mechanism is Mechanism.TOKEN:
        command = imap.authenticate_xoauth2
        message = sendable(lambda: sasl.xoauth2(credential.user, secret.reveal()))
    elif "AUTH=PLAIN" in names:
        command = imap.authenticate_plain
        message = sendable(lambda: sasl.plain(credential.user, secret.reveal()))
    else:
        sent = await talk.stream.send(sendable(lambda: imap.login(tag, credential.user, secret.reveal())))
        return sent, (await session.completion(tag, "auth"))[0]
    if "SASL-IR" in names:
        sent = await talk.stream.send(command(tag, message))
        return sent, (await session.completion(tag, "auth"))[0]
    answer, _ = await session.command(tag, command(tag, None), "auth")
    if answer.tag != "+":
        return None, answer
    sent = await talk.stream.send(sasl.response_line(message))
    return sent, (await session.completion(tag, "auth"))[0]


async def _session(session: _Imap) -> None:
    """The first command that needs the mailbox: only here shows "User is authenticated but not connected"."""
    talk = session.talk
    async with talk.way.phase(Phase.SESSION) as phase:
        tag = session.tag()
        answer, _ = await session.command(tag, imap.list_root(tag), "session")
        if answer.status != "OK":
            talk.presenter.refused(talk, phase, answer.line, talk.judge("session", answer.line))
