"""Every known form, as it stood in a transcript: id of `replies.yaml` → lines of it, old forms and new."""

SITE = "SJ0PR05CA0071.namprd05.prod.outlook.com"
NEW = f" [{SITE} 2026-11-24T00:26:01.123Z 08DE2AB3C4D5E6F7]"
OLD = f" [{SITE}]"
IDS = (
    " Trace ID: a7990881-fed4-4781-8b5d-443fccee2f00 Correlation ID: 7deba295-06c6-46e2-8408-78a828489ec1"
    " Timestamp: 2021-12-16 13:40:32Z"
)
FRONT_END = "QgBMADEAUAAyADIAMwBDAEEAMAAwADAANQAuAE4AQQBNAFAAMgAyADMALgBQAFIATwBEAC4ATwBVAFQATABPAE8ASwAuAEMATwBNAA=="
CHALLENGE = (
    'HTTP 401 Bearer client_id="00000002-0000-0ff1-ce00-000000000000", '
    'trusted_issuers="00000001-0000-0000-c000-000000000000@*", '
    'token_types="app_asserted_user_v1 service_asserted_app_v1", '
)
UNSUCCESSFUL = "535 5.7.139 Authentication unsuccessful, "
DISABLED = "Visit https://aka.ms/smtp_auth_disabled for more information."


def in_each_form(text: str) -> list[str]:
    """Without a bracket, with the server's name (before 2024), and with time and session id."""
    return [text, text + OLD, text + NEW]


