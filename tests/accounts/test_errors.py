"""Refusals explained: Microsoft's literal replies (facts 2.2, 4.3, 4.5, 4.6), each cause apart; what isn't known stays so."""

import json
import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.accounts.error_table import Actor, built_in
from exporter.accounts.errors import TokenError, explain, explain_meaning, explain_reply, responsible_for
from exporter.lab.aadsts import ERRORS, SENTENCES, error_named
from exporter.protocols.replies import Meaning, Replies
from exporter.vocabulary import Cause, Mechanism, Protocol, Responsible

REPLIES = Replies.load()
IDS = "\r\nTrace ID: 8d4fae4e-1d5c-4c8e-a3a4-6a0d6a1a0100\r\nCorrelation ID: 0c0f5f2f-5f5b-4b5e-8f0e-3f6b0a0f2a2a"
STAMP = "\r\nTimestamp: 2026-11-24 10:00:00Z"
NOW = datetime(2026, 11, 24, 10, 0, 1, tzinfo=UTC)

#: Every number of the facts' tables 4.5 and 4.6, in their words for a class, and the causes that class may be here.
FACTS = {
    "misconfig": ((50034, 50056, 50105, 50194, 9001023, 9002332, 90124, 90130, 50020, 500208, 500011, 54005, 650056,
                   650057, 70002, 7000215, 7000218, 700016, 700011, 70001, 7000112, 135010, 700005, 70011, 28002, 28000,
                   700022, 90002, 900561, 900144, 51005), {"app_misconfigured", "credentials_invalid"}),
    "throttle": ((50053, 50088, 50196, 90055), {"throttled"}),
    "expired": ((50055, 50144, 50089, 7000222, 70008, 700082, 700084, 70043, 81010),
                {"token_expired", "credentials_invalid"}),
    "revoked": ((50057, 50132, 50133, 50173, 70000), {"token_revoked", "account_disabled"}),
    "credentials": ((50126,), {"credentials_invalid"}),
    "interaction": ((50058, 70016, 70018, 70019), {"token_missing"}),
    "MFA": ((50072, 50079, 50074, 50076, 50078, 50158, 53004, 53010), {"mfa_required"}),
    "outage": ((50087, 70012, 80001, 80002, 80005, 80007, 80014, 90006, 90012, 90024, 90033, 90090, 50033, 230109,
                90036, 50000), {"service_outage"}),
    "conditional access": ((50097, 50129, 50155, 50187, 50131, 53000, 53001, 53002, 53003, 530032, 530035, 53011, 50135,
                            700003, 135011), {"conditional_access"}),
    "interception": ((50192,), {"tls_intercepted"}),
    "tenant restriction": ((50002, 500021, 500022, 500212, 500213, 5000211), {"tenant_restricted"}),
    "clock": ((500133, 700024, 80013), {"clock_skew"}),
    "consent": ((65001, 65004, 650052, 90094, 90095, 90008), {"consent_missing"}),
}  # fmt: skip
NUMBERS = [number for numbers, _ in FACTS.values() for number in numbers]


def refusal(number: int, text: str, error: str = "invalid_grant", **more: Any) -> dict[str, Any]:
    """An error body as the identity provider writes it (facts 4.3)."""
    description = f"AADSTS{number}: {text}{IDS}{STAMP}"
    return {"error": error, "error_description": description, "error_codes": [number], **more}


def explained(response: dict[str, Any], status: int | None = 400, **more: Any) -> tuple[str, str, str]:
    why = explain(TokenError.of_response(response, status, **more))
    return why.label, why.cause, why.acts


@pytest.mark.parametrize("number", NUMBERS)
def test_every_number_of_the_facts_has_a_row_of_its_class(number: int):
    causes = next(causes for numbers, causes in FACTS.values() if number in numbers)
    _, kind = error_named(number)
    why = explain(TokenError.of_response(refusal(number, kind.text, kind.error), kind.status))
    assert (why.label, why.cause in causes) == (str(number), True), why
    assert why.cause is not Cause.UNKNOWN


