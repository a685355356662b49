"""POP conversations as transcripts (facts 2.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.vocabulary import AuthOutcome, OfferedMechanism
from tests.probe.scripted import hear

GREETING = b"+OK The Microsoft Exchange POP3 service is ready. [QgBMADEA]\r\n"
CAPA = b"+OK\r\nTOP\r\nUIDL\r\nSASL XOAUTH2\r\nUSER\r\n.\r\n"
REFUSED = b"-ERR Authentication failure: unknown user name or bad password.\r\n"


async def test_healthy_in_two_steps():
    told = await hear("pop", GREETING, CAPA, b"+ \r\n", REFUSED)
    assert told.outcomes() == [("greeting", "ok"), ("capability", "ok"), ("auth", "ok")]
    assert told.findings.auth_outcome is AuthOutcome.EXPECTED_REFUSAL
    assert set(told.findings.offered or ()) == {OfferedMechanism.XOAUTH2, OfferedMechanism.LOGIN_COMMAND}
    assert b"AUTH XOAUTH2\r\ndXNlcj1" in told.sent  # never the one-line form, on which Microsoft closes


@pytest.mark.parametrize(
    ("reply", "phase_outcome", "auth_outcome"),
    [
        (b"-ERR Basic authentication is disabled\r\n", "ok", "expected_refusal"),
        (b"-ERR Protocol error. Connection is closed. 10\r\n", "ok", "expected_refusal"),
        (b"-ERR [SYS/TEMP] Server Unavailable. 14\r\n", "unavailable", "unknown"),
        (b"-ERR [AUTH] Authentication failed.\r\n", "unrecognized", "refused"),
        (b"+OK User successfully authenticated.\r\n", "unrecognized", "accepted"),
        (b"hello\r\n", "unexpected_content", None),
    ],
)
async def test_what_the_canary_may_meet(reply, phase_outcome, auth_outcome):
    told = await hear("pop", GREETING, CAPA, b"+ \r\n", reply)
    assert told.outcome("auth") == phase_outcome
    assert told.findings.auth_outcome == auth_outcome


async def test_no_xoauth2():
    told = await hear("pop", GREETING, CAPA.replace(b"XOAUTH2", b"PLAIN"))
    assert told.outcomes() == [("greeting", "ok"), ("capability", "not_offered")]


@given(st.lists(st.integers(0, 300), max_size=12))
async def test_cut_anywhere_the_result_is_the_same(pieces):
    told = await hear("pop", GREETING, CAPA, b"+ \r\n", REFUSED, pieces=pieces or [1])
    assert told.outcomes() == [("greeting", "ok"), ("capability", "ok"), ("auth", "ok")]
