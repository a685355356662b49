"""The controls: each server does its work for its own kind of client, so that what the prober finds means something."""

import base64
import imaplib
import poplib
import smtplib
import socket
import ssl
from datetime import timedelta

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from tests.real import dns as names
from tests.real import dovecot as mail
from tests.real.certificates import Authority
from tests.real.dovecot import Dovecot
from tests.real.postfix import Postfix


@pytest.fixture
def context(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.root_file)


def _bearer(token: str) -> str:
    return f"user={mail.USER}\1auth=Bearer {token}\1\1"


def test_dovecot_takes_a_token_it_can_verify(dovecot: Dovecot, context: ssl.SSLContext):
    with imaplib.IMAP4_SSL("localhost", dovecot.imap, ssl_context=context) as client:
        status, _ = client.authenticate("XOAUTH2", lambda _: _bearer(dovecot.token()).encode())
        assert status == "OK"


def test_dovecot_refuses_an_expired_token_in_two_steps(dovecot: Dovecot, context: ssl.SSLContext):
    token = _bearer(dovecot.token(lifetime=-timedelta(minutes=1))).encode()
    with (
        socket.create_connection(("localhost", dovecot.imap), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as stream,
        stream.makefile("rwb", buffering=0) as lines,
    ):
        assert mail.GREETING.encode() in lines.readline()
        lines.write(b"a AUTHENTICATE XOAUTH2 " + base64.b64encode(token) + b"\r\n")
        challenge = lines.readline()
        assert challenge.startswith(b"+ ")
        assert b'"status":"401"' in base64.b64decode(challenge[2:])
        lines.write(b"\r\n")
        assert lines.readline() == b"a NO [AUTHENTICATIONFAILED] Authentication failed.\r\n"


def test_dovecot_takes_a_password_behind_starttls(dovecot: Dovecot, context: ssl.SSLContext):
    with imaplib.IMAP4("localhost", dovecot.imap_starttls) as client:
        client.starttls(context)
        assert client.login(mail.USER, mail.PASSWORD)[0] == "OK"


def test_dovecot_speaks_pop(dovecot: Dovecot, context: ssl.SSLContext):
    client = poplib.POP3("localhost", dovecot.pop_starttls)
    client.stls(context)
    assert "XOAUTH2" in client.capa()["SASL"]
    client.quit()


def test_postfix_takes_dovecots_token(postfix: Postfix, dovecot: Dovecot, context: ssl.SSLContext):
    with smtplib.SMTP("localhost", postfix.submission, timeout=10) as client:
        client.starttls(context=context)
        credential = base64.b64encode(_bearer(dovecot.token()).encode()).decode()
        client.ehlo()
        assert client.docmd(f"AUTH XOAUTH2 {credential}")[0] == 235


@pytest.mark.parametrize("server", ["dnsmasq", "unbound"])
@pytest.mark.parametrize(
    ("name", "code", "addresses"),
    [
        (names.GOOD, dns.rcode.NOERROR, 1),
        (names.NO_SUCH_NAME, dns.rcode.NXDOMAIN, 0),
        (names.EMPTY, dns.rcode.NOERROR, 0),
        (names.SINKHOLE, dns.rcode.NOERROR, 1),
        (names.MANY, dns.rcode.NOERROR, len(names.MANY_ADDRESSES)),
    ],
)
def test_name_servers_answer(server: str, name: str, code: int, addresses: int, request: pytest.FixtureRequest):
    port = request.getfixturevalue(server)
    query = dns.message.make_query(name, "A")
    answer, by_tcp = dns.query.udp_with_fallback(query, "127.0.0.1", timeout=3, port=port)
    assert (answer.rcode(), sum(len(records) for records in answer.answer)) == (code, addresses)
    assert by_tcp is (name == names.MANY)