#: Microsoft's replies as they were seen, each another cause.
LITERAL = {
    "expired": (
        refusal(700082, "The refresh token has expired due to inactivity. The token was issued on 2026-08-01T07:00:00.00"
                "00000Z and was inactive for 90.00:00:00."),
        "700082", Cause.TOKEN_EXPIRED, Actor.USER,
    ),
    "sign-in frequency": (
        refusal(70043, "The refresh token has expired or is invalid due to sign-in frequency checks by conditional access"
                ". The token was issued on 2026-11-20T07:00:00.0000000Z and the maximum allowed lifetime for this request"
                " is 86400.", suberror="token_expired"),
        "70043", Cause.TOKEN_EXPIRED, Actor.USER,
    ),
    "revoked": (
        refusal(50173, "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user "
                "might have changed or reset their password. The grant was issued on '2020-12-03T18:02:10.0000000Z' and "
                "the TokensValidFrom date (before which tokens are not valid) for this user is "
                "'2020-12-10T00:00:00.0000000Z'.", suberror="bad_token"),
        "50173", Cause.TOKEN_REVOKED, Actor.USER,
    ),
    "consumer expired or revoked": (
        refusal(70000, "The user could not be authenticated as the grant is expired. The user must sign in again."),
        "70000", Cause.TOKEN_REVOKED, Actor.USER,
    ),
    "consumer abuse": (
        refusal(70000, "User account is found to be in service abuse mode."),
        "70000", Cause.ACCOUNT_DISABLED, Actor.USER,
    ),
    "consumer scopes": (
        refusal(70000, "The request was denied because one or more scopes requested are unauthorized or expired. The user"
                " must first sign in and grant the client application access to the requested scope."),
        "70000", Cause.CONSENT_MISSING, Actor.USER,
    ),
    "second factor": (
        refusal(50076, "Due to a configuration change made by your administrator, or because you moved to a new location,"
                " you must use multi-factor authentication to access '00000002-0000-0ff1-ce00-000000000000'.",
                suberror="basic_action", claims='{"access_token":{"capolids":{"essential":true,"values":["x"]}}}'),
        "50076", Cause.MFA_REQUIRED, Actor.USER,
    ),
    "consent": (
        refusal(65001, "The user or administrator has not consented to use the application with ID '9e5f94bc-e8a4-4e73-b8"
                "be-63364c29d753' named 'Mozilla Thunderbird'. Send an interactive authorization request for this user and"
                " resource.", suberror="consent_required"),
        "65001", Cause.CONSENT_MISSING, Actor.USER,
    ),
    "admin consent": (
        refusal(90094, "The grant requires admin permission.", "access_denied"),
        "90094", Cause.CONSENT_MISSING, Actor.ADMINISTRATOR,
    ),
    "conditional access": (
        refusal(53003, "Access has been blocked by Conditional Access policies. The access policy does not allow token "
                "issuance.", suberror="message_only", claims="{}"),
        "53003", Cause.CONDITIONAL_ACCESS, Actor.ADMINISTRATOR,
    ),
    "disabled": (
        refusal(50057, "The user account is disabled."),
        "50057", Cause.ACCOUNT_DISABLED, Actor.ADMINISTRATOR,
    ),
    "wrong secret": (
        refusal(7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret"
                " value, not the client secret ID, for a secret added to app '9e5f94bc-e8a4-4e73-b8be-63364c29d753'.",
                "invalid_client"),
        "7000215", Cause.CREDENTIALS_INVALID, Actor.APP_OWNER,
    ),
    "expired secret": (
        refusal(7000222, "The provided client secret keys for app '9e5f94bc-e8a4-4e73-b8be-63364c29d753' are expired. "
                "Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using"
                " certificate credentials for added security: https://aka.ms/certCreds.", "invalid_client"),
        "7000222", Cause.CREDENTIALS_INVALID, Actor.APP_OWNER,
    ),
    "wrong app": (
        refusal(700016, "Application with identifier '9e5f94bc-e8a4-4e73-b8be-63364c29d753' was not found in the directory"
                " 'Contoso'. This can happen if the application has not been installed by the administrator of the tenant "
                "or consented to by any user in the tenant.", "unauthorized_client"),
        "700016", Cause.APP_MISCONFIGURED, Actor.APP_OWNER,
    ),
    "disabled app": (
        refusal(7000112, "Application '08162f7c-0fd2-4200-a84a-f25a4db0b584'(Thunderbird) is disabled.",
                "unauthorized_client"),
        "7000112", Cause.APP_MISCONFIGURED, Actor.APP_OWNER,
    ),
    "tenant restriction": (
        refusal(500021, "Access to 'Contoso' tenant is denied.", "invalid_request"),
        "500021", Cause.TENANT_RESTRICTED, Actor.NETWORK,
    ),
    "clock": (
        refusal(700024, "Client assertion is not within its valid time range. Current time: 2026-11-24T10:00:00.0000000Z,"
                " assertion valid from 2026-11-24T08:50:00.0000000Z, expiry time of assertion "
                "2026-11-24T09:00:00.0000000Z.", "invalid_client"),
        "700024", Cause.CLOCK_SKEW, Actor.OPERATOR,
    ),
    "clock, older form": (
        {"error": "invalid_client", "error_codes": [70002, 50012],
         "error_description": "AADSTS70002: Error validating credentials. AADSTS50012: Client assertion is not within its "
         f"valid time range.{IDS}"},
        "50012", Cause.CLOCK_SKEW, Actor.OPERATOR,
    ),
    "assertion": (
        refusal(50027, "JWT token is invalid or malformed.", "invalid_client"),
        "50027", Cause.CREDENTIALS_INVALID, Actor.APP_OWNER,
    ),
    "wrong password": (
        refusal(50126, "Error validating credentials due to invalid username or password."),
        "50126", Cause.CREDENTIALS_INVALID, Actor.USER,
    ),
    "locked": (
        refusal(50053, "Sign-in was blocked because it came from an IP address with malicious activity."),
        "50053", Cause.THROTTLED, Actor.ADMINISTRATOR,
    ),
    "loop": (
        refusal(50196, "The server terminated an operation because it encountered a client request loop. Please contact "
                "your app vendor."),
        "50196", Cause.THROTTLED, Actor.OPERATOR,
    ),
    "outage": (
        refusal(90033, "A transient error has occurred. Please try again.", "temporarily_unavailable"),
        "90033", Cause.SERVICE_OUTAGE, Actor.NOBODY,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LITERAL)
def test_microsofts_literal_replies(name: str):
    response, label, cause, acts = LITERAL[name]
    assert explained(response) == (label, cause, acts)


def test_no_two_of_the_kinds_that_must_be_told_apart_look_the_same():
    kinds = ("expired", "revoked", "second factor", "consent", "conditional access", "disabled", "wrong secret",
             "wrong app", "tenant restriction", "clock", "loop", "outage")  # fmt: skip
    told = [(explain(TokenError.of_response(LITERAL[kind][0]))) for kind in kinds]
    assert len({why.words for why in told}) == len(kinds)
    assert len({why.cause for why in told}) == len(kinds)


@pytest.mark.parametrize("key", SENTENCES)
def test_sentences_behind_one_number(key: str):
    number, kind = error_named(key)
    cause = {
        "70000.abuse": Cause.ACCOUNT_DISABLED,
        "70000.scopes": Cause.CONSENT_MISSING,
        "70000.other_scopes": Cause.CONSENT_MISSING,
        "50053.address": Cause.THROTTLED,
        "50027.time": Cause.CLOCK_SKEW,
        "70002.time": Cause.CLOCK_SKEW,
    }[key]
    assert explain(TokenError.of_response(refusal(number, kind.text, kind.error))).cause is cause


def test_skew_is_computed_from_microsofts_clock():
    late = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)
    error = TokenError.of_response(LITERAL["clock"][0], 401, now=late)
    assert error.server_time == datetime(2026, 11, 24, 10, 0, 0, tzinfo=UTC)
    assert error.skew_seconds == -3600
    assert explain(error).words.endswith("It was 3600 s behind Microsoft's.")
    ahead = TokenError.of_response(LITERAL["clock"][0], 401, now=datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC))
    assert explain(ahead).words.endswith("It was 7200 s ahead of Microsoft's.")
    assert explain(ahead).responsible is Responsible.APPLIANCE


