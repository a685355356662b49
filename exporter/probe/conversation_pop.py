"""POP3 from the greeting to the answer to a credential (RFC 1939, 2449, 2595, 5034)."""

from dataclasses import dataclass

from exporter.probe.exchange import MAX_CHALLENGES, Conversation, Upgrade, bad_news, sendable
from exporter.probe.failures import PhaseFailure
from exporter.probe.presenter import Credential
from exporter.protocols import pop, sasl
from exporter.protocols.pop import PopReader, PopStatus
from exporter.vocabulary import Mechanism, OfferedMechanism, Outcome, Phase

_BY_PASSWORD = frozenset({OfferedMechanism.LOGIN_COMMAND, OfferedMechanism.PLAIN})


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
    """Greeting, STLS where `upgrade` is given, CAPA, and what is to be presented."""
    session = _Pop(talk, PopReader())
    await _greeting(session)
    if upgrade is not None:
        await _stls(session, upgrade)
    await _capability(session)
    if (credential := talk.credential()) is not None:
        await _sign_in(session, credential)


async def _greeting(session: _Pop) -> None:
    async with session.talk.way.phase(Phase.GREETING) as phase:
        greeting = await session.status()
        phase.seconds = session.talk.heard() - phase.began
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
        missing = "USER" if session.talk.presenter.mechanism is Mechanism.PASSWORD else "SASL XOAUTH2"
        session.talk.require(offered, _BY_PASSWORD, f"no {missing} among: {', '.join(capabilities)}")


async def _sign_in(session: _Pop, credential: Credential) -> None:
    """Presents the credential, timed from its end; of an account's mailbox nothing is asked."""
    talk = session.talk
    async with talk.taking_leave(pop.quit_), talk.way.phase(Phase.AUTH) as phase:
        sent, status = await _present(session, credential)
        challenge = None
        for _ in range(MAX_CHALLENGES):
            if status.ok is not None:
                break
            challenge = challenge or sasl.parse_challenge(status.text)
            status = await session.command(b"\r\n")
        phase.seconds = talk.heard() - (phase.began if sent is None else sent)
        if status.ok is None:
            raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, "one SASL challenge after another")
        if status.ok:
            talk.presenter.accepted(talk, phase, status.line)
        else:
            # A JSON challenge is never Microsoft's, whatever line follows.
            talk.presenter.refused(talk, phase, status.line, None if challenge else talk.judge("auth", status.line))


async def _present(session: _Pop, credential: Credential) -> tuple[float | None, PopStatus]:
    """When the credential's last byte was sent (None: it never was), and the answer.

    SASL in two steps: Microsoft closes on the one-line form.
    """
    secret = credential.secret
    if credential.mechanism is Mechanism.TOKEN:
        command, last = pop.auth_xoauth2(), sendable(lambda: sasl.xoauth2(credential.user, secret.reveal()))
    elif OfferedMechanism.LOGIN_COMMAND not in (session.talk.findings.offered or ()):
        command, last = pop.auth_plain(), sendable(lambda: sasl.plain(credential.user, secret.reveal()))
    else:
        user, password = sendable(lambda: (pop.user(credential.user), pop.pass_(secret.reveal())))
        status = await session.command(user)
        if not status.ok:
            return None, status
        sent = await session.talk.stream.send(password)
        return sent, await session.status()
    status = await session.command(command)
    if status.ok is not None:
        return None, status
    sent = await session.talk.stream.send(sasl.response_line(last))
    return sent, await session.status()
