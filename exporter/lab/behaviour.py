"""Switches of the embedded Outlook.com, what it accepts, and what reached it."""

import base64
import dataclasses
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from exporter.lab.access import ANY_USER, Issued, MailboxState, Use, is_for, permits
from exporter.lab.era import ERAS, Era

__all__ = ["ANY_USER", "MAX_SEEN", "Behaviour", "Issued", "MailboxState", "Reply", "Seen", "Then", "Use", "Verdict"]

#: Credentials and requests remembered, at most; older ones are forgotten.
MAX_SEEN = 10_000


class Then(StrEnum):
    """What a server does after a reply."""

    GO_ON = "go on"
    START_TLS = "start TLS"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes for the client, how long they are held back (seconds), and what follows."""

    data: bytes
    then: Then = Then.GO_ON
    delay: float = 0.0


class Verdict(StrEnum):
    """What becomes of an XOAUTH2 initial response."""

    ACCEPTED = "accepted"
    NO_PERMISSION = "no permission"  # a good token, but not for this protocol
    REFUSED = "refused"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Seen:
    """A credential that reached the lab: where, what kind (token, password, bearer), whose, and what."""

    place: str
    kind: str
    user: str
    secret: str


@dataclass(slots=True)
class Traffic:
    """What reached the lab. `counts` has each kind alone and with its place: `token` and `token HOST:PORT`.

    Kinds: connection, handshake, token, password, bearer, token_request, request. The port is the catalogue's.
    """

    counts: Counter[str] = field(default_factory=Counter)
    credentials: deque[Seen] = field(default_factory=lambda: deque(maxlen=MAX_SEEN))

    def count(self, kind: str, place: str) -> None:
        self.counts[kind] += 1
        if place:
            self.counts[f"{kind} {place}"] += 1

    def credential(self, seen: Seen) -> None:
        self.count(seen.kind, seen.place)
        self.credentials.append(seen)


@dataclass(slots=True, kw_only=True)
class Behaviour:
    """How the servers behave; may be changed at any time, for connections that begin afterwards.

    Delays are seconds. `split`: replies are written so many bytes at a time (0: whole). `smtp_refusal` and
    `token_error` replace the refusal of a token by a sentence of `era.SMTP_REFUSALS`, or an AADSTS number or key of
    `aadsts.SENTENCES`; `client_errors` does so for one application.
    """

    year: str = "2026"
    greeting_delay: float = 0.0
    auth_delay: float = 0.0
    token_delay: float = 0.0
    http_delay: float = 0.0
    tarpit: float = 5.0  # before a refused EHLO name (facts 2.2)
    idle_timeout: float = 1_800.0
    split: int = 0
    outage: bool = False
    throttled: bool = False
    retry_after: int | None = 30
    backoff_ms: int = 299_961
    tls_too_old: bool = False
    not_connected: bool = False
    front_end_hidden: bool = False
    smtp_refusal: str | None = None
    token_error: int | str | None = None
    clock_offset: float = 0.0
    certificate: str = "genuine"
    place: str = ""  # "HOST:PORT" of the catalogue, in a view made by `at`

    #: Tokens that are accepted, whatever the mailbox.
    valid_tokens: set[str] = field(default_factory=set)
    #: Tokens that open some mailboxes only.
    mailboxes: dict[str, frozenset[str]] = field(default_factory=dict)
    #: Tokens given out by the sign-in hosts.
    issued: dict[str, "Issued"] = field(default_factory=dict)
    #: Shared mailboxes: whose tokens open them besides the mailbox's own.
    delegates: dict[str, frozenset[str]] = field(default_factory=dict)
    #: Mailboxes with which something is wrong though their user's token is good, by user in lower case.
    mailbox_states: dict[str, frozenset[MailboxState]] = field(default_factory=dict)
    #: Applications whose token requests are refused, by client id: as `token_error`.
    client_errors: dict[str, int | str] = field(default_factory=dict)
    #: Passwords of work accounts whose tenant still allows SMTP AUTH; nothing else ever takes a password (facts 8).
    smtp_passwords: dict[str, str] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)
    #: What a fault changes, by place; see `at`.
    overlay: dict[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def era(self) -> Era:
        return ERAS[self.year]

    @property
    def counts(self) -> Counter[str]:
        return self.traffic.counts

    def at(self, place: str) -> "Behaviour":
        """As it is now at one place: the switches, changed by a fault; tokens and counts are shared."""
        return dataclasses.replace(self, **{**self.overlay.get(place, {}), "place": place})  # type: ignore[arg-type]

    def now(self) -> datetime:
        """The servers' clock."""
        return datetime.now(UTC) + timedelta(seconds=self.clock_offset)

    def opens(self, token: str, user: str) -> bool:
        """Whether a token opens a mailbox, now."""
        user = user.lower()
        if token in self.valid_tokens or user in self.mailboxes.get(token, ()):
            return True
        issued = self._in_date(token)
        return issued is not None and issued.belongs_to(user, self.delegates.get(user, frozenset()))

    def is_valid(self, token: str, use: Use) -> bool:
        """Whether a token is good for HTTP, where it alone says whose mailbox is meant."""
        issued = self._in_date(token)
        known = token in self.valid_tokens or token in self.mailboxes
        return known or (issued is not None and is_for(issued.scope, use))

    def permits(self, token: str, use: Use) -> bool:
        """Whether a valid token holds the permission for that use."""
        issued = self.issued.get(token)
        return issued is None or permits(issued.scope, use)

    def _in_date(self, token: str) -> Issued | None:
        issued = self.issued.get(token)
        return issued if issued is not None and issued.expires > self.now() else None

    def revoke(self, user: str) -> None:
        """Takes that user's access tokens back at once (continuous access evaluation); else they live on."""
        for token in [token for token, each in self.issued.items() if each.owner == user.lower()]:
            del self.issued[token]

    def states(self, user: str) -> frozenset[MailboxState]:
        """What is wrong with a mailbox."""
        return self.mailbox_states.get(user.lower(), frozenset())

    def is_connected(self, user: str) -> bool:
        """Whether what follows a sign-in by IMAP or POP works; else "User is authenticated but not connected"."""
        return not self.not_connected and MailboxState.NOT_CONNECTED not in self.states(user)

    def is_throttled(self, user: str) -> bool:
        """Whether this user, or everyone, is asked for patience."""
        return self.throttled or MailboxState.THROTTLED in self.states(user)

    def judge(self, initial_response: str, use: Use) -> tuple[Verdict, str]:
        """What becomes of an XOAUTH2 initial response (facts 3), and whose it is; remembers the attempt."""
        user, token = _xoauth2(initial_response)
        self.traffic.credential(Seen(self.place, "token", user, token))
        if not token:
            return Verdict.MALFORMED, user
        issued = self.issued.get(token)
        if not self.opens(token, user) or (issued is not None and not is_for(issued.scope, use)):
            return Verdict.REFUSED, user
        return Verdict.ACCEPTED if self.permits(token, use) else Verdict.NO_PERMISSION, user

    def saw_password(self, user: str, password: str) -> None:
        self.traffic.credential(Seen(self.place, "password", user, password))


def _xoauth2(initial_response: str) -> tuple[str, str]:
    """User and token of an initial response; ("", "") where it isn't one."""
    try:
        text = base64.b64decode(initial_response, validate=True).decode()
    except ValueError:  # not Base64, or not UTF-8 in it
        return "", ""
    user, separator, rest = text.partition("\x01auth=Bearer ")
    if not separator or not user.startswith("user=") or not rest.endswith("\x01\x01"):
        return "", ""
    return user.removeprefix("user="), rest[:-2]