def test_every_refusal_tells_the_time():
    error = TokenError.of_response(LITERAL["disabled"][0], now=NOW)
    assert error.skew_seconds == 1
    assert "Microsoft's" not in explain(error).words


@pytest.mark.parametrize(
    ("response", "status", "cause"),
    [
        ({"error": "invalid_client"}, 401, Cause.CREDENTIALS_INVALID),
        ({"error": "invalid_grant"}, 400, Cause.TOKEN_REVOKED),
        ({"error": "unauthorized_client"}, 400, Cause.APP_MISCONFIGURED),
        ({"error": "access_denied"}, 400, Cause.CONSENT_MISSING),
        ({"error": "expired_token"}, 400, Cause.TOKEN_MISSING),
        ({"error": "server_error"}, None, Cause.SERVICE_OUTAGE),
        ({"error": "temporarily_unavailable"}, 503, Cause.SERVICE_OUTAGE),
        ({"error": "temporarily_unavailable"}, 429, Cause.THROTTLED),
        ({}, 429, Cause.THROTTLED),
        ({}, 504, Cause.SERVICE_OUTAGE),
        ({}, 400, Cause.UNKNOWN),
        (refusal(999999, "Something new.", suberror="token_expired"), 400, Cause.TOKEN_EXPIRED),
        (refusal(999999, "Something new.", suberror="basic_action"), 400, Cause.MFA_REQUIRED),
        (refusal(999999, "Something new.", suberror="user_password_expired"), 400, Cause.CREDENTIALS_INVALID),
        (refusal(999999, "Something new.", suberror="device_authentication_failed"), 400, Cause.CONDITIONAL_ACCESS),
        (refusal(999999, "Something new."), 400, Cause.UNKNOWN),
        (refusal(999999, "Something new.", "invalid_client"), 401, Cause.CREDENTIALS_INVALID),
        (refusal(999999, "Something new.", "interaction_required"), 400, Cause.UNKNOWN),
        (refusal(999999, "Something new.", "brand_new"), 400, Cause.UNKNOWN),
    ],
)
def test_without_a_number_of_the_table_error_and_suberror_decide_where_they_can(response, status, cause):
    why = explain(TokenError.of_response(response, status))
    assert (why.label, why.cause) == ("other", cause)
    if cause is Cause.UNKNOWN:
        assert why.responsible is Responsible.UNKNOWN


