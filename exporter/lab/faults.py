"""The lab's faults, as data: what misbehaves, for which targets, what is to be seen. Names are the contract's causes.

`FAULTS` has one fault for each cause that can be made on loopback without root; `VARIANTS` other ways to the same,
named CAUSE.WAY. Not here, for want of raw packets: tcp_unreachable, packet_loss. mtu_blackhole and slow_path are made
by holding or losing what a relay reads, so retransmissions and the TCP round trip don't show them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from exporter.catalogue import TARGETS
from exporter.lab.dns_server import Lie
from exporter.lab.http_server import Answer
from exporter.lab.listener import Reach
from exporter.lab.places import CLEAR_PORTS
from exporter.lab.treatments import (
    DropLargeChunks,
    DropLongRecords,
    Forgetful,
    Inspect,
    Pages,
    RestrictTenants,
    Rewrite,
    Slow,
    Step,
    StripStarttls,
    Treatment,
    drop_large_hello,
    drop_names,
    refuse_every_version,
    refuse_tls_1_3,
    reset_every_hello,
    reset_names,
)
from exporter.vocabulary import Cause, Protocol

ALL = tuple(TARGETS)
MAIL = tuple(name for name, target in TARGETS.items() if target.protocol in ("imap", "smtp", "pop"))
SMTP = tuple(name for name, target in TARGETS.items() if target.protocol is Protocol.SMTP)
SIGN_IN = ("sign_in_personal", "sign_in_work")
WEB = tuple(name for name, target in TARGETS.items() if target.protocol in ("https", "activesync", "sign_in"))
TLS = tuple(name for name, target in TARGETS.items() if target.protocol is not Protocol.HTTP)
#: Microsoft's own: not the certificate authorities', not the CDN's.
MICROSOFT = tuple(name for name in ALL if name not in ("revocation", "sign_in_assets"))
#: Served as web pages under names that a category filter knows.
PAGES = (*SIGN_IN, "outlook_web", "outlook_office365", "revocation")

#: Both sides, and so every vantage, meet the same.
BOTH_SIDES, INSIDE = ("inside", "outside"), ("inside",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`targets`: catalogue names it is meant for. `shows`: what a demo's viewer sees. Then one way in which it is made:

    `lie`: the clients' resolver. `reach`: how SYNs fare, at `address` (index) or all, on `sides`.
    `treatment`: makes what the gateway does to a connection. `outlook`: switches of `Behaviour`, at every vantage.
    """

    cause: Cause
    targets: tuple[str, ...]
    shows: str
    lie: Lie | None = None
    reach: Reach | None = None
    address: int | None = None
    sides: tuple[str, ...] = INSIDE
    treatment: Callable[[], Treatment] | None = None
    outlook: Mapping[str, object] = field(default_factory=dict)

    @property
    def hosts(self) -> frozenset[str]:
        return hosts_of(self.targets)

    @property
    def places(self) -> frozenset[str]:
        """`HOST:PORT` of every target concerned, the ports on which the same mail protocol begins in clear included."""
        return frozenset(
            f"{host}:{port}"
            for name in self.targets
            for host in TARGETS[name].hosts
            for port in (TARGETS[name].port, CLEAR_PORTS.get(TARGETS[name].protocol))
            if port is not None
        )

    @property
    def affected(self) -> frozenset[str]:
        """Every target that shows it: those meant, and those that share a name (for a lie) or a place with one."""
        return frozenset(
            name
            for name, target in TARGETS.items()
            for host in target.hosts
            if (host in self.hosts if self.lie is not None else f"{host}:{target.port}" in self.places)
        )


def hosts_of(targets: Iterable[str]) -> frozenset[str]:
    return frozenset(host for name in targets for host in TARGETS[name].hosts)


def _portal() -> Treatment:
    return Pages(Answer(302, [("Location", "http://10.0.0.1/login"), ("Server", "gateway")]))


def _block_page() -> Treatment:
    words = b"This page is blocked by your organization's policy. Category: web-based e-mail."
    body = b"<!DOCTYPE html><html><head><title>Access denied</title></head><body><h1>" + words + b"</h1></body></html>"
    return Pages(Answer(403, [("Content-Type", "text/html"), ("Server", "gateway")], body))


def _strip_mechanism() -> Treatment:
    rules = ((r" AUTH=XOAUTH2\b", ""), (r"^250-AUTH LOGIN XOAUTH2", "250-AUTH LOGIN"), (r" XOAUTH2\b", " PLAIN"))
    return Rewrite(*rules, certificate="inspected_trusted")


def _mail_proxy() -> Treatment:
    return Rewrite(
        (r"^\* OK The Microsoft Exchange IMAP4 service is ready\.[^\r\n]*", "* OK IMAP4 Mail Proxy ready"),
        (r"^\+OK The Microsoft Exchange POP3 service is ready\.[^\r\n]*", "+OK POP3 Mail Proxy ready"),
        (r"^220 \S+ Microsoft ESMTP MAIL Service[^\r\n]*", "220 mailproxy.contoso.example ESMTP Mail Proxy"),
        certificate="inspected_trusted",
    )