IMAP: dict[str, list[str]] = {
    "imap_greeting": [
        f"* OK The Microsoft Exchange IMAP4 service is ready. [{FRONT_END}]",
        "* OK The Microsoft Exchange IMAP4 service is ready. []",
        "* OK The Microsoft Exchange IMAP4 service is ready.",
    ],
    "imap_starttls_ready": ["a2 OK Begin TLS negotiation now."],
    "imap_capability_end": ["a1 OK CAPABILITY completed."],
    "imap_continuation": ["+", "+ "],
    "imap_token_refused": ["a2 NO AUTHENTICATE failed.", "A00000001 NO AUTHENTICATE failed."],
    "imap_basic_disabled": ["a2 NO Basic authentication is disabled.", "a2 NO Basic authentication is disabled"],
    "imap_login_refused": ["1 NO LOGIN failed."],
    "imap_bad_argument": ["a2 BAD Command Argument Error. 11", "a2 BAD Command Argument Error. 12"],
    "imap_mailbox_disabled": ["a2 NO IMAP4 access is disabled for this mailbox"],
    "imap_accepted": ["a2 OK AUTHENTICATE completed."],
    "imap_login_accepted": ["a2 OK LOGIN completed."],
    "imap_not_connected": [
        "a3 BAD User is authenticated but not connected.",
        "a3 NO User is authenticated but not connected.",
    ],
    "imap_throttled": [
        "a2 BAD Request is throttled. Suggested Backoff Time: 59931 milliseconds",
        "a2 NO Request is throttled. Suggested Backoff Time: 299961 milliseconds",
    ],
    "imap_unavailable": ["a2 NO Server Unavailable. 15", "* BYE Server Unavailable. 15"],
    "imap_closed": ["* BYE Connection closed. 14", "* BYE Connection is closed. 13"],
    "imap_signing_off": ["* BYE Microsoft Exchange Server IMAP4 server signing off."],
    "imap_logout_end": ["a9 OK LOGOUT completed."],
}
SMTP: dict[str, list[str]] = {
    "smtp_greeting": [
        "220 SJ0PR05CA0071.outlook.office365.com Microsoft ESMTP MAIL Service ready at "
        "Thu, 10 Oct 2024 22:49:55 +0000 [08DCE8B62813AB2B]",
        "220 SJ0PR05CA0071.outlook.office365.com Microsoft ESMTP MAIL Service ready at Wed, 9 Nov 2022 07:08:09 +0000",
    ],
    "smtp_starttls_ready": ["220 2.0.0 SMTP server ready"],
    "smtp_hello": [
        "250-SJ0PR05CA0071.outlook.office365.com Hello [192.0.2.7]",
        "250-SJ0PR05CA0071.outlook.office365.com Hello [2001:db8::7]",
        "250-SJ0PR05CA0071.outlook.office365.com Hello [<ip>]",
    ],
    "smtp_continuation": ["334 ", "334", "334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"],
    "smtp_token_refused": in_each_form("535 5.7.3 Authentication unsuccessful"),
    "smtp_basic_disabled": in_each_form(f"{UNSUCCESSFUL}basic authentication is disabled."),
    "smtp_basic_not_supported": ["550 5.7.30 Basic authentication is not supported for Client Submission."],
    "smtp_disabled_tenant": in_each_form(
        f"{UNSUCCESSFUL}SmtpClientAuthentication is disabled for the Tenant. {DISABLED}"
    ),
    "smtp_disabled_mailbox": in_each_form(
        f"{UNSUCCESSFUL}SmtpClientAuthentication is disabled for the Mailbox. {DISABLED}"
    ),
    "smtp_criteria": in_each_form(
        f"{UNSUCCESSFUL}the request did not meet the criteria to be authenticated successfully. "
        "Contact your administrator."
    ),
    "smtp_account_issue": in_each_form(f"{UNSUCCESSFUL}account has an issue. Contact your administrator."),
    "smtp_incorrect": in_each_form(f"{UNSUCCESSFUL}the user credentials were incorrect."),
    "smtp_locked": in_each_form(
        f"{UNSUCCESSFUL}user is locked by your organization's security defaults policy. Contact your administrator."
    ),
    "smtp_federation": in_each_form(f"{UNSUCCESSFUL}federated STS service was unreachable."),
    "smtp_bad_xoauth2": [f"501 5.5.124 Invalid XOAUTH2 auth data{NEW}"],
    "smtp_mechanism": ["504 5.7.4 Unrecognized authentication type [SJ0PR05CA0071.namprd05.PROD.OUTLOOK.COM]"],
    "smtp_accepted": ["235 2.7.0 Authentication successful"],
    "smtp_bad_name": in_each_form("501 5.5.4 Invalid domain name"),
    "smtp_not_authenticated": [
        *in_each_form("530 5.7.57 Client not authenticated to send mail."),
        "530 5.7.57 SMTP; Client was not authenticated to send mail.",
        "530 5.7.57 Client not authenticated to send mail. Error: 535 5.7.3 Authentication unsuccessful" + OLD,
        f"530 5.7.57 Client not authenticated to send mail. Error: {UNSUCCESSFUL}basic authentication is disabled."
        + NEW,
    ],
    "smtp_temporary": [f"451 4.7.0 Temporary server error. Please try again later. PRX4{OLD}"],
    "smtp_temporary_auth": ["454 4.7.0 Temporary authentication failure"],
    "smtp_server_busy": ["451 4.7.500 Server busy. Please try again later from [192.0.2.7]. (S77714)"],
    "smtp_old_tls": in_each_form(
        "421 4.7.66 TLS 1.0 and 1.1 are not supported. Please upgrade/update your client to support TLS 1.2. "
        "Visit https://aka.ms/smtp_auth_tls."
    ),
    "smtp_not_active": in_each_form("421 4.3.2 Service not active"),
    "smtp_concurrency": [
        "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded",
        f"432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded [Hostname={SITE}]",
    ],
    "smtp_concurrent_connections": ["432 4.3.2 STOREDRV.ClientSubmit; ConcurrentConnections limit exceeded"],
    "smtp_quota": ["554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process"],
    "smtp_bye": ["221 2.0.0 Service closing transmission channel"],
}
POP: dict[str, list[str]] = {
    "pop_greeting": [
        f"+OK The Microsoft Exchange POP3 service is ready. [{FRONT_END}]",
        "+OK The Microsoft Exchange POP3 service is ready. []",
        "+OK The Microsoft Exchange POP3 service is ready.",
    ],
    "pop_starttls_ready": ["+OK Begin TLS negotiation."],
    "pop_continuation": ["+ ", "+"],
    "pop_token_refused": ["-ERR Authentication failure: unknown user name or bad password."],
    "pop_login_refused": ["-ERR Logon failure: unknown user name or bad password."],
    "pop_basic_disabled": ["-ERR Basic authentication is disabled", "-ERR Basic authentication is disabled."],
    "pop_protocol_error": ["-ERR Protocol error. Connection is closed. 10", "-ERR Protocol error. 19"],
    "pop_accepted": ["+OK User successfully authenticated."],
    "pop_login_accepted": ["+OK User successfully logged on."],
    "pop_unavailable": ["-ERR [SYS/TEMP] Server Unavailable. 14"],
    "pop_state": ["-ERR Command is not valid in this state."],
    "pop_bye": ["+OK Microsoft Exchange Server POP3 server signing off."],
}
WEB: dict[str, list[str]] = {
    "ests_parameter_missing": [
        f"AADSTS900144: The request body must contain the following parameter: 'grant_type'.{IDS}",
        f"AADSTS90014: The request body must contain the following parameter: 'client_id'.{IDS}",
        "AADSTS900144: The request body must contain the following parameter: 'grant_type'. Trace ID: <guid> "
        "Correlation ID: <guid> Timestamp: 2026-11-24 00:26:01Z",
    ],
    "ests_post_only": [f"AADSTS900561: The endpoint only accepts POST requests. Received a GET request.{IDS}"],
    "ests_unavailable": [f"AADSTS90033: A transient error has occurred. Please try again.{IDS}"],
    "ests_throttled": [
        f"AADSTS50196: The server terminated an operation because it encountered a client request loop.{IDS}"
    ],
    "ests_tenant_restricted": [f"AADSTS500021: Access to 'Contoso' tenant is denied.{IDS}"],
    "msa_parameter_missing": ["The provided request must include a 'client_id' input parameter."],
    "msa_body_parameter": ["The request body must contain the following parameter: 'grant_type'."],
    "msa_parameter_invalid": ["The provided value for the input parameter 'grant_type' is not valid."],
    "msa_error_alone": ["invalid_request"],
    "eas_bearer_challenge": [
        f'{CHALLENGE}authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", '
        'error="invalid_token"',
        f'{CHALLENGE}authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize",Basic Realm=""',
        f'{CHALLENGE}authorization_uri="https://login.windows.net/common/oauth2/authorize"',
        'HTTP 401 Bearer client_id="<guid>", trusted_issuers="<guid>@*", token_types="app_asserted_user_v1 '
        'service_asserted_app_v1", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", '
        'error="invalid_token"',
    ],
    "eas_wrong_audience": [
        'HTTP 401 2000003;reason="The hostname component of the audience claim value is invalid";'
        'error_category="invalid_resource"',
    ],
    "graph_token_refused": [
        "HTTP 401 InvalidAuthenticationToken: Access token is empty.",
        "HTTP 401 InvalidAuthenticationToken: Lifetime validation failed, the token is expired.",
        "HTTP 401 InvalidAuthenticationToken: Access token validation failure. Invalid audience.",
    ],
    "graph_scope_missing": [
        "HTTP 403 ErrorAccessDenied: Access is denied. Check credentials and try again.",
        "HTTP 403 Authorization_RequestDenied: Insufficient privileges to complete the operation.",
    ],
    "graph_no_mailbox": [
        "HTTP 404 MailboxNotEnabledForRESTAPI: REST API is not yet supported for this mailbox.",
    ],
}
EXAMPLES = {**IMAP, **SMTP, **POP, **WEB}