def test_what_isnt_known_is_told_with_its_cleaned_text():
    response = refusal(999999, "The widget of someone@contoso.example is \x1b[31mmissing\x1b[0m.", "brand_new")
    words = explain(TokenError.of_response(response)).words
    assert "AADSTS999999: The widget of <user> is" in words
    assert "\x1b" not in words
    assert "Trace ID" not in words


def test_numbers_are_read_from_the_text_too_the_innermost_counts():
    nested = {
        "error": "invalid_grant",
        "error_description": "AADSTS70002: Error validating credentials. AADSTS50057: x",
    }
    assert TokenError.of_response(nested).codes == (70002, 50057)
    assert explained(nested)[:2] == ("50057", Cause.ACCOUNT_DISABLED)
    as_text = {"error": "invalid_grant", "error_codes": ["50057", True, None, -1, "x" * 99]}
    assert TokenError.of_response(as_text).codes == (50057,)


def test_names_and_secrets_that_a_server_repeats_are_hidden():
    secret = "s3cr3t~" + "x" * 30
    response = refusal(7000215, f"Invalid secret {secret.upper()} of CONTOSO\\jdoe, token {'eyJ' + 'a' * 80}.")
    error = TokenError.of_response(response, 401, hide=(secret, "contoso\\jdoe", ""))
    assert error.description == "AADSTS7000215: Invalid secret <hidden> of <hidden>, token <hidden>"
    assert secret not in repr(error)


