"""POP3 as Exchange Online speaks it (facts 2.3): bytes in, replies out, no I/O."""

from exporter.lab.behaviour import MailboxState, Reply, Then, Use, Verdict
from exporter.lab.era import FRONT_END_BASE64
from exporter.lab.mail_server import MailServer

#: Said when the back end is away or asks for patience; recalled, the facts have no words for POP.
_UNAVAILABLE = "-ERR [SYS/TEMP] Server Unavailable. 14"


class PopServer(MailServer):
    """One connection, behind TLS or with STLS."""

    _awaiting = False
    _user: str | None = None  # signed in
    _named = ""  # by USER

    def greeting(self) -> Reply:
        delay = self.behaviour.greeting_delay
        if self.behaviour.outage:
            return self.say(_UNAVAILABLE, then=Then.CLOSE, delay=delay)
        front_end = "" if self.behaviour.front_end_hidden else FRONT_END_BASE64
        return self.say(f"+OK The Microsoft Exchange POP3 service is ready. [{front_end}]", delay=delay)

    def answer(self, line: str) -> Reply:
        if self._awaiting:
            self._awaiting = False
            return self._token(line)
        command, _, argument = line.partition(" ")
        match command.upper():
            case "CAPA":
                return self.say("+OK", *self._capabilities(), ".")
            case "QUIT":
                return self.say("+OK Microsoft Exchange Server POP3 server signing off.", then=Then.CLOSE)
            case "STLS" if self.clear:
                return self.say("+OK Begin TLS negotiation.", then=Then.START_TLS)
            case "USER" if self._user is None and not self.clear:
                self._named = argument
                return self.say("+OK")
            case "PASS" if self._user is None and not self.clear:
                self.behaviour.saw_password(self._named, argument)
                return self.say(self.behaviour.era.pop_pass_refused, delay=self.behaviour.auth_delay)
            case "AUTH" if self._user is None and not self.clear:
                return self._auth(argument)
            case "STAT" | "NOOP" | "LIST" | "UIDL" if self._user is not None:
                return self._session(command.upper())
            case _:
                return self.say("-ERR Command is not valid in this state.")

    def _capabilities(self) -> tuple[str, ...]:
        if self.clear:
            return "TOP", "UIDL", "STLS"
        return "TOP", "UIDL", f"SASL {self.behaviour.era.pop_sasl}", "USER"

    def _auth(self, argument: str) -> Reply:
        """Two steps only: the one-line form is a protocol error."""
        if argument.upper() != "XOAUTH2":
            return self.say("-ERR Protocol error. Connection is closed. 10", then=Then.CLOSE)
        self._awaiting = True
        return self.say("+ ")

    def _token(self, line: str) -> Reply:
        delay = self.behaviour.auth_delay
        verdict, user = self.behaviour.judge(line, Use.POP)
        if self.behaviour.is_throttled(user):
            return self.say(_UNAVAILABLE, delay=delay)
        if verdict is Verdict.MALFORMED:
            return self.say("-ERR Protocol error. 19", delay=delay)
        if verdict is not Verdict.ACCEPTED or MailboxState.POP_OFF in self.behaviour.states(user):
            return self.say("-ERR Authentication failure: unknown user name or bad password.", delay=delay)
        self._user = user
        return self.say("+OK User successfully authenticated.", delay=delay)

    def _session(self, command: str) -> Reply:
        if not self.behaviour.is_connected(self._user or ""):
            return self.say(_UNAVAILABLE, then=Then.CLOSE)
        if command in ("LIST", "UIDL"):
            return self.say("+OK", ".")
        return self.say("+OK 0 0" if command == "STAT" else "+OK")
