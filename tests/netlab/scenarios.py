"""Faults by real mechanisms, each with what a diagnosis must say: rows of ../shared/faults.md, as data.

`gateway` and `provider`: iptables rules there; what comes from the client enters the gateway by in0. `dnsmasq`: lines
of the clients' resolver. `outlook`, `relay`: switches of the world (exporter.lab.faults). `hidden`: not looked at while
rules were written.
"""

from dataclasses import dataclass, field

from exporter.catalogue import TARGETS
from exporter.vocabulary import Cause, Responsible

_MAIL_PORTS = "-p tcp -m multiport --dports 993,995,587"
_FROM_CLIENTS = "-A FORWARD -i in0"
_HELLO = "-m u32 --u32 0>>22&0x3C@12>>26&0x3C@0>>16=0x1603"
#: A ClientHello's record that says it is longer than one segment, however it is cut.
_LARGE_HELLO = "-m u32 --u32 0>>22&0x3C@12>>26&0x3C@0>>16=0x1603&&0>>22&0x3C@12>>26&0x3C@1&0xFFFF=1200:16384"
_RELAY = "-t nat -A PREROUTING -i in0 -p tcp --dport {port} -j REDIRECT --to-ports 15000"

MAIL = ("imap", "imap_office365", "pop", "pop_office365", "smtp", "smtp_office365")
IMPLICIT = ("imap", "imap_office365", "pop", "pop_office365")
SIGN_IN_WORK, SIGN_IN_PERSONAL = "sign_in_work", "sign_in_personal"
WEB = tuple(name for name, target in TARGETS.items() if target.port == 443)
GATEWAY, NETWORK, MICROSOFT = Responsible.GATEWAY, Responsible.NETWORK, Responsible.MICROSOFT


