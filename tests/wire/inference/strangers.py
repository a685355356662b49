"""Conversations that nobody recorded: scripted clients against the words of servers that aren't in the corpus.

Words are from the servers' sources and documentation, as far as memory goes; sizes are what counts of them. Each
conversation knows what happened in it. `python -m tests.wire.inference.strangers` prints how they are judged.
"""

from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

from exporter.vocabulary import AuthOutcome, Mechanism, Protocol
from exporter.wire.inference.infer import infer
from exporter.wire.trace import Record, Trace, TraceEnd
from tests.clients.truth import Attempt
from tests.wire.inference.judging import ABANDONED as NOTHING
from tests.wire.inference.judging import Mark, mark

PASSWORD, TOKEN = Mechanism.PASSWORD, Mechanism.TOKEN
ACCEPTED, REFUSED, ABANDONED = AuthOutcome.ACCEPTED, AuthOutcome.REFUSED, AuthOutcome.ABANDONED
_CHALLENGE = b64encode(b'{"status":"400","schemes":"Bearer","scope":"https://mail.example.org/"}').decode()
_CAPABILITIES = "IMAP4rev1 LITERAL+ SASL-IR LOGIN-REFERRALS ID ENABLE IDLE AUTH=PLAIN AUTH=LOGIN AUTH=XOAUTH2"
_MORE = _CAPABILITIES + (
    " SORT THREAD=REFERENCES MULTIAPPEND UNSELECT CHILDREN NAMESPACE UIDPLUS LIST-EXTENDED I18NLEVEL=1 CONDSTORE"
    " QRESYNC ESEARCH ESORT SEARCHRES WITHIN CONTEXT=SEARCH LIST-STATUS BINARY MOVE"
)


@dataclass(frozen=True, kw_only=True)
class Words:
    """What one server says; `{tag}` and `{user}` are filled in. Several lines are joined by a line break."""

    name: str
    greeting: str
    accepted: str
    refused: str
    bye: str
    challenges: bool = False
    delay: float = 0.1


