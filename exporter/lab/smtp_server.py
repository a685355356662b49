"""SMTP submission as Exchange Online speaks it (facts 2.2): bytes in, replies out, no I/O."""

import base64
import binascii
import re
from datetime import datetime
from email.utils import format_datetime

from exporter.lab.behaviour import Behaviour, MailboxState, Reply, Then, Use, Verdict
from exporter.lab.era import FRONT_END, SITE, SMTP_REFUSALS
from exporter.lab.mail_server import MailServer

_SESSION_ID = "08DCE8B62813AB2B"
_OLD_TLS = (
    "421 4.7.66 TLS 1.0 and 1.1 are not supported. Please upgrade/update your client to support TLS 1.2. "
    f"Visit https://aka.ms/smtp_auth_tls. [{FRONT_END}]"
)
_NAME = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Za-z.:]+\]")
#: What a mailbox' state makes of a correct credential.
_REFUSED_BY_STATE = {
    MailboxState.SMTP_OFF: "mailbox_disabled",
    MailboxState.SMTP_OFF_FOR_TENANT: "tenant_disabled",
    MailboxState.CRITERIA: "criteria",
    MailboxState.ACCOUNT_ISSUE: "account_issue",
}
_USER_PROMPT, _PASSWORD_PROMPT = "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"


class SmtpServer(MailServer):
    """One connection, with STARTTLS. `client_address` is shown in the reply to EHLO."""

    def __init__(self, behaviour: Behaviour, *, starttls: bool = True, client_address: str = "127.0.0.1") -> None:
        super().__init__(behaviour, starttls=starttls)
        self._client_address = client_address
        self._awaiting: str | None = None
        self._named = ""
        self._signed_in = False
        self._refusal = ""

    def greeting(self) -> Reply:
        delay = self.behaviour.greeting_delay
        if self.behaviour.outage:
            return self.say(f"421 4.3.2 Service not active [{FRONT_END}]", then=Then.CLOSE, delay=delay)
        session = f" [{_SESSION_ID}]" if self.behaviour.era.smtp_session_id else ""
        date = smtp_date(self.behaviour.now())
        return self.say(f"220 {SITE} Microsoft ESMTP MAIL Service ready at {date}{session}", delay=delay)

    def answer(self, line: str) -> Reply:
        if self._awaiting is not None:
            mechanism, self._awaiting = self._awaiting, None
            return self._response(mechanism, line)
        verb, _, argument = line.partition(" ")
        match verb.upper():
            case "EHLO" | "HELO":
                return self._hello(verb.upper(), argument.strip())
            case "STARTTLS" if self.clear:
                return self.say("220 2.0.0 SMTP server ready", then=Then.START_TLS)
            case "AUTH":
                return self._auth(*argument.partition(" ")[::2])
            case "NOOP" | "RSET":
                return self.say("250 2.0.0 OK")
            case "MAIL":
                return self._mail()
            case "QUIT":
                return self.say("221 2.0.0 Service closing transmission channel", then=Then.CLOSE)
            case _:
                return self.say("500 5.3.3 Unrecognized command")

    def _hello(self, verb: str, name: str) -> Reply:
        if not _NAME.fullmatch(name):
            return self.say(f"501 5.5.4 Invalid domain name {self._brackets(SITE)}", delay=self.behaviour.tarpit)
        if self.behaviour.tls_too_old and not self.clear:
            return self.say(_OLD_TLS, then=Then.CLOSE)
        hello = f"{SITE} Hello [{self._client_address}]"
        if verb == "HELO":
            return self.say(f"250 {hello}")
        upgrade = "STARTTLS" if self.clear else "AUTH LOGIN XOAUTH2"
        return self.say(
            f"250-{hello}", "250-SIZE 157286400", "250-PIPELINING", "250-DSN", "250-ENHANCEDSTATUSCODES",
            f"250-{upgrade}", "250-8BITMIME", "250-BINARYMIME", "250-CHUNKING", "250 SMTPUTF8",
        )  # fmt: skip

    def _auth(self, mechanism: str, initial: str) -> Reply:
        name = mechanism.upper()
        if self.clear or name not in ("LOGIN", "XOAUTH2"):
            return self.say(f"504 5.7.4 Unrecognized authentication type [{FRONT_END}]")
        if initial:
            return self._response(name, initial)
        self._awaiting = name
        return self.say(_USER_PROMPT if name == "LOGIN" else "334 ")

    def _response(self, mechanism: str, line: str) -> Reply:
        if mechanism == "XOAUTH2":
            return self._token(line)
        if mechanism == "LOGIN":
            self._named = _decoded(line)
            self._awaiting = "PASSWORD"
            return self.say(_PASSWORD_PROMPT)
        password = _decoded(line)
        self.behaviour.saw_password(self._named, password)
        accepted = self.behaviour.smtp_passwords.get(self._named) == password and password != ""
        return self._outcome(self._named, accepted, self.behaviour.era.smtp_password_refused)

    def _token(self, line: str) -> Reply:
        verdict, user = self.behaviour.judge(line, Use.SMTP)
        if verdict is Verdict.MALFORMED:
            return self.say(f"501 5.5.124 Invalid XOAUTH2 auth data {self._brackets()}")
        return self._outcome(user, verdict is Verdict.ACCEPTED, SMTP_REFUSALS["token"])

    def _outcome(self, user: str, accepted: bool, refusal: str) -> Reply:
        delay = self.behaviour.auth_delay
        if self.behaviour.is_throttled(user):
            text = f"432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded [Hostname={FRONT_END}]"
            return self.say(text, delay=delay)
        for state in self.behaviour.states(user) & set(_REFUSED_BY_STATE) if accepted else ():
            accepted, refusal = False, SMTP_REFUSALS[_REFUSED_BY_STATE[state]]
        if self.behaviour.smtp_refusal is not None:
            accepted, refusal = False, SMTP_REFUSALS[self.behaviour.smtp_refusal]
        if accepted:
            self._signed_in = True
            return self.say("235 2.7.0 Authentication successful", delay=delay)
        self._refusal = f"{refusal} {self._brackets()}"
        return self.say(self._refusal, delay=delay)

    def _mail(self) -> Reply:
        if self._signed_in:
            return self.say("250 2.1.0 Sender OK")
        why = f"Error: {self._refusal}" if self._refusal else self._brackets()
        return self.say(f"530 5.7.57 Client not authenticated to send mail. {why}")

    def _brackets(self, host: str = FRONT_END) -> str:
        if not self.behaviour.era.smtp_bracket_time:
            return f"[{host}]"
        now = self.behaviour.now()
        return f"[{host} {now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z {_SESSION_ID}]"


def smtp_date(now: datetime) -> str:
    """RFC 1123 as Exchange writes it: the day isn't zero padded."""
    return format_datetime(now).replace(", 0", ", ")


def _decoded(line: str) -> str:
    try:
        return base64.b64decode(line, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
