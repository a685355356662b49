"""HTTP conversations as transcripts: Microsoft's pages, a gateway's, and the token endpoint (facts 2.4, 4, 5)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.vocabulary import AuthOutcome, OfferedMechanism
from tests.probe.scripted import hear

DATE = b"Date: Tue, 24 Nov 2026 12:00:00 GMT\r\n"
ESTS = b"x-ms-request-id: 1\r\nx-ms-ests-server: 2.1.12651.7 - SCUS ProdSlices\r\n" + DATE
CHALLENGE = (
    b'WWW-Authenticate: Bearer client_id="00000002-0000-0ff1-ce00-000000000000", '
    b'trusted_issuers="00000001-0000-0000-c000-000000000000@*", '
    b'token_types="app_asserted_user_v1 service_asserted_app_v1", '
    b'authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", error="invalid_token"\r\n'
)


def answer(status: int, headers: bytes = b"", body: bytes = b"") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 %d Whatever\r\n" % status + headers + length + b"\r\n" + body


def aadsts(number: int, status: int = 400) -> bytes:
    body = {
        "error": "invalid_request",
        "error_description": f"AADSTS{number}: Text.\r\nTrace ID: x",
        "error_codes": [number],
    }
    return answer(status, ESTS + b"Content-Type: application/json\r\n", json.dumps(body).encode())


@pytest.mark.parametrize(
    ("reply", "genuine", "outcome"),
    [
        (answer(200, b"X-FEServer: BL1\r\n" + DATE, b"<html>"), False, "ok"),
        (answer(200, b"Content-Type: text/html\r\n", b"<html>Blocked"), False, "unexpected_content"),
        (answer(403, b"Content-Type: text/html\r\n", b"<html>Blocked"), False, "unexpected_content"),
        (answer(200, b"", b"<html>"), True, "ok"),
        (answer(302, b"Location: http://10.0.0.1/login\r\n"), False, "unexpected_content"),
        (answer(302, b"Location: https://warning.vendor.example/\r\n"), None, "unexpected_content"),
        (answer(302, b"Location: https://login.live.com/x\r\n"), False, "ok"),
        (answer(302, b"Location: https://outlook.com.evil.example/\r\n"), False, "unexpected_content"),
        (answer(451, b"X-MS-Location: https://outlook-cba.office365.com/\r\n"), False, "ok"),
        (answer(429, b"Retry-After: 30\r\n"), True, "throttled"),
        (answer(503, b"request-id: x\r\n"), True, "unavailable"),
        (answer(511, b"Content-Type: text/html\r\n", b"<html>"), False, "unexpected_content"),
        (b"* OK IMAP4 ready\r\n", True, "unexpected_content"),
        (b"", True, "closed"),
    ],
)
async def test_pages(reply, genuine, outcome):
    told = await hear("outlook_web", *([reply] if reply else []), genuine=genuine)
    assert told.outcome("http") == outcome


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(200, b"Content-Type: application/ocsp-response\r\n", b"0\x03\n\x01\x01"), "ok"),
        (answer(200, b"Content-Type: application/pkix-crl\r\n", b"0\x82"), "ok"),
        (answer(200), "ok"),
        (answer(404, b"Content-Type: text/html\r\n", b"<html><title>404 - Not Found</title>"), "ok"),
        (
            answer(400, b"Content-Type: text/html\r\n", b"<h1>The plain HTTP request was sent to HTTPS port"),
            "unexpected_content",
        ),
        (answer(200, b"Content-Type: text/html\r\n", b"<html>Blocked"), "unexpected_content"),
        (answer(200, b"", b"  <html>Blocked"), "unexpected_content"),
        (answer(403, b"Content-Type: text/plain\r\n", b"Blocked by policy"), "unexpected_content"),
        (answer(401, b'WWW-Authenticate: Basic realm="gateway"\r\n'), "unexpected_content"),
        (answer(407, b'Proxy-Authenticate: Basic realm="gateway"\r\n'), "unexpected_content"),
        (answer(302, b"Location: http://10.0.0.1/portal\r\n"), "unexpected_content"),
        (answer(511), "unexpected_content"),
        (answer(503, b"X-Squid-Error: ERR_CONNECT_FAIL 110\r\n"), "unavailable"),
    ],
)
async def test_revocation_is_answered_in_clear_by_no_gateway(reply, outcome):
    assert (await hear("revocation", reply, genuine=None)).outcome("http") == outcome


@pytest.mark.parametrize("genuine", [True, False])
async def test_a_network_that_wants_a_sign_in_of_its_own_is_no_outage_of_microsofts(genuine):
    told = await hear("sign_in_work", answer(511, b"Content-Type: text/html\r\n", b"<html>"), genuine=genuine)
    assert told.outcome("token") == ("unexpected_content" if not genuine else "unrecognized")


async def test_throttling_says_how_long():
    told = await hear("outlook_web", answer(429, b"Retry-After: 30\r\n"))
    assert told.findings.retry_after == 30


async def test_activesync_451_without_authorization_is_healthy():
    told = await hear("activesync", answer(451, b"X-MS-Location: https://x/\r\n" + DATE), answer(401, CHALLENGE + DATE))
    assert told.outcomes() == [("http", "ok"), ("auth", "ok")]
    assert told.findings.auth_outcome is AuthOutcome.EXPECTED_REFUSAL
    assert told.findings.offered == (OfferedMechanism.BEARER,)
    assert b"Authorization: Bearer\r\n" in told.sent


async def test_activesync_throttles_by_503():
    told = await hear("activesync", answer(503, b"X-MS-ASThrottle: CommandFrequency\r\nRetry-After: 120\r\n"))
    assert told.outcome("http") == "throttled"
    assert told.findings.retry_after == 120


async def test_activesync_with_a_basic_challenge_is_not_exchange_online():
    told = await hear(
        "activesync", answer(451, b"X-MS-Location: x\r\n"), answer(401, b'WWW-Authenticate: Basic realm="x"\r\n')
    )
    assert told.outcome("auth") == "unrecognized"
    assert told.findings.offered == (OfferedMechanism.BASIC,)


@pytest.mark.parametrize(
    ("reply", "outcome", "auth"),
    [
        (aadsts(900144), "ok", "expected_refusal"),
        (aadsts(900561), "ok", "expected_refusal"),
        (aadsts(90033, 503), "unavailable", "unknown"),
        (aadsts(123456), "unrecognized", "refused"),
        (answer(429, b"Retry-After: 5\r\n" + ESTS), "throttled", "throttled"),
        (answer(504, b"Content-Type: text/html\r\n", b"<html>Gateway Timeout"), "unavailable", "unknown"),
        (answer(403, b"Content-Type: text/html\r\n", b"<html>Blocked"), "unexpected_content", None),
        (answer(302, b"Location: http://10.0.0.1/\r\n"), "unexpected_content", None),
    ],
)
async def test_token_endpoint(reply, outcome, auth):
    told = await hear("sign_in_work", reply, genuine=False)
    assert told.outcome("token") == outcome
    assert told.findings.auth_outcome == auth
    assert told.sent.startswith(b"POST /common/oauth2/v2.0/token HTTP/1.1\r\n")
    assert b"Content-Length: 0" in told.sent


async def test_between_canaries_only_the_openid_configuration_is_read():
    metadata = json.dumps({"issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"}).encode()
    told = await hear("sign_in_work", answer(200, ESTS, metadata), canary=False)
    assert told.outcomes() == []
    assert told.sent.startswith(b"GET /common/v2.0/.well-known/openid-configuration ")
    assert b"POST" not in told.sent
    assert told.findings.marks == []


async def test_a_false_openid_configuration_asks_for_the_canary():
    told = await hear("sign_in_work", answer(403, b"Content-Type: text/html\r\n", b"<html>"), canary=False)
    assert told.findings.marks == ["openid-configuration is not Microsoft's"]


@given(st.lists(st.integers(0, 600), max_size=12))
async def test_cut_anywhere_the_result_is_the_same(pieces):
    told = await hear("sign_in_work", aadsts(900144), pieces=pieces or [1])
    assert told.outcome("token") == "ok"


@given(st.binary(max_size=600))
async def test_any_bytes_end_in_a_named_outcome(noise):
    told = await hear("outlook_web", noise, genuine=None)
    assert told.outcomes()[-1][1] in {"unexpected_content", "closed", "unavailable", "ok", "throttled"}
