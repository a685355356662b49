"""SMTP submission: each literal of the facts (2.2), by era, whole and byte by byte."""

import base64
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.lab.behaviour import Behaviour, Reply, Then
from exporter.lab.era import SMTP_REFUSALS
from exporter.lab.smtp_server import SmtpServer, smtp_date
from tests.lab.credentials import TOKEN, xoauth2
from tests.lab.transcript import greeted, said, then, whole_and_by_bytes

SITE = "BL1P223CA0005.outlook.office365.com"
HOST = "BL1P223CA0005.NAMP223.PROD.OUTLOOK.COM"
BRACKETS = rf" \[{HOST} \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z [0-9A-F]{{16}}\]"


def smtp(behaviour: Behaviour | None = None, *, encrypted: bool = True) -> SmtpServer:
    return SmtpServer(behaviour or Behaviour(), starttls=not encrypted, client_address="192.0.2.7")


def test_the_banner_has_a_date_and_since_2024_a_session() -> None:
    date = r"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000"
    old = rf"220 {SITE} Microsoft ESMTP MAIL Service ready at {date}"
    assert re.fullmatch(old, greeted(smtp(Behaviour(year="2023"))))
    assert re.fullmatch(rf"{old} \[[0-9A-F]{{16}}\]", greeted(smtp(Behaviour(year="2024"))))


def test_the_day_is_not_zero_padded() -> None:
    assert smtp_date(datetime(2022, 11, 9, 7, 5, 3, tzinfo=UTC)) == "Wed, 9 Nov 2022 07:05:03 +0000"
    assert smtp_date(datetime(2024, 10, 10, 22, 49, 55, tzinfo=UTC)) == "Thu, 10 Oct 2024 22:49:55 +0000"


def test_ehlo_before_and_after_tls() -> None:
    before = said(smtp(encrypted=False), "EHLO client.example")
    assert before == [
        f"250-{SITE} Hello [192.0.2.7]", "250-SIZE 157286400", "250-PIPELINING", "250-DSN", "250-ENHANCEDSTATUSCODES",
        "250-STARTTLS", "250-8BITMIME", "250-BINARYMIME", "250-CHUNKING", "250 SMTPUTF8",
    ]  # fmt: skip
    after = said(smtp(), "EHLO client.example")
    assert after == [line.replace("STARTTLS", "AUTH LOGIN XOAUTH2") for line in before]


def test_starttls_forgets_what_was_pipelined() -> None:
    server = smtp(encrypted=False)
    replies = list(server.receive(b"STARTTLS\r\nEHLO injected\r\n"))
    assert replies == [Reply(b"220 2.0.0 SMTP server ready\r\n", Then.START_TLS)]
    assert "250-AUTH LOGIN XOAUTH2" in said(server, "EHLO client.example")


def test_authentication_in_clear_or_by_plain_is_not_recognized() -> None:
    words = [f"504 5.7.4 Unrecognized authentication type [{HOST}]"]
    assert said(smtp(encrypted=False), f"AUTH XOAUTH2 {xoauth2()}") == words
    assert said(smtp(), "AUTH PLAIN AHMAcA==") == words


def test_a_worthless_token() -> None:
    (line,) = said(smtp(), f"AUTH XOAUTH2 {xoauth2()}")
    assert re.fullmatch(rf"535 5\.7\.3 Authentication unsuccessful{BRACKETS}", line)
    assert said(smtp(Behaviour(year="2023")), "AUTH XOAUTH2", xoauth2()) == [
        "334 ",
        f"535 5.7.3 Authentication unsuccessful [{HOST}]",
    ]


def test_a_valid_token_and_the_mail_that_is_refused_without() -> None:
    server = smtp(Behaviour(valid_tokens={TOKEN}))
    (line,) = said(server, "MAIL FROM:<a@b.example>")
    assert re.fullmatch(rf"530 5\.7\.57 Client not authenticated to send mail\.{BRACKETS}", line)
    assert said(server, f"AUTH XOAUTH2 {xoauth2()}", "MAIL FROM:<a@b.example>") == [
        "235 2.7.0 Authentication successful",
        "250 2.1.0 Sender OK",
    ]


