"""Faults by real mechanisms, each with what a diagnosis must say: rows of ../shared/faults.md, as data.

`gateway` and `provider`: iptables rules there; what comes from the client enters the gateway by in0. `dnsmasq`: lines
of the clients' resolver. `outlook`, `relay`: switches of the world (exporter.lab.faults). `nft`: what stands in a
chain of nftables there. `program`: one of tests.netlab.programs in the gateway's place; `proxied`: clients use it as
their proxy, `forgets`: seconds after which the gateway forgets an idle connection. `weather`: what the gateway's line
loses (a share), and how long it holds packets, at random and always (seconds). `six`: the client has IPv6, which ends
at the provider. `chance`: not every target need show it. `also`: causes that are as right, `packets`: where packets are all there is: a proxy that changes what
is said has to end TLS. `hidden`: not looked at while rules were written.
"""

from dataclasses import dataclass, replace

from exporter.catalogue import TARGETS
from exporter.vocabulary import Cause, Responsible
from tests.netlab.programs import ENDS_TLS_PORT, MITMPROXY_PORT, NAME_FILTER_PORT, SUBMISSION_PORT

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


def redirected(port: int, to: int) -> tuple[str, ...]:
    """A rule that leads a port to a program on the gateway."""
    return (f"-t nat -A PREROUTING -i in0 -p tcp --dport {port} -j REDIRECT --to-ports {to}",)


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
    also: tuple[Cause, ...] = ()
    packets: tuple[Cause, ...] = ()
    nft: tuple[str, ...] = ()
    program: str = ""
    proxied: bool = False
    forgets: int = 0
    weather: tuple[float, float, float] | None = None
    six: bool = False
    chance: bool = False
    parts: tuple["Scenario", ...] = ()

    def faults_at(self, target: str) -> list["Scenario"]:
        """The faults that lie on the way to a target: this one, or those that it is put together from."""
        return [each for each in self.parts or (self,) if target in each.targets]


def together(name: str, *parts: Scenario) -> Scenario:
    """Faults at once, of different targets; one of them at most by a relay."""
    first = parts[0]
    return replace(
        first,
        name=name,
        targets=tuple(target for each in parts for target in each.targets),
        gateway=tuple(rule for each in parts for rule in each.gateway),
        dnsmasq=tuple(line for each in parts for line in each.dnsmasq),
        relay=next((each.relay for each in parts if each.relay), ""),
        parts=parts,
        hidden=True,
    )