IMAP = (
    Words(
        name="Gmail",
        greeting="* OK Gimap ready for requests from 192.0.2.17 a640c23a62f3a-b7315d1a7f5mb1234567",
        accepted=f"* CAPABILITY {_MORE}\n{{tag}} OK {{user}} authenticated (Success)",
        refused="{tag} NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)",
        bye="* BYE LOGOUT Requested\n{tag} OK 73 good day (Success)",
        challenges=True,
        delay=0.4,
    ),
    Words(
        name="Dovecot",
        greeting=f"* OK [CAPABILITY {_CAPABILITIES}] Dovecot ready.",
        accepted=f"{{tag}} OK [CAPABILITY {_MORE}] Logged in",
        refused="{tag} NO [AUTHENTICATIONFAILED] Authentication failed.",
        bye="* BYE Logging out\n{tag} OK Logout completed (0.001 + 0.000 secs).",
        challenges=True,
        delay=2.0,
    ),
    Words(
        name="Cyrus",
        greeting=f"* OK [CAPABILITY {_CAPABILITIES}] mail.example.org Cyrus IMAP 3.8.1 server ready",
        accepted=f"{{tag}} OK [CAPABILITY {_MORE}] User logged in SESSIONID=<mail-1712345678-12345-1-1234567890123456>",
        refused="{tag} NO Login failed: authentication failure",
        bye="* BYE LOGOUT received\n{tag} OK Completed",
        delay=3.0,
    ),
    Words(
        name="UW",
        greeting="* OK [CAPABILITY IMAP4REV1 I18NLEVEL=1 LITERAL+ SASL-IR LOGIN-REFERRALS AUTH=PLAIN] mail IMAP4rev1 2007f",
        accepted=f"{{tag}} OK [CAPABILITY {_MORE}] User {{user}} authenticated",
        refused="{tag} NO LOGIN failed",
        bye="* BYE mail.example.org IMAP4rev1 server terminating connection\n{tag} OK LOGOUT completed",
        delay=3.0,
    ),
    Words(
        name="Yahoo",
        greeting=f"* OK [CAPABILITY {_CAPABILITIES}] IMAP4rev1 imapgate-0.8_21.1 imap402 server ready",
        accepted="{tag} OK AUTHENTICATE completed",
        refused="{tag} NO [AUTHENTICATIONFAILED] AUTHENTICATE Invalid credentials",
        bye="* BYE IMAP4rev1 Server logging out\n{tag} OK LOGOUT Completed",
    ),
    Words(
        name="iCloud",
        greeting="* OK [CAPABILITY XAPPLEPUSHSERVICE IMAP4 IMAP4rev1 SASL-IR AUTH=XOAUTH2] imap (2426B512) p00-imap-0",
        accepted=f"{{tag}} OK [CAPABILITY {_MORE}] user {{user}} logged in",
        refused="{tag} NO [AUTHENTICATIONFAILED] Authentication failed",
        bye="* BYE LOGOUT received\n{tag} OK completed",
    ),
    Words(
        name="Exchange here",
        greeting="* OK The Microsoft Exchange IMAP4 service is ready.",
        accepted="{tag} OK LOGIN completed.",
        refused="{tag} NO LOGIN failed.",
        bye="* BYE Microsoft Exchange Server IMAP4 server signing off.\n{tag} OK LOGOUT completed.",
        delay=0.8,
    ),
    Words(
        name="hMailServer",
        greeting="* OK IMAPrev1",
        accepted="{tag} OK LOGIN completed",
        refused="{tag} NO Invalid user name or password.",
        bye="* BYE Have a nice day\n{tag} OK Logout completed",
    ),
    Words(
        name="Stalwart",
        greeting=f"* OK [CAPABILITY {_CAPABILITIES}] Stalwart IMAP4rev2 at your service.",
        accepted=f"{{tag}} OK [CAPABILITY {_MORE}] Authentication successful",
        refused="{tag} NO [AUTHENTICATIONFAILED] Authentication failed",
        bye="* BYE Stalwart IMAP4rev2 bids you farewell.\n{tag} OK LOGOUT completed",
    ),
    Words(
        name="Domino",
        greeting="* OK Domino IMAP4 Server Release 12.0 ready Wed, 25 Nov 2026 10:00:00 +0000",
        accepted="{tag} OK LOGIN completed",
        refused="{tag} NO LOGIN invalid name or password",
        bye="* BYE logging out\n{tag} OK LOGOUT completed",
        delay=0.3,
    ),
)
POP = (
    Words(
        name="Gmail",
        greeting="+OK Gpop ready for requests from 192.0.2.17 a640c23a62f3ab7315d1a7f5mb1234567",
        accepted="+OK Welcome.",
        refused="-ERR [AUTH] Username and password not accepted.",
        bye="+OK Farewell.",
        challenges=True,
        delay=0.4,
    ),
    Words(
        name="Dovecot",
        greeting="+OK Dovecot ready.",
        accepted="+OK Logged in.",
        refused="-ERR [AUTH] Authentication failed.",
        bye="+OK Logging out.",
        challenges=True,
        delay=2.0,
    ),
    Words(
        name="Cyrus",
        greeting="+OK mail.example.org Cyrus POP3 3.8.1 server ready <1234567890.1712345678@mail.example.org>",
        accepted="+OK Mailbox locked and ready SESSIONID=<mail-pop3-1712345678-12345-1-1234567890123456>",
        refused="-ERR [AUTH] Invalid login",
        bye="+OK",
        delay=3.0,
    ),
    Words(
        name="Qpopper",
        greeting="+OK ready  <1234.1712345678@mail.example.org>",
        accepted="+OK {user} has 2 visible messages (0 hidden) in 3021 octets.",
        refused='-ERR [AUTH] Password supplied for "{user}" is incorrect.',
        bye="+OK Pop server at mail.example.org signing off.",
        delay=5.0,
    ),
    Words(
        name="hMailServer",
        greeting="+OK POP3",
        accepted="+OK Mailbox locked and ready",
        refused="-ERR Invalid user name or password.",
        bye="+OK POP3 server saying goodbye...",
    ),
    Words(
        name="MDaemon",
        greeting="+OK mail.example.org POP3 server ready using UNREGISTERED SOFTWARE <MDAEMON.1234@mail.example.org>",
        accepted="+OK {user}'s mailbox has 2 total messages (3021 octets)",
        refused="-ERR Access denied",
        bye="+OK {user} mail.example.org POP Server signing off (mailbox empty)",
    ),
)
SMTP = (
    Words(
        name="Gmail",
        greeting="220 smtp.example.org ESMTP a640c23a62f3a-b7315d1a7f5sm12345666b.12 - gsmtp",
        accepted="235 2.7.0 Accepted",
        refused="535-5.7.8 Username and Password not accepted. For more information, go to\n"
        "535 5.7.8  https://support.google.com/mail/?p=BadCredentials a640c23a62f3a-b7315d1a7f5sm12345b.12 - gsmtp",
        bye="221 2.0.0 closing connection a640c23a62f3a-b7315d1a7f5sm12345b.12 - gsmtp",
        challenges=True,
        delay=0.4,
    ),
    Words(
        name="Sendmail",
        greeting="220 mail.example.org ESMTP Sendmail 8.17.1/8.17.1; Wed, 25 Nov 2026 10:00:00 GMT",
        accepted="235 2.0.0 OK Authenticated",
        refused="535 5.7.0 authentication failed",
        bye="221 2.0.0 mail.example.org closing connection",
        delay=3.0,
    ),
    Words(
        name="OpenSMTPD",
        greeting="220 mail.example.org ESMTP OpenSMTPD",
        accepted="235 2.0.0 Authentication succeeded",
        refused="535 Authentication failed",
        bye="221 2.0.0 Bye",
    ),
    Words(
        name="qmail",
        greeting="220 mail.example.org ESMTP",
        accepted="235 ok, go ahead (#2.0.0)",
        refused="535 authorization failed (#5.7.0)",
        bye="221 mail.example.org",
        delay=5.0,
    ),
    Words(
        name="SES",
        greeting="220 email-smtp.example.org ESMTP SimpleEmailService-d-ABCDEFGH1 abcdefghijklmnopqrst",
        accepted="235 Authentication successful.",
        refused="535 Authentication Credentials Invalid",
        bye="221 Bye",
    ),
    Words(
        name="hMailServer",
        greeting="220 mail.example.org ESMTP",
        accepted="235 authenticated.",
        refused="535 Authentication failed. Restarting authentication process.",
        bye="221 goodbye",
    ),
    Words(
        name="Haraka",
        greeting="220 mail.example.org ESMTP Haraka/3.0.3 ready (A1B2C3D4-E5F6-4A5B-8C7D-1234567890AB)",
        accepted="235 2.7.0 Authentication successful",
        refused="535 5.7.8 Authentication failed",
        bye="221 mail.example.org closing connection. Have a jolly good day.",
        delay=1.0,
    ),
)