def test_after_a_refusal_mail_from_repeats_it() -> None:
    refusal, mail = said(smtp(), f"AUTH XOAUTH2 {xoauth2()}", "MAIL FROM:<a@b.example>")
    assert mail == f"530 5.7.57 Client not authenticated to send mail. Error: {refusal}"


@pytest.mark.parametrize(("year", "start"), [("2023", "535 5.7.3 Auth"), ("2026", "535 5.7.139 Auth")])
def test_passwords_by_era(year: str, start: str) -> None:
    behaviour = Behaviour(year=year)
    user, password = (base64.b64encode(text).decode() for text in (b"someone@outlook.com", b"secret"))
    prompts = said(smtp(behaviour), "AUTH LOGIN", user, password)
    assert prompts[:2] == ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"]
    assert prompts[2].startswith(start)
    assert said(smtp(behaviour), f"AUTH LOGIN {user}") == ["334 UGFzc3dvcmQ6"]
    assert [seen.secret for seen in behaviour.traffic.credentials] == ["secret"]


def test_a_work_tenant_may_still_allow_passwords() -> None:
    behaviour = Behaviour(smtp_passwords={"printer@contoso.example": "secret"})
    user, password = (base64.b64encode(text).decode() for text in (b"printer@contoso.example", b"secret"))
    assert said(smtp(behaviour), "AUTH LOGIN", user, password)[-1] == "235 2.7.0 Authentication successful"


@pytest.mark.parametrize("name", SMTP_REFUSALS)
def test_every_sentence_of_a_refusal(name: str) -> None:
    behaviour = Behaviour(valid_tokens={TOKEN}, smtp_refusal=name)
    (line,) = said(smtp(behaviour), f"AUTH XOAUTH2 {xoauth2()}")
    assert re.fullmatch(re.escape(SMTP_REFUSALS[name]) + BRACKETS, line)


def test_bad_data_bad_name_old_tls_throttle_outage_quit() -> None:
    assert said(smtp(), "AUTH XOAUTH2 !!!")[0].startswith("501 5.5.124 Invalid XOAUTH2 auth data ")
    (reply,) = smtp().receive(b"EHLO bad name!\r\n")
    assert reply.data.startswith(b"501 5.5.4 Invalid domain name [")
    assert reply.delay == 5.0
    assert said(smtp(Behaviour(tls_too_old=True)), "EHLO x")[0].startswith("421 4.7.66 TLS 1.0 and 1.1 are not supp")
    assert said(smtp(Behaviour(throttled=True)), f"AUTH XOAUTH2 {xoauth2()}") == [
        f"432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded [Hostname={HOST}]"
    ]
    assert greeted(smtp(Behaviour(outage=True))) == f"421 4.3.2 Service not active [{HOST}]"
    assert said(smtp(), "QUIT") == ["221 2.0.0 Service closing transmission channel"]
    assert then(smtp(), "QUIT") is Then.CLOSE
    assert said(smtp(), "HELO x", "NOOP", "VRFY x") == [
        f"250 {SITE} Hello [192.0.2.7]", "250 2.0.0 OK", "500 5.3.3 Unrecognized command",
    ]  # fmt: skip


def test_byte_by_byte_is_the_same_as_whole() -> None:
    text = "EHLO client.example\nAUTH PLAIN\nAUTH LOGIN\nYQ==\nNOOP\nQUIT\n"
    whole, pieces = whole_and_by_bytes(lambda: smtp(Behaviour(year="2023")), text)
    assert whole == pieces
    assert whole[-1].then is Then.CLOSE


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_no_bytes_break_it(chunks: list[bytes]) -> None:
    server = smtp()
    for chunk in chunks:
        assert all(re.match(rb"[2-5]\d\d[ -]", reply.data) for reply in server.receive(chunk))
