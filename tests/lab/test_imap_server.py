"""IMAP: each literal of the facts (2.1), by era, whole and byte by byte."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.lab.behaviour import Behaviour, Reply, Then
from exporter.lab.imap_server import ImapServer
from exporter.lab.mail_server import MAX_LINE
from tests.lab.credentials import TOKEN, USER, xoauth2
from tests.lab.transcript import greeted, said, then, whole_and_by_bytes

OLD = (
    "* CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+"
)
OLD_MOVE = OLD.replace("UIDPLUS ID", "UIDPLUS MOVE ID")
NEW = (
    "* CAPABILITY IMAP4 IMAP4rev1 AUTH=XOAUTH2 LOGINDISABLED SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE "
    "LITERAL+"
)


def imap(behaviour: Behaviour | None = None, *, starttls: bool = False) -> ImapServer:
    return ImapServer(behaviour or Behaviour(), starttls=starttls)


def test_the_greeting_carries_the_front_end_in_utf_16() -> None:
    line = greeted(imap())
    words, _, name = line.removesuffix("]").partition(" [")
    assert words == "* OK The Microsoft Exchange IMAP4 service is ready."
    assert len(name) == 104
    assert base64.b64decode(name).decode("utf-16-le") == "BL1P223CA0005.NAMP223.PROD.OUTLOOK.COM"


@pytest.mark.parametrize(("year", "line"), [("2023", OLD), ("2024", OLD_MOVE), ("2026", NEW)])
def test_capabilities_by_era(year: str, line: str) -> None:
    assert said(imap(Behaviour(year=year)), "A1 CAPABILITY") == [line, "A1 OK CAPABILITY completed."]


@pytest.mark.parametrize(
    ("year", "login", "plain"),
    [
        ("2023", "NO LOGIN failed.", "NO AUTHENTICATE failed."),
        ("2024", "NO LOGIN failed.", "NO AUTHENTICATE failed."),
        ("2026", "NO Basic authentication is disabled.", "NO Basic authentication is disabled."),
    ],
)
def test_passwords_are_refused_by_era(year: str, login: str, plain: str) -> None:
    behaviour = Behaviour(year=year)
    server = imap(behaviour)
    assert said(server, 'A1 LOGIN "someone@outlook.com" "secret"') == [f"A1 {login}"]
    assert said(server, "A2 AUTHENTICATE PLAIN", "AHNvbWVvbmUAc2VjcmV0") == ["+ ", f"A2 {plain}"]
    assert said(server, "A3 AUTHENTICATE PLAIN AHNvbWVvbmUAc2VjcmV0") == [f"A3 {plain}"]
    assert behaviour.counts["password"] == 3
    assert behaviour.traffic.credentials[0].secret == "secret"


def test_a_worthless_token_is_refused_directly() -> None:
    behaviour = Behaviour()
    assert said(imap(behaviour), f"A1 AUTHENTICATE XOAUTH2 {xoauth2()}") == ["A1 NO AUTHENTICATE failed."]
    assert behaviour.counts["token"] == 1
    assert behaviour.traffic.credentials[0].user == USER


def test_a_token_without_initial_response_comes_after_a_plus() -> None:
    assert said(imap(), "A1 AUTHENTICATE XOAUTH2", xoauth2()) == ["+ ", "A1 NO AUTHENTICATE failed."]


@pytest.mark.parametrize("response", ["!!!", "dXNlcj0=", base64.b64encode(b"\xff\xfe").decode(), "*"])
def test_what_is_no_xoauth2_is_a_command_argument_error(response: str) -> None:
    assert said(imap(), f"A1 AUTHENTICATE XOAUTH2 {response}") == ["A1 BAD Command Argument Error. 12"]


def test_a_valid_token_opens_the_session() -> None:
    server = imap(Behaviour(valid_tokens={TOKEN}))
    assert said(server, f"A1 AUTHENTICATE XOAUTH2 {xoauth2()}") == ["A1 OK AUTHENTICATE completed."]
    assert said(server, "A2 SELECT INBOX") == ["A2 OK SELECT completed."]
    assert "BACKENDAUTHENTICATE" in said(server, "A3 CAPABILITY")[0]


def test_authenticated_but_not_connected() -> None:
    server = imap(Behaviour(valid_tokens={TOKEN}, not_connected=True))
    said(server, f"A1 AUTHENTICATE XOAUTH2 {xoauth2()}")
    assert said(server, "A2 SELECT INBOX") == ["A2 BAD User is authenticated but not connected."]
    assert said(server, "A3 NOOP") == ["* BYE Connection closed. 14"]


def test_a_shared_mailbox_opens_for_a_token_that_may() -> None:
    behaviour = Behaviour(mailboxes={TOKEN: frozenset({"shared@contoso.example"})})
    shared, other = xoauth2(user="Shared@contoso.example"), xoauth2(user="other@contoso.example")
    assert said(imap(behaviour), f"A1 AUTHENTICATE XOAUTH2 {shared}") == ["A1 OK AUTHENTICATE completed."]
    assert said(imap(behaviour), f"A1 AUTHENTICATE XOAUTH2 {other}") == ["A1 NO AUTHENTICATE failed."]


def test_throttled_and_unavailable() -> None:
    line = f"A1 AUTHENTICATE XOAUTH2 {xoauth2()}"
    throttled = [
        "A1 BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds",
        "* BYE Connection closed. 14",
    ]
    assert said(imap(Behaviour(throttled=True)), line) == throttled
    assert said(imap(Behaviour(outage=True)), line) == ["A1 NO Server Unavailable. 15"]


def test_logout_noop_id_and_nonsense() -> None:
    assert said(imap(), "A1 NOOP", "A2 SELECT INBOX", "A3") == [
        "A1 OK NOOP completed.",
        "A2 BAD Command Argument Error. 12",
        "A3 BAD Command Argument Error. 12",
    ]
    assert said(imap(), 'A1 ID ("name" "x")') == [
        '* ID ("name" "Microsoft.Exchange.Imap4.Imap4Server" "version" "15.20")',
        "A1 OK ID completed.",
    ]
    assert said(imap(), "A1 LOGOUT") == [
        "* BYE Microsoft Exchange Server IMAP4 server signing off.",
        "A1 OK LOGOUT completed.",
    ]
    assert then(imap(), "A1 LOGOUT") is Then.CLOSE


def test_starttls_comes_before_anything_else_and_forgets_what_was_pipelined() -> None:
    server = imap(starttls=True)
    assert "LOGINDISABLED STARTTLS" in said(server, "A1 CAPABILITY")[0]
    assert said(server, f"A2 AUTHENTICATE XOAUTH2 {xoauth2()}") == ["A2 BAD Command Argument Error. 12"]
    replies = list(server.receive(b"A3 STARTTLS\r\nA4 CAPABILITY\r\n"))
    assert replies == [Reply(b"A3 OK Begin TLS negotiation now.\r\n", Then.START_TLS)]
    assert said(server, "A5 CAPABILITY")[0] == NEW


def test_delays_are_asked_for_not_waited() -> None:
    behaviour = Behaviour(greeting_delay=3, auth_delay=9)
    assert imap(behaviour).greeting().delay == 3
    assert [reply.delay for reply in imap(behaviour).receive(f"A AUTHENTICATE XOAUTH2 {xoauth2()}\r\n".encode())] == [9]


def test_byte_by_byte_is_the_same_as_whole() -> None:
    text = f"A1 CAPABILITY\nA2 AUTHENTICATE XOAUTH2\n{xoauth2()}\nA3 ID NIL\nA4 NOOP\nA5 LOGOUT\n"
    whole, pieces = whole_and_by_bytes(imap, text)
    assert whole == pieces
    assert len(whole) == 6


def test_an_endless_line_ends_the_connection() -> None:
    replies = list(imap().receive(b"A" * (MAX_LINE + 1)))
    assert replies == [Reply(b"", Then.CLOSE)]


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_no_bytes_break_it(chunks: list[bytes]) -> None:
    server = imap()
    for chunk in chunks:
        assert all(reply.data.endswith(b"\r\n") for reply in server.receive(chunk))
