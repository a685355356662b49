"""SMTP submission as Exchange Online speaks it (facts 2.2): lines in, replies out, no I/O."""

from collections.abc import Callable
from datetime import UTC, datetime

from exporter.lab.behaviour import Behaviour, Reply, Then
from exporter.lab.era import BRACKET_HOST, SITE

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class SmtpServer:
    """One connection. `receive` takes a line without its CRLF."""

    def __init__(
        self, behaviour: Behaviour, *, starttls: bool = True, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._behaviour = behaviour
        self._clear = starttls
        self._now = now
        self._awaiting: str | None = None

    def greeting(self) -> Reply:
        delay = self._behaviour.greeting_delay
        if self._behaviour.outage:
            return Reply(f"421 4.3.2 Service not active [{BRACKET_HOST}]\r\n".encode(), Then.CLOSE, delay)
        now = self._now()
        date = f"{_DAYS[now.weekday()]}, {now.day} {_MONTHS[now.month - 1]} {now:%Y %H:%M:%S} +0000"
        session = " [08DCE8B62813AB2B]" if self._behaviour.era.smtp_session_id else ""
        return Reply(f"220 {SITE} Microsoft ESMTP MAIL Service ready at {date}{session}\r\n".encode(), delay=delay)

    def receive(self, line: str) -> Reply:
        if self._awaiting is not None:
            mechanism, self._awaiting = self._awaiting, None
            return self._credential(mechanism, line)
        verb, _, argument = line.partition(" ")
        match verb.upper():
            case "EHLO":
                return self._ehlo()
            case "HELO":
                return self._say(f"250 {SITE} Hello [127.0.0.1]")
            case "STARTTLS" if self._clear:
                self._clear = False
                return Reply(b"220 2.0.0 SMTP server ready\r\n", Then.START_TLS)
            case "AUTH":
                return self._auth(*argument.partition(" ")[::2])
            case "NOOP" | "RSET":
                return self._say("250 2.0.0 OK")
            case "MAIL":
                return self._say(f"530 5.7.57 Client not authenticated to send mail. [{BRACKET_HOST}]")
            case "QUIT":
                return Reply(b"221 2.0.0 Service closing transmission channel\r\n", Then.CLOSE)
            case _:
                return self._say("500 5.3.3 Unrecognized command")

    def _ehlo(self) -> Reply:
        upgrade = "STARTTLS" if self._clear else "AUTH LOGIN XOAUTH2"
        return self._say(
            f"250-{SITE} Hello [127.0.0.1]", "250-SIZE 157286400", "250-PIPELINING", "250-DSN",
            "250-ENHANCEDSTATUSCODES", f"250-{upgrade}", "250-8BITMIME", "250-BINARYMIME", "250-CHUNKING", "250 SMTPUTF8",
        )  # fmt: skip

    def _auth(self, mechanism: str, initial: str) -> Reply:
        name = mechanism.upper()
        if self._clear or name not in ("LOGIN", "XOAUTH2"):
            return self._say(f"504 5.7.4 Unrecognized authentication type [{BRACKET_HOST}]")
        if name == "XOAUTH2" and initial:
            return self._credential(name, initial)
        self._awaiting = "PASSWORD" if name == "LOGIN" and initial else name
        return self._say({"LOGIN": "334 VXNlcm5hbWU6", "PASSWORD": "334 UGFzc3dvcmQ6"}.get(self._awaiting, "334 "))

    def _credential(self, mechanism: str, line: str) -> Reply:
        if mechanism == "LOGIN":
            self._awaiting = "PASSWORD"
            return self._say("334 UGFzc3dvcmQ6")
        accepted = mechanism == "XOAUTH2" and self._behaviour.accepts(line)
        self._behaviour.counts["password"] += mechanism == "PASSWORD"
        if self._behaviour.throttled:
            text = f"432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded [Hostname={BRACKET_HOST}]"
        elif accepted:
            text = "235 2.7.0 Authentication successful"
        else:
            refusal = "535 5.7.3 Authentication unsuccessful"
            words = refusal if mechanism == "XOAUTH2" else self._behaviour.era.smtp_password_refused
            text = f"{words} {self._brackets()}"
        return Reply(f"{text}\r\n".encode(), delay=self._behaviour.auth_delay)

    def _brackets(self) -> str:
        if not self._behaviour.era.smtp_session_id:
            return f"[{BRACKET_HOST}]"
        return f"[{BRACKET_HOST} {self._now():%Y-%m-%dT%H:%M:%S.000Z} 08DCE8B62813AB2B]"

    def _say(self, *lines: str) -> Reply:
        return Reply("".join(f"{line}\r\n" for line in lines).encode())