@dataclass
class Talk:
    """A conversation as it grows. What is said in one go is one record unless it is cut later."""

    random: Random
    words: Words
    said: list[tuple[float, bool, int]] = field(default_factory=list)
    truth: list[Attempt] = field(default_factory=list)
    now: float = 0.0
    end: TraceEnd = TraceEnd.CLIENT_CLOSED
    number: int = 0
    style: str = "{}"
    user: str = "someone@example.org"

    @property
    def tag(self) -> str:
        return self.style.format(self.number)

    def client(self, *lines: str) -> None:
        self._say(True, 0.03, *lines)

    def command(self, text: str) -> None:
        """With the next tag, in IMAP."""
        self.number += 1
        self.client(f"{self.tag} {text}")

    def server(self, text: str, delay: float = 0.0) -> None:
        lines = text.format(tag=self.tag, user=self.user) if "{tag}" in text or "{user}" in text else text
        self._say(False, 0.03 + delay, *lines.split("\n"))

    def _say(self, from_client: bool, delay: float, *lines: str) -> None:
        self.now += delay
        self.said.append((self.now, from_client, sum(len(line) + 2 for line in lines)))

    def happened(self, mechanism: Mechanism, outcome: AuthOutcome) -> None:
        self.truth.append(Attempt(mechanism, outcome))

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)