FIRST: dict[str, Scenario] = {
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


_BY_ENDING_TLS = (Cause.TLS_INTERCEPTED,)

#: The second set: written down, and measured once, before any rule was changed for it (25 November 2026).
SECOND: dict[str, Scenario] = {
    each.name: each
    for each in (
        Scenario(
            name="dns_unanswered", cause=Cause.DNS_FAILURE, responsible=GATEWAY, targets=(SIGN_IN_PERSONAL,), hidden=True,
            dnsmasq=("server=/login.live.com/10.77.1.77",),
        ),
        Scenario(
            name="dns_another_public_address", cause=Cause.DNS_REDIRECTED, responsible=GATEWAY, hidden=True,
            targets=("imap",),
            dnsmasq=("address=/imap-mail.outlook.com/203.0.113.77", "local=/imap-mail.outlook.com/"),
        ),
        Scenario(
            name="sign_in_prohibited_by_address", cause=Cause.TCP_UNREACHABLE, responsible=GATEWAY, hidden=True,
            targets=(SIGN_IN_WORK,),
            gateway=(f"{_FROM_CLIENTS} -p tcp -d {{login.microsoftonline.com:all}} -j REJECT "
                     "--reject-with icmp-net-prohibited",),
        ),
        Scenario(
            name="imap_name_reset", cause=Cause.SNI_RESET, responsible=GATEWAY, targets=("imap",), hidden=True,
            gateway=(f"{_FROM_CLIENTS} -p tcp --dport 993 -m string --string imap-mail.outlook.com --algo kmp "
                     "-j REJECT --reject-with tcp-reset",),
        ),
        Scenario(
            name="submission_dropped_by_nft", cause=Cause.TCP_DROPPED, responsible=GATEWAY, hidden=True,
            targets=("smtp", "smtp_office365"), nft=("iifname in0 tcp dport 587 drop",),
        ),
        Scenario(
            name="large_segments_of_clients_lost", cause=Cause.LARGE_HELLO_DROPPED, also=(Cause.MTU_BLACKHOLE,),
            responsible=GATEWAY, targets=IMPLICIT, hidden=True,
            nft=("iifname in0 tcp dport { 993, 995 } ip length > 1300 drop",),
        ),
        Scenario(
            name="tls_1_3_refused", cause=Cause.TLS_VERSION_BLOCKED, responsible=GATEWAY, targets=WEB, hidden=True,
            relay="tls_version_blocked", gateway=relayed(443),
        ),
        Scenario(
            name="mechanism_stripped", cause=Cause.AUTH_MECHANISM_STRIPPED, packets=_BY_ENDING_TLS, responsible=GATEWAY, hidden=True,
            targets=("smtp", "smtp_office365"), relay="auth_mechanism_stripped", gateway=relayed(587),
        ),
        Scenario(
            name="submission_rewritten", cause=Cause.PROTOCOL_REWRITTEN, packets=_BY_ENDING_TLS, responsible=GATEWAY, hidden=True,
            targets=("smtp", "smtp_office365"), relay="protocol_rewritten", gateway=relayed(587),
        ),
        Scenario(
            name="block_page", cause=Cause.BLOCK_PAGE, packets=_BY_ENDING_TLS, responsible=GATEWAY, hidden=True, relay="block_page",
            targets=(SIGN_IN_PERSONAL, SIGN_IN_WORK, "outlook_web", "outlook_office365", "activesync"),
            gateway=relayed(443),
        ),
        Scenario(
            name="tenant_restricted", cause=Cause.TENANT_RESTRICTED, packets=_BY_ENDING_TLS, responsible=GATEWAY, hidden=True,
            targets=(SIGN_IN_WORK,), relay="tenant_restricted", gateway=relayed(443),
        ),
        Scenario(
            name="certificates_expired", cause=Cause.CERTIFICATE_EXPIRED, responsible=MICROSOFT, everywhere=True,
            targets=MAIL, outlook="certificate_expired", hidden=True,
        ),
        Scenario(
            name="sign_in_slow", cause=Cause.SLOW_SIGN_IN, responsible=MICROSOFT, everywhere=True, hidden=True,
            targets=(SIGN_IN_WORK, SIGN_IN_PERSONAL), outlook="slow_sign_in",
        ),
    )
}  # fmt: skip

#: By programs that nobody here wrote, and the gateway's own memory: measured once before any rule was changed for it
#: (25 November 2026, afternoon).
REAL: dict[str, Scenario] = {
    each.name: each
    for each in (
        Scenario(
            name="mitmproxy_ends_tls", cause=Cause.TLS_INTERCEPTED, responsible=GATEWAY, targets=WEB, hidden=True,
            program="mitmproxy", gateway=redirected(443, MITMPROXY_PORT),
        ),
        Scenario(
            name="haproxy_ends_tls", cause=Cause.TLS_INTERCEPTED, responsible=GATEWAY, targets=IMPLICIT, hidden=True,
            program="haproxy", gateway=(*redirected(993, ENDS_TLS_PORT), *redirected(995, ENDS_TLS_PORT)),
        ),
        Scenario(
            name="haproxy_refuses_a_name", cause=Cause.SNI_RESET, responsible=GATEWAY, targets=(SIGN_IN_WORK,),
            hidden=True, program="haproxy", gateway=redirected(443, NAME_FILTER_PORT),
        ),
        Scenario(
            name="squid_opens_the_web_alone", cause=Cause.BLOCK_PAGE, responsible=GATEWAY, targets=MAIL, hidden=True,
            program="squid_that_opens_the_web", proxied=True,
        ),
        Scenario(
            name="squid_refuses_a_name", cause=Cause.BLOCK_PAGE, responsible=GATEWAY, targets=(SIGN_IN_PERSONAL,),
            hidden=True, program="squid_that_refuses_a_name", proxied=True,
        ),
        Scenario(
            name="squid_wants_credentials", cause=Cause.PROXY_AUTH_REQUIRED, responsible=Responsible.APPLIANCE,
            hidden=True, targets=tuple(TARGETS), program="squid_with_users", proxied=True,
        ),
        Scenario(
            name="name_led_to_nginx", cause=Cause.DNS_REDIRECTED, responsible=GATEWAY, targets=(SIGN_IN_PERSONAL,),
            hidden=True, program="nginx", packets=_BY_ENDING_TLS,
            dnsmasq=("address=/login.live.com/10.77.1.1", "local=/login.live.com/"),
        ),
        Scenario(
            name="postfix_takes_submission", cause=Cause.PROTOCOL_REWRITTEN, also=(Cause.STARTTLS_STRIPPED,),
            responsible=GATEWAY, targets=("smtp", "smtp_office365"), hidden=True,
            program="postfix", gateway=redirected(587, SUBMISSION_PORT),
        ),
        Scenario(
            name="long_tokens_dropped", cause=Cause.AUTH_DROPPED, responsible=GATEWAY, targets=IMPLICIT, hidden=True,
            gateway=(f"{_FROM_CLIENTS} -p tcp -m multiport --dports 993,995 -m connbytes --connbytes 2200: "
                     "--connbytes-dir original --connbytes-mode bytes -j DROP",),
        ),
        Scenario(
            name="idle_connections_forgotten", cause=Cause.IDLE_CUT, responsible=GATEWAY, targets=("imap",), hidden=True,
            forgets=15, gateway=(f"{_FROM_CLIENTS} -m conntrack --ctstate INVALID -j DROP",),
        ),
    )
}  # fmt: skip

_PROVIDERS_NAME_FILTER = "-A FORWARD -p tcp --dport 443 -m string --string login.microsoftonline.com --algo bm"

#: Twins of the first three: the other way of ending a connection, the other direction, the same beyond the gateway.
#: Measured once before any rule was changed for it (25 November 2026, night).
TWINS: dict[str, Scenario] = {
    each.name: each
    for each in (
        Scenario(
            name="answers_to_syns_dropped", cause=Cause.TCP_DROPPED, responsible=GATEWAY, targets=IMPLICIT, hidden=True,
            gateway=("-A FORWARD -i out0 -p tcp -m multiport --sports 993,995 -m tcp --tcp-flags SYN,ACK SYN,ACK -j DROP",),
        ),
        Scenario(
            name="name_reset_beyond", cause=Cause.SNI_RESET, responsible=NETWORK, targets=(SIGN_IN_WORK,), hidden=True,
            everywhere=True, provider=(f"{_PROVIDERS_NAME_FILTER} -j REJECT --reject-with tcp-reset",),
        ),
        Scenario(
            name="name_dropped_beyond", cause=Cause.SNI_DROPPED, responsible=NETWORK, targets=(SIGN_IN_WORK,),
            hidden=True, everywhere=True, provider=(f"{_PROVIDERS_NAME_FILTER} -j DROP",),
        ),
        Scenario(
            name="large_packets_lost_beyond", cause=Cause.MTU_BLACKHOLE, responsible=NETWORK, targets=IMPLICIT,
            hidden=True, everywhere=True,
            provider=("-A FORWARD -i out0 -p tcp -m multiport --sports 993,995 -m length --length 1300:65535 -j DROP",),
        ),
        Scenario(
            name="mail_ports_reset_beyond", cause=Cause.TCP_RESET, responsible=NETWORK, targets=MAIL, hidden=True,
            everywhere=True, provider=(f"-A FORWARD {_MAIL_PORTS} -j REJECT --reject-with tcp-reset",),
        ),
        Scenario(
            name="long_tokens_reset", cause=Cause.AUTH_DROPPED, responsible=GATEWAY, targets=IMPLICIT, hidden=True,
            gateway=(f"{_FROM_CLIENTS} -p tcp -m multiport --dports 993,995 -m connbytes --connbytes 2200: "
                     "--connbytes-dir original --connbytes-mode bytes -j REJECT --reject-with tcp-reset",),
        ),
        Scenario(
            name="starttls_command_reset", cause=Cause.STARTTLS_STRIPPED, responsible=GATEWAY, hidden=True,
            targets=("smtp", "smtp_office365"),
            gateway=(f"{_FROM_CLIENTS} -p tcp --dport 587 -m string --string STARTTLS --algo bm "
                     "-j REJECT --reject-with tcp-reset",),
        ),
        Scenario(
            name="starttls_command_dropped", cause=Cause.STARTTLS_STRIPPED, responsible=GATEWAY, hidden=True,
            targets=("smtp", "smtp_office365"),
            gateway=(f"{_FROM_CLIENTS} -p tcp --dport 587 -m string --string STARTTLS --algo bm -j DROP",),
        ),
        Scenario(
            name="large_hello_reset", cause=Cause.LARGE_HELLO_DROPPED, responsible=GATEWAY, targets=IMPLICIT, hidden=True,
            gateway=(f"{_FROM_CLIENTS} -p tcp -m multiport --dports 993,995 {_LARGE_HELLO} "
                     "-j REJECT --reject-with tcp-reset",),
        ),
        Scenario(
            name="every_outlook_name_dropped", cause=Cause.SNI_DROPPED, responsible=GATEWAY, targets=IMPLICIT, hidden=True,
            gateway=(f"{_FROM_CLIENTS} -p tcp -m multiport --dports 993,995 -m string --string outlook --algo bm -j DROP",),
        ),
        Scenario(
            name="dns_upstream_dead", cause=Cause.DNS_FAILURE, responsible=GATEWAY, targets=("imap",), hidden=True,
            dnsmasq=("server=/imap-mail.outlook.com/127.0.0.1#9",),
        ),
        Scenario(
            name="idle_connections_reset", cause=Cause.IDLE_CUT, responsible=GATEWAY, targets=("imap",), hidden=True,
            forgets=15,
            gateway=(f"{_FROM_CLIENTS} -p tcp -m conntrack --ctstate INVALID -j REJECT --reject-with tcp-reset",),
        ),
    )
}  # fmt: skip

_PAGES = (SIGN_IN_PERSONAL, SIGN_IN_WORK, "outlook_web", "outlook_office365", "activesync")
_APPLIANCE = Responsible.APPLIANCE
_WITH_IPV6 = "host-record=imap-mail.outlook.com,{imap-mail.outlook.com:all},2001:db8::77"

#: Rows of faults.md that the sets before have not. Measured once before any rule was changed for it (25 November 2026,
#: night).
ROWS: dict[str, Scenario] = {
    each.name: each
    for each in (
        Scenario(
            name="line_that_loses", cause=Cause.PACKET_LOSS, responsible=GATEWAY, targets=tuple(TARGETS), hidden=True,
            weather=(0.25, 0.0, 0.0), chance=True,
        ),
        Scenario(
            name="line_that_is_slow", cause=Cause.SLOW_PATH, responsible=GATEWAY, targets=tuple(TARGETS), hidden=True,
            weather=(0.0, 0.0, 0.4),
        ),
        Scenario(
            name="ipv6_ends_beyond", cause=Cause.IPV6_BROKEN, responsible=NETWORK, targets=("imap",), hidden=True,
            six=True, dnsmasq=(_WITH_IPV6,),
        ),
        Scenario(
            name="captive_portal", cause=Cause.CAPTIVE_PORTAL, packets=_BY_ENDING_TLS, responsible=GATEWAY, hidden=True,
            relay="captive_portal", targets=_PAGES, gateway=relayed(443),
        ),
        Scenario(
            name="root_not_trusted", cause=Cause.ROOT_NOT_TRUSTED, responsible=_APPLIANCE, targets=MAIL, hidden=True,
            everywhere=True, outlook="root_not_trusted",
        ),
        Scenario(
            name="certificates_not_yet_valid", cause=Cause.CERTIFICATE_NOT_YET_VALID, responsible=MICROSOFT,
            targets=MAIL, hidden=True, everywhere=True, outlook="certificate_not_yet_valid",
        ),
        Scenario(
            name="certificates_of_another_host", cause=Cause.CERTIFICATE_NAME_MISMATCH, responsible=MICROSOFT,
            targets=MAIL, hidden=True, everywhere=True, outlook="certificate_name_mismatch",
        ),
        Scenario(
            name="chains_incomplete", cause=Cause.CERTIFICATE_CHAIN_INCOMPLETE, responsible=MICROSOFT, targets=MAIL,
            hidden=True, everywhere=True, outlook="certificate_chain_incomplete",
        ),
        Scenario(
            name="clock_wrong", cause=Cause.CLOCK_SKEW, responsible=_APPLIANCE, hidden=True, everywhere=True,
            targets=tuple(name for name in TARGETS if name not in IMPLICIT), outlook="clock_skew",  # those tell no date
        ),
        Scenario(
            name="mail_servers_slow", cause=Cause.SLOW_SERVICE, responsible=MICROSOFT, hidden=True, everywhere=True,
            targets=MAIL, outlook="slow_service.greeting",
        ),
    )
}  # fmt: skip

_PAIRS = (
    together("mail_intercepted_and_name_unknown", FIRST["mail_intercepted"], FIRST["dns_nxdomain"]),
    together("starttls_stripped_and_name_reset", FIRST["starttls_stripped"], FIRST["name_reset"]),
    together("name_dropped_and_mail_reset", FIRST["name_dropped"], FIRST["mail_ports_reset"]),
)

SCENARIOS: dict[str, Scenario] = {**FIRST, **SECOND, **REAL, **TWINS, **ROWS, **{each.name: each for each in _PAIRS}}
