"""IMAP conversations as transcripts: Microsoft's words of each year, other servers', and what gateways do to them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.vocabulary import AuthOutcome, OfferedMechanism, Phase
from tests.probe.scripted import TOKEN, hear

GREETING = b"* OK The Microsoft Exchange IMAP4 service is ready. [QgBMADEA]\r\n"
OLD = b"* CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE\r\na1 OK CAPABILITY completed.\r\n"
NEW = b"* CAPABILITY IMAP4 IMAP4rev1 AUTH=XOAUTH2 LOGINDISABLED SASL-IR UIDPLUS MOVE ID\r\na1 OK CAPABILITY completed.\r\n"
REFUSED = b"a2 NO AUTHENTICATE failed.\r\n"


async def test_healthy_2026():
    told = await hear("imap", GREETING, NEW, REFUSED)
    assert told.outcomes() == [("greeting", "ok"), ("capability", "ok"), ("auth", "ok")]
    assert told.findings.auth_outcome is AuthOutcome.EXPECTED_REFUSAL
    assert told.findings.offered == (OfferedMechanism.XOAUTH2,)
    assert told.sent.startswith(b"a1 CAPABILITY\r\na2 AUTHENTICATE XOAUTH2 dXNlcj1jYW5hcnlA")
    assert told.sent.endswith(b"a3 LOGOUT\r\n")


async def test_healthy_2024_still_offers_passwords():
    told = await hear("imap", GREETING, OLD, REFUSED)
    assert told.findings.auth_outcome is AuthOutcome.EXPECTED_REFUSAL
    assert set(told.findings.offered or ()) == {
        OfferedMechanism.XOAUTH2, OfferedMechanism.PLAIN, OfferedMechanism.LOGIN_COMMAND,
    }  # fmt: skip


async def test_no_canary_where_none_is_due():
    told = await hear("imap", GREETING, NEW, canary=False)
    assert told.outcomes() == [("greeting", "ok"), ("capability", "ok")]
    assert TOKEN.encode() not in told.sent
    assert b"AUTHENTICATE" not in told.sent


async def test_two_steps_without_sasl_ir():
    capability = b"* CAPABILITY IMAP4rev1 AUTH=XOAUTH2\r\na1 OK done\r\n"
    told = await hear("imap", GREETING, capability, b"+\r\n", REFUSED)
    assert b"a2 AUTHENTICATE XOAUTH2\r\n" in told.sent
    assert told.findings.auth_outcome is AuthOutcome.EXPECTED_REFUSAL


async def test_dovecot_refuses_by_challenge_and_is_not_taken_for_microsoft():
    greeting = b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2] Dovecot (Debian) ready.\r\n"
    capability = b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2\r\na1 OK Pre-login capabilities listed.\r\n"
    challenge = b"+ eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIiwic2NvcGUiOiJtYWlsIn0=\r\n"
    told = await hear(
        "imap", greeting, capability, challenge, b"a2 NO [AUTHENTICATIONFAILED] Authentication failed.\r\n"
    )
    assert told.outcomes() == [("greeting", "unrecognized"), ("capability", "ok"), ("auth", "unrecognized")]
    assert told.findings.auth_outcome is AuthOutcome.REFUSED
    assert b"\r\n\r\n" in told.sent  # the empty answer to the challenge


async def test_microsofts_line_behind_a_json_challenge_is_no_expected_refusal():
    challenge = b"+ eyJzdGF0dXMiOiI0MDAifQ==\r\n"
    told = await hear("imap", GREETING, NEW, challenge, REFUSED)
    assert told.findings.auth_outcome is AuthOutcome.REFUSED


@pytest.mark.parametrize(
    ("reply", "phase_outcome", "auth_outcome"),
    [
        (b"a2 NO Basic authentication is disabled.\r\n", "ok", "expected_refusal"),
        (b"a2 BAD Command Argument Error. 12\r\n", "ok", "expected_refusal"),
        (b"a2 BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds\r\n", "throttled", "throttled"),
        (b"a2 NO Server Unavailable. 15\r\n", "unavailable", "unknown"),
        (b"a2 NO Something Microsoft never said.\r\n", "unrecognized", "refused"),
        (b"a2 NO He said: NO AUTHENTICATE failed.\r\n", "unrecognized", "refused"),
        (b"a2 OK AUTHENTICATE completed.\r\n", "unrecognized", "accepted"),
        (b"* BYE Connection closed. 14\r\n", "closed", None),
        (b"", "closed", None),
    ],
)
async def test_what_the_canary_may_meet(reply, phase_outcome, auth_outcome):
    told = await hear("imap", GREETING, NEW, *([reply] if reply else []))
    assert told.outcome("auth") == phase_outcome
    assert told.findings.auth_outcome == auth_outcome


@pytest.mark.parametrize(
    ("greeting", "outcome"),
    [
        (b"* OK ACME Mail Proxy ready\r\n", "unrecognized"),
        (b"* BYE Server Unavailable. 15\r\n", "unavailable"),
        (b"* BYE too many connections\r\n", "rejected"),
        (b"HTTP/1.1 400 Bad Request\r\n", "unexpected_content"),
        (b"\x15\x03\x01\x00\x02\x02\x28", "unexpected_content"),
        (b"220 mail.example ESMTP\r\n", "unexpected_content"),
        (b"* OK \x1b[2J<script>\r\n", "unrecognized"),
        (b"x" * 300_000, "unexpected_content"),
        (b"", "closed"),
    ],
)
async def test_greetings(greeting, outcome):
    told = await hear("imap", *([greeting, NEW] if greeting else []))
    assert told.outcome("greeting") == outcome
    detail = told.phases[Phase.GREETING].detail or ""
    assert "\x1b" not in detail
    assert len(detail) <= 512


async def test_xoauth2_taken_out_of_the_capabilities():
    told = await hear("imap", GREETING, b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\na1 OK done\r\n")
    assert told.outcomes() == [("greeting", "ok"), ("capability", "not_offered")]
    assert b"AUTHENTICATE" not in told.sent


@given(st.lists(st.integers(0, 400), max_size=12))
async def test_cut_anywhere_the_result_is_the_same(pieces):
    told = await hear("imap", GREETING, NEW, REFUSED, pieces=pieces or [1])
    assert told.outcomes() == [("greeting", "ok"), ("capability", "ok"), ("auth", "ok")]
    assert told.findings.auth_outcome is AuthOutcome.EXPECTED_REFUSAL


@given(st.binary(max_size=600))
async def test_any_bytes_end_in_a_named_outcome(noise):
    told = await hear("imap", GREETING, noise)
    assert told.outcomes()[-1][1] in {"unexpected_content", "closed", "rejected", "not_offered", "unrecognized"}