def _base64(length: int) -> str:
    return "A" * (-(-length // 3) * 4)


def _secret(talk: Talk, mechanism: Mechanism) -> str:
    """A response of SASL PLAIN or XOAUTH2, as base64."""
    if mechanism is PASSWORD:
        return _base64(2 + len(talk.user) + talk.random.randint(6, 40))
    return _base64(22 + len(talk.user) + talk.random.randint(700, 3_600))


def _answered(talk: Talk, mechanism: Mechanism, *, accepted: bool, refused: str | None = None) -> None:
    talk.happened(mechanism, ACCEPTED if accepted else REFUSED)
    if accepted:
        talk.server(talk.words.accepted, talk.random.uniform(0, 0.3))
        return
    if mechanism is TOKEN and talk.words.challenges:
        prefix = "334 " if talk.words in SMTP else "+ "
        talk.server(prefix + _CHALLENGE, talk.words.delay)
        talk.client(talk.pick("", "AQ==", "*") if prefix == "+ " else talk.pick("", "AQ=="))
    talk.server(refused or talk.words.refused, talk.words.delay)


def _sasl(talk: Talk, verb: str, mechanism: Mechanism, *, prompt: str, say: Callable[[str], None]) -> None:
    """AUTH in one step, in two, or as LOGIN's dialogue."""
    form = talk.pick("initial", "two steps", "dialogue") if mechanism is PASSWORD else talk.pick("initial", "two steps")
    name = "PLAIN" if mechanism is PASSWORD else talk.pick("XOAUTH2", "XOAUTH2", "OAUTHBEARER")
    if form == "initial":
        say(f"{verb} {name} {_secret(talk, mechanism)}")
    elif form == "two steps":
        say(f"{verb} {name}")
        talk.server(prompt)
        talk.client(_secret(talk, mechanism))
    else:
        say(f"{verb} LOGIN")
        talk.server(f"{prompt}VXNlcm5hbWU6")
        talk.client(_base64(len(talk.user)))
        talk.server(f"{prompt}UGFzc3dvcmQ6")
        talk.client(_base64(talk.random.randint(6, 40)))


# ---- IMAP --------------------------------------------------------------------------------------------------------------


def _imap_before(talk: Talk) -> None:
    """What is asked before anything is tried."""
    for what in talk.random.choice(
        [
            (),
            ("CAPABILITY",),
            ("CAPABILITY",),
            ("CAPABILITY", "ID"),
            ("ID",),
            ("ID", "CAPABILITY"),
            ("NOOP", "CAPABILITY"),
        ]
    ):
        if what == "ID":
            talk.command(
                'ID ("name" "Stranger" "version" "1.0" "vendor" "Nobody" "support-url" "mailto:x@example.org")'
            )
            talk.server('* ID ("name" "Server" "version" "3.2.1" "vendor" "Somebody")\n{tag} OK ID completed')
        elif what == "NOOP":
            talk.command("NOOP")
            talk.server("{tag} OK NOOP completed")
        else:
            talk.command("CAPABILITY")
            talk.server(f"* CAPABILITY {_CAPABILITIES}\n{{tag}} OK CAPABILITY completed")


def _imap_attempt(talk: Talk, mechanism: Mechanism, *, accepted: bool) -> None:
    form = talk.pick("LOGIN", "literals", "SASL") if mechanism is PASSWORD else "SASL"
    password = "p" * talk.random.randint(6, 40)
    if form == "LOGIN":
        talk.command(talk.pick(f"LOGIN {talk.user} {password}", f'LOGIN "{talk.user}" "{password}"'))
    elif form == "literals":
        talk.command(f"LOGIN {{{len(talk.user)}}}")
        talk.server("+ Ready for literal data")
        talk.client(f"{talk.user} {{{len(password)}}}")
        talk.server("+ Ready for literal data")
        talk.client(password)
    else:
        _sasl(talk, "AUTHENTICATE", mechanism, prompt="+ ", say=talk.command)
    _answered(talk, mechanism, accepted=accepted)


def _imap_session(talk: Talk) -> None:
    """What is done by who was let in."""
    for _ in range(talk.random.randint(1, 4)):
        what = talk.pick("LIST", "SELECT", "APPEND", "IDLE", "ID", "CAPABILITY", "NAMESPACE", "ENABLE")
        if what == "APPEND":
            size = talk.random.randint(300, 6_000)
            talk.command(f"APPEND {talk.pick('Sent', 'Drafts', 'Sent Items')} (\\Seen) {{{size}}}")
            talk.server("+ Ready for literal data")
            talk.client("m" * size)
            talk.server("{tag} OK [APPENDUID 1712345678 12] APPEND completed")
        elif what == "IDLE":
            talk.command("IDLE")
            talk.server("+ idling")
            talk.client("DONE")
            talk.server("{tag} OK IDLE terminated")
        elif what == "ID":
            talk.command('ID ("name" "Stranger" "version" "1.0")')
            talk.server('* ID ("name" "Server" "version" "3.2.1")\n{tag} OK ID completed')
        elif what == "CAPABILITY":
            talk.command("CAPABILITY")
            talk.server(f"* CAPABILITY {_MORE}\n{{tag}} OK CAPABILITY completed")
        elif what == "ENABLE":
            talk.command("ENABLE QRESYNC")
            talk.server("* ENABLED QRESYNC CONDSTORE\n{tag} OK ENABLE completed")
        elif what == "NAMESPACE":
            talk.command("NAMESPACE")
            talk.server('* NAMESPACE (("" "/")) NIL NIL\n{tag} OK NAMESPACE completed')
        elif what == "LIST":
            talk.command('LIST "" "*"')
            folders = [f'* LIST (\\HasNoChildren) "/" Folder{each}' for each in range(talk.random.randint(1, 12))]
            talk.server("\n".join((*folders, "{tag} OK LIST completed")))
        else:
            talk.command("SELECT INBOX")
            talk.server(
                "* 12 EXISTS\n* 0 RECENT\n* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\n"
                "* OK [UIDVALIDITY 1712345678] UIDs valid\n{tag} OK [READ-WRITE] SELECT completed"
            )


def _imap_leaves(talk: Talk) -> None:
    if talk.random.random() < 0.6:
        talk.command("LOGOUT")
        talk.server(talk.words.bye)


def imap(talk: Talk) -> None:
    talk.style = talk.pick("a{:03}", "A{:04}", "{}", "a{}", "A{}", "{:04}", "TAG{}", "abcd{}", ".{}")
    talk.server(talk.words.greeting)
    _imap_before(talk)
    _tries(talk, _imap_attempt, _imap_session, _imap_leaves)


# ---- POP ---------------------------------------------------------------------------------------------------------------


def _pop_attempt(talk: Talk, mechanism: Mechanism, *, accepted: bool) -> None:
    if mechanism is PASSWORD and talk.random.random() < 0.6:
        talk.client(f"USER {talk.user}")
        talk.server(talk.pick("+OK", "+OK send PASS", f"+OK Password required for {talk.user}."))
        talk.client("PASS " + "p" * talk.random.randint(6, 40))
    else:
        _sasl(talk, "AUTH", mechanism, prompt="+ ", say=talk.client)
    _answered(talk, mechanism, accepted=accepted)


def _pop_session(talk: Talk) -> None:
    """STAT as the last word would be QUIT as well: what comes behind it decides."""
    talk.client("STAT")
    talk.server("+OK 2 3021")
    if talk.random.random() < 0.2:
        talk.client("NOOP")
        talk.server("+OK")
    else:
        listing = talk.pick("LIST", "UIDL")
        talk.client(listing)
        talk.server("+OK 2 messages:\n1 1510\n2 1511\n.")
        talk.client("RETR 1")
        talk.server("+OK 1510 octets\n" + "m" * 1_510 + "\n.")


def _pop_leaves(talk: Talk) -> None:
    if talk.random.random() < 0.7:
        talk.client("QUIT")
        talk.server(talk.words.bye)


def pop(talk: Talk) -> None:
    talk.server(talk.words.greeting)
    if talk.random.random() < 0.5:
        talk.client("CAPA")
        talk.server("+OK Capability list follows\nUSER\nRESP-CODES\nUIDL\nTOP\nPIPELINING\nSASL PLAIN XOAUTH2\n.")
    _tries(talk, _pop_attempt, _pop_session, _pop_leaves)


# ---- SMTP --------------------------------------------------------------------------------------------------------------


def _smtp_attempt(talk: Talk, mechanism: Mechanism, *, accepted: bool) -> None:
    _sasl(talk, "AUTH", mechanism, prompt="334 ", say=talk.client)
    _answered(talk, mechanism, accepted=accepted)


def _smtp_session(talk: Talk) -> None:
    talk.client("MAIL FROM:<someone@example.org> SIZE=1800")
    talk.server(talk.pick("250 2.1.0 Ok", "250 OK", "250 2.1.0 <someone@example.org>... Sender ok"))
    talk.client("RCPT TO:<somebody.else@example.net>")
    talk.server(talk.pick("250 2.1.5 Ok", "250 Accepted", "250 2.1.5 <somebody.else@example.net>... Recipient ok"))
    talk.client("DATA")
    talk.server("354 End data with <CR><LF>.<CR><LF>")
    talk.client("m" * talk.random.randint(300, 6_000) + "\r\n.")
    talk.server("250 2.0.0 Ok: queued as 4F1B2C3D4E", 0.2)


def _smtp_leaves(talk: Talk) -> None:
    if talk.random.random() < 0.7:
        talk.client("QUIT")
        talk.server(talk.words.bye)


def smtp(talk: Talk) -> None:
    """Behind STARTTLS; the banner was said in clear."""
    talk.client(f"EHLO {talk.pick('[127.0.0.1]', 'laptop.example.org', 'localhost')}")
    talk.server(
        "250-mail.example.org\n250-PIPELINING\n250-SIZE 10240000\n250-AUTH PLAIN LOGIN XOAUTH2\n"
        "250-ENHANCEDSTATUSCODES\n250-8BITMIME\n250 SMTPUTF8"
    )
    _tries(talk, _smtp_attempt, _smtp_session, _smtp_leaves)


# ---- what happens ------------------------------------------------------------------------------------------------------


def _tries(
    talk: Talk, attempt: Callable[..., None], session: Callable[[Talk], None], leaves: Callable[[Talk], None]
) -> None:
    """Nothing, or an attempt that is accepted or refused, and what who was refused does next."""
    mechanism = talk.random.choice((PASSWORD, TOKEN))
    story = talk.pick(
        "nothing", "accepted", "accepted", "refused", "refused", "again", "other", "then right", "cut off"
    )
    if story == "nothing":
        talk.happened(Mechanism.UNKNOWN, ABANDONED)
        leaves(talk)
        return
    if story == "accepted":
        attempt(talk, mechanism, accepted=True)
    else:
        attempt(talk, mechanism, accepted=False)
        if story == "again":
            attempt(talk, mechanism, accepted=False)
        elif story == "other":
            attempt(talk, PASSWORD if mechanism is TOKEN else TOKEN, accepted=False)
        elif story == "then right":
            attempt(talk, mechanism, accepted=True)
    if talk.truth[-1].outcome is ACCEPTED:
        session(talk)
    if story == "cut off":
        talk.end = TraceEnd.SERVER_CLOSED
    else:
        leaves(talk)


#: Forms that TLS gives to a record of plain text: version, suite, and the length of what a side says.
FORMS: dict[str, tuple[str, str, Callable[[int, bool], int]]] = {
    "TLS 1.3": ("TLSv1.3", "TLS_AES_256_GCM_SHA384", lambda size, _: size + 17),
    "TLS 1.3, JSSE": ("TLSv1.3", "TLS_AES_256_GCM_SHA384", lambda size, client: size + (33 if client else 17)),
    "TLS 1.2 GCM": ("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", lambda size, _: size + 24),
    "TLS 1.2 ChaCha20": ("TLSv1.2", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", lambda size, _: size + 16),
    "TLS 1.2 CBC": ("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", lambda size, _: 16 + (size + 20 + 16) // 16 * 16),
}
_WORDS = {Protocol.IMAP: (imap, IMAP), Protocol.POP: (pop, POP), Protocol.SMTP: (smtp, SMTP)}


def conversation(protocol: Protocol, words: Words, form: str, random: Random) -> tuple[Trace, Talk]:
    """One conversation with that server, and what happened in it."""
    talk = Talk(random, words, user="u" * random.randint(3, 20) + "@example.org")
    _WORDS[protocol][0](talk)
    version, cipher, length = FORMS[form]
    records = [Record(time, client, 23, length(size, client)) for time, client, size in talk.said]
    if version == "TLSv1.3":
        first = records[0].time - 0.01
        tickets = [Record(first, False, 23, 251)] * random.choice((0, 2, 2))
        farewell = [Record(talk.now + 0.01, True, 23, length(2, True))] if random.random() < 0.7 else []
        records = [*tickets, *records, *(farewell if talk.end is TraceEnd.CLIENT_CLOSED else [])]
    finished = {"TLS 1.3": 69, "TLS 1.3, JSSE": 85}.get(form)
    return Trace(
        protocol=protocol, tls_version=version, cipher=cipher, records=tuple(records), end=talk.end,
        finished_length=finished, starttls=protocol is Protocol.SMTP,
    ), talk  # fmt: skip


def conversations(each: int) -> Iterator[tuple[str, Trace, Talk]]:
    """`each` of every server in every form."""
    for protocol, (_, servers) in _WORDS.items():
        for words in servers:
            for form in FORMS:
                random = Random(f"{protocol} {words.name} {form}")
                for _ in range(each):
                    yield f"{protocol} {form}", *conversation(protocol, words, form, random)


def judged(each: int) -> Iterator[tuple[str, Talk, Attempt, Mark]]:
    """Each conversation with what was said of its last attempt."""
    for name, trace, talk in conversations(each):
        found = infer(trace)
        said = Attempt(found[-1].mechanism, found[-1].outcome) if found else NOTHING
        yield name, talk, said, mark(said, talk.truth[-1])


def main() -> None:
    rows: dict[str, Counter[Mark]] = {}
    for name, talk, said, found in judged(60):
        true = talk.truth[-1]
        cell = f"{true.mechanism} {true.outcome}{', CBC' if 'CBC' in name else ''}"
        for row in (name, cell):
            rows.setdefault(row, Counter())[found] += 1
        if found is Mark.WRONG:
            sizes = " ".join((">" if client else "<") + str(size) for _, client, size in talk.said)
            print(f"wrong: {name} {talk.words.name}: {said.mechanism} {said.outcome} of {cell}\n    {sizes}")
    for row, marks in rows.items():
        total = marks.total()
        print(f"{row:40}{total:>6}", *(f"{each} {100 * marks[each] / total:.1f} %" for each in Mark))


if __name__ == "__main__":
    main()
