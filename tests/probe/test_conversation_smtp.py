"""SMTP conversations as transcripts (facts 2.2)."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.vocabulary import AuthOutcome, OfferedMechanism, Phase
from tests.probe.scripted import cut, hear

SITE = b"BL1P223CA0005.outlook.office365.com"
GREETING = (
    b"220 " + SITE + b" Microsoft ESMTP MAIL Service ready at Thu, 10 Oct 2024 22:49:55 +0000 [08DCE8B62813AB2B]\r\n"
)
CLEAR = b"250-" + SITE + b" Hello [192.0.2.1]\r\n250-SIZE 157286400\r\n250-STARTTLS\r\n250 SMTPUTF8\r\n"
GO_AHEAD = b"220 2.0.0 SMTP server ready\r\n"
SECURE = b"250-" + SITE + b" Hello [192.0.2.1]\r\n250-AUTH LOGIN XOAUTH2\r\n250 SMTPUTF8\r\n"
REFUSED = b"535 5.7.3 Authentication unsuccessful [BL1P223CA0005.NAMP223.PROD.OUTLOOK.COM 2026-11-24T12:00:00.000Z 08DCE8B62813AB2B]\r\n"
HEALTHY = [("greeting", "ok"), ("starttls", "ok"), ("capability", "ok"), ("auth", "ok")]


async def test_healthy():
    told = await hear("smtp", GREETING, CLEAR, GO_AHEAD, SECURE, REFUSED)
    assert told.outcomes() == HEALTHY
    assert told.findings.auth_outcome is AuthOutcome.EXPECTED_REFUSAL
    assert set(told.findings.offered or ()) == {OfferedMechanism.LOGIN, OfferedMechanism.XOAUTH2}
    assert told.findings.server_date == datetime(2024, 10, 10, 22, 49, 55, tzinfo=UTC)
    assert told.sent.startswith(b"EHLO outlook-auth-exporter.invalid\r\nSTARTTLS\r\nEHLO ")
    assert b"MAIL FROM" not in told.sent


@pytest.mark.parametrize(
    ("sentence", "phase_outcome", "auth_outcome"),
    [
        (b"535 5.7.139 Authentication unsuccessful, basic authentication is disabled. [X]", "ok", "expected_refusal"),
        (b"535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information. [X]", "ok", "expected_refusal"),
        (b"535 5.7.139 Authentication unsuccessful, nobody knows this sentence. [X]", "unrecognized", "refused"),
        (b"535 5.7.8 Error: authentication failed: Invalid authentication mechanism", "unrecognized", "refused"),
        (b"432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded [Hostname=X]", "throttled", "throttled"),
        (b"451 4.7.0 Temporary server error. Please try again later. PRX4 [X]", "unavailable", "unknown"),
        (b"235 2.7.0 Authentication successful", "unrecognized", "accepted"),
    ],
)  # fmt: skip
async def test_what_the_canary_may_meet(sentence, phase_outcome, auth_outcome):
    told = await hear("smtp", GREETING, CLEAR, GO_AHEAD, SECURE, sentence + b"\r\n")
    assert told.outcome("auth") == phase_outcome
    assert told.findings.auth_outcome == auth_outcome


async def test_starttls_masked_by_inspection():
    told = await hear("smtp", GREETING, CLEAR.replace(b"STARTTLS", b"XXXXXXXA"))
    assert told.outcomes() == [("greeting", "ok"), ("starttls", "not_offered")]
    assert "masked" in (told.phases[Phase.STARTTLS].detail or "")
    assert b"STARTTLS" not in told.sent


async def test_starttls_refused():
    told = await hear("smtp", GREETING, CLEAR, b"502 5.5.1 Command not implemented\r\n")
    assert told.outcome("starttls") == "rejected"


@pytest.mark.parametrize(
    ("answer", "outcome", "detail"),
    [
        (b"550 5.7.1 Access denied\r\n", "rejected", "EHLO: 550 5.7.1 Access denied"),
        (b"", "closed", "EHLO: closed by the server without a reply"),
        (CLEAR[:40], "closed", "EHLO: closed by the server in the middle of a reply"),
    ],
)
async def test_what_ends_at_ehlo_is_no_answer_to_starttls(answer, outcome, detail):
    told = await hear("smtp", GREETING, answer)
    assert (told.outcome("starttls"), told.phases[Phase.STARTTLS].detail) == (outcome, detail)
    assert b"STARTTLS" not in told.sent


async def test_plain_text_smuggled_behind_the_go_ahead():
    told = await hear("smtp", GREETING, CLEAR, GO_AHEAD + b"250 injected\r\n")
    assert told.outcome("starttls") == "unexpected_content"


@pytest.mark.parametrize(
    ("greeting", "outcome"),
    [
        (b"220 ************************\r\n", "unrecognized"),
        (b"421 4.3.2 Service not active [X]\r\n", "unavailable"),
        (b"450 try later\r\n", "unavailable"),
        (b"554 no\r\n", "rejected"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "unexpected_content"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "unexpected_content"),
    ],
)
async def test_greetings(greeting, outcome):
    assert (await hear("smtp", greeting)).outcome("greeting") == outcome


@given(st.lists(st.integers(0, 600), max_size=12))
async def test_cut_anywhere_but_at_the_go_ahead_the_result_is_the_same(pieces):
    # Behind the go-ahead nothing may have arrived before TLS, so that reads end there, as they do on the wire.
    clear, secure = GREETING + CLEAR + GO_AHEAD, SECURE + REFUSED
    told = await hear("smtp", *cut(clear, pieces or [1]), *cut(secure, pieces or [1]))
    assert told.outcomes() == HEALTHY
