"""A client that says exactly what a script has it say, record by record: what real programs do rarely or never.

A script is a list of turns; a turn is the list of the records that are sent before the next reply is awaited. The
last turn may be followed by an abrupt end.
"""

import base64
import re
import socket
import ssl
from collections.abc import Callable

from exporter.vocabulary import Protocol
from tests.clients.job import Job

Turn = list[bytes]
Script = list[Turn]

_TIMEOUT = 20.0
_FAREWELL = re.compile(rb"(?i)(?:QUIT|LOGOUT)\r\n$")
#: A refusal announced as JSON (RFC 7628): it comes whole behind an empty line.
_CHALLENGE = re.compile(rb"(?:\+|334) eyJ")
_REFUSAL = re.compile(rb"(?m)^(?:[45]\d\d[ -]|-ERR|\S+ (?:NO|BAD) )")
#: A reply is over when nothing came for so long (seconds).
_QUIET = 0.08


def run(job: Job, script: Script, *, hang_up: bool = False, persistent: bool = False) -> None:
    """Speaks the script; stops early where the server closes, and says only its farewell once something is refused.

    `persistent`: it goes on all the same.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((job.host, job.port), timeout=_TIMEOUT) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if job.starttls:
            _upgrade(plain, job.protocol)
        with context.wrap_socket(plain, server_hostname=job.server_name, suppress_ragged_eofs=True) as connection:
            if not job.starttls and not _read(connection):
                return
            _speak(connection, script, hang_up=hang_up, persistent=persistent)


def _speak(connection: ssl.SSLSocket, script: Script, *, hang_up: bool, persistent: bool) -> None:
    refused = False
    for turn in script:
        if refused and not _FAREWELL.search(turn[-1]):
            continue
        for record in turn:
            connection.sendall(record)
        if turn is script[-1] and hang_up:
            return
        reply = _read(connection)
        if _CHALLENGE.match(reply):
            connection.sendall(b"\r\n")
            reply = _read(connection)
        if not reply:
            return
        refused = refused or (not persistent and _REFUSAL.search(reply) is not None)


def _upgrade(plain: socket.socket, protocol: Protocol) -> None:
    plain.recv(4096)
    if protocol is Protocol.SMTP:
        plain.sendall(b"EHLO client.example.org\r\n")
        plain.recv(4096)
    plain.sendall(
        {Protocol.SMTP: b"STARTTLS\r\n", Protocol.IMAP: b"s STARTTLS\r\n", Protocol.POP: b"STLS\r\n"}[protocol]
    )
    plain.recv(4096)


def _read(connection: ssl.SSLSocket) -> bytes:
    """What comes until it is quiet; b"" at the end of the connection."""
    connection.settimeout(_TIMEOUT)
    found = b""
    try:
        while data := connection.recv(65_536):
            found += data
            connection.settimeout(_QUIET)
    except (TimeoutError, OSError):
        pass
    return found


def _b64(text: str) -> bytes:
    return base64.b64encode(text.encode())


def xoauth2(job: Job) -> bytes:
    return _b64(f"user={job.user}\x01auth=Bearer {job.secret}\x01\x01")


def oauthbearer(job: Job) -> bytes:
    return _b64(f"n,a={job.user},\x01host={job.host}\x01port={job.port}\x01auth=Bearer {job.secret}\x01\x01")


def plain(job: Job) -> bytes:
    return _b64(f"\0{job.user}\0{job.secret}")


def _lines(text: str) -> Script:
    return [[f"{line}\r\n".encode()] for line in text.splitlines()]


def _pieces(data: bytes, size: int) -> Turn:
    return [data[at : at + size] for at in range(0, len(data), size)]


def _imap_credential(job: Job, tag: str, *, initial: bool = True) -> Script:
    if job.token and initial:
        return [[f"{tag} AUTHENTICATE XOAUTH2 ".encode() + xoauth2(job) + b"\r\n"]]
    if job.token:
        return [[f"{tag} AUTHENTICATE XOAUTH2\r\n".encode()], [xoauth2(job) + b"\r\n"]]
    return [[f'{tag} LOGIN "{job.user}" "{job.secret}"\r\n'.encode()]]


def thunderbird(job: Job) -> Script:
    """Numeric tags; SASL PLAIN or XOAUTH2 with initial response; ID and NAMESPACE behind; IDLE."""
    login = xoauth2(job) if job.token else plain(job)
    name = b"XOAUTH2" if job.token else b"PLAIN"
    return [
        [b"1 capability\r\n"], [b"2 authenticate " + name + b" " + login + b"\r\n"], [b"3 capability\r\n"],
        [b'4 ID ("name" "Thunderbird" "version" "115.9.0")\r\n'], [b"5 namespace\r\n"], [b'6 list "" "*"\r\n'],
        [b'7 select "INBOX"\r\n'], [b"8 getquotaroot \"INBOX\"\r\n"], [b"9 UID fetch 1:* (FLAGS)\r\n"], [b"10 IDLE\r\n"],
        [b"DONE\r\n"],
        [b"9 logout\r\n"],
    ]  # fmt: skip


def apple_mail(job: Job) -> Script:
    """Tags `1.23`; CAPABILITY, credential, CAPABILITY, ID, NAMESPACE, LIST, STATUS, and no farewell."""
    return [
        [b"1.12 CAPABILITY\r\n"], *_imap_credential(job, "2.12", initial=False), [b"3.12 CAPABILITY\r\n"],
        [b'4.12 ID ("name" "Mac OS X Mail" "version" "16.0 (3696.120.41)" "os" "Mac OS X")\r\n'], [b'5.12 LIST "" ""\r\n'],
        [b"6.12 NAMESPACE\r\n"], [b'7.12 LIST "" *\r\n'], [b"8.12 SELECT INBOX\r\n"], [b"9.12 FETCH 1:* (FLAGS UID)\r\n"],
    ]  # fmt: skip


def k9(job: Job) -> Script:
    """ID before the sign-in, COMPRESS and LIST behind."""
    return [
        [b"1 CAPABILITY\r\n"], *_imap_credential(job, "2"), [b"3 CAPABILITY\r\n"], [b'4 ID ("name" "K-9 Mail")\r\n'],
        [b'5 LIST "" "*"\r\n'], [b"6 EXAMINE \"INBOX\"\r\n"], [b"7 UID SEARCH 1:* NOT DELETED\r\n"], [b"8 LOGOUT\r\n"],
    ]  # fmt: skip


def mailkit(job: Job) -> Script:
    """Long tags (A00000000)."""
    return [
        [b"A00000000 CAPABILITY\r\n"], *_imap_credential(job, "A00000001"), [b"A00000002 NAMESPACE\r\n"],
        [b'A00000003 LIST "" "INBOX" RETURN (SUBSCRIBED CHILDREN)\r\n'], [b"A00000004 SELECT INBOX\r\n"], [b"A00000005 LOGOUT\r\n"],
    ]  # fmt: skip


def outlook(job: Job) -> Script:
    """Four random characters; no farewell."""
    return [
        [b"4r2x CAPABILITY\r\n"], *_imap_credential(job, "b9ke"), [b'w3ts LIST "" INBOX\r\n'], [b"p01z SELECT INBOX\r\n"],
        [b"8sle UID FETCH 1:* (UID FLAGS)\r\n"], [b"kd72 IDLE\r\n"],
    ]  # fmt: skip


def early_id(job: Job) -> Script:
    return [
        [b"a1 CAPABILITY\r\n"], [b'a2 ID ("name" "script" "version" "1.0" "vendor" "nobody in particular" "os" "Linux" "date" "today")\r\n'],
        [b"a3 NOOP\r\n"], *_imap_credential(job, "a4"), [b"a5 SELECT INBOX\r\n"], [b"a6 LOGOUT\r\n"],
    ]  # fmt: skip


def literal(job: Job) -> Script:
    """LOGIN with synchronizing literals."""
    user, secret = job.user.encode(), job.secret.encode()
    return [
        [b"A1 CAPABILITY\r\n"], [b"A2 LOGIN {%d}\r\n" % len(user)], [user + b" {%d}\r\n" % len(secret)], [secret + b"\r\n"],
        [b'A3 LIST "" "*"\r\n'], [b"A4 SELECT INBOX\r\n"], [b"A5 LOGOUT\r\n"],
    ]  # fmt: skip


def literal_plus(job: Job) -> Script:
    """LITERAL+: nothing is awaited; three records, one attempt."""
    user, secret = job.user.encode(), job.secret.encode()
    return [
        [b"A1 CAPABILITY\r\n"],
        [b"A2 LOGIN {%d+}\r\n" % len(user), user + b" {%d+}\r\n" % len(secret), secret + b"\r\n"],
        [b'A3 LIST "" "*"\r\n'], [b"A4 SELECT INBOX\r\n"], [b"A5 LOGOUT\r\n"],
    ]  # fmt: skip


def split_records(job: Job) -> Script:
    """Each command in several records."""
    return [
        _pieces(b"A1 CAPABILITY\r\n", 4), *(_pieces(turn[0], 37) for turn in _imap_credential(job, "A2")),
        _pieces(b'A3 LIST "" "*"\r\n', 5), _pieces(b"A4 SELECT INBOX\r\n", 5), _pieces(b"A5 LOGOUT\r\n", 3),
    ]  # fmt: skip


def pipelined(job: Job) -> Script:
    """Everything at once: on a server whose words aren't known nobody can tell what it said."""
    credential = _imap_credential(job, "A2")[0][0]
    return [[b"A1 CAPABILITY\r\n" + credential + b"A3 SELECT INBOX\r\nA4 LOGOUT\r\n"]]