def test_responsible_is_the_contracts():
    assert responsible_for(Cause.PASSWORD_REFUSED) is Responsible.CLIENT
    assert responsible_for(Cause.TOKEN_EXPIRED) is Responsible.ACCOUNT
    assert responsible_for(Cause.TENANT_RESTRICTED) is Responsible.UNKNOWN
    assert responsible_for(Cause.UNKNOWN) is Responsible.UNKNOWN
    assert explain(TokenError.of_response(refusal(80013, "time skew"))).responsible is Responsible.UNKNOWN


@given(
    st.dictionaries(
        st.sampled_from(["error", "error_description", "error_codes", "suberror", "claims", "x"]),
        st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=80), st.lists, max_leaves=5),
    ),
    st.none() | st.integers(0, 999),
)
def test_any_json_is_a_refusal_that_can_be_shown(response: dict[str, Any], status: int | None):
    why = explain(TokenError.of_response(response, status, now=NOW))
    assert why.label == "other" or int(why.label) in built_in().numbers
    assert not {unicodedata.category(character) for character in why.words} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert len(why.words) < 2_000
    json.dumps(why.words)


# --- mail servers and HTTP hosts

SITE = "[BL1P223CA0005.NAMP223.PROD.OUTLOOK.COM 2026-11-24T10:00:00.123Z 08DCE8B62813AB2B]"
TOKEN, PASSWORD = Mechanism.TOKEN, Mechanism.PASSWORD
#: protocol, step, what is presented, the server's line, cause, who acts
MAIL = [
    ("imap", "auth", TOKEN, "a2 NO AUTHENTICATE failed.", Cause.CREDENTIALS_INVALID, "user"),
    ("imap", "session", TOKEN, "a3 BAD User is authenticated but not connected.", Cause.MAILBOX_UNAVAILABLE,
     "administrator"),
    ("imap", "session", TOKEN, "a3 NO User is authenticated but not connected.", Cause.MAILBOX_UNAVAILABLE,
     "administrator"),
    ("imap", "auth", PASSWORD, "a2 NO Basic authentication is disabled.", Cause.PASSWORD_REFUSED, "operator"),
    ("imap", "auth", PASSWORD, "a2 NO LOGIN failed.", Cause.PASSWORD_REFUSED, "operator"),
    ("imap", "auth", TOKEN, "a2 BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds", Cause.THROTTLED,
     "nobody"),
    ("imap", "auth", TOKEN, "a2 NO Server Unavailable. 15", Cause.SERVICE_OUTAGE, "nobody"),
    ("imap", "session", TOKEN, "a3 NO IMAP4 access is disabled for this mailbox", Cause.PROTOCOL_DISABLED,
     "administrator"),
    ("imap", "auth", TOKEN, "a2 BAD Command Argument Error. 12", Cause.UNKNOWN, "nobody"),
    ("pop", "auth", TOKEN, "-ERR Authentication failure: unknown user name or bad password.", Cause.CREDENTIALS_INVALID,
     "user"),
    ("pop", "auth", PASSWORD, "-ERR Basic authentication is disabled", Cause.PASSWORD_REFUSED, "operator"),
    ("pop", "auth", PASSWORD, "-ERR Logon failure: unknown user name or bad password.", Cause.PASSWORD_REFUSED,
     "operator"),
    ("smtp", "auth", TOKEN, f"535 5.7.3 Authentication unsuccessful {SITE}", Cause.CREDENTIALS_INVALID, "user"),
    ("smtp", "auth", PASSWORD, f"535 5.7.3 Authentication unsuccessful {SITE}", Cause.PASSWORD_REFUSED, "operator"),
    ("smtp", "auth", PASSWORD, f"535 5.7.139 Authentication unsuccessful, basic authentication is disabled. {SITE}",
     Cause.PASSWORD_REFUSED, "operator"),
    ("smtp", "auth", TOKEN, "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."
     f" Visit https://aka.ms/smtp_auth_disabled for more information. {SITE}", Cause.PROTOCOL_DISABLED, "administrator"),
    ("smtp", "auth", TOKEN, "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox"
     f". Visit https://aka.ms/smtp_auth_disabled for more information. {SITE}", Cause.PROTOCOL_DISABLED, "administrator"),
    ("smtp", "auth", TOKEN, "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be "
     f"authenticated successfully. Contact your administrator. {SITE}", Cause.CONDITIONAL_ACCESS, "administrator"),
    ("smtp", "auth", TOKEN, f"535 5.7.139 Authentication unsuccessful, account has an issue. Contact your administrator. "
     f"{SITE}", Cause.ACCOUNT_DISABLED, "administrator"),
    ("smtp", "auth", PASSWORD, f"535 5.7.139 Authentication unsuccessful, the user credentials were incorrect. {SITE}",
     Cause.PASSWORD_REFUSED, "operator"),
    ("smtp", "auth", TOKEN, f"535 5.7.139 Authentication unsuccessful, the user credentials were incorrect. {SITE}",
     Cause.CREDENTIALS_INVALID, "user"),
    ("smtp", "auth", TOKEN, "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security "
     f"defaults policy. Contact your administrator. {SITE}", Cause.CONDITIONAL_ACCESS, "administrator"),
    ("smtp", "auth", PASSWORD, f"535 5.7.139 Authentication unsuccessful, federated STS service was unreachable. {SITE}",
     Cause.SERVICE_OUTAGE, "administrator"),
    ("smtp", "auth", PASSWORD, "550 5.7.30 Basic authentication is not supported for Client Submission.",
     Cause.PASSWORD_REFUSED, "operator"),
    ("smtp", "auth", TOKEN, "451 4.7.0 Temporary server error. Please try again later. PRX4 "
     "[BL1P223CA0005.NAMP223.PROD.OUTLOOK.COM]", Cause.SERVICE_OUTAGE, "nobody"),
    ("smtp", "auth", TOKEN, "454 4.7.0 Temporary authentication failure", Cause.SERVICE_OUTAGE, "nobody"),
    ("smtp", "auth", TOKEN, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded [Hostname=BL1P223MB0001]",
     Cause.THROTTLED, "nobody"),
    ("smtp", "auth", TOKEN, "421 4.7.66 TLS 1.0 and 1.1 are not supported. Please upgrade/update your client to support "
     "TLS 1.2. Visit https://aka.ms/smtp_auth_tls. [BL1P223CA0005.NAMP223.PROD.OUTLOOK.COM]", Cause.TLS_VERSION_BLOCKED,
     "network administrator"),
    ("activesync", "auth", TOKEN, 'HTTP 401 2000003;reason="The hostname component of the audience claim value is invalid"'
     ';error_category="invalid_resource"', Cause.APP_MISCONFIGURED, "app owner"),
    ("https", "auth", TOKEN, "HTTP 403 ErrorAccessDenied: Access is denied. Check credentials and try again.",
     Cause.CONSENT_MISSING, "user"),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "step", "presented", "line", "cause", "acts"), MAIL)
