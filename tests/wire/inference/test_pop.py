"""POP, as it would be read if it weren't encrypted."""

import pytest

from exporter.vocabulary import Protocol
from exporter.wire.inference.infer import infer
from exporter.wire.trace import TraceEnd
from tests.wire.inference.transcript import trace

MICROSOFT = "S: +OK The Microsoft Exchange POP3 service is ready. [<104>]"
CAPA = "C: CAPA\nS: +OK\nTOP\nUIDL\nSASL XOAUTH2\nUSER\n."
XOAUTH2 = "C: AUTH XOAUTH2\nS: + \nC: <1648>"
PASS = "C: USER someone@outlook.com\nS: +OK\nC: PASS a-password-123"
BYE = "C: QUIT\nS: +OK Microsoft Exchange Server POP3 server signing off."


def told(*lines: str, microsoft: bool = True, end: TraceEnd = TraceEnd.CLIENT_CLOSED) -> list[tuple[str, str]]:
    found = infer(trace(Protocol.POP, "\n".join(lines), microsoft=microsoft, end=end))
    return [(str(each.mechanism), str(each.outcome)) for each in found]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("+OK User successfully authenticated.", "accepted"),
        ("-ERR Authentication failure: unknown user name or bad password.", "refused"),
        ("-ERR Protocol error. 19", "refused"),
        ("-ERR [SYS/TEMP] Server Unavailable. 14", "unknown"),
    ],
)
def test_a_token_at_microsoft(answer: str, outcome: str):
    assert told(MICROSOFT, CAPA, XOAUTH2, f"S: {answer}") == [("token", outcome)]
    assert told(MICROSOFT, XOAUTH2, f"S: {answer}", BYE) == [("token", outcome)]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("-ERR Logon failure: unknown user name or bad password.", "refused"),
        ("-ERR Basic authentication is disabled", "refused"),
        ("+OK User successfully logged on.", "accepted"),
        ("-ERR Basic authentication is disabled.", "unknown"),  # as long as "Server Unavailable"
    ],
)
def test_a_password_at_microsoft(answer: str, outcome: str):
    assert told(MICROSOFT, PASS, f"S: {answer}", BYE) == [("password", outcome)]


def test_microsofts_one_line_form_is_a_protocol_error_with_the_token_sent():
    text = (MICROSOFT, "C: AUTH XOAUTH2 <1648>", "S: -ERR Protocol error. Connection is closed. 10")
    assert told(*text, end=TraceEnd.SERVER_CLOSED) == [("token", "refused")]


def test_what_microsoft_offers_was_read():
    assert told(MICROSOFT, CAPA, BYE) == [("unknown", "abandoned")]
    assert told(MICROSOFT, CAPA) == [("unknown", "abandoned")]


FOREIGN = "S: +OK Dovecot (Debian) ready."
LOGIN = "C: USER someone@example.org\nS: +OK\nC: PASS a-password"
SESSION = "C: STAT\nS: +OK 2 320\nC: LIST\nS: +OK 2 messages:\n1 160\n2 160\n.\nC: RETR 1\nS: <300>\nC: QUIT\nS: +OK Logging out."


def test_a_mailbox_that_is_read_was_opened():
    assert told(FOREIGN, LOGIN, "S: +OK Logged in.", SESSION, microsoft=False) == [("password", "accepted")]
    assert told(FOREIGN, LOGIN, "S: +OK someone's maildrop has 2 messages (320 octets)", SESSION, microsoft=False) == [
        ("password", "accepted")
    ]


def test_a_refusal_and_its_farewell():
    refused = ("(2 s)", "S: -ERR [AUTH] Authentication failed.")
    assert told(FOREIGN, LOGIN, *refused, "C: QUIT\nS: +OK Logging out", microsoft=False) == [("password", "refused")]
    assert told(FOREIGN, LOGIN, *refused, microsoft=False) == [("password", "refused")]
    assert (
        told(FOREIGN, LOGIN, *refused, LOGIN, *refused, "C: QUIT\nS: +OK", microsoft=False)
        == [("password", "refused")] * 2
    )


def test_sasl_plain_in_two_steps():
    plain = "C: AUTH PLAIN\nS: + \nC: <52>"
    assert told(FOREIGN, CAPA, plain, "S: +OK Logged in.", SESSION, microsoft=False) == [("password", "accepted")]
    assert told(FOREIGN, CAPA, plain, "S: -ERR [AUTH] Authentication failed.", microsoft=False) == [
        ("password", "refused")
    ]


def test_all_at_once_on_words_not_known():
    text = f"{FOREIGN}\nC: USER someone@example.org\nPASS a-password\nSTAT\nQUIT\nS: +OK\n<40>"
    assert told(text, microsoft=False) == [("password", "unknown")]


def test_nobody_waited_for_the_answer():
    assert told(FOREIGN, LOGIN, microsoft=False) == [("password", "abandoned")]