def append(job: Job) -> Script:
    """A message as long as a token, right behind the sign-in."""
    body = b"Subject: x\r\n\r\n" + b"0123456789abcde\r\n" * 90
    return [
        [b"A1 CAPABILITY\r\n"], *_imap_credential(job, "A2"), [b"A3 APPEND Drafts {%d}\r\n" % len(body)], [body + b"\r\n"],
        [b"A4 LOGOUT\r\n"],
    ]  # fmt: skip


def retry(job: Job) -> Script:
    """The same three times, without a farewell."""
    return [[b"A1 CAPABILITY\r\n"]] + [turn for tag in ("A2", "A3", "A4") for turn in _imap_credential(job, tag)]


def wrong_then_right(job: Job) -> Script:
    wrong = b'A2 LOGIN "%s" "not-%s"\r\n' % (job.user.encode(), job.secret.encode()[:20])
    return [
        [b"A1 CAPABILITY\r\n"], [wrong], *_imap_credential(job, "A3"), [b"A4 SELECT INBOX\r\n"],
        [b"A5 FETCH 1:* (FLAGS)\r\n"], [b"A6 LOGOUT\r\n"],
    ]  # fmt: skip


def reads_and_leaves(job: Job) -> Script:
    return _lines("a CAPABILITY\nb LOGOUT")


