"""IMAP, as it would be read if it weren't encrypted: what inference makes of the lengths alone."""

import pytest

from exporter.vocabulary import AuthOutcome, Mechanism, Protocol
from exporter.wire.inference.infer import infer
from exporter.wire.trace import TraceEnd
from tests.wire.inference.transcript import trace

GREETING = "S: * OK The Microsoft Exchange IMAP4 service is ready. [<104>]"
CAPABILITY_2024 = (
    "S: * CAPABILITY IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE"
    " LITERAL+"
)
CAPABILITY_2026 = (
    "S: * CAPABILITY IMAP4 IMAP4rev1 AUTH=XOAUTH2 LOGINDISABLED SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE"
    " LITERAL+"
)
ID = 'S: * ID ("name" "Microsoft.Exchange.Imap4.Imap4Server" "version" "15.20")'


def told(
    text: str, *, microsoft: bool = True, end: TraceEnd = TraceEnd.CLIENT_CLOSED, **more: object
) -> list[tuple[str, str]]:
    found = infer(trace(Protocol.IMAP, text, microsoft=microsoft, end=end, **more))  # type: ignore[arg-type]
    return [(str(each.mechanism), str(each.outcome)) for each in found]


def microsoft(capability: str, *lines: str, tag: str = "a001") -> str:
    return "\n".join((GREETING, f"C: {tag} CAPABILITY", capability, f"{tag} OK CAPABILITY completed.", *lines))


@pytest.mark.parametrize("tag", ["1", "A1", "a001", "ABCD0", "A00000001"])
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("OK AUTHENTICATE completed.", "accepted"),
        ("NO AUTHENTICATE failed.", "refused"),
        (
            "BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds\n* BYE Connection closed. 14",
            "throttled",
        ),
        ("NO Server Unavailable. 15", "unknown"),
    ],
)
def test_a_token_at_microsoft_is_told_by_the_answers_size_alone(tag: str, answer: str, outcome: str):
    text = microsoft(CAPABILITY_2026, f"C: {tag}x AUTHENTICATE XOAUTH2 <1648>", f"S: {tag}x {answer}", tag=f"{tag}x")
    assert told(text) == [("token", outcome)]


@pytest.mark.parametrize(
    ("capability", "answer"),
    [
        (CAPABILITY_2024, "NO LOGIN failed."),
        (CAPABILITY_2026, "NO Basic authentication is disabled."),
        (CAPABILITY_2026, "NO Basic authentication is disabled"),
    ],
)
def test_a_password_at_microsoft_is_refused_in_the_words_of_its_year(capability: str, answer: str):
    text = microsoft(capability, "C: a002 LOGIN someone@outlook.com a-password-123", f"S: a002 {answer}")
    assert told(text) == [("password", "refused")]


def test_the_token_comes_when_it_is_asked_for():
    text = microsoft(
        CAPABILITY_2024, "C: a002 AUTHENTICATE XOAUTH2", "S: + ", "C: <1648>", "S: a002 OK AUTHENTICATE completed."
    )
    assert told(text) == [("token", "accepted")]


def test_a_short_token_is_told_by_structure():
    text = microsoft(
        CAPABILITY_2024, "C: a002 AUTHENTICATE XOAUTH2", "S: + ", "C: <120>", "S: a002 NO AUTHENTICATE failed."
    )
    assert told(text) == [("token", "refused")]


def test_who_reads_that_login_is_disabled_leaves():
    assert told(microsoft(CAPABILITY_2026, "C: a002 LOGOUT", "S: * BYE <52>", "a002 OK LOGOUT completed.")) == [
        ("unknown", "abandoned")
    ]
    assert told(microsoft(CAPABILITY_2026)) == [("unknown", "abandoned")]


def test_an_id_in_front_is_no_sign_in():
    text = microsoft(CAPABILITY_2026, 'C: a002 ID ("name" "imapflow" <100>)', ID, "a002 OK ID completed.")
    assert told(text) == [("unknown", "abandoned")]
    text += "\nC: a003 AUTHENTICATE XOAUTH2 <2000>\nS: a003 NO AUTHENTICATE failed."
    assert told(text) == [("token", "refused")]


