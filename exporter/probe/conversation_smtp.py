"""SMTP submission from the greeting to the answer to a credential (RFC 5321, 3207, 4954)."""

from dataclasses import dataclass

from exporter.probe.exchange import MAX_CHALLENGES, Conversation, Upgrade, bad_news, sendable
from exporter.probe.failures import PhaseFailure
from exporter.probe.presenter import Credential
from exporter.probe.way import RunningPhase
from exporter.protocols import sasl, smtp
from exporter.protocols.smtp import SmtpReader, SmtpReply
from exporter.vocabulary import Mechanism, OfferedMechanism, Outcome, Phase

#: Who we say we are: honest, and never resolvable (RFC 6761).
EHLO_NAME = "outlook-auth-exporter.invalid"
#: The detail of what happened before STARTTLS could be asked for; the diagnosis looks for it.
AT_EHLO = "EHLO: "
_BY_PASSWORD = frozenset({OfferedMechanism.PLAIN, OfferedMechanism.LOGIN})


@dataclass(slots=True)
class _Smtp:
    talk: Conversation
    reader: SmtpReader

    async def reply(self) -> SmtpReply:
        return await self.talk.next_reply(self.reader, self.reader.next_reply)

    async def command(self, line: bytes) -> SmtpReply:
        await self.talk.stream.send(line)
        return await self.reply()


async def smtp_conversation(talk: Conversation, upgrade: Upgrade | None) -> None:
    """Greeting, STARTTLS where `upgrade` is given, EHLO, and what is to be presented."""
    session = _Smtp(talk, SmtpReader())
    await _greeting(session)
    if upgrade is not None:
        await _starttls(session, upgrade)
    await _capability(session)
    if (credential := talk.credential()) is not None:
        await _sign_in(session, credential)


async def _greeting(session: _Smtp) -> None:
    async with session.talk.way.phase(Phase.GREETING) as phase:
        greeting = await session.reply()
        phase.seconds = session.talk.heard() - phase.began
        known = session.talk.judge("greeting", greeting.line)
        bad_news(known, greeting.line)
        if greeting.code != 220:
            raise PhaseFailure(_refusal(greeting), greeting.line)
        if known is None:
            phase.outcome, phase.detail = Outcome.UNRECOGNIZED, greeting.line
        session.talk.read_date(smtp.greeting_date(greeting.line))
        session.talk.findings.marks.append(known and known.id)


def _refusal(reply: SmtpReply) -> Outcome:
    """A 4yz reply is temporary (RFC 5321 4.2.1): unavailable; a 5yz is a refusal."""
    return Outcome.UNAVAILABLE if reply.code // 100 == 4 else Outcome.REJECTED


async def _ehlo(session: _Smtp, step: str) -> tuple[SmtpReply, dict[str, str]]:
    reply = await session.command(smtp.ehlo(EHLO_NAME))
    if reply.code != 250:
        bad_news(session.talk.judge(step, reply.line), reply.line)
        raise PhaseFailure(_refusal(reply), reply.line)
    return reply, smtp.extensions(reply)


async def _first_ehlo(session: _Smtp, phase: RunningPhase) -> tuple[SmtpReply, dict[str, str]]:
    """What ends the phase here is no refusal of STARTTLS, which hasn't been asked for yet; its detail says so."""
    phase.detail = f"{AT_EHLO}not answered in time"
    try:
        found = await _ehlo(session, "starttls")
    except PhaseFailure as failure:
        raise PhaseFailure(failure.outcome, f"{AT_EHLO}{failure.detail}") from failure
    phase.detail = None
    return found


async def _starttls(session: _Smtp, upgrade: Upgrade) -> None:
    async with session.talk.way.phase(Phase.STARTTLS) as phase:
        reply, extensions = await _first_ehlo(session, phase)
        if "STARTTLS" not in extensions:
            masked = "; keywords are masked, as ESMTP inspection does" if smtp.masked(reply) else ""
            raise PhaseFailure(Outcome.NOT_OFFERED, f"no STARTTLS among: {' '.join(extensions)}{masked}")
        answer = await session.command(smtp.starttls())
        if answer.code != 220:
            bad_news(session.talk.judge("starttls", answer.line), answer.line)
            raise PhaseFailure(Outcome.REJECTED, answer.line)
        if session.reader.pending:
            raise PhaseFailure(Outcome.UNEXPECTED_CONTENT, "more plain text behind the go-ahead for TLS")
    session.talk.stream = await upgrade(b"")
    session.reader = SmtpReader()


async def _capability(session: _Smtp) -> None:
    async with session.talk.way.phase(Phase.CAPABILITY):
        _, extensions = await _ehlo(session, "capability")
        offered = smtp.offered(extensions)
        session.talk.findings.offered = offered
        session.talk.findings.marks.append(tuple(sorted(offered)))
        missing = "PLAIN or LOGIN" if session.talk.presenter.mechanism is Mechanism.PASSWORD else "XOAUTH2"
        session.talk.require(offered, _BY_PASSWORD, f"no AUTH {missing} among: {_listed(extensions)}")


def _listed(extensions: dict[str, str]) -> str:
    return ", ".join(f"{keyword} {parameters}".strip() for keyword, parameters in extensions.items())


async def _sign_in(session: _Smtp, credential: Credential) -> None:
    """Presents the credential; `auth` is timed from its last byte to the final line. No mail is begun."""
    talk = session.talk
    async with talk.taking_leave(smtp.quit_), talk.way.phase(Phase.AUTH) as phase:
        sent, reply = await _present(session, credential)
        challenge = None
        for _ in range(MAX_CHALLENGES):
            if reply.code != 334:
                break
            challenge = challenge or sasl.parse_challenge(reply.text)
            reply = await session.command(b"\r\n")
        phase.seconds = talk.heard() - (phase.began if sent is None else sent)
        if reply.code == 235:
            talk.presenter.accepted(talk, phase, reply.line)
        else:
            # A JSON challenge is never Microsoft's, whatever line follows.
            talk.presenter.refused(talk, phase, reply.line, None if challenge else talk.judge("auth", reply.line))


async def _present(session: _Smtp, credential: Credential) -> tuple[float | None, SmtpReply]:
    """When the credential's last byte was sent (None: it never was), and the answer."""
    secret = credential.secret
    if credential.mechanism is Mechanism.TOKEN:
        line = sendable(lambda: smtp.auth_xoauth2(sasl.xoauth2(credential.user, secret.reveal())))
    elif OfferedMechanism.PLAIN in (session.talk.findings.offered or ()):
        line = sendable(lambda: smtp.auth_plain(sasl.plain(credential.user, secret.reveal())))
    else:
        for step in (smtp.auth_login(), sasl.response_line(sasl.encoded(credential.user))):
            reply = await session.command(step)
            if reply.code != 334:
                return None, reply
        line = sasl.response_line(sasl.encoded(secret.reveal()))
    sent = await session.talk.stream.send(line)
    return sent, await session.reply()