def reads_and_hangs_up(job: Job) -> Script:
    return [*_lines("0001 CAPABILITY"), [b'0002 ID ("name" "a client without OAuth" "version" "7")\r\n']]


def gives_up(job: Job) -> Script:
    """Sends its credential and hangs up at once."""
    return [[b"A1 CAPABILITY\r\n"], *_imap_credential(job, "A2")]


def half_sasl(job: Job) -> Script:
    name = b"XOAUTH2" if job.token else b"PLAIN"
    return [[b"A1 CAPABILITY\r\n"], [b"A2 AUTHENTICATE " + name + b"\r\n"]]


def bearer(job: Job) -> Script:
    """OAUTHBEARER without initial response."""
    return [
        [b"A1 CAPABILITY\r\n"], [b"A2 AUTHENTICATE OAUTHBEARER\r\n"], [oauthbearer(job) + b"\r\n"],
        [b'A3 LIST "" "*"\r\n'] if "right" in job.options else [b"AQ==\r\n"], [b"A4 LOGOUT\r\n"],
    ]  # fmt: skip


def stubborn(job: Job) -> Script:
    """Goes on talking, whatever came of the sign-in."""
    return [
        [b"a CAPABILITY\r\n"], *_imap_credential(job, "b"), [b"c SELECT INBOX\r\n"], [b"d FETCH 1 BODY[]\r\n"], [b"e LOGOUT\r\n"],
    ]  # fmt: skip


def pop_user(job: Job) -> Script:
    return [
        [b"CAPA\r\n"], *_pop_credential(job), [b"STAT\r\n"], [b"UIDL\r\n"], [b"LIST\r\n"], [b"RETR 1\r\n"], [b"DELE 1\r\n"], [b"QUIT\r\n"],
    ]  # fmt: skip


def _pop_credential(job: Job) -> Script:
    if job.token:
        return [[b"AUTH XOAUTH2\r\n"], [xoauth2(job) + b"\r\n"]]
    return [[b"USER " + job.user.encode() + b"\r\n"], [b"PASS " + job.secret.encode() + b"\r\n"]]


def pop_plain(job: Job) -> Script:
    return [[b"CAPA\r\n"], [b"AUTH PLAIN\r\n"], [plain(job) + b"\r\n"], [b"STAT\r\n"], [b"LIST\r\n"], [b"QUIT\r\n"]]


