"""POP3 as Exchange Online speaks it (facts 2.3): lines in, replies out, no I/O."""

from exporter.lab.behaviour import Behaviour, Reply, Then
from exporter.lab.era import FRONT_END


class PopServer:
    """One connection. `receive` takes a line without its CRLF."""

    def __init__(self, behaviour: Behaviour, *, starttls: bool = False) -> None:
        self._behaviour = behaviour
        self._clear = starttls
        self._awaiting = False
        self._authenticated = False

    def greeting(self) -> Reply:
        delay = self._behaviour.greeting_delay
        if self._behaviour.outage:
            return Reply(b"-ERR [SYS/TEMP] Server Unavailable. 14\r\n", Then.CLOSE, delay)
        return Reply(f"+OK The Microsoft Exchange POP3 service is ready. [{FRONT_END}]\r\n".encode(), delay=delay)

    def receive(self, line: str) -> Reply:
        if self._awaiting:
            self._awaiting = False
            return self._token(line)
        command, _, argument = line.partition(" ")
        match command.upper():
            case "CAPA":
                stls = ("STLS",) if self._clear else ()
                return self._say("+OK", "TOP", "UIDL", f"SASL {self._behaviour.era.pop_sasl}", "USER", *stls, ".")
            case "STLS" if self._clear:
                self._clear = False
                return Reply(b"+OK Begin TLS negotiation.\r\n", Then.START_TLS)
            case "USER":
                return self._say("+OK")
            case "PASS":
                self._behaviour.counts["password"] += 1
                words = self._behaviour.era.pop_pass_refused
                return Reply(f"{words}\r\n".encode(), delay=self._behaviour.auth_delay)
            case "AUTH" if argument.upper() == "XOAUTH2":
                self._awaiting = True
                return self._say("+ ")
            case "AUTH":
                return Reply(b"-ERR Protocol error. Connection is closed. 10\r\n", Then.CLOSE)
            case "QUIT":
                return Reply(b"+OK Microsoft Exchange Server POP3 server signing off.\r\n", Then.CLOSE)
            case "STAT" | "NOOP" if self._authenticated:
                return self._say("+OK 0 0")
            case _:
                return self._say("-ERR Command is not valid in this state.")

    def _token(self, line: str) -> Reply:
        delay = self._behaviour.auth_delay
        accepted = self._behaviour.accepts(line)
        if self._behaviour.throttled:
            return Reply(b"-ERR [SYS/TEMP] Server Unavailable. 14\r\n", delay=delay)
        if accepted:
            self._authenticated = True
            return Reply(b"+OK User successfully authenticated.\r\n", delay=delay)
        return Reply(b"-ERR Authentication failure: unknown user name or bad password.\r\n", delay=delay)

    def _say(self, *lines: str) -> Reply:
        return Reply("".join(f"{line}\r\n" for line in lines).encode())
