"""Python's own imaplib, poplib and smtplib, as scripts use them: run in a thread, every error of theirs is part of it."""

import contextlib
import imaplib
import poplib
import smtplib
import ssl
from collections.abc import Callable

from exporter.vocabulary import Protocol
from tests.clients.job import MESSAGE, Job

_TIMEOUT = 25.0
ERRORS = (imaplib.IMAP4.error, poplib.error_proto, smtplib.SMTPException, OSError, EOFError, ValueError)


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _xoauth2(job: Job) -> str:
    return f"user={job.user}\x01auth=Bearer {job.secret}\x01\x01"


def imap(job: Job) -> None:
    """`options`: plain, select, noop, stubborn (goes on after a refusal), hang up (closes without LOGOUT)."""
    if job.starttls:
        client = imaplib.IMAP4(job.host, job.port, timeout=_TIMEOUT)
        client.starttls(_context())
    else:
        client = imaplib.IMAP4_SSL(job.host, job.port, ssl_context=_context(), timeout=_TIMEOUT)
    try:
        _imap_login(client, job)
        if "select" in job.options:
            client.list()
            client.select("INBOX", readonly=True)
            client.search(None, "ALL")
        if "noop" in job.options:
            client.noop()
    except imaplib.IMAP4.error:
        if "stubborn" in job.options:
            for each in ("SELECT INBOX", "NOOP"):
                with contextlib.suppress(imaplib.IMAP4.error):
                    client.send(f"x{each[:4]} {each}\r\n".encode())
                    client.readline()
    if "hang up" in job.options:
        client.shutdown()
    else:
        client.logout()


def _imap_login(client: imaplib.IMAP4, job: Job) -> None:
    if job.token:
        client.authenticate("XOAUTH2", lambda challenge: _xoauth2(job).encode() if not challenge else b"")
    elif "plain" in job.options:
        client.authenticate("PLAIN", lambda _: f"\0{job.user}\0{job.secret}".encode())
    elif "nothing" not in job.options:
        client.login(job.user, job.secret)


def pop(job: Job) -> None:
    """`options`: list, stubborn."""
    if job.starttls:
        client = poplib.POP3(job.host, job.port, timeout=_TIMEOUT)
        client.stls(_context())
    else:
        client = poplib.POP3_SSL(job.host, job.port, context=_context(), timeout=_TIMEOUT)
    try:
        _pop_login(client, job)
        if "list" in job.options:
            client.stat()
            client.list()
            client.retr(1)
    except poplib.error_proto:
        if "stubborn" in job.options:
            with contextlib.suppress(poplib.error_proto):
                client.stat()
    client.quit()


def _pop_login(client: poplib.POP3, job: Job) -> None:
    if "capa" in job.options:
        client.capa()
    if job.token:
        client._shortcmd("AUTH XOAUTH2")  # type: ignore[attr-defined] # poplib has no public way
        import base64

        client._shortcmd(base64.b64encode(_xoauth2(job).encode()).decode())  # type: ignore[attr-defined]
    else:
        client.user(job.user)
        client.pass_(job.secret)


def smtp(job: Job) -> None:
    """`options`: send, anyway (MAIL after a refusal), probe (EHLO and QUIT only)."""
    if job.starttls:
        client = smtplib.SMTP(job.host, job.port, local_hostname="client.example.org", timeout=_TIMEOUT)
        client.starttls(context=_context())
    else:
        client = smtplib.SMTP_SSL(
            job.host, job.port, local_hostname="client.example.org", context=_context(), timeout=_TIMEOUT
        )
    with client:
        client.ehlo()
        if "probe" in job.options:
            return
        try:
            if job.token:
                client.auth(
                    "XOAUTH2",
                    lambda challenge=None: "" if challenge else _xoauth2(job),
                    initial_response_ok="two steps" not in job.options,
                )
            else:
                client.login(job.user, job.secret)
        except smtplib.SMTPAuthenticationError:
            if "anyway" in job.options:
                client.mail("a@example.org")
            return
        if "send" in job.options:
            client.sendmail("a@example.org", ["b@example.org"], MESSAGE)


CLIENTS: dict[Protocol, tuple[str, Callable[[Job], None]]] = {
    Protocol.IMAP: ("imaplib", imap),
    Protocol.POP: ("poplib", pop),
    Protocol.SMTP: ("smtplib", smtp),
}