def relayed(*ports: int) -> tuple[str, ...]:
    """Rules that lead those ports through the gateway's relay."""
    return tuple(_RELAY.format(port=port) for port in ports)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One fault. `targets`: those that must get the verdict at vantage `clients`; all others there must be healthy.

    `everywhere`: the vantage `wan` (the gateway's own way) meets it too. `answers`: a plain tool's look, to be sure
    that the lab does what it says.
    """

    name: str
    cause: Cause
    responsible: Responsible
    targets: tuple[str, ...]
    gateway: tuple[str, ...] = ()
    provider: tuple[str, ...] = ()
    dnsmasq: tuple[str, ...] = ()
    outlook: str = ""
    relay: str = ""
    everywhere: bool = False
    hidden: bool = False
    also: tuple[str, ...] = field(default=())


SCENARIOS: dict[str, Scenario] = {
    each.name: each
    for each in (
        Scenario(name="healthy", cause=Cause.HEALTHY, responsible=Responsible.UNKNOWN, targets=()),
        # name
        Scenario(
            name="dns_nxdomain", cause=Cause.DNS_FAILURE, responsible=GATEWAY, targets=(SIGN_IN_WORK,),
            dnsmasq=("local=/login.microsoftonline.com/",),
        ),
        Scenario(
            name="dns_sinkhole", cause=Cause.DNS_REDIRECTED, responsible=GATEWAY, targets=(SIGN_IN_PERSONAL,),
            dnsmasq=("address=/login.live.com/10.77.1.1", "local=/login.live.com/"),
        ),
        Scenario(
            name="dns_zero", cause=Cause.DNS_REDIRECTED, responsible=GATEWAY, targets=("imap",), hidden=True,
            dnsmasq=("address=/imap-mail.outlook.com/0.0.0.0", "local=/imap-mail.outlook.com/"),
        ),
        # reach
        Scenario(
            name="mail_ports_dropped", cause=Cause.TCP_DROPPED, responsible=GATEWAY, targets=MAIL,
            gateway=(f"{_FROM_CLIENTS} {_MAIL_PORTS} -j DROP",),
        ),
        Scenario(
            name="mail_ports_reset", cause=Cause.TCP_RESET, responsible=GATEWAY, targets=MAIL,
            gateway=(f"{_FROM_CLIENTS} {_MAIL_PORTS} -j REJECT --reject-with tcp-reset",),
        ),
        Scenario(
            name="submission_prohibited", cause=Cause.TCP_UNREACHABLE, responsible=GATEWAY,
            targets=("smtp", "smtp_office365"), hidden=True,
            gateway=(f"{_FROM_CLIENTS} -p tcp --dport 587 -j REJECT --reject-with icmp-admin-prohibited",),
        ),
        Scenario(
            name="dropped_beyond", cause=Cause.TCP_DROPPED, responsible=NETWORK, targets=MAIL, everywhere=True,
            provider=(f"-A FORWARD {_MAIL_PORTS} -j DROP",),
        ),
        Scenario(
            name="large_packets_lost", cause=Cause.MTU_BLACKHOLE, responsible=GATEWAY, targets=IMPLICIT, hidden=True,
            gateway=("-A FORWARD -o in0 -p tcp -m multiport --sports 993,995 -m length --length 1300:65535 -j DROP",),
        ),
        Scenario(
            name="one_address_dead", cause=Cause.PARTIAL_OUTAGE, responsible=GATEWAY,
            targets=("imap",), gateway=(f"{_FROM_CLIENTS} -p tcp -d {{imap-mail.outlook.com}} --dport 993 -j DROP",),
        ),
        # TLS
        Scenario(
            name="name_reset", cause=Cause.SNI_RESET, responsible=GATEWAY, targets=(SIGN_IN_WORK,),
            gateway=(
                f"{_FROM_CLIENTS} -p tcp --dport 443 -m string --string login.microsoftonline.com --algo bm "
                "-j REJECT --reject-with tcp-reset",
            ),
        ),
        Scenario(
            name="name_dropped", cause=Cause.SNI_DROPPED, responsible=GATEWAY, targets=(SIGN_IN_PERSONAL,),
            gateway=(f"{_FROM_CLIENTS} -p tcp --dport 443 -m string --string login.live.com --algo bm -j DROP",),
        ),
        Scenario(
            name="every_hello_reset", cause=Cause.TLS_RESET, responsible=GATEWAY, targets=IMPLICIT, hidden=True,
            gateway=(
                f"{_FROM_CLIENTS} -p tcp -m multiport --dports 993,995 {_HELLO} -j REJECT --reject-with tcp-reset",
            ),
        ),
        Scenario(
            name="large_hello_lost", cause=Cause.LARGE_HELLO_DROPPED, responsible=GATEWAY, targets=IMPLICIT,
            gateway=(
                f"{_FROM_CLIENTS} -p tcp -m multiport --dports 993,995 {_LARGE_HELLO} -j DROP",
            ),
        ),
        Scenario(
            name="intercepted", cause=Cause.TLS_INTERCEPTED, responsible=GATEWAY, targets=WEB, relay="tls_intercepted",
            gateway=relayed(443),
        ),
        Scenario(
            name="mail_intercepted", cause=Cause.TLS_INTERCEPTED, responsible=GATEWAY, targets=IMPLICIT, hidden=True,
            relay="tls_intercepted.trusted", gateway=relayed(993, 995),
        ),
        # application
        Scenario(
            name="starttls_stripped", cause=Cause.STARTTLS_STRIPPED, responsible=GATEWAY,
            targets=("smtp", "smtp_office365"), relay="starttls_stripped", gateway=relayed(587),
        ),
        Scenario(
            name="starttls_masked", cause=Cause.STARTTLS_STRIPPED, responsible=GATEWAY, hidden=True,
            targets=("smtp", "smtp_office365"), relay="starttls_stripped.masked", gateway=relayed(587),
        ),
        Scenario(
            name="token_cut", cause=Cause.AUTH_DROPPED, responsible=GATEWAY, targets=IMPLICIT, relay="auth_dropped",
            gateway=relayed(993, 995),
        ),
        # service
        Scenario(
            name="outage", cause=Cause.SERVICE_OUTAGE, responsible=MICROSOFT, everywhere=True, outlook="service_outage",
            targets=tuple(name for name in TARGETS if name not in ("revocation", "sign_in_assets")),
        ),
        Scenario(
            name="throttled", cause=Cause.THROTTLED, responsible=MICROSOFT, everywhere=True, outlook="throttled",
            targets=tuple(name for name in TARGETS if name not in ("revocation", "sign_in_assets")), hidden=True,
        ),
    )
}  # fmt: skip