#: A flow idle for so long (seconds) is forgotten by the demo's gateway.
IDLE = 10.0

_LIST = (
    # name
    Fault(cause=Cause.DNS_FAILURE, targets=MAIL, lie=Lie.NXDOMAIN,
          shows="The clients' resolver says that the mail hosts don't exist; the other resolver knows them."),
    Fault(cause=Cause.DNS_REDIRECTED, targets=SIGN_IN, lie=Lie.SINKHOLE,
          shows="The clients' resolver sends the sign-in hosts to 0.0.0.0; nothing answers there."),
    # reach
    Fault(cause=Cause.TCP_DROPPED, targets=MAIL, reach=Reach.DROPS,
          shows="The gateway drops SYNs to the mail ports: connect runs into its time-out, web and sign-in work."),
    Fault(cause=Cause.TCP_RESET, targets=MAIL, reach=Reach.REFUSES,
          shows="The gateway answers SYNs to the mail ports with RST: connect is refused at once."),
    Fault(cause=Cause.IPV6_BROKEN, targets=("imap", "smtp", "sign_in_work"), lie=Lie.DEAD_IPV6,
          shows="Names have an IPv6 address on which nothing answers; IPv4 works after it was tried."),
    Fault(cause=Cause.MTU_BLACKHOLE, targets=TLS, treatment=DropLargeChunks,
          shows="Large segments from the server vanish: the certificate never arrives, small replies do."),
    Fault(cause=Cause.SLOW_PATH, targets=ALL, treatment=lambda: Slow(0.3),
          shows="Every chunk takes 0.3 s each way: handshakes last many times what they did."),
    # TLS
    Fault(cause=Cause.SNI_RESET, targets=SIGN_IN, treatment=lambda: reset_names(hosts_of(SIGN_IN)),
          shows="A ClientHello that names a sign-in host is answered by RST; another name to that address passes."),
    Fault(cause=Cause.SNI_DROPPED, targets=SIGN_IN, treatment=lambda: drop_names(hosts_of(SIGN_IN)),
          shows="A ClientHello that names a sign-in host is swallowed; another name to that address passes."),
    Fault(cause=Cause.TLS_RESET, targets=MAIL, treatment=reset_every_hello,
          shows="Any ClientHello to the mail ports is answered by RST, whatever name it bears."),
    Fault(cause=Cause.LARGE_HELLO_DROPPED, targets=TLS, treatment=drop_large_hello,
          shows="A post-quantum ClientHello of two segments is swallowed; a small one with the same name passes."),
    Fault(cause=Cause.TLS_INTERCEPTED, targets=TLS, treatment=Inspect,
          shows="The gateway terminates TLS with a Fortinet CA that this machine doesn't trust."),
    Fault(cause=Cause.ROOT_NOT_TRUSTED, targets=MAIL, outlook={"certificate": "old_root"},
          shows="Genuine chains end at an old root that this machine's store no longer has."),
    Fault(cause=Cause.CERTIFICATE_EXPIRED, targets=MAIL, outlook={"certificate": "expired"},
          shows="The mail hosts' genuine certificate ran out two days ago, at every vantage."),
    Fault(cause=Cause.CERTIFICATE_NOT_YET_VALID, targets=MAIL, outlook={"certificate": "not_yet_valid"},
          shows="The mail hosts' genuine certificate begins in two days, at every vantage."),
    Fault(cause=Cause.CERTIFICATE_NAME_MISMATCH, targets=MAIL, outlook={"certificate": "wrong_name"},
          shows="The mail hosts present a genuine certificate of another host."),
    Fault(cause=Cause.CERTIFICATE_CHAIN_INCOMPLETE, targets=MAIL, outlook={"certificate": "incomplete"},
          shows="The mail hosts leave out the intermediate certificate."),
    Fault(cause=Cause.TLS_VERSION_BLOCKED, targets=TLS, treatment=refuse_tls_1_3,
          shows="Who offers TLS 1.3 gets the alert protocol_version; TLS 1.2 alone passes."),
    # application
    Fault(cause=Cause.STARTTLS_STRIPPED, targets=SMTP, treatment=StripStarttls,
          shows="Mail inspection takes STARTTLS out of the EHLO reply; the other vantage is offered it."),
    Fault(cause=Cause.AUTH_MECHANISM_STRIPPED, targets=MAIL, treatment=_strip_mechanism,
          shows="A mail proxy, trusted here, takes XOAUTH2 out of what is offered."),
    Fault(cause=Cause.PROTOCOL_REWRITTEN, targets=MAIL, treatment=_mail_proxy,
          shows="A mail proxy, trusted here, greets in its own words."),
    Fault(cause=Cause.CAPTIVE_PORTAL, targets=PAGES, treatment=_portal,
          shows="Every web page is a redirect to http://10.0.0.1/login."),
    Fault(cause=Cause.BLOCK_PAGE, targets=PAGES, treatment=_block_page,
          shows="Every web page is a 403 in the gateway's own HTML."),
    Fault(cause=Cause.AUTH_DROPPED, targets=MAIL, treatment=DropLongRecords,
          shows="All goes well until the long token goes by: then the connection is reset without a reply."),
    Fault(cause=Cause.IDLE_CUT, targets=MAIL, treatment=lambda: Forgetful(IDLE),
          shows="A connection that was silent for ten seconds is forgotten: nothing passes any more."),
    Fault(cause=Cause.TENANT_RESTRICTED, targets=("sign_in_work",), treatment=RestrictTenants,
          shows="Sign-in is intercepted and answers AADSTS500021: a tenant restriction was put in."),
    # service
    Fault(cause=Cause.CLOCK_SKEW, targets=ALL, outlook={"clock_offset": 600.0},
          shows="Every server's Date is ten minutes ahead of this machine's clock."),
    Fault(cause=Cause.THROTTLED, targets=MICROSOFT, outlook={"throttled": True},
          shows="Microsoft asks for patience: 429 with Retry-After, BAD Request is throttled, 432."),
    Fault(cause=Cause.SERVICE_OUTAGE, targets=MICROSOFT, outlook={"outage": True},
          shows="Microsoft is down at every vantage: 421, Server Unavailable, 503 with its own headers."),
    Fault(cause=Cause.PARTIAL_OUTAGE, targets=MAIL, reach=Reach.REFUSES, address=1, sides=BOTH_SIDES,
          shows="One of each mail host's addresses is dead; the others work."),
    Fault(cause=Cause.SLOW_SIGN_IN, targets=SIGN_IN, outlook={"token_delay": 4.0},
          shows="The token endpoint takes four seconds to answer, over a quick path."),
    Fault(cause=Cause.SLOW_SERVICE, targets=MICROSOFT, outlook={"greeting_delay": 3.0, "http_delay": 3.0},
          shows="Servers greet and answer after three seconds, over a quick path."),
)  # fmt: skip