def pop_plain_initial(job: Job) -> Script:
    return [[b"AUTH PLAIN " + plain(job) + b"\r\n"], [b"STAT\r\n"], [b"LIST\r\n"], [b"QUIT\r\n"]]


def pop_pipelined(job: Job) -> Script:
    return [[b"".join(turn[0] for turn in _pop_credential(job)) + b"STAT\r\nQUIT\r\n"]]


def pop_leaves(job: Job) -> Script:
    return _lines("CAPA\nQUIT")


def pop_checks(job: Job) -> Script:
    """Signs in and goes, nothing between."""
    return [*_pop_credential(job), [b"QUIT\r\n"]]


def pop_retry(job: Job) -> Script:
    return [*_pop_credential(job), *_pop_credential(job), [b"QUIT\r\n"]]


def pop_gives_up(job: Job) -> Script:
    return [[b"CAPA\r\n"], *_pop_credential(job)]


def smtp_login(job: Job) -> Script:
    """AUTH LOGIN in three steps (printers), or XOAUTH2 in two, and a message."""
    credential = (
        [[b"AUTH XOAUTH2\r\n"], [xoauth2(job) + b"\r\n"]]
        if job.token
        else [[b"AUTH LOGIN\r\n"], [_b64(job.user) + b"\r\n"], [_b64(job.secret) + b"\r\n"]]
    )
    return [[b"EHLO printer\r\n"], *credential, *_message(job)]


def _message(job: Job) -> Script:
    return [
        [b"MAIL FROM:<a@example.org>\r\n"], [b"RCPT TO:<b@example.org>\r\n"], [b"DATA\r\n"],
        [b"Subject: x\r\n\r\n" + b"one line of a long message\r\n" * 60 + b".\r\n"], [b"QUIT\r\n"],
    ]  # fmt: skip


def smtp_initial(job: Job) -> Script:
    credential = b"AUTH XOAUTH2 " + xoauth2(job) if job.token else b"AUTH PLAIN " + plain(job)
    return [[b"EHLO [192.0.2.1]\r\n"], _pieces(credential + b"\r\n", 1400), *_message(job)]


def smtp_checks(job: Job) -> Script:
    return [*smtp_initial(job)[:2], [b"QUIT\r\n"]]


def smtp_leaves(job: Job) -> Script:
    return _lines("EHLO client.example.org\nQUIT")


def smtp_hangs_up(job: Job) -> Script:
    return _lines("EHLO client.example.org")


def smtp_gives_up(job: Job) -> Script:
    return smtp_initial(job)[:2]


def smtp_retry(job: Job) -> Script:
    return [*smtp_initial(job)[:2], *smtp_login(job)[1:-5], [b"QUIT\r\n"]]


Maker = Callable[[Job], Script]

#: By protocol and name. Those of `ABRUPT` end without a farewell, right behind their last turn's bytes.
SCRIPTS: dict[Protocol, dict[str, Maker]] = {
    Protocol.IMAP: {
        each.__name__: each
        for each in (
            thunderbird, apple_mail, k9, mailkit, outlook, early_id, literal, literal_plus, split_records, pipelined,
            append, retry, wrong_then_right, reads_and_leaves, reads_and_hangs_up, gives_up, half_sasl, bearer, stubborn,
        )
    },
    Protocol.POP: {
        each.__name__: each
        for each in (pop_user, pop_plain, pop_plain_initial, pop_pipelined, pop_leaves, pop_checks, pop_retry, pop_gives_up)
    },
    Protocol.SMTP: {
        each.__name__: each
        for each in (smtp_login, smtp_initial, smtp_checks, smtp_leaves, smtp_hangs_up, smtp_gives_up, smtp_retry)
    },
}  # fmt: skip
ABRUPT = frozenset({"gives_up", "pop_gives_up", "smtp_gives_up"})
#: What needs a token, and what makes no sense with one.
TOKEN_ONLY = frozenset({"bearer"})
PASSWORD_ONLY = frozenset(
    {"literal", "literal_plus", "pop_plain", "pop_plain_initial", "pop_checks", "wrong_then_right"}
)
#: These go on after a refusal, and make sense only where one is to come.
PERSISTENT = frozenset({"retry", "wrong_then_right", "stubborn", "pop_retry", "smtp_retry"})
WRONG_ONLY = frozenset({"retry", "stubborn", "pop_retry", "smtp_retry"})
#: What nobody does who was refused.
RIGHT_ONLY = frozenset({"append"})
#: All commands in one record: not to be decided on words that aren't known.
UNDECIDABLE = frozenset({"pipelined", "pop_pipelined"})
