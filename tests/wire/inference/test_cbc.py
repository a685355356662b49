"""Suites that pad: a length is one of sixteen, and what is likely among them decides."""

from math import log2

import pytest

from exporter.vocabulary import Protocol
from exporter.wire.inference.grammar import Size, Verdict, mail, ranges
from exporter.wire.inference.infer import infer
from exporter.wire.inference.overhead import Length
from tests.wire.inference.transcript import CBC, CBC_SHA1, trace

IMAP, POP, SMTP = Protocol.IMAP, Protocol.POP, Protocol.SMTP


def told(protocol: Protocol, text: str, *, microsoft: bool = False, tls: tuple[str, str] = CBC):
    seen = trace(protocol, text, tls=tls, microsoft=microsoft, starttls=protocol is SMTP)
    return [(each.mechanism, each.outcome) for each in infer(seen)]


# ---- how much a range says -----------------------------------------------------------------------------------------------


def test_only_what_a_row_and_a_range_share_counts_for_the_row():
    """Six of the sixteen, whether the row tells its weight or leaves it to be counted."""
    seen = Length(64, 79)
    assert mail(0, 69, bits=9).surprise(seen, 0) == pytest.approx(9 - log2(6))
    assert Size(0, 69, tagged=False, bits=9).surprise(seen, 0) == pytest.approx(9 - log2(6))
    (row,) = ranges(Verdict.REFUSED, (0, 69, 0), tagged=False)
    assert row.surprise(seen, 0) == pytest.approx(log2(70 / 6))


def test_a_row_that_a_range_hardly_touches_is_hardly_believed():
    """SELECT and a name may be as long as the shortest commands that are sent together, and hardly is."""
    together = Size(30, 436, tagged=False, bits=6)
    assert together.surprise(Length(16, 31), 0) == pytest.approx(5)


# ---- conversations ---------------------------------------------------------------------------------------------------

POP_GREETING = "S: +OK mail.example.org POP3 ready"
CAPA = "C: CAPA\nS: +OK\n<90>\n."


def test_a_challenge_is_answered_and_not_by_an_empty_line():
    """CAPA may be AUTH CRAM-MD5, and QUIT an empty line: but not directly behind the first challenge (RFC 2195, 5802)."""
    assert told(POP, f"{POP_GREETING}\n{CAPA}\nC: QUIT\nS: +OK Logging out") == [("unknown", "abandoned")]


def test_a_bare_ok_behind_a_name_is_what_many_servers_say():
    text = (
        f"{POP_GREETING}\n{CAPA}\nC: USER someone@example.org\nS: +OK\nC: PASS {'p' * 28}\nS: +OK Logged in.\n"
        "C: STAT\nS: +OK 0 0\nC: LIST\nS: +OK\n.\nC: RETR 1\nS: <18>\nC: DELE 1\nS: +OK Marked it.\n"
        "C: QUIT\nS: +OK Goodbye then."
    )
    assert told(POP, text) == [("password", "accepted")]


def test_hardly_a_command_of_pop_is_longer_than_ten_bytes():
    """USER is as a rule, and then what comes behind it is a password."""
    text = (
        f"{POP_GREETING}\nC: USER someone@example\nS: +OK\nC: PASS {'p' * 28}\nS: -ERR Access denied\n"
        "C: USER someone@example\nS: <43>\nC: PASS a-password\nS: -ERR Access denied\nC: QUIT\nS: <76>"
    )
    assert ("password", "accepted") not in told(POP, text, tls=CBC_SHA1)


def test_what_microsoft_asked_for_it_doesnt_call_out_of_place():
    """An acceptance in 38 bytes, in the same sixteen as "-ERR Command is not valid in this state."."""
    text = (
        "S: +OK The Microsoft Exchange POP3 service is ready. [<104>]\nC: CAPA\nS: +OK\nTOP\nUIDL\nSASL XOAUTH2\nUSER\n.\n"
        "C: AUTH XOAUTH2\nS: + \nC: <1800>\nS: +OK User successfully authenticated.\n"
        "C: LIST\nS: +OK\n<50>\n.\nC: QUIT\nS: +OK Microsoft Exchange Server POP3 server signing off."
    )
    assert told(POP, text, microsoft=True) == [("token", "accepted")]


def test_microsoft_takes_no_mail_of_who_hasnt_signed_in():
    """What is answered in few bytes is a dialogue of AUTH LOGIN then, and no NOOP and MAIL FROM."""
    text = (
        "C: EHLO client.example.org\nS: 250-<190>\nC: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: <20>\nS: 334 UGFzc3dvcmQ6\n"
        "C: <16>\nS: 235 2.7.0 Authentication successful\nC: MAIL FROM:<someone@example.org> SIZE=1800 BODY=8BITMIME\n"
        "S: 250 2.1.0 Sender OK\nS: 250 2.1.5 Recipient OK\nS: 354 Start mail input; end with <CRLF>.<CRLF>\n"
        "C: <240>\nC: .\nS: <170>"
    )
    assert told(SMTP, text, microsoft=True) == [("password", "accepted")]


def test_a_client_may_cut_its_words_but_where_the_server_does_too_hardly_a_length_is_known():
    client = ("C: 1 LOGIN\nC: someone@example.org a-password", "C: 2 SEL\nC: ECT INBOX")
    greeting = "S: * OK [CAPABILITY IMAP4rev1 <90>] ready"
    server = ("S: 1 OK [CAPABILITY <300>] Logged in", "S: <250>")
    cut = ("S: 1 OK [CAP\nS: ABILITY <300>]\nS: Logged in", "S: <100>\nS: <100>\nS: <46>")
    for answers, found in ((server, ("password", "accepted")), (cut, ("unknown", "unknown"))):
        assert told(IMAP, "\n".join((greeting, client[0], answers[0], client[1], answers[1]))) == [found]
