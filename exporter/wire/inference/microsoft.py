"""Microsoft's words of every year as sizes, from the words themselves (facts 2.1 to 2.3, replies.yaml).

They are used where the server is known to be Microsoft's. A size that isn't here is no fault: the words are then taken
to have changed, and the shapes that all servers share decide.
"""

from exporter.wire.inference.grammar import Answer, Verdict, Words, answers_together, done, goes_on, mail, ranges

_ACCEPTED, _REFUSED = Verdict.ACCEPTED, Verdict.REFUSED
_BYE = len("* BYE Connection closed. 14\r\n")
_SIGNING_OFF = len("* BYE Microsoft Exchange Server IMAP4 server signing off.\r\n")
#: Where a range of sizes allows several: being throttled, or without an answer, is rarer than being refused.
_SELDOM = {Verdict.THROTTLED: 6.5, Verdict.UNAVAILABLE: 11.5}
#: No mailbox takes a password on IMAP or POP since 2024 (facts 8).
_HISTORIC = 3
#: A refusal with a farewell behind it is rarer than one without.
_WITH_FAREWELL = 6


def _tagged(text: str) -> int:
    """A line behind a tag: a space, the words, CRLF."""
    return 1 + len(text) + 2


def _line(text: str) -> int:
    return len(text) + 2


def _imap(verdict: Verdict, text: str, *, spread: int = 0, cost: float = 0) -> tuple[Answer, ...]:
    """A tagged reply, alone or with a farewell behind it; `spread`: digits that it may have more."""
    size = _tagged(text)
    cost += _SELDOM.get(verdict, 0)
    farewell_cost = 0 if verdict is Verdict.THROTTLED else _WITH_FAREWELL
    return tuple(
        Answer(size + farewell, size + farewell + spread, verdict, cost + (farewell_cost if farewell else 0))
        for farewell in (0, _BYE, _SIGNING_OFF)
    )


_MALFORMED = _tagged("BAD Command Argument Error. 12")
_THROTTLED = _imap(Verdict.THROTTLED, "BAD Request is throttled. Suggested Backoff Time: 9999 milliseconds", spread=4)
_ANYWHERE = (
    *_THROTTLED,
    *_imap(Verdict.UNAVAILABLE, "NO Server Unavailable. 15"),
    Answer(_MALFORMED, _MALFORMED, _REFUSED, 4),
    *_imap(_REFUSED, "NO IMAP4 access is disabled for this mailbox", spread=1, cost=4),
)
#: Since 2026, for LOGIN and PLAIN alike; with its full stop or without.
_BASIC_DISABLED = _imap(_REFUSED, "NO Basic authentication is disabled", spread=1)
_TOKEN = (*_imap(_ACCEPTED, "OK AUTHENTICATE completed."), *_imap(_REFUSED, "NO AUTHENTICATE failed."), *_ANYWHERE)
_PLAIN = (
    *_imap(_ACCEPTED, "OK AUTHENTICATE completed.", cost=_HISTORIC),
    *_imap(_REFUSED, "NO AUTHENTICATE failed."),
    *_BASIC_DISABLED,
    *_ANYWHERE,
)
_CAPABILITIES = (
    "IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+",
    "IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+",
    "IMAP4 IMAP4rev1 AUTH=XOAUTH2 LOGINDISABLED SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+",
    "IMAP4 IMAP4rev1 AUTH=XOAUTH2 LOGINDISABLED SASL-IR UIDPLUS MOVE ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+",
)
_SIGNED_IN = (
    "SASL-IR UIDPLUS MOVE ID UNSELECT CLIENTACCESSRULES CLIENTNETWORKPRESENCELOCATION BACKENDAUTHENTICATE CHILDREN IDLE"
    " NAMESPACE LITERAL+"
)
_CAPABILITIES_SIGNED_IN = (
    f"IMAP4 IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 {_SIGNED_IN}",
    f"IMAP4 IMAP4rev1 AUTH=XOAUTH2 {_SIGNED_IN}",
)


def _capability(text: str, cost: float = 0) -> Answer:
    size = _line(f"* CAPABILITY {text}") + _tagged("OK CAPABILITY completed.")
    return done(size, size, cost)


_ID = _line('* ID ("name" "Microsoft.Exchange.Imap4.Imap4Server" "version" "15.20")') + _tagged("OK ID completed.")
_LOGOUT = _SIGNING_OFF + _tagged("OK LOGOUT completed.")
#: What is said in a session may be anything: mail. The two sizes are of a mailbox that can't be reached.
_SESSION = (mail(0, 69, 7), mail(70, 10_000_000, 6))