FAULTS: dict[str, Fault] = {fault.cause.value: fault for fault in _LIST}

_WAYS = {
    "servfail": Fault(cause=Cause.DNS_FAILURE, targets=MAIL, lie=Lie.SERVFAIL, shows="The resolver answers SERVFAIL."),
    "empty": Fault(cause=Cause.DNS_FAILURE, targets=MAIL, lie=Lie.EMPTY, shows="The resolver has no address to give."),
    "silence": Fault(cause=Cause.DNS_FAILURE, targets=ALL, lie=Lie.SILENCE, shows="The resolver doesn't answer."),
    "trusted": Fault(cause=Cause.TLS_INTERCEPTED, targets=TLS, treatment=lambda: Inspect("inspected_trusted"),
                     shows="The gateway terminates TLS with the company's CA, which this machine trusts."),
    "all": Fault(cause=Cause.TLS_VERSION_BLOCKED, targets=TLS, treatment=refuse_every_version,
                 shows="Every ClientHello gets the alert protocol_version."),
    "masked": Fault(cause=Cause.STARTTLS_STRIPPED, targets=SMTP, treatment=lambda: StripStarttls(masked=True),
                    shows="STARTTLS is masked as XXXXXXXA and the banner is all asterisks."),
    "silent": Fault(cause=Cause.AUTH_DROPPED, targets=MAIL, treatment=lambda: DropLongRecords(Step.SILENCE),
                    shows="All goes well until the long token goes by: then nothing passes any more."),
    "reset": Fault(cause=Cause.IDLE_CUT, targets=MAIL, treatment=lambda: Forgetful(IDLE, Step.RESET),
                   shows="A connection that was silent for ten seconds is reset."),
    "greeting": Fault(cause=Cause.SLOW_SERVICE, targets=MAIL, outlook={"greeting_delay": 3.0},
                      shows="Mail servers greet after three seconds, over a quick path."),
    "dropped": Fault(cause=Cause.PARTIAL_OUTAGE, targets=MAIL, reach=Reach.DROPS, address=1, sides=BOTH_SIDES,
                     shows="One of each mail host's addresses doesn't answer; the others work."),
    "required_only": Fault(cause=Cause.TCP_DROPPED, targets=(*MAIL, "sign_in_personal"), reach=Reach.DROPS,
                           shows="Only what Microsoft's list calls required is open: no mail, no personal sign-in."),
}  # fmt: skip

VARIANTS: dict[str, Fault] = {f"{fault.cause}.{way}": fault for way, fault in _WAYS.items()}


def fault_named(name: str) -> Fault:
    """Raises KeyError for a name that is neither a fault nor a variant."""
    return FAULTS[name] if name in FAULTS else VARIANTS[name]