def test_what_servers_say_of_an_account(protocol, step, presented, line, cause, acts):
    known = REPLIES.judge(Protocol(protocol), step, line)
    assert known is not None
    why = explain_reply(known, presented)
    assert (why.label, why.cause, why.acts) == (known.id, cause, acts)
    assert why.responsible is (Responsible.UNKNOWN if known.id == "smtp_federation" else responsible_for(cause))


def test_5_7_139_has_as_many_explanations_as_sentences():
    lines = {line for _, _, _, line, _, _ in MAIL if "5.7.139" in line}
    judged = [REPLIES.judge(Protocol.SMTP, "auth", line) for line in lines]
    assert len({explain_reply(known, PASSWORD).words for known in judged if known}) >= 7


def test_a_new_sentence_behind_a_known_code_is_not_guessed():
    line = f"535 5.7.139 Authentication unsuccessful, the moon is full. {SITE}"
    assert REPLIES.judge(Protocol.SMTP, "auth", line) is None
    why = explain_meaning(None, line, TOKEN)
    assert (why.label, why.cause) == ("other", Cause.UNKNOWN)
    assert "the moon is full" in why.words


def test_a_token_out_of_date_is_refused_as_any_other_so_its_date_decides():
    known = REPLIES.judge(Protocol.IMAP, "auth", "a2 NO AUTHENTICATE failed.")
    assert known is not None
    assert explain_reply(known, TOKEN, token_expired=True).cause is Cause.TOKEN_EXPIRED
    assert explain_reply(known, TOKEN, token_expired=False).cause is Cause.CREDENTIALS_INVALID
    assert explain_reply(known, PASSWORD, token_expired=None).cause is Cause.PASSWORD_REFUSED


