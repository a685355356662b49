"""What the vocabulary's words are called on the page."""

import re
from datetime import datetime

from exporter.language import Words, _, current
from exporter.language.evidence import Said, said
from exporter.vocabulary import (
    AccountKind,
    AuthOutcome,
    ClientState,
    ConnectionOutcome,
    Mechanism,
    OfferedMechanism,
    Outcome,
    Phase,
)

PHASES = Words(
    {
        Phase.DNS: "name lookup",
        Phase.CONNECT: "TCP connection",
        Phase.PROXY: "proxy",
        Phase.GREETING: "greeting",
        Phase.STARTTLS: "STARTTLS",
        Phase.TLS: "TLS",
        Phase.CAPABILITY: "capabilities",
        Phase.HTTP: "HTTP answer",
        Phase.TOKEN: "sign-in service",
        Phase.AUTH: "token sign-in",
        Phase.SESSION: "mailbox",
    }
)

OUTCOMES = Words(
    {
        Outcome.OK: "ok",
        Outcome.TIMEOUT: "no answer in time",
        Outcome.REFUSED: "connection refused",
        Outcome.RESET: "connection reset",
        Outcome.CLOSED: "connection closed",
        Outcome.UNREACHABLE: "unreachable",
        Outcome.NAME_NOT_FOUND: "name doesn't exist",
        Outcome.SERVER_FAILURE: "DNS server failed",
        Outcome.ADDRESS_SUSPICIOUS: "suspicious address",
        Outcome.ALERT: "refused by a TLS alert",
        Outcome.CERTIFICATE_UNTRUSTED: "certificate not trusted",
        Outcome.CERTIFICATE_EXPIRED: "certificate expired",
        Outcome.CERTIFICATE_NOT_YET_VALID: "certificate not valid yet",
        Outcome.CERTIFICATE_NAME_MISMATCH: "certificate for another name",
        Outcome.CERTIFICATE_CHAIN_INCOMPLETE: "certificate chain incomplete",
        Outcome.PROTOCOL_VERSION_REFUSED: "TLS version refused",
        Outcome.NOT_OFFERED: "not offered",
        Outcome.REJECTED: "rejected",
        Outcome.THROTTLED: "throttled",
        Outcome.UNAVAILABLE: "service unavailable",
        Outcome.UNEXPECTED_CONTENT: "unexpected content",
        Outcome.UNRECOGNIZED: "answer not recognized",
        Outcome.SKIPPED: "not reached",
    }
)

#: How clients fare; the number stands in front.
CLIENT_STATES = Words(
    {
        ClientState.HEALTHY: "fine",
        ClientState.PASSWORD_REFUSED: "with a password, refused",
        ClientState.TOKEN_REFUSED: "with a token, refused",
        ClientState.RETRY_LOOP: "trying again and again",
        ClientState.ABANDONED: "left without signing in",
        ClientState.BLOCKED: "blocked on the way",
    }
)

#: Connections that didn't get through; the number stands in front.
CONNECTION_OUTCOMES = Words(
    {
        ConnectionOutcome.NO_ANSWER: "without an answer",
        ConnectionOutcome.REFUSED: "refused",
        ConnectionOutcome.UNREACHABLE: "unreachable",
        ConnectionOutcome.HELLO_UNANSWERED: "silent after the ClientHello",
        ConnectionOutcome.HELLO_RESET: "reset after the ClientHello",
        ConnectionOutcome.HANDSHAKE_FAILED: "failed in the handshake",
        ConnectionOutcome.NOT_TLS: "without TLS",
    }
)

MECHANISMS = Words(
    {
        Mechanism.PASSWORD: "password",
        Mechanism.TOKEN: "token",
        Mechanism.OTHER: "something else",
        Mechanism.UNKNOWN: "can't be told",
    }
)

CANARY = Words(
    {
        AuthOutcome.ACCEPTED: "accepted, which a worthless token never should be",
        AuthOutcome.REFUSED: "refused, but not in words known as Microsoft's",
        AuthOutcome.EXPECTED_REFUSAL: "refused in Microsoft's own words: sign-in with a token gets through",
        AuthOutcome.ABANDONED: "the conversation ended before an answer",
        AuthOutcome.THROTTLED: "throttled: too many sign-ins from this address",
        AuthOutcome.UNKNOWN: "the answer couldn't be judged",
    }
)