def test_authenticated_but_not_connected_was_accepted():
    text = microsoft(
        CAPABILITY_2024, "C: a002 AUTHENTICATE XOAUTH2 <2048>", "S: a002 OK AUTHENTICATE completed.", "C: a003 SELECT INBOX",
        "S: a003 BAD User is authenticated but not connected.", "C: a004 NOOP", "S: * BYE Connection closed. 14",
    )  # fmt: skip
    assert told(text, end=TraceEnd.SERVER_CLOSED) == [("token", "accepted")]


def test_words_that_are_not_known_are_read_by_structure():
    refused = "\nC: a002 AUTHENTICATE XOAUTH2 <2048>\nS: a002 NO The token that was presented is of no use to anybody here.\nC: a003 LOGOUT\nS: * BYE <52>"
    assert told(microsoft(CAPABILITY_2026) + refused) == [("token", "refused")]


DOVECOT = "S: * OK [CAPABILITY IMAP4rev1 <100>] Dovecot (Debian) ready."
SIGNED_IN = "OK [CAPABILITY IMAP4rev1 SASL-IR <340>] Logged in"


def dovecot(*lines: str) -> str:
    return "\n".join(
        (DOVECOT, "C: a1 CAPABILITY", "S: * CAPABILITY IMAP4rev1 <100>", "a1 OK Pre-login capabilities.", *lines)
    )


def test_a_foreign_server_accepts_with_its_capabilities():
    session = ("C: a3 SELECT INBOX", "S: <300>", "C: a4 LOGOUT", "S: * BYE Logging out", "a4 OK Logout completed.")
    login = ("C: a2 LOGIN someone@example.org a-password", f"S: a2 {SIGNED_IN}")
    assert told(dovecot(*login, *session), microsoft=False) == [("password", "accepted")]
    assert told(dovecot(*login, *session[-3:]), microsoft=False) == [("password", "accepted")]


def test_a_foreign_server_refuses_and_the_client_leaves():
    refused = (
        "C: a2 LOGIN someone@example.org a-password",
        "(2 s)",
        "S: a2 NO [AUTHENTICATIONFAILED] Authentication failed.",
    )
    farewell = ("C: a3 LOGOUT", "S: * BYE Logging out", "a3 OK Logout completed.")
    assert told(dovecot(*refused, *farewell), microsoft=False) == [("password", "refused")]
    assert told(dovecot(*refused), microsoft=False) == [("password", "refused")]


@pytest.mark.parametrize("answer", [".", "AQ==", "<1648>"])
def test_a_refusal_announced_as_json(answer: str):
    text = dovecot(
        "C: a2 AUTHENTICATE XOAUTH2 <1648>", "S: + <68>", f"C: {answer}", "(1 s)", "S: a2 NO [AUTHENTICATIONFAILED] Authentication failed."
    )  # fmt: skip
    assert told(text, microsoft=False) == [("token", "refused")]


def test_who_leaves_behind_the_announcement_was_refused_all_the_same():
    assert told(dovecot("C: a2 AUTHENTICATE XOAUTH2 <1648>", "S: + <68>"), microsoft=False) == [("token", "refused")]


def test_literals_are_one_attempt():
    text = dovecot(
        "C: a2 LOGIN {19}", "S: + OK", "C: someone@example.org {10}", "S: + OK", "C: a-password", "(1 s)",
        "S: a2 NO [AUTHENTICATIONFAILED] Authentication failed.", "C: a3 LOGOUT", "S: * BYE Logging out",
    )  # fmt: skip
    assert told(text, microsoft=False) == [("password", "refused")]


@pytest.mark.parametrize(
    ("folder", "allowed"),
    [
        ('"Sent Items"', {("password", "accepted")}),
        # by chance as long as AUTHENTICATE XOAUTH2, and the mail as long as base64 may be: that may be left open
        ("Drafts", {("password", "accepted"), ("unknown", "unknown")}),
    ],
)
def test_a_mail_that_is_saved_is_no_token(folder: str, allowed: set[tuple[str, str]]):
    text = dovecot(
        "C: a2 LOGIN someone@example.org a-password",
        f"S: a2 {SIGNED_IN}",
        f"C: a3 APPEND {folder} {{1500}}",
        "S: + OK",
        "C: <1500>",
        "S: a3 OK [APPENDUID 14 3] Append completed.",
        "C: a4 LOGOUT",
        "S: * BYE Logging out",
        "a4 OK Logout completed (0.001 + 0.000 secs).",
    )
    assert set(told(text, microsoft=False)) <= allowed


