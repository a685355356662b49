"""What mail clients and Outlook.com say to each other around a sign-in, in the words of facts 2.1 to 2.3."""

import random
from dataclasses import dataclass

#: Whether the client says it, and what.
Line = tuple[bool, str]

_FQDN = "QgBMADEAUAAyADIAMwBDAEEAMAAwADAANQAuAE4AQQBNAFAAMgAyADMALgBQAFIATwBEAC4ATwBVAFQATABPAE8ASwAuAEMATwBNAA=="
_SITE = "SJ0PR05CA0071.outlook.office365.com"
_IMAP_OFFERS = (
    "IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+"
)
_HELLO = (
    f"250-{_SITE} Hello [192.0.2.7]\r\n250-SIZE 157286400\r\n250-PIPELINING\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n"
    "250-{}\r\n250-8BITMIME\r\n250-BINARYMIME\r\n250-CHUNKING\r\n250 SMTPUTF8\r\n"
)
#: In clear on 587.
BEFORE_STARTTLS: tuple[Line, ...] = (
    (
        False,
        f"220 {_SITE} Microsoft ESMTP MAIL Service ready at Tue, 24 Nov 2026 22:49:55 +0000 [08DCE8B62813AB2B]\r\n",
    ),
    (True, "EHLO client.example.com\r\n"),
    (False, _HELLO.format("STARTTLS")),
    (True, "STARTTLS\r\n"),
    (False, "220 2.0.0 SMTP server ready\r\n"),
)
REFUSED_SHARE, PASSWORD_SHARE = 0.10, 0.15


@dataclass(frozen=True, slots=True)
class SignIn:
    """`lines` up to the mailbox or to the farewell; the truth about it in the contract's words."""

    lines: tuple[Line, ...]
    mechanism: str
    outcome: str


def sign_in(port: int, generator: random.Random) -> SignIn | None:
    """One on a mail port, None on others."""
    makers = {993: _imap, 995: _pop, 587: _smtp}
    if port not in makers:
        return None
    password = port == 993 and generator.random() < PASSWORD_SHARE
    accepted = not password and generator.random() >= REFUSED_SHARE
    token = "x" * (generator.randrange(1_400, 2_800) // 4 * 4)
    lines = makers[port](token, password, accepted)
    return SignIn(tuple(lines), "password" if password else "token", "accepted" if accepted else "refused")


def _imap(token: str, password: bool, accepted: bool) -> list[Line]:
    lines = [
        (False, f"* OK The Microsoft Exchange IMAP4 service is ready. [{_FQDN}]\r\n"),
        (True, "A1 CAPABILITY\r\n"),
        (False, f"* CAPABILITY {_IMAP_OFFERS}\r\nA1 OK CAPABILITY completed.\r\n"),
    ]
    if password:
        lines += [(True, 'A2 LOGIN "somebody@outlook.com" "correct horse"\r\n'), (False, "A2 NO LOGIN failed.\r\n")]
    else:
        lines.append((True, f"A2 AUTHENTICATE XOAUTH2 {token}\r\n"))
        lines.append((False, f"A2 {'OK AUTHENTICATE completed' if accepted else 'NO AUTHENTICATE failed'}.\r\n"))
    if accepted:
        opened = "* 9 EXISTS\r\n* 0 RECENT\r\n* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $MDNSent)\r\n" * 2
        return [*lines, (True, "A3 SELECT INBOX\r\n"), (False, f"{opened}A3 OK [READ-WRITE] SELECT completed.\r\n")]
    bye = "* BYE Microsoft Exchange Server IMAP4 server signing off.\r\nA3 OK LOGOUT completed.\r\n"
    return [*lines, (True, "A3 LOGOUT\r\n"), (False, bye)]


def _pop(token: str, password: bool, accepted: bool) -> list[Line]:
    refused = "-ERR Authentication failure: unknown user name or bad password.\r\n"
    lines = [
        (False, f"+OK The Microsoft Exchange POP3 service is ready. [{_FQDN}]\r\n"),
        (True, "CAPA\r\n"),
        (False, "+OK\r\nTOP\r\nUIDL\r\nSASL PLAIN XOAUTH2\r\nUSER\r\n.\r\n"),
        (True, "AUTH XOAUTH2\r\n"),
        (False, "+ \r\n"),
        (True, f"{token}\r\n"),
        (False, "+OK User successfully authenticated.\r\n" if accepted else refused),
    ]
    if accepted:
        return [*lines, (True, "STAT\r\n"), (False, "+OK 9 123456\r\n")]
    return [*lines, (True, "QUIT\r\n"), (False, "+OK Microsoft Exchange Server POP3 server signing off.\r\n")]


def _smtp(token: str, password: bool, accepted: bool) -> list[Line]:
    site = "[SJ0PR05CA0071.namprd05.prod.outlook.com 2026-11-24T00:26:01.123Z 08DE2AB3C4D5E6F7]"
    refused = f"535 5.7.3 Authentication unsuccessful {site}\r\n"
    lines = [
        (True, "EHLO client.example.com\r\n"),
        (False, _HELLO.format("AUTH LOGIN XOAUTH2")),
        (True, f"AUTH XOAUTH2 {token}\r\n"),
        (False, "235 2.7.0 Authentication successful\r\n" if accepted else refused),
    ]
    if accepted:
        return [*lines, (True, "MAIL FROM:<somebody@outlook.com>\r\n"), (False, "250 2.1.0 Sender OK\r\n")]
    return [*lines, (True, "QUIT\r\n"), (False, "221 2.0.0 Service closing transmission channel\r\n")]
