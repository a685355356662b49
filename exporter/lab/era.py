# ruff: noqa: E501 - replies are quoted whole
"""Microsoft's words changed over the years: each era's literal replies, as data (facts 2.1 to 2.3)."""

from dataclasses import dataclass

#: base64 of the UTF-16LE front-end name, as Exchange's greetings carry it.
FRONT_END = "QgBMADEAUAAyADIAMwBDAEEAMAAwADAANQAuAE4AQQBNAFAAMgAyADMALgBQAFIATwBEAC4ATwBVAFQATABPAE8ASwAuAEMATwBNAA=="
SITE = "BL1P223CA0005.outlook.office365.com"
BRACKET_HOST = "BL1P223CA0005.NAMP223.PROD.OUTLOOK.COM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Era:
    """What the servers said at a time."""

    imap_capability: str
    imap_login_refused: str
    pop_sasl: str
    pop_pass_refused: str
    smtp_session_id: bool
    smtp_password_refused: str


_OLD_CAPABILITY = (
    "IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+"
)
_BASIC_DISABLED = "535 5.7.139 Authentication unsuccessful, basic authentication is disabled."

ERAS = {
    "2023": Era(
        imap_capability=_OLD_CAPABILITY,
        imap_login_refused="NO LOGIN failed.",
        pop_sasl="PLAIN XOAUTH2",
        pop_pass_refused="-ERR Logon failure: unknown user name or bad password.",
        smtp_session_id=False,
        smtp_password_refused="535 5.7.3 Authentication unsuccessful",
    ),
    "2024": Era(
        imap_capability=_OLD_CAPABILITY,
        imap_login_refused="NO LOGIN failed.",
        pop_sasl="PLAIN XOAUTH2",
        pop_pass_refused="-ERR Logon failure: unknown user name or bad password.",
        smtp_session_id=True,
        smtp_password_refused=_BASIC_DISABLED,
    ),
    "2026": Era(
        imap_capability=(
            "IMAP4 IMAP4rev1 AUTH=XOAUTH2 LOGINDISABLED SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+"
        ),
        imap_login_refused="NO Basic authentication is disabled.",
        pop_sasl="XOAUTH2",
        pop_pass_refused="-ERR Basic authentication is disabled.",
        smtp_session_id=True,
        smtp_password_refused=_BASIC_DISABLED,
    ),
}
