"""Our lab's servers with Microsoft's words behind real TLS, with the mailbox that real clients expect, and a log.

The lab answers a sign-in and little else. Here the commands that clients send next are answered in Exchange's form, so
that a conversation goes on as it would; passwords are taken where an era (before October 2022) took them.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from exporter.lab.behaviour import Behaviour, Reply, Then
from exporter.lab.conduit import Conduit
from exporter.lab.imap_server import ImapServer
from exporter.lab.mail_server import MailServer
from exporter.lab.outlook import GONE
from exporter.lab.pop_server import PopServer
from exporter.lab.smtp_server import SmtpServer
from exporter.vocabulary import AuthOutcome, Mechanism, Protocol
from tests.clients.truth import Attempt

_SELECTED = (
    "* 2 EXISTS", "* 0 RECENT", r"* FLAGS (\Seen \Answered \Flagged \Deleted \Draft $MDNSent)",
    r"* OK [PERMANENTFLAGS (\Seen \Answered \Flagged \Deleted \Draft $MDNSent)] Permanent flags",
    "* OK [UNSEEN 1] Is the first unseen message", "* OK [UIDVALIDITY 14] UIDVALIDITY value",
    "* OK [UIDNEXT 3] The next unique identifier value",
)  # fmt: skip
_FOLDERS = tuple(
    rf'* LIST (\HasNoChildren) "/" {name}' for name in ("INBOX", "Drafts", '"Sent Items"', '"Deleted Items"', "Junk")
)
_MESSAGE = "From: <a@example.org>\r\nSubject: two lines\r\n\r\nOne.\r\nTwo.\r\n"


@dataclass(slots=True, kw_only=True)
class Words:
    """How a Microsoft-worded server behaves; `password`: the one that is still taken, None for none."""

    year: str
    token: str
    password: str | None = None
    delay: float = 0.0
    switches: dict[str, object] = field(default_factory=dict)

    def behaviour(self) -> Behaviour:
        found = Behaviour(year=self.year, auth_delay=self.delay, valid_tokens={self.token}, tarpit=0.1)
        for name, value in self.switches.items():
            setattr(found, name, value)
        return found


class _Logged(MailServer):
    """Notes what became of each credential."""

    log: list[Attempt]

    def note(self, answered: Callable[[str], Reply], line: str) -> Reply:
        before = len(self.behaviour.traffic.credentials)
        reply = answered(line)
        for seen in list(self.behaviour.traffic.credentials)[before:]:
            self.log.append(Attempt(Mechanism(seen.kind), _outcome(reply.data.decode())))
        return reply


def _outcome(reply: str) -> AuthOutcome:
    if "throttled" in reply or "thread limit" in reply:
        return AuthOutcome.THROTTLED
    if "Unavailable" in reply:
        return AuthOutcome.UNKNOWN
    words = reply.split()
    accepted = words[0] in ("+OK", "235") or "OK" in words[1:2]
    return AuthOutcome.ACCEPTED if accepted else AuthOutcome.REFUSED


class Imap(_Logged, ImapServer):
    """With literals, a mailbox, and LOGIN where `password` is set."""

    password: str | None = None
    _literal: tuple[str, int] | None = None
    _appending: str | None = None

    def answer(self, line: str) -> Reply:
        if self._appending is not None:
            tag, self._appending = self._appending, None
            return self.say(f"{tag} OK [APPENDUID 14 3] APPEND completed.")
        if self._literal is not None:
            (begun, _), self._literal = self._literal, None
            line = f"{begun}{line}"
        if line.endswith("}") and "{" in line and self._awaiting is None:
            return self._continue_literal(line)
        return self.note(super().answer, line)

    def _continue_literal(self, line: str) -> Reply:
        begun, _, size = line.rpartition("{")
        synchronizing = not size.endswith("+}")
        if "APPEND" in line.upper():
            self._appending = line.split()[0]
        else:
            self._literal = begun, 0
        return self.say("+ Ready for additional command text.") if synchronizing else Reply(b"")

    def _login(self, tag: str, argument: str) -> Reply:
        reply = super()._login(tag, argument)
        if self.password is not None and argument.split()[-1].strip('"') == self.password:
            self._user = argument.split()[0]
            return self.say(f"{tag} OK LOGIN completed.", delay=self.behaviour.auth_delay)
        return reply

    def _authenticate(self, tag: str, argument: str) -> Reply:
        reply = super()._authenticate(tag, argument)
        if b" BAD " in reply.data and " " in argument:  # no mechanism of the server's, but something of a credential
            self.log.append(Attempt(Mechanism.PASSWORD, AuthOutcome.REFUSED))
        return reply

    def _session(self, tag: str, command: str) -> Reply:
        if not self.behaviour.is_connected(self._user or ""):
            return super()._session(tag, command)
        match command:
            case "SELECT" | "EXAMINE":
                return self.say(*_SELECTED, f"{tag} OK [READ-WRITE] {command} completed.")
            case "LIST" | "LSUB":
                return self.say(*_FOLDERS, f"{tag} OK {command} completed.")
            case "NAMESPACE":
                return self.say('* NAMESPACE (("" "/")) NIL NIL', f"{tag} OK NAMESPACE completed.")
            case "STATUS":
                return self.say(
                    "* STATUS INBOX (MESSAGES 2 UIDNEXT 3 UIDVALIDITY 14 UNSEEN 1)", f"{tag} OK STATUS completed."
                )
            case "SEARCH" | "UID":
                return self.say("* SEARCH", f"{tag} OK {command} completed.")
            case "ID":
                return self.say(
                    '* ID ("name" "Microsoft.Exchange.Imap4.Imap4Server" "version" "15.20")', f"{tag} OK ID completed."
                )
            case "IDLE":
                return self.say("+ IDLE accepted, awaiting DONE command.")
            case "ENABLE" | "COMPRESS":
                return self.say(f"{tag} BAD Command Error. 12")
            case _:
                return super()._session(tag, command)


class Pop(_Logged, PopServer):
    """With two messages, and PASS where `password` is set."""

    password: str | None = None

    def answer(self, line: str) -> Reply:
        verb, _, argument = line.partition(" ")
        if verb.upper() == "PASS" and self.password is not None and argument == self.password and not self._user:
            self._user = self._named
            self.log.append(Attempt(Mechanism.PASSWORD, AuthOutcome.ACCEPTED))
            return self.say("+OK User successfully logged on.", delay=self.behaviour.auth_delay)
        if self._user is not None and self.behaviour.is_connected(self._user):
            match verb.upper():
                case "STAT":
                    return self.say("+OK 2 320")
                case "LIST" if not argument:
                    return self.say("+OK 2 320", "1 160", "2 160", ".")
                case "UIDL" if not argument:
                    return self.say("+OK", "1 15", "2 16", ".")
                case "RETR" | "TOP":
                    return self.say("+OK", _MESSAGE, ".")
                case "DELE" | "NOOP" | "RSET" | "LIST" | "UIDL":
                    return self.say("+OK")
        return self.note(super().answer, line)

    def _auth(self, argument: str) -> Reply:
        mechanism, _, initial = argument.partition(" ")
        if initial:  # refused as a protocol error, but the credential went out
            kind = Mechanism.TOKEN if mechanism.upper() == "XOAUTH2" else Mechanism.PASSWORD
            self.log.append(Attempt(kind, AuthOutcome.REFUSED))
        return super()._auth(argument)


class Smtp(_Logged, SmtpServer):
    """Takes a message from who is signed in."""

    password: str | None = None
    _body = False

    def answer(self, line: str) -> Reply:
        if self._body:
            self._body = line != "."
            return (
                Reply(b"")
                if self._body
                else self.say(
                    "250 2.6.0 <0001@BL1P223MB0001.NAMP223.PROD.OUTLOOK.COM> [InternalId=3, "
                    "Hostname=BL1P223MB0001.NAMP223.PROD.OUTLOOK.COM] 8213 bytes in 0.102, 78.3 KB/sec Queued mail for delivery"
                )
            )
        verb = line.partition(" ")[0].upper()
        if self._signed_in and verb == "RCPT":
            return self.say("250 2.1.5 Recipient OK")
        if self._signed_in and verb == "DATA":
            self._body = True
            return self.say("354 Start mail input; end with <CRLF>.<CRLF>")
        return self.note(super().answer, line)

    def _auth(self, mechanism: str, initial: str) -> Reply:
        reply = super()._auth(mechanism, initial)
        if reply.data.startswith(b"504") and initial:  # the credential went out all the same
            self.log.append(Attempt(Mechanism.PASSWORD, AuthOutcome.REFUSED))
        return reply

    def _response(self, mechanism: str, line: str) -> Reply:
        if self.password is not None:
            self.behaviour.smtp_passwords = {self._named: self.password}
        return super()._response(mechanism, line)


_KINDS: dict[Protocol, type[Imap] | type[Pop] | type[Smtp]] = {
    Protocol.IMAP: Imap,
    Protocol.POP: Pop,
    Protocol.SMTP: Smtp,
}


class Microsoft:
    """A server of one protocol and year; `logs` has each connection's attempts, by the client's address."""

    def __init__(self, protocol: Protocol, words: Words, context: ssl.SSLContext, *, starttls: bool) -> None:
        self.logs: dict[str, list[Attempt]] = {}
        self._protocol, self._words, self._context, self._starttls = protocol, words, context, starttls
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            sock, address = await loop.sock_accept(listening)
            task = loop.create_task(self._connection(sock, address[0]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _connection(self, sock: socket.socket, address: str) -> None:
        conduit = Conduit(sock)
        server = _KINDS[self._protocol](self._words.behaviour(), starttls=self._starttls)
        server.password, server.log = self._words.password, self.logs.setdefault(address, [])
        try:
            if not self._starttls:
                await self._secure(conduit)
            await self._talk(conduit, server)
            await conduit.end()
        except GONE:
            pass
        finally:
            conduit.close()

    async def _secure(self, conduit: Conduit) -> None:
        conduit.begin_tls(self._context)
        await conduit.handshake()

    async def _talk(self, conduit: Conduit, server: MailServer) -> None:
        if not await self._say(conduit, server.greeting()):
            return
        while data := await conduit.receive():
            for reply in server.receive(data):
                if not await self._say(conduit, reply):
                    return

    async def _say(self, conduit: Conduit, reply: Reply) -> bool:
        if reply.delay:
            await asyncio.sleep(reply.delay)
        if reply.data:
            await conduit.send(reply.data)
        if reply.then is Then.START_TLS:
            await self._secure(conduit)
        return reply.then is not Then.CLOSE


@asynccontextmanager
async def microsoft(
    protocol: Protocol,
    words: Words,
    context: ssl.SSLContext,
    *,
    starttls: bool,
    address: tuple[str, int] = ("127.0.0.1", 0),
) -> AsyncIterator[tuple[Microsoft, int]]:
    """A Microsoft-worded server while the block runs, and its port on loopback."""
    server = Microsoft(protocol, words, context, starttls=starttls)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(16)
        listening.setblocking(False)
        task = asyncio.create_task(server.serve(listening))
        try:
            yield server, listening.getsockname()[1]
        finally:
            task.cancel()
            server.stop()
            await asyncio.gather(task, return_exceptions=True)
