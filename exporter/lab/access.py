"""What a token of the embedded sign-in opens: whose mailbox, by which protocol, until when (facts 2.1, 4.1, 4.4).

Exchange judges in two steps. Who the token is for, and whether it is in date, decides whether the sign-in is accepted;
what the mailbox allows shows later: over IMAP as "authenticated but not connected".
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

#: Owner of an application's own token, which opens every mailbox of its tenant.
ANY_USER = "*"


class Use(StrEnum):
    """What a token is presented for."""

    IMAP = "imap"
    POP = "pop"
    SMTP = "smtp"
    ACTIVESYNC = "activesync"
    GRAPH = "graph"


class MailboxState(StrEnum):
    """What can be wrong with a mailbox whose user signs in correctly."""

    NOT_CONNECTED = "not_connected"  # no licence, or another mailbox than the token's
    IMAP_OFF = "imap_off"
    POP_OFF = "pop_off"
    SMTP_OFF = "smtp_off"
    SMTP_OFF_FOR_TENANT = "smtp_off_for_tenant"
    CRITERIA = "criteria"  # security defaults or conditional access, as SMTP tells it
    ACCOUNT_ISSUE = "account_issue"
    THROTTLED = "throttled"


#: Permissions, by what they are for; without the resource in front of them, in lower case.
_PERMISSIONS = {
    Use.IMAP: ("imap.accessasuser.all", "imap.accessasapp"),
    Use.POP: ("pop.accessasuser.all", "pop.accessasapp"),
    Use.SMTP: ("smtp.send", "smtp.sendasapp"),
    Use.ACTIVESYNC: ("eas.accessasuser.all",),
}
_GRAPH, _OUTLOOK = "graph.microsoft.com", "outlook.office"
#: Said by everyone, and of no resource.
_COMMON = frozenset({"offline_access", "openid", "profile", "email"})
DEFAULT = ".default"


@dataclass(frozen=True, slots=True)
class Issued:
    """An access token given out: whose (lower case), until when, and the scope asked for ("": everything)."""

    owner: str
    expires: datetime
    scope: str = ""

    def belongs_to(self, user: str, delegates: frozenset[str]) -> bool:
        """Whether it opens that user's mailbox, were it in date."""
        return self.owner in (ANY_USER, user) or self.owner in delegates


def resources(scope: str) -> frozenset[str]:
    """The services a scope is for: `graph`, `outlook`, or another host."""
    hosts = {_host(item) for item in scope.split() if item.lower() not in _COMMON}
    return frozenset(host for host in hosts if host)


def is_for(scope: str, use: Use) -> bool:
    """Whether a token of that scope is for the service at all; to another one it is no token."""
    wanted = "graph" if use is Use.GRAPH else "outlook"
    return not resources(scope) or wanted in resources(scope)


def permits(scope: str, use: Use) -> bool:
    """Whether it holds the permission for that use."""
    items = [item.lower() for item in scope.split() if item.lower() not in _COMMON]
    if not items or use is Use.GRAPH:
        return True
    names = [item.rpartition("/")[2] for item in items]
    return DEFAULT in names or any(name in _PERMISSIONS[use] for name in names)


def _host(item: str) -> str:
    host = item.lower().removeprefix("https://").partition("/")[0] if "/" in item else ""
    if host == _GRAPH or (not host and item.lower().split(".")[0] in ("user", "mail")):
        return "graph"
    return "outlook" if not host or host.startswith(_OUTLOOK) else host