# --- the table itself


def rows():
    table = built_in()
    parts = (table.numbers, table.errors, table.suberrors, table.statuses, table.replies, table.meanings)
    return [row for part in parts for several in part.values() for row in several]


def test_replies_and_meanings_of_the_table_exist():
    assert set(built_in().replies) <= {reply.id for reply in REPLIES.known}
    assert set(built_in().meanings) <= set(Meaning)


def test_every_known_refusal_is_explained_for_what_may_be_presented():
    unexplained = {Meaning.GREETING, Meaning.READY, Meaning.CAPABILITY, Meaning.CHALLENGE, Meaning.ACCEPTED,
                   Meaning.SIGNING_OFF, Meaning.LIVENESS}  # fmt: skip
    for meaning in set(Meaning) - unexplained:
        for presented in (TOKEN, PASSWORD):
            assert built_in().of_reply("none", meaning, presented, token_expired=False) is not None, meaning


def test_the_lab_knows_every_number_that_we_explain_and_that_the_facts_have():
    assert set(NUMBERS) <= set(ERRORS)


def test_of_several_rows_for_a_number_only_the_last_fits_any_text():
    for number, several in built_in().numbers.items():
        assert [row.sentence is None for row in several] == [False] * (len(several) - 1) + [True], number


def test_words_say_what_happened_and_what_to_do():
    for row in rows():
        assert row.words[0].isupper()
        assert re.search(r"[.!]$|not in our table$|the login command$", row.words), row.words
        assert row.words.isprintable()
        assert row.acts is not Actor.NOBODY or re.search(
            r"[Ww]ait|tried again|not in our table|changed it|Microsoft if it lasts", row.words
        ), row.words


@pytest.mark.parametrize("left", [12, 20, 36])
def test_an_answer_that_breaks_off_leaves_no_beginning_of_a_secret(left):
    secret = "Abc8Q~notAlongRunButASecretOfTheApp-"
    error = TokenError.of_response(
        {"error": "http_502", "error_description": f"<p>{secret[:left]}"}, 502, hide=[secret]
    )
    assert error.description == "<p><hidden>"


def test_a_token_is_never_shown_however_short():
    said = '{"token_type":"Bearer","access_token":"EwBshort","refresh_token": "M.C5-short","expires_in":1} id_token=eyJ.a.b&x'
    error = TokenError.of_response({"error": "http_200", "error_description": said}, 200)
    assert not any(each in error.description for each in ("EwBshort", "M.C5", "eyJ"))
    assert "expires_in" in error.description
