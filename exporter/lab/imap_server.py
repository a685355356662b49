"""IMAP as Exchange Online speaks it (facts 2.1): lines in, replies out, no I/O."""

from exporter.lab.behaviour import Behaviour, Reply, Then
from exporter.lab.era import FRONT_END


class ImapServer:
    """One connection. `receive` takes a line without its CRLF."""

    def __init__(self, behaviour: Behaviour, *, starttls: bool = False) -> None:
        self._behaviour = behaviour
        self._clear = starttls
        self._awaiting: str | None = None
        self._authenticated = False

    def greeting(self) -> Reply:
        delay = self._behaviour.greeting_delay
        if self._behaviour.outage:
            return Reply(b"* BYE Server Unavailable. 15\r\n", Then.CLOSE, delay)
        return Reply(f"* OK The Microsoft Exchange IMAP4 service is ready. [{FRONT_END}]\r\n".encode(), delay=delay)

    def receive(self, line: str) -> Reply:
        if self._awaiting is not None:
            tag, self._awaiting = self._awaiting, None
            return self._token(tag, line)
        tag, _, rest = line.partition(" ")
        command, _, argument = rest.partition(" ")
        match command.upper():
            case "CAPABILITY":
                return self._say(f"* CAPABILITY {self._capabilities()}", f"{tag} OK CAPABILITY completed.")
            case "STARTTLS" if self._clear:
                self._clear = False
                return Reply(f"{tag} OK Begin TLS negotiation now.\r\n".encode(), Then.START_TLS)
            case "ID":
                name = '* ID ("name" "Microsoft.Exchange.Imap4.Imap4Server" "version" "15.20")'
                return self._say(name, f"{tag} OK ID completed.")
            case "NOOP":
                return self._say(f"{tag} OK NOOP completed.")
            case "LOGIN":
                self._behaviour.counts["password"] += 1
                return self._refuse(tag, self._behaviour.era.imap_login_refused)
            case "AUTHENTICATE":
                return self._authenticate(tag, argument)
            case "LOGOUT":
                bye = "* BYE Microsoft Exchange Server IMAP4 server signing off."
                return Reply(f"{bye}\r\n{tag} OK LOGOUT completed.\r\n".encode(), Then.CLOSE)
            case _ if self._authenticated:
                return self._session(tag, command)
            case _:
                return self._say(f"{tag} BAD Command received in Invalid state.")

    def _capabilities(self) -> str:
        if self._clear:
            return "IMAP4 IMAP4rev1 LOGINDISABLED STARTTLS SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+"
        return self._behaviour.era.imap_capability

    def _authenticate(self, tag: str, argument: str) -> Reply:
        mechanism, _, initial = argument.partition(" ")
        if mechanism.upper() == "XOAUTH2":
            if initial:
                return self._token(tag, initial)
            self._awaiting = tag
            return self._say("+ ")
        if mechanism.upper() == "PLAIN":
            self._behaviour.counts["password"] += 1
            old = self._behaviour.year < "2026"
            return self._refuse(tag, "NO AUTHENTICATE failed." if old else "NO Basic authentication is disabled.")
        return self._say(f"{tag} BAD Command Argument Error. 12")

    def _token(self, tag: str, initial: str) -> Reply:
        accepted = self._behaviour.accepts(initial)
        if self._behaviour.throttled:
            text = f"{tag} BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds\r\n"
            return Reply(f"{text}* BYE Connection closed. 14\r\n".encode(), Then.CLOSE, self._behaviour.auth_delay)
        if accepted:
            self._authenticated = True
            return Reply(f"{tag} OK AUTHENTICATE completed.\r\n".encode(), delay=self._behaviour.auth_delay)
        return self._refuse(tag, "NO AUTHENTICATE failed.")

    def _session(self, tag: str, command: str) -> Reply:
        if self._behaviour.not_connected:
            text = f"{tag} BAD User is authenticated but not connected.\r\n* BYE Connection closed. 14\r\n"
            return Reply(text.encode(), Then.CLOSE)
        return self._say(f"{tag} OK {command.upper()} completed.")

    def _refuse(self, tag: str, words: str) -> Reply:
        return Reply(f"{tag} {words}\r\n".encode(), delay=self._behaviour.auth_delay)

    def _say(self, *lines: str) -> Reply:
        return Reply("".join(f"{line}\r\n" for line in lines).encode())