JOURNEYS = {
    "apple_outlook_account": ("Outlook account on a phone", "the phone's own Outlook.com or Exchange account"),
    "imap_oauth": ("IMAP with the sign-in page", "Thunderbird, Apple Mail"),
    "imap_password": ("IMAP with a password", "set up by hand"),
    "outlook_app": ("Outlook app", "phone or computer"),
    "web": ("Outlook in the browser", "outlook.live.com"),
    "device_smtp": ("Scripts and printers", "that send mail by SMTP"),
}

NEVER_WORKS = "never works: Microsoft ended passwords in 2024"

KINDS = Words(
    {
        AccountKind.OAUTH_PERSONAL: "personal account",
        AccountKind.OAUTH_WORK: "work account",
        AccountKind.APP_PASSWORD: "app password",
    }
)

#: How an account's own try ended.
TRIED = Words(
    {
        AuthOutcome.ACCEPTED: "signed in",
        AuthOutcome.REFUSED: "sign-in refused",
        AuthOutcome.EXPECTED_REFUSAL: "sign-in refused as expected",
        AuthOutcome.ABANDONED: "the conversation ended before an answer",
        AuthOutcome.THROTTLED: "told to wait",
        AuthOutcome.UNKNOWN: "couldn't try",
    }
)

_BY_PASSWORD = {
    OfferedMechanism.PLAIN,
    OfferedMechanism.LOGIN,
    OfferedMechanism.LOGIN_COMMAND,
    OfferedMechanism.BASIC,
}


def failure(phase: Phase | None, outcome: Outcome) -> str:
    """ "TLS: connection reset"."""
    words = OUTCOMES[outcome]
    return words if phase is None else _("{phase}: {outcome}", phase=PHASES[phase], outcome=words)


#: How accounts note a step that failed: `no token: connect: timeout (no answer)`.
_STEP = re.compile(
    r"(?P<before>no token: |the token request failed: )?"
    rf"(?P<phase>{'|'.join(Phase)}): (?P<outcome>{'|'.join(Outcome)})( \((?P<detail>.*)\))?",
    re.DOTALL,
)


def refusal(text: str) -> Said:
    """Why an account couldn't sign in: words of the table, or the step that failed before it could try."""
    step = _STEP.fullmatch(text)
    if step is None:
        return said(text)
    shown = failure(Phase(step["phase"]), Outcome(step["outcome"]))
    if step["before"] == "no token: ":
        shown = _("no token: {why}", why=shown)
    elif step["before"]:
        shown = _("the token request failed: {why}", why=shown)
    return Said(f"{shown} ({said(step['detail']).text})" if step["detail"] else shown, current())


def journey(name: str) -> tuple[str, str]:
    """What a journey is called, and which programs it is."""
    title, about = JOURNEYS.get(name, (name, ""))
    return _(title), _(about) if about else ""


def password_offered(offered: tuple[OfferedMechanism, ...]) -> str:
    """Whether a password could be sent; none ever is."""
    names = [name for name in offered if name in _BY_PASSWORD]
    return _("still offered ({names}), never tried", names=", ".join(names)) if names else _("not offered")


def seconds(value: float | None) -> str:
    """ "84 ms", "1.2 s"; empty where not known."""
    if value is None:
        return ""
    if value < 0.001:
        return f"{decimal(value * 1000, 2)} ms"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{decimal(value, 1)} s"


def percent(share: float, places: int = 0) -> str:
    """ "94%"; in French with its space."""
    return _("{number}%", number=decimal(100 * share, places))


def decimal(value: float, places: int) -> str:
    """A number with the language's own point."""
    return f"{value:.{places}f}".replace(".", _("."))


def expiry(moment: datetime, now: datetime) -> str:
    """ "expires in 12 min", "expired 3 d ago"."""
    if moment < now:
        return _("expired {ago}", ago=ago(moment, now))
    return _("expires in {time}", time=span(now, moment))


def acting(who: str) -> str:
    """Who has to act: "administrator"."""
    return _(f"the {who} has to act") if who != "nobody" else _("nobody has to act")


def ago(then: datetime, now: datetime) -> str:
    """ "12 s ago", "3 min ago", "5 h ago", "2 d ago"."""
    return _("{time} ago", time=span(then, now))


def span(then: datetime, now: datetime) -> str:
    """ "12 s", "3 min", "5 h", "2 d"."""
    passed = max((now - then).total_seconds(), 0.0)
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if passed >= 2 * length:
            return f"{passed / length:.0f} {_(unit)}"
    return f"{passed:.0f} s"
