"""An account's sign-in as a transcript: what is sent, in which order, and what each answer is made of."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.accounts.presenting import AccountPresenter
from exporter.vocabulary import AuthOutcome, Cause, Mechanism, Outcome, Phase
from tests.accounts.made import PASSWORD, TOKEN, USER, link, presenter
from tests.probe.scripted import Told, hear

IMAP_GREETING = b"* OK The Microsoft Exchange IMAP4 service is ready. [QgBMADEA]\r\n"
NEW = b"* CAPABILITY IMAP4 IMAP4rev1 AUTH=XOAUTH2 LOGINDISABLED SASL-IR UIDPLUS\r\na1 OK CAPABILITY completed.\r\n"
SIGNED_IN = b"a2 OK AUTHENTICATE completed.\r\n"
LISTED = b'* LIST (\\Noselect) "/" ""\r\na3 OK LIST completed.\r\n'
POP_GREETING = b"+OK The Microsoft Exchange POP3 service is ready. [QgBMADEA]\r\n"
CAPA = b"+OK\r\nTOP\r\nUIDL\r\nSASL XOAUTH2\r\nUSER\r\n.\r\n"
SMTP = (
    b"220 BL1P223CA0005.outlook.office365.com Microsoft ESMTP MAIL Service ready at Tue, 24 Nov 2026 12:00:00 +0000\r\n",
    b"250-BL1P223CA0005.outlook.office365.com Hello [192.0.2.1]\r\n250 STARTTLS\r\n",
    b"220 2.0.0 SMTP server ready\r\n",
)
EHLO = b"250-BL1P223CA0005.outlook.office365.com Hello [192.0.2.1]\r\n250 AUTH LOGIN XOAUTH2\r\n"
XOAUTH2 = base64.b64encode(f"user={USER}\x01auth=Bearer {TOKEN}\x01\x01".encode())
PLAIN = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode())
BY_PASSWORD = Mechanism.PASSWORD


async def imap(*script: bytes, by: AccountPresenter | None = None) -> tuple[Told, AccountPresenter]:
    by = by or presenter()
    return await hear("imap", IMAP_GREETING, *script, presenter=by, link=link()), by


# --- IMAP


async def test_imap_signs_in_asks_for_the_delimiter_and_leaves():
    told, by = await imap(NEW, SIGNED_IN, LISTED)
    assert told.sent == b"a1 CAPABILITY\r\na2 AUTHENTICATE XOAUTH2 " + XOAUTH2 + b'\r\na3 LIST "" ""\r\na4 LOGOUT\r\n'
    assert told.outcomes() == [("greeting", "ok"), ("capability", "ok"), ("auth", "ok"), ("session", "ok")]
    assert told.findings.auth_outcome is AuthOutcome.ACCEPTED
    assert (by.presented, by.withheld, by.explanation) == (True, None, None)


async def test_imap_authenticated_but_not_connected_shows_in_the_session():
    told, by = await imap(NEW, SIGNED_IN, b"a3 BAD User is authenticated but not connected.\r\n")
    assert told.findings.auth_outcome is AuthOutcome.ACCEPTED
    assert (told.outcome("auth"), told.outcome("session")) == ("ok", "rejected")
    assert by.explanation is not None
    assert by.explanation.cause is Cause.MAILBOX_UNAVAILABLE
    assert told.findings.reply == "a3 BAD User is authenticated but not connected."
    assert told.sent.endswith(b"a4 LOGOUT\r\n")


@pytest.mark.parametrize(
    ("line", "phase", "auth", "cause"),
    [
        (b"a2 NO AUTHENTICATE failed.", "rejected", "refused", Cause.CREDENTIALS_INVALID),
        (b"a2 BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds", "throttled", "throttled",
         Cause.THROTTLED),
        (b"a2 NO Server Unavailable. 15", "unavailable", "unknown", Cause.SERVICE_OUTAGE),
        (b"a2 NO Never heard of.", "rejected", "refused", Cause.UNKNOWN),
        (b"a2 NO [AUTHENTICATIONFAILED] Authentication failed.", "rejected", "refused", Cause.CREDENTIALS_INVALID),
        (b"a2 NO [UNAVAILABLE] Temporary authentication failure.", "unavailable", "unknown", Cause.SERVICE_OUTAGE),
    ],
)  # fmt: skip
async def test_imap_refusals(line, phase, auth, cause):
    told, by = await imap(NEW, line + b"\r\n")
    assert told.outcome("auth") == phase
    assert told.findings.auth_outcome == auth
    assert by.explanation is not None
    assert by.explanation.cause is cause
    assert told.sent.endswith(b"a3 LOGOUT\r\n")


async def test_an_expired_token_is_told_by_its_date():
    _, by = await imap(NEW, b"a2 NO AUTHENTICATE failed.\r\n", by=presenter(token_expired=True))
    assert by.explanation is not None
    assert by.explanation.cause is Cause.TOKEN_EXPIRED


async def test_a_refusal_by_json_challenge_is_answered_and_read():
    challenge = b"+ " + base64.b64encode(b'{"status":"401"}') + b"\r\n"
    told, by = await imap(NEW, challenge, b"a2 NO [AUTHENTICATIONFAILED] Authentication failed.\r\n")
    assert b"\r\n\r\n" in told.sent
    assert by.explanation is not None
    assert by.explanation.cause is Cause.CREDENTIALS_INVALID


async def test_a_conversation_cut_in_the_middle_has_no_auth_outcome():
    told, by = await imap(NEW)
    assert told.outcome("auth") == "closed"
    assert told.findings.auth_outcome is None
    assert by.presented


async def test_imap_without_xoauth2_is_left_alone():
    told, by = await imap(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\na1 OK done\r\n")
    assert told.outcome("capability") == "not_offered"
    assert not by.presented
    assert b"AUTHENTICATE" not in told.sent


async def test_nothing_is_sent_over_a_chain_that_is_not_genuine():
    by = presenter()
    seen = link(signatures=False, issuer="Fortinet")
    told = await hear("imap", IMAP_GREETING, NEW, presenter=by, link=seen)
    assert told.sent == b"a1 CAPABILITY\r\n"
    assert by.withheld is not None
    assert by.withheld.words == "withheld: the certificate isn't Microsoft's (issued by Fortinet)"


async def test_nothing_is_sent_in_clear():
    by = presenter()
    told = await hear("imap", IMAP_GREETING, NEW, presenter=by, link=None)
    assert told.sent == b"a1 CAPABILITY\r\n"
    assert by.withheld is not None


async def test_a_server_that_repeats_the_command_gives_nothing_away():
    repeated = b"a2 BAD What is AUTHENTICATE XOAUTH2 " + XOAUTH2 + b"?\r\n"
    told, by = await imap(NEW, repeated)
    shown = f"{told.phases} {told.findings} {by} {by.explanation}"
    assert "<secret>" in shown
    for secret in (TOKEN[:20], TOKEN[-20:], XOAUTH2.decode()[:30], XOAUTH2.decode()[100:130]):
        assert secret not in shown


# --- passwords, by the mail protocols alone


async def test_imap_password_by_plain_or_by_login_never_where_logindisabled():
    plain = b"* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN\r\na1 OK done\r\n"
    told, _ = await imap(plain, SIGNED_IN, LISTED, by=presenter(mechanism=BY_PASSWORD))
    assert b"a2 AUTHENTICATE PLAIN " + PLAIN + b"\r\n" in told.sent
    login = b"* CAPABILITY IMAP4rev1\r\na1 OK done\r\n"
    told, _ = await imap(login, b"a2 OK LOGIN completed.\r\n", LISTED, by=presenter(mechanism=BY_PASSWORD))
    assert f'a2 LOGIN "{USER}" "{PASSWORD}"\r\n'.encode() in told.sent
    disabled = b"* CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=PLAIN SASL-IR\r\na1 OK done\r\n"
    told, by = await imap(disabled, by=presenter(mechanism=BY_PASSWORD))
    assert told.sent == b"a1 CAPABILITY\r\n"
    assert told.outcome("capability") == "not_offered"
    assert not by.presented


async def test_imap_password_in_two_steps_without_sasl_ir():
    plain = b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\na1 OK done\r\n"
    told, _ = await imap(plain, b"+\r\n", SIGNED_IN, LISTED, by=presenter(mechanism=BY_PASSWORD))
    assert b"a2 AUTHENTICATE PLAIN\r\n" + PLAIN + b"\r\n" in told.sent


async def test_quotes_in_a_password_are_escaped_and_other_letters_need_plain():
    login = b"* CAPABILITY IMAP4rev1\r\na1 OK done\r\n"
    by = presenter(mechanism=BY_PASSWORD, secret='a"b\\c')
    told, _ = await imap(login, b"a2 OK LOGIN completed.\r\n", LISTED, by=by)
    assert b'"a\\"b\\\\c"' in told.sent
    told, _ = await imap(login, by=presenter(mechanism=BY_PASSWORD, secret="pässwort"))
    assert told.outcome("auth") == "not_offered"
    assert "sswort" not in str(told.phases)


async def test_smtp_password_by_login_or_plain():
    by = presenter(mechanism=BY_PASSWORD)
    prompts = (b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n", b"235 2.7.0 Authentication successful\r\n")
    told = await hear("smtp", *SMTP, EHLO, *prompts, presenter=by, link=link("smtp-mail.outlook.com"))
    user, password = base64.b64encode(USER.encode()), base64.b64encode(PASSWORD.encode())
    assert told.sent.endswith(b"AUTH LOGIN\r\n" + user + b"\r\n" + password + b"\r\nQUIT\r\n")
    by = presenter(mechanism=BY_PASSWORD)
    relay = b"250-relay.example\r\n250 AUTH PLAIN LOGIN\r\n"
    told = await hear("smtp", *SMTP, relay, b"235 2.7.0 ok\r\n", presenter=by, link=link("smtp-mail.outlook.com"))
    assert told.sent.endswith(b"AUTH PLAIN " + PLAIN + b"\r\nQUIT\r\n")


async def test_smtp_password_refused_at_the_first_prompt():
    by = presenter(mechanism=BY_PASSWORD)
    refusal = b"504 5.7.4 Unrecognized authentication type [BL1P223CA0005.NAMP223.PROD.OUTLOOK.COM]\r\n"
    told = await hear("smtp", *SMTP, EHLO, refusal, presenter=by, link=link("smtp-mail.outlook.com"))
    assert base64.b64encode(PASSWORD.encode()) not in told.sent
    assert told.outcome("auth") == "rejected"


async def test_pop_password_by_user_and_pass():
    by = presenter(mechanism=BY_PASSWORD)
    refused = b"-ERR Basic authentication is disabled\r\n"
    told = await hear("pop", POP_GREETING, CAPA, b"+OK\r\n", refused, presenter=by, link=link("pop-mail.outlook.com"))
    assert told.sent.endswith(f"USER {USER}\r\nPASS {PASSWORD}\r\nQUIT\r\n".encode())
    assert by.explanation is not None
    assert by.explanation.cause is Cause.PASSWORD_REFUSED
    by = presenter(mechanism=BY_PASSWORD)
    sasl = b"+OK\r\nSASL PLAIN\r\n.\r\n"
    script = (POP_GREETING, sasl, b"+ \r\n", b"+OK in\r\n")
    told = await hear("pop", *script, presenter=by, link=link("pop-mail.outlook.com"))
    assert told.sent.endswith(b"AUTH PLAIN\r\n" + PLAIN + b"\r\nQUIT\r\n")


async def test_pop_user_refused_before_the_password():
    by = presenter(mechanism=BY_PASSWORD)
    script = (POP_GREETING, CAPA, b"-ERR Command is not valid in this state.\r\n")
    told = await hear("pop", *script, presenter=by, link=link("pop-mail.outlook.com"))
    assert b"PASS" not in told.sent
    assert told.outcome("auth") == "rejected"


# --- tokens by SMTP, POP, HTTP


async def test_smtp_stops_behind_235_and_never_begins_a_mail():
    by = presenter()
    accepted = b"235 2.7.0 Authentication successful\r\n"
    told = await hear("smtp", *SMTP, EHLO, accepted, presenter=by, link=link("smtp-mail.outlook.com"))
    assert told.sent.endswith(b"AUTH XOAUTH2 " + XOAUTH2 + b"\r\nQUIT\r\n")
    assert b"MAIL" not in told.sent
    assert told.findings.auth_outcome is AuthOutcome.ACCEPTED


async def test_pop_comes_in_two_steps_and_asks_the_mailbox_for_nothing():
    by = presenter()
    script = (POP_GREETING, CAPA, b"+ \r\n", b"+OK User successfully authenticated.\r\n")
    told = await hear("pop", *script, presenter=by, link=link("pop-mail.outlook.com"))
    assert told.sent == b"CAPA\r\nAUTH XOAUTH2\r\n" + XOAUTH2 + b"\r\nQUIT\r\n"
    assert told.findings.auth_outcome is AuthOutcome.ACCEPTED


def http(status: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


@pytest.mark.parametrize("target", ["activesync", "graph"])
async def test_http_takes_one_request_with_the_token(target):
    by, host = presenter(), {"activesync": "outlook.office365.com", "graph": "graph.microsoft.com"}[target]
    profile = b'{"displayName":"Some One","mail":"someone@outlook.com"}'
    told = await hear(target, http("200 OK", body=profile), presenter=by, link=link(host))
    assert told.sent.count(b" HTTP/1.1\r\n") == 1
    assert f"Authorization: Bearer {TOKEN}\r\n".encode() in told.sent
    assert told.outcomes() == [("auth", "ok")]
    assert told.findings.reply == "HTTP 200"  # whose profile it is concerns nobody


async def test_no_redirect_is_followed_with_a_secret():
    by = presenter()
    away = http("302 Found", "Location: https://evil.example/take-it")
    told = await hear("graph", away, away, presenter=by, link=link("graph.microsoft.com"))
    assert told.sent.count(b"Authorization") == 1
    assert told.findings.auth_outcome is AuthOutcome.REFUSED
    away = http("451", "X-MS-Location: https://outlook-cba.office365.com/Microsoft-Server-ActiveSync")
    told = await hear("activesync", away, presenter=presenter(), link=link("outlook.office365.com"))
    assert told.sent.count(b"Authorization") == 1


@pytest.mark.parametrize(
    ("target", "answer", "auth", "cause"),
    [
        ("graph", http("401", body=b'{"error":{"code":"InvalidAuthenticationToken","message":"Lifetime validation '
         b'failed, the token is expired."}}'), "refused", Cause.CREDENTIALS_INVALID),
        ("graph", http("403", body=b'{"error":{"code":"ErrorAccessDenied","message":"Access is denied."}}'), "refused",
         Cause.CONSENT_MISSING),
        ("graph", http("429", "Retry-After: 30"), "throttled", Cause.THROTTLED),
        ("graph", http("503"), "unknown", Cause.SERVICE_OUTAGE),
        ("graph", http("403", body=b"<html>blocked</html>"), "refused", Cause.UNKNOWN),
        ("activesync", http("401", 'x-ms-diagnostics: 2000003;reason="The hostname component of the audience claim value '
         'is invalid";error_category="invalid_resource"', 'WWW-Authenticate: Bearer error="invalid_token"'), "refused",
         Cause.APP_MISCONFIGURED),
        ("activesync", http("503", "X-MS-ASThrottle: CommandFrequency", "Retry-After: 60"), "throttled",
         Cause.THROTTLED),
    ],
)  # fmt: skip
async def test_http_refusals(target, answer, auth, cause):
    by, host = presenter(), {"activesync": "outlook.office365.com", "graph": "graph.microsoft.com"}[target]
    told = await hear(target, answer, presenter=by, link=link(host))
    assert told.findings.auth_outcome == auth
    if by.explanation is not None:
        assert by.explanation.cause is cause
    else:  # said before it came to a refusal: the phase's outcome tells
        assert told.outcome("auth") in ("throttled", "unavailable")


async def test_a_token_that_http_cannot_carry_is_not_sent():
    told = await hear("graph", presenter=presenter(secret="bad\ntoken"), link=link("graph.microsoft.com"))
    assert told.outcome("auth") == "not_offered"
    assert told.sent == b""
    assert "bad" not in str(told.phases[Phase.AUTH])
    told = await hear("graph", presenter=presenter(secret="tökén"), link=link("graph.microsoft.com"))
    assert (told.outcome("auth"), told.sent) == ("not_offered", b"")


# --- whatever comes


@given(st.lists(st.integers(0, 500), max_size=12))
async def test_cut_anywhere_the_result_is_the_same(pieces):
    by = presenter()
    script = (IMAP_GREETING, NEW, SIGNED_IN, LISTED)
    told = await hear("imap", *script, pieces=pieces or [1], presenter=by, link=link())
    assert told.outcomes() == [("greeting", "ok"), ("capability", "ok"), ("auth", "ok"), ("session", "ok")]


@given(st.binary(max_size=400))
async def test_any_answer_ends_in_a_named_outcome_and_shows_no_secret(noise):
    told, by = await imap(NEW, noise)
    assert told.outcomes()[-1][1] in set(Outcome)
    assert TOKEN[:20] not in f"{told.phases}{told.findings}{by}"
