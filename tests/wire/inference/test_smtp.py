"""SMTP submission, as it would be read if it weren't encrypted."""

import pytest

from exporter.vocabulary import Protocol
from exporter.wire.inference.infer import infer
from exporter.wire.trace import TraceEnd
from tests.wire.inference.transcript import trace

BANNER = len(
    "220 BL1P223CA0005.outlook.office365.com Microsoft ESMTP MAIL Service ready at Thu, 10 Oct 2024 22:49:55 +0000"
    " [08DCE8B62813AB2B]\r\n"
)
BRACKET = "[BL1P223CA0005.NAMP223.PROD.OUTLOOK.COM 2026-09-17T10:11:12.123Z 08DCE8B62813AB2B]"
EHLO = "C: EHLO client.example.org\nS: 250-<200>"
XOAUTH2 = "C: AUTH XOAUTH2 <1648>"
LOGIN = "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: <28>\nS: 334 UGFzc3dvcmQ6\nC: <20>"
BYE = "C: QUIT\nS: 221 2.0.0 Service closing transmission channel"
MESSAGE = (
    "C: MAIL FROM:<a@example.org>\nS: 250 2.1.0 Sender OK\nC: RCPT TO:<b@example.org>\nS: 250 2.1.5 Recipient OK\nC: DATA\n"
    "S: 354 Start mail input; end with <CRLF>.<CRLF>\nC: <1800>\nS: 250 2.6.0 <100> Queued mail for delivery"
)


def told(*lines: str, microsoft: bool = True, end: TraceEnd = TraceEnd.CLIENT_CLOSED) -> list[tuple[str, str]]:
    text = "\n".join(lines)
    banner = BANNER if microsoft else None
    found = infer(trace(Protocol.SMTP, text, microsoft=microsoft, end=end, starttls=True, banner_length=banner))
    return [(str(each.mechanism), str(each.outcome)) for each in found]


@pytest.mark.parametrize("credential", [XOAUTH2, "C: AUTH XOAUTH2\nS: 334 \nC: <1648>"])
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("235 2.7.0 Authentication successful", "accepted"),
        (f"535 5.7.3 Authentication unsuccessful {BRACKET}", "refused"),
        ("535 5.7.3 Authentication unsuccessful [BL1P223CA0005.NAMP223.PROD.OUTLOOK.COM]", "refused"),
        (f"535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information. {BRACKET}", "refused"),
        ("432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded [Hostname=BL1P223CA0005.NAMP223.PROD.OUTLOOK.COM]", "throttled"),
        ("454 4.7.0 Temporary authentication failure", "unknown"),
    ],
)  # fmt: skip
def test_a_token_at_microsoft(credential: str, answer: str, outcome: str):
    assert told(EHLO, credential, f"S: {answer}", BYE) == [("token", outcome)]


@pytest.mark.parametrize("years", ["basic authentication is disabled.", "the user credentials were incorrect."])
def test_a_password_at_microsoft(years: str):
    assert told(EHLO, LOGIN, "(17 s)", f"S: 535 5.7.139 Authentication unsuccessful, {years} {BRACKET}") == [
        ("password", "refused")
    ]


def test_a_mechanism_that_is_not_offered_with_the_credential_and_without():
    refused = "S: 504 5.7.4 Unrecognized authentication type [BL1P223CA0005.NAMP223.PROD.OUTLOOK.COM]"
    assert told(EHLO, "C: AUTH PLAIN <52>", refused, BYE) == [("password", "refused")]
    assert told(EHLO, "C: AUTH PLAIN", refused, BYE) == [("password", "abandoned")]
    assert told(EHLO, "C: AUTH PLAIN", refused, LOGIN, "S: 235 2.7.0 Authentication successful", MESSAGE, BYE) == [
        ("password", "accepted")
    ]


def test_what_is_offered_was_read():
    assert told(EHLO, BYE) == [("unknown", "abandoned")]
    assert told(EHLO) == [("unknown", "abandoned")]


@pytest.mark.parametrize("words", ["235 Authentication succeeded", "235 2.7.0 Authentication successful"])
def test_a_message_that_is_sent_was_allowed(words: str):
    assert told(EHLO, "C: AUTH PLAIN <52>", f"S: {words}", MESSAGE, BYE, microsoft=False) == [("password", "accepted")]
    assert told(EHLO, "C: AUTH PLAIN <52>", f"S: {words}", BYE, microsoft=False) == [("password", "accepted")]


@pytest.mark.parametrize(
    "words", ["535 Incorrect authentication data", "535 5.7.8 Error: authentication failed: (reason unavailable)"]
)
def test_a_refusal_and_its_farewell(words: str):
    assert told(EHLO, LOGIN, f"S: {words}", BYE, microsoft=False) == [("password", "refused")]
    assert told(EHLO, LOGIN, f"S: {words}", microsoft=False) == [("password", "refused")]


def test_another_mechanism_is_tried_behind_a_refusal():
    words = "S: 535 5.7.8 Error: authentication failed: (reason unavailable)"
    assert told(EHLO, "C: AUTH PLAIN <52>", words, LOGIN, words, BYE, microsoft=False) == [("password", "refused")] * 2


def test_a_body_as_long_as_a_token_is_no_token():
    assert told(EHLO, LOGIN, "S: 235 2.7.0 Authentication successful", MESSAGE, BYE, microsoft=False) == [
        ("password", "accepted")
    ]


def test_a_challenge_of_json_is_a_refusal():
    text = ("S: 334 <68>", "C: .", "S: 535 5.7.8 Error: authentication failed: Invalid authentication mechanism")
    assert told(EHLO, XOAUTH2, *text, BYE, microsoft=False) == [("token", "refused")]


def test_implicit_tls_begins_with_a_banner():
    text = "S: 220 submission.example.org ESMTP Postfix\n" + "\n".join(
        (EHLO, LOGIN, "S: 235 2.7.0 Authentication successful", MESSAGE)
    )
    found = infer(trace(Protocol.SMTP, text))
    assert [(str(each.mechanism), str(each.outcome)) for each in found] == [("password", "accepted")]
