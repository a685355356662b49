# ruff: noqa: E501 - a fault is a row
"""The faults of the lab's gateway, as data: what it does, to whom, what is to be seen. Names are the contract's causes."""

from dataclasses import dataclass
from enum import StrEnum

from exporter.vocabulary import Cause

_MAIL = frozenset({"imap-mail.outlook.com", "smtp-mail.outlook.com", "pop-mail.outlook.com"})
_SIGN_IN = frozenset({"login.microsoftonline.com", "login.live.com"})
_ALL: frozenset[str] = frozenset()


class Act(StrEnum):
    """What the gateway does to a connection."""

    NO_LISTENER = "refuse it"
    FULL_BACKLOG = "drop its SYN"
    RESET_HELLO = "reset it at the ClientHello"
    DROP_HELLO = "go silent at the ClientHello"
    DROP_LARGE_HELLO = "go silent at a ClientHello of more than one segment"
    INTERCEPT = "terminate TLS"
    STRIP_STARTTLS = "take STARTTLS out of the EHLO reply"
    STRIP_MECHANISM = "terminate TLS and take XOAUTH2 out of the capabilities"
    REWRITE = "terminate TLS and put its own banner"
    PAGE = "terminate TLS and answer with its own page"
    DROP_LONG = "cut when the long token goes by"
    ALERT_VERSION = "refuse every TLS version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault. `hosts` empty: all. One of `act`, `dns`, `certificate`, `behaviour` says how it is made."""

    hosts: frozenset[str] = _ALL
    sentence: str
    act: Act | None = None
    dns: str | None = None
    certificate: str | None = None
    behaviour: dict[str, float | bool] | None = None
    detail: str = ""


#: Longer than a segment on Ethernet: what a middlebox that can't reassemble lets through.
LARGE_HELLO = 1_400

FAULTS: dict[str, Fault] = {
    Cause.DNS_FAILURE: Fault(hosts=_MAIL, dns="nxdomain", sentence="The gateway's resolver denies the mail hosts."),
    Cause.DNS_REDIRECTED: Fault(hosts=_SIGN_IN, dns="sinkhole", sentence="The resolver sends sign-in to a sinkhole."),
    Cause.TCP_DROPPED: Fault(hosts=_MAIL, act=Act.FULL_BACKLOG, sentence="Mail ports are dropped: SYNs go unanswered."),
    Cause.TCP_RESET: Fault(hosts=_MAIL, act=Act.NO_LISTENER, sentence="Mail ports are refused with RST."),
    Cause.SNI_RESET: Fault(hosts=_SIGN_IN, act=Act.RESET_HELLO, sentence="Connections that name a sign-in host are reset."),
    Cause.SNI_DROPPED: Fault(hosts=_SIGN_IN, act=Act.DROP_HELLO, sentence="Connections that name a sign-in host go silent."),
    Cause.TLS_RESET: Fault(act=Act.RESET_HELLO, sentence="Every TLS connection is reset."),
    Cause.LARGE_HELLO_DROPPED: Fault(act=Act.DROP_LARGE_HELLO, sentence="Post-quantum ClientHellos are lost."),
    Cause.TLS_INTERCEPTED: Fault(act=Act.INTERCEPT, sentence="TLS is inspected: the chain is the gateway's."),
    Cause.ROOT_NOT_TRUSTED: Fault(certificate="other", sentence="A genuine chain whose root isn't in this machine's store."),
    Cause.CERTIFICATE_EXPIRED: Fault(hosts=_MAIL, certificate="expired", sentence="The mail hosts' certificate has expired."),
    Cause.CERTIFICATE_NOT_YET_VALID: Fault(hosts=_MAIL, certificate="not_yet_valid", sentence="A certificate of tomorrow."),
    Cause.CERTIFICATE_NAME_MISMATCH: Fault(hosts=_MAIL, certificate="wrong_name", sentence="A certificate for another name."),
    Cause.CERTIFICATE_CHAIN_INCOMPLETE: Fault(hosts=_MAIL, certificate="incomplete", sentence="The intermediate is missing."),
    Cause.TLS_VERSION_BLOCKED: Fault(act=Act.ALERT_VERSION, sentence="The gateway refuses every TLS version."),
    Cause.STARTTLS_STRIPPED: Fault(
        hosts=frozenset({"smtp-mail.outlook.com", "smtp.office365.com"}),
        act=Act.STRIP_STARTTLS,
        sentence="SMTP inspection masks STARTTLS.",
    ),
    Cause.AUTH_MECHANISM_STRIPPED: Fault(
        hosts=_MAIL, act=Act.STRIP_MECHANISM, sentence="A mail proxy takes XOAUTH2 out of what is offered."
    ),
    Cause.PROTOCOL_REWRITTEN: Fault(hosts=_MAIL, act=Act.REWRITE, sentence="A mail proxy answers in its own words."),
    Cause.CAPTIVE_PORTAL: Fault(
        hosts=_SIGN_IN | frozenset({"outlook.live.com"}),
        act=Act.PAGE,
        detail="302 http://10.0.0.1/login",
        sentence="A portal wants a login first.",
    ),
    Cause.BLOCK_PAGE: Fault(
        hosts=_SIGN_IN | frozenset({"outlook.live.com"}), act=Act.PAGE, detail="403", sentence="The gateway answers with a block page."
    ),
    Cause.AUTH_DROPPED: Fault(hosts=_MAIL, act=Act.DROP_LONG, sentence="The connection dies when the token goes by."),
    Cause.THROTTLED: Fault(behaviour={"throttled": True}, sentence="Microsoft asks us to slow down."),
    Cause.SERVICE_OUTAGE: Fault(behaviour={"outage": True}, sentence="Microsoft is down, from everywhere."),
    Cause.SLOW_SIGN_IN: Fault(behaviour={"token_delay": 4.0}, sentence="The token endpoint takes four seconds."),
    Cause.SLOW_SERVICE: Fault(behaviour={"greeting_delay": 3.0}, sentence="Mail servers greet after three seconds."),
}  # fmt: skip
