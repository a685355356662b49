"""Microsoft's words changed over the years: each era's literal replies, as data (facts 2.1 to 2.4)."""

import base64
from dataclasses import dataclass

FRONT_END = "BL1P223CA0005.NAMP223.PROD.OUTLOOK.COM"
#: base64 of the UTF-16LE front-end name, as Exchange's greetings carry it (104 characters).
FRONT_END_BASE64 = base64.b64encode(FRONT_END.encode("utf-16-le")).decode()
SITE = "BL1P223CA0005.outlook.office365.com"

#: Why a correct token or password is refused all the same (facts 2.2): 535 5.7.139 has many sentences.
SMTP_REFUSALS = {
    "token": "535 5.7.3 Authentication unsuccessful",
    "basic_disabled": "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
    "tenant_disabled": "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."
    " Visit https://aka.ms/smtp_auth_disabled for more information.",
    "mailbox_disabled": "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox."
    " Visit https://aka.ms/smtp_auth_disabled for more information.",
    "criteria": "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated "
    "successfully. Contact your administrator.",
    "account_issue": "535 5.7.139 Authentication unsuccessful, account has an issue. Contact your administrator.",
    "incorrect": "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.",
    "locked": "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy."
    " Contact your administrator.",
    "federation": "535 5.7.139 Authentication unsuccessful, federated STS service was unreachable.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Era:
    """What the servers said at a time. Replies are without tag and CRLF."""

    imap_capability: str
    imap_capability_signed_in: str
    imap_login_refused: str
    imap_plain_refused: str
    pop_sasl: str
    pop_pass_refused: str
    smtp_session_id: bool
    smtp_bracket_time: bool
    smtp_password_refused: str
    eas_basic_challenge: bool


_OLD_CAPABILITY = "IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+"
_NEW_CAPABILITY = (
    "IMAP4 IMAP4rev1 AUTH=XOAUTH2 LOGINDISABLED SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+"
)
_SIGNED_IN = (
    "SASL-IR UIDPLUS MOVE ID UNSELECT CLIENTACCESSRULES CLIENTNETWORKPRESENCELOCATION BACKENDAUTHENTICATE CHILDREN IDLE"
    " NAMESPACE LITERAL+"
)
#: IMAP on port 143 before STARTTLS (facts 2.1, "LOGINDISABLED STARTTLS").
CLEAR_CAPABILITY = "IMAP4 IMAP4rev1 LOGINDISABLED STARTTLS SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+"

ERAS = {
    "2023": Era(
        imap_capability=_OLD_CAPABILITY,
        imap_capability_signed_in=f"IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 {_SIGNED_IN}",
        imap_login_refused="NO LOGIN failed.",
        imap_plain_refused="NO AUTHENTICATE failed.",
        pop_sasl="PLAIN XOAUTH2",
        pop_pass_refused="-ERR Logon failure: unknown user name or bad password.",
        smtp_session_id=False,
        smtp_bracket_time=False,
        smtp_password_refused=SMTP_REFUSALS["token"],
        eas_basic_challenge=True,
    ),
    "2024": Era(
        imap_capability=_OLD_CAPABILITY.replace("UIDPLUS ID", "UIDPLUS MOVE ID"),
        imap_capability_signed_in=f"IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 {_SIGNED_IN}",
        imap_login_refused="NO LOGIN failed.",
        imap_plain_refused="NO AUTHENTICATE failed.",
        pop_sasl="PLAIN XOAUTH2",
        pop_pass_refused="-ERR Logon failure: unknown user name or bad password.",
        smtp_session_id=True,
        smtp_bracket_time=True,
        smtp_password_refused=SMTP_REFUSALS["basic_disabled"],
        eas_basic_challenge=False,
    ),
    "2026": Era(
        imap_capability=_NEW_CAPABILITY,
        imap_capability_signed_in=f"IMAP4 IMAP4rev1 AUTH=XOAUTH2 {_SIGNED_IN}",
        imap_login_refused="NO Basic authentication is disabled.",
        imap_plain_refused="NO Basic authentication is disabled.",
        pop_sasl="XOAUTH2",
        pop_pass_refused="-ERR Basic authentication is disabled",
        smtp_session_id=True,
        smtp_bracket_time=True,
        smtp_password_refused=SMTP_REFUSALS["basic_disabled"],
        eas_basic_challenge=False,
    ),
}