IMAP: Words = {
    "together": answers_together(60, cost=10),
    "junk": (done(5, 80, tagged=False),),
    "capability": tuple(_capability(each) for each in _CAPABILITIES),
    "capability in session": (
        *(_capability(each) for each in _CAPABILITIES_SIGNED_IN),
        *(_capability(each, cost=3) for each in _CAPABILITIES),
    ),
    "noop": (done(_tagged("OK NOOP completed."), _tagged("OK NOOP completed.")),),
    "id": (done(_ID, _ID),),
    "logout": (done(_LOGOUT, _LOGOUT),),
    "illegal": (
        done(_MALFORMED, _MALFORMED),
        done(20, 60, 4),
    ),
    "literal": (goes_on(3, 4), goes_on(5, 60, 2)),
    "saved": (done(10, 120),),
    "begin": (
        goes_on(3, 4),
        *_imap(_REFUSED, "BAD Command Argument Error. 12"),
        *_BASIC_DISABLED,
        *_imap(_REFUSED, "NO AUTHENTICATE failed."),
    ),
    "prompt": (goes_on(3, 16),),
    "challenge": (),
    "login": (
        *_imap(_ACCEPTED, "OK LOGIN completed.", cost=_HISTORIC),
        *_imap(_REFUSED, "NO LOGIN failed."),
        *_BASIC_DISABLED,
        *_ANYWHERE,
    ),
    **dict.fromkeys(("password", "password at once"), _PLAIN),
    **dict.fromkeys(("token", "token at once"), _TOKEN),
    "after challenge": (),
    "session": _SESSION,
}

_POP_UNAVAILABLE = _line("-ERR [SYS/TEMP] Server Unavailable. 14")
_POP_PROTOCOL = _line("-ERR Protocol error. 19")
_POP_CLOSED = _line("-ERR Protocol error. Connection is closed. 10")
_POP_STATE = _line("-ERR Command is not valid in this state.")
_POP_ASKED_FOR = (
    Answer(_POP_UNAVAILABLE, _POP_UNAVAILABLE, Verdict.UNAVAILABLE, 8, tagged=False),
    Answer(_POP_PROTOCOL, _POP_PROTOCOL, _REFUSED, tagged=False),
)
#: To a command that the server didn't ask for; what it did ask for can't be out of place.
_POP_ANYWHERE = (
    *_POP_ASKED_FOR,
    Answer(_POP_CLOSED, _POP_CLOSED, _REFUSED, tagged=False),
    Answer(_POP_STATE, _POP_STATE, _REFUSED, 2, tagged=False),
)


def _pop(verdict: Verdict, text: str, *, spread: int = 0, cost: float = 0) -> Answer:
    return Answer(_line(text), _line(text) + spread, verdict, cost, tagged=False)


_POP_TOKEN = (
    _pop(_ACCEPTED, "+OK User successfully authenticated."),
    _pop(_REFUSED, "-ERR Authentication failure: unknown user name or bad password."),
)
_POP_PASSWORD = (
    _pop(_ACCEPTED, "+OK User successfully logged on.", cost=_HISTORIC),
    _pop(_REFUSED, "-ERR Logon failure: unknown user name or bad password."),
    _pop(_REFUSED, "-ERR Basic authentication is disabled"),
    _pop(_REFUSED, "-ERR Basic authentication is disabled.", cost=5),  # never seen; the same as being unavailable
)

POP: Words = {
    "together": answers_together(20, cost=10),
    "junk": (done(5, 80, tagged=False),),
    "capability": (done(30, 70, tagged=False),),
    "mechanisms": (done(5, 60, tagged=False),),
    "logout": (done(*(_line("+OK Microsoft Exchange Server POP3 server signing off."),) * 2, tagged=False),),
    "illegal": (done(_POP_STATE, _POP_STATE, tagged=False), done(_POP_PROTOCOL, _POP_CLOSED, 1, tagged=False)),
    "user": (goes_on(5, 5),),
    "begin": (goes_on(3, 4), *_POP_ANYWHERE),
    "prompt": (),
    "challenge": (),
    "login": (*_POP_PASSWORD, *_POP_ANYWHERE),
    "password": (*_POP_PASSWORD, *_POP_TOKEN, *_POP_ASKED_FOR),
    "password at once": (*_POP_PASSWORD, *_POP_TOKEN, *_POP_ANYWHERE),
    "token": (*_POP_TOKEN, *_POP_ASKED_FOR),
    "token at once": (*_POP_TOKEN, *_POP_ANYWHERE),
    "after challenge": (),
    "session": _SESSION,
}

