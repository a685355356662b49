"""POP3: each literal of the facts (2.3), by era, whole and byte by byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.lab.behaviour import Behaviour, Reply, Then
from exporter.lab.pop_server import PopServer
from tests.lab.credentials import TOKEN, xoauth2
from tests.lab.transcript import greeted, said, then, whole_and_by_bytes


def pop(behaviour: Behaviour | None = None, *, starttls: bool = False) -> PopServer:
    return PopServer(behaviour or Behaviour(), starttls=starttls)


def test_the_greeting_may_hide_the_front_end() -> None:
    assert len(greeted(pop())) == 156
    assert greeted(pop(Behaviour(front_end_hidden=True))) == "+OK The Microsoft Exchange POP3 service is ready. []"


@pytest.mark.parametrize(("year", "sasl"), [("2023", "PLAIN XOAUTH2"), ("2024", "PLAIN XOAUTH2"), ("2026", "XOAUTH2")])
def test_capabilities_by_era(year: str, sasl: str) -> None:
    assert said(pop(Behaviour(year=year)), "CAPA") == ["+OK", "TOP", "UIDL", f"SASL {sasl}", "USER", "."]


@pytest.mark.parametrize(
    ("year", "words"),
    [
        ("2024", "-ERR Logon failure: unknown user name or bad password."),
        ("2026", "-ERR Basic authentication is disabled"),
    ],
)
def test_passwords_by_era(year: str, words: str) -> None:
    behaviour = Behaviour(year=year)
    assert said(pop(behaviour), "USER someone@outlook.com", "PASS secret") == ["+OK", words]
    assert behaviour.traffic.credentials[0].user == "someone@outlook.com"


def test_a_token_comes_in_two_steps() -> None:
    refusal = "-ERR Authentication failure: unknown user name or bad password."
    assert said(pop(), "AUTH XOAUTH2", xoauth2()) == ["+ ", refusal]
    assert said(pop(), f"AUTH XOAUTH2 {xoauth2()}") == ["-ERR Protocol error. Connection is closed. 10"]
    assert then(pop(), f"AUTH XOAUTH2 {xoauth2()}") is Then.CLOSE
    assert said(pop(), "AUTH XOAUTH2", "!!!") == ["+ ", "-ERR Protocol error. 19"]


def test_a_valid_token_opens_the_mailbox() -> None:
    server = pop(Behaviour(valid_tokens={TOKEN}))
    assert said(server, "STAT", "AUTH XOAUTH2", xoauth2(), "STAT", "UIDL", "NOOP") == [
        "-ERR Command is not valid in this state.", "+ ", "+OK User successfully authenticated.",
        "+OK 0 0", "+OK", ".", "+OK",
    ]  # fmt: skip


def test_outage_throttling_and_farewell() -> None:
    unavailable = "-ERR [SYS/TEMP] Server Unavailable. 14"
    assert greeted(pop(Behaviour(outage=True))) == unavailable
    assert said(pop(Behaviour(throttled=True)), "AUTH XOAUTH2", xoauth2()) == ["+ ", unavailable]
    assert said(pop(), "QUIT") == ["+OK Microsoft Exchange Server POP3 server signing off."]
    server = pop(Behaviour(valid_tokens={TOKEN}, not_connected=True))
    assert said(server, "AUTH XOAUTH2", xoauth2(), "STAT")[-1] == unavailable


def test_stls() -> None:
    server = pop(starttls=True)
    assert "STLS" in said(server, "CAPA")
    assert said(server, "USER x") == ["-ERR Command is not valid in this state."]
    assert list(server.receive(b"STLS\r\nCAPA\r\n")) == [Reply(b"+OK Begin TLS negotiation.\r\n", Then.START_TLS)]
    assert "SASL XOAUTH2" in said(server, "CAPA")


def test_byte_by_byte_is_the_same_as_whole() -> None:
    whole, pieces = whole_and_by_bytes(pop, f"CAPA\nUSER x\nPASS y\nAUTH XOAUTH2\n{xoauth2()}\nQUIT\n")
    assert whole == pieces
    assert len(whole) == 6


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_no_bytes_break_it(chunks: list[bytes]) -> None:
    server = pop()
    for chunk in chunks:
        assert all(reply.data[:1] in b"+-" for reply in server.receive(chunk))