def test_a_challenge_isnt_answered_in_a_few_bytes():
    """ID is as long as AUTHENTICATE SCRAM-SHA-1, LOGIN {15} as a response of 16 bytes: no client's proof is so short."""
    text = (
        "S: * OK [CAPABILITY IMAP4rev1 <110>] ready\nC: abcd1 ID (<88>)\nS: * ID (<54>)\nabcd1 OK ID completed\n"
        "C: abcd2 LOGIN {15}\nS: + Ready for literal data\nC: <15> {33}\nS: + Ready for literal data\nC: <33>\n"
        "S: abcd2 OK [CAPABILITY <295>] Welcome\nC: <44>\nS: <63>\nC: abcd4 IDLE\nS: + idling\nC: DONE\n"
        "S: abcd4 OK IDLE terminated"
    )
    assert told(text, microsoft=False) == [("password", "accepted")]


def test_several_attempts_in_order():
    text = dovecot(
        "C: a2 LOGIN someone@example.org wrong-password", "(1 s)", "S: a2 NO [AUTHENTICATIONFAILED] Authentication failed.",
        "C: a3 LOGIN someone@example.org other-password", f"S: a3 {SIGNED_IN}", 'C: a4 LIST "" "*"', "S: <200>",
        "C: a5 SELECT INBOX", "S: <300>",
    )  # fmt: skip
    assert told(text, microsoft=False) == [("password", "refused"), ("password", "accepted")]


def test_a_credential_without_an_answer():
    sent = dovecot("C: a2 LOGIN someone@example.org a-password")
    assert told(sent, microsoft=False) == [("password", "abandoned")]
    assert told(f"{sent}\n(2 s)", microsoft=False, end=TraceEnd.CAPTURE_ENDED) == [("password", "unknown")]


def test_where_what_was_seen_ends_the_last_word_may_be_half_a_word():
    sent = microsoft(CAPABILITY_2026, "C: a001 AUTHENTICATE XOAUTH2 <1800>")
    answered = f"{sent}\nS: a001 OK AUTHENTICATE completed."
    for end in (TraceEnd.CAPTURE_ENDED, TraceEnd.GAP):
        assert told(f"{answered}\n(2 s)", end=end) == [("token", "accepted")]
        assert told(answered, end=end) == [("token", "unknown")]
        assert told(sent, end=end) == [("unknown", "unknown")]


def test_a_capture_that_ends_before_anything_was_tried_says_nothing():
    assert told(dovecot(), microsoft=False, end=TraceEnd.CAPTURE_ENDED) == [("unknown", "unknown")]


def test_everything_in_one_go_is_not_to_be_told():
    text = f"{DOVECOT}\nC: a1 CAPABILITY\na2 LOGIN someone@example.org a-password\na3 SELECT INBOX\na4 LOGOUT\nS: <420>"
    assert told(text, microsoft=False) == [("password", "unknown")]


def test_how_long_the_server_took():
    text = dovecot(
        "C: a2 LOGIN someone@example.org a-password", "(2 s)", "S: a2 NO [AUTHENTICATIONFAILED] Authentication failed."
    )
    (found,) = infer(trace(Protocol.IMAP, text))
    assert (found.mechanism, found.outcome) == (Mechanism.PASSWORD, AuthOutcome.REFUSED)
    assert found.seconds == pytest.approx(2.025)


def test_no_conversation_no_attempt():
    assert told("S: * OK ready") == []
    assert told("C: GET / HTTP/1.1\nS: HTTP/1.1 200 OK") == []
    assert infer(trace(Protocol.HTTP, "C: GET / HTTP/1.1\nS: HTTP/1.1 200 OK")) == ()