#: A mailbox server's name in brackets, `BL1P223CA0005.NAMP223.PROD.OUTLOOK.COM`; the banner wasn't seen.
_ANY_HOST = (34, 46)
#: It is longer than the banner's `BL1P223CA0005.outlook.office365.com` by so much.
_LONGER = (2, 5)
#: The banner without that name, as long and as short as its date is, and what stands behind it since 2024.
_BANNER = len("220  Microsoft ESMTP MAIL Service ready at Wed, 19 Nov 2025 22:49:55 +0000\r\n")
_SESSION_ID = len(" [08DCE8B62813AB2B]")
#: Names are so long at most; a banner that seems to have a longer one has a session id.
_LONGEST_NAME = 45
#: With the time and session id that stand behind it since 2024.
_STAMP = len(" 2026-11-25T02:08:00.123Z 08DCE8B62813AB2B")
_SENTENCES = (
    "535 5.7.3 Authentication unsuccessful",
    "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
    "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."
    " Visit https://aka.ms/smtp_auth_disabled for more information.",
    "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully."
    " Contact your administrator.",
    "535 5.7.139 Authentication unsuccessful, account has an issue. Contact your administrator.",
    "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.",
    "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy."
    " Contact your administrator.",
    "535 5.7.139 Authentication unsuccessful, federated STS service was unreachable.",
    "504 5.7.4 Unrecognized authentication type",
    "501 5.5.124 Invalid XOAUTH2 auth data",
)
_NOT_SUPPORTED = "550 5.7.30 Basic authentication is not supported for Client Submission."


def _smtp(verdict: Verdict, text: str, host: tuple[int, int], *, stamp: int = 0, cost: float = 0) -> Answer:
    """A reply with a bracket behind it, in which stands a name of a length between the two of `host`."""
    base = len(text) + len(" []") + stamp + 2
    high = base + host[1] + (1 if "Tenant" in text else 0)  # "Mailbox" is longer
    return Answer(base + host[0], high, verdict, cost + _SELDOM.get(verdict, 0), tagged=False)


def _exactly(verdict: Verdict, text: str) -> Answer:
    return Answer(_line(text), _line(text), verdict, _SELDOM.get(verdict, 0), tagged=False)


def _smtp_answers(host: tuple[int, int]) -> tuple[Answer, ...]:
    return (
        _exactly(_ACCEPTED, "235 2.7.0 Authentication successful"),
        *(_smtp(_REFUSED, text, host, stamp=_STAMP) for text in _SENTENCES),
        *(_smtp(_REFUSED, text, host, cost=1) for text in _SENTENCES),
        _exactly(_REFUSED, _NOT_SUPPORTED),
        _smtp(Verdict.UNAVAILABLE, "451 4.7.0 Temporary server error. Please try again later. PRX4", host),
        _exactly(Verdict.UNAVAILABLE, "454 4.7.0 Temporary authentication failure"),
        _smtp(
            Verdict.THROTTLED,
            "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded",
            host,
            stamp=len("Hostname="),
        ),
        _smtp(Verdict.UNAVAILABLE, "421 4.3.2 Service not active", host),
    )


def smtp_words(banner_length: int | None) -> Words:
    """SMTP's, with the name in brackets as long as the banner (its bytes, CRLF included) lets it be."""
    host = _ANY_HOST
    if banner_length is not None:
        name = banner_length - _BANNER
        name -= _SESSION_ID if name > _LONGEST_NAME else 0
        host = name + _LONGER[0], name + 1 + _LONGER[1]  # the date's day may have one digit
    answers = _smtp_answers(host)
    return {**_SMTP, **dict.fromkeys(("password", "password at once", "token", "token at once"), answers)}


_SMTP: Words = {
    "junk": (done(5, 80, tagged=False),),
    "hello": (done(180, 280, tagged=False),),
    "noop": (done(_line("250 2.0.0 OK"), _line("250 2.0.0 Resetting"), tagged=False),),
    "logout": (done(*(_line("221 2.0.0 Service closing transmission channel"),) * 2, tagged=False),),
    **dict.fromkeys(("illegal", "mail unauthenticated"), (done(90, 420, tagged=False),)),  # 530 5.7.57
    "mail": (done(6, 40, tagged=False), done(41, 120, 3, tagged=False), done(121, 1_000, 5, tagged=False)),
    "begin": (goes_on(5, 6), *ranges(_REFUSED, (80, 150, 0), tagged=False)),
    "prompt": (goes_on(18, 18), *ranges(_REFUSED, (80, 150, 0), tagged=False)),
    "challenge": (),
    "after challenge": (),
    "session": _SESSION,
}
