"""`--allowlist`: rules that would let through exactly what failed, by name, port and Microsoft's published addresses.

The optional rows that mail and personal sign-in need, and that a gateway which opens only what is required forgets,
stand behind as comments. Pure: text in a filter's own language.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from exporter.diagnosis.endpoints import Network, Row, endpoints
from exporter.observations import Probe, Verdict
from exporter.vocabulary import Cause, Responsible

#: Causes that a rule of a filter can mend.
OPENABLE = frozenset(
    {
        Cause.DNS_FAILURE, Cause.DNS_REDIRECTED, Cause.TCP_DROPPED, Cause.TCP_RESET, Cause.TCP_UNREACHABLE,
        Cause.SNI_RESET, Cause.SNI_DROPPED, Cause.TLS_RESET, Cause.LARGE_HELLO_DROPPED, Cause.TLS_INTERCEPTED,
        Cause.TLS_VERSION_BLOCKED, Cause.STARTTLS_STRIPPED, Cause.AUTH_MECHANISM_STRIPPED, Cause.PROTOCOL_REWRITTEN,
        Cause.BLOCK_PAGE, Cause.CAPTIVE_PORTAL, Cause.AUTH_DROPPED, Cause.TENANT_RESTRICTED, Cause.PARTIAL_OUTAGE,
        Cause.IPV6_BROKEN, Cause.IDLE_CUT, Cause.MTU_BLACKHOLE,
    }
)  # fmt: skip
#: Causes that only an exception from TLS inspection mends.
INSPECTED = frozenset(
    {
        Cause.TLS_INTERCEPTED, Cause.TENANT_RESTRICTED, Cause.AUTH_MECHANISM_STRIPPED, Cause.PROTOCOL_REWRITTEN,
        Cause.LARGE_HELLO_DROPPED, Cause.BLOCK_PAGE, Cause.SNI_RESET, Cause.SNI_DROPPED, Cause.TLS_VERSION_BLOCKED,
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """A place that failed. `networks`: published; where there are none, `seen`: the addresses it has now."""

    target: str
    host: str
    port: int
    networks: tuple[Network, ...]
    seen: tuple[str, ...]
    inspected: bool


def wanted(verdicts: Iterable[Verdict], probes: Iterable[Probe]) -> list[Wanted]:
    """The places behind verdicts that a rule can mend, each once."""
    by_way = {(probe.target, probe.vantage): probe for probe in probes}
    found: dict[tuple[str, int], Wanted] = {}
    for verdict in verdicts:
        probe = by_way.get((verdict.target, verdict.vantage))
        if probe is None or verdict.cause not in OPENABLE or verdict.responsible is Responsible.MICROSOFT:
            continue
        before = found.get((probe.host, probe.port))
        inspected = verdict.cause in INSPECTED or (before is not None and before.inspected)
        networks = endpoints().networks_of(probe.host, probe.port)
        addresses = dict.fromkeys([*(before.seen if before else ()), *(each.address for each in probe.addresses)])
        found[probe.host, probe.port] = Wanted(
            probe.target, probe.host, probe.port, networks, tuple(addresses), inspected
        )
    return list(found.values())


def allowlist(form: str, verdicts: Sequence[Verdict], probes: Sequence[Probe]) -> str:
    """The rules in the language of `form`: nftables, squid or text."""
    return _FORMS[form](wanted(verdicts, probes))


def _heading(mark: str, places: Sequence[Wanted]) -> list[str]:
    what = "what failed" if places else "nothing that a rule could mend failed"
    return [
        f"{mark} outlook-auth-exporter: {what}; by Microsoft's endpoint list, edition {endpoints().edition}.",
        f"{mark} Compare with https://learn.microsoft.com/microsoft-365/enterprise/urls-and-ip-address-ranges",
    ]


def _where(place: Wanted) -> str:
    row = endpoints().covering(place.host, place.port)
    if row is not None:
        return f"row id {row.id}, {row.category}, {'required' if row.required else 'optional'}"
    return "in no row of the list"


# --- nftables


def _nftables(places: list[Wanted]) -> str:
    lines = [
        *_heading("#", places),
        "# Load with nft -f, after putting your own table and chain in: rules are inserted in front of what drops.",
        "add table inet filter",
        "add chain inet filter forward",
    ]
    for place in places:
        lines += ["", f"# {place.target}: {place.host} TCP {place.port} ({_where(place)})"]
        lines += _nft_rules(place)
    lines += ["", "# Optional rows that mail and personal sign-in need:"]
    for row in endpoints().optional:
        lines.append(f"# id {row.id}: {', '.join(row.hosts)} TCP {', '.join(map(str, row.ports))}: {row.about}")
        lines += [f"# {line}" for line in _nft_for(row.networks, row.ports)]
        if not row.networks:
            lines.append("#   no published addresses: match by name, in a proxy or by DNS")
    return "\n".join([*lines, ""])


def _nft_rules(place: Wanted) -> list[str]:
    if place.networks:
        return _nft_for(place.networks, (place.port,))
    note = "# no published addresses: these are the ones it has now; a proxy or DNS set matches by name"
    return [note, *_nft_for(place.seen, (place.port,))]


def _nft_for(networks: Sequence[Network | str], ports: Sequence[int]) -> list[str]:
    dport = str(ports[0]) if len(ports) == 1 else f"{{ {', '.join(map(str, ports))} }}"
    rules = []
    for family, mark in (("ip", "."), ("ip6", ":")):
        own = [str(network) for network in networks if (":" in str(network)) is (mark == ":")]
        if own:
            daddr = ", ".join(own)
            rules.append(f"insert rule inet filter forward {family} daddr {{ {daddr} }} tcp dport {dport} accept")
    return rules


# --- squid


def _squid(places: list[Wanted]) -> str:
    lines = [*_heading("#", places), "# Put these in front of squid.conf's own http_access rules."]
    for number, place in enumerate(places, start=1):
        acl = f"outlook_{number}"
        lines += [
            "",
            f"# {place.target}: {place.host} TCP {place.port} ({_where(place)})",
            f"acl {acl}_host dstdomain {place.host}",
            f"acl {acl}_port port {place.port}",
            f"acl SSL_ports port {place.port}",
            f"acl Safe_ports port {place.port}",
            f"http_access allow CONNECT {acl}_host {acl}_port",
        ]
        if place.port == 80:
            lines.append(f"http_access allow {acl}_host {acl}_port")
        if place.inspected:
            lines += [
                "# Where ssl_bump inspects, before any bump:",
                f"# acl {acl}_name ssl::server_name {place.host}",
                f"# ssl_bump splice {acl}_name",
            ]
    lines += ["", "# Optional rows that mail and personal sign-in need:"]
    for row in endpoints().optional:
        hosts = " ".join(host.removeprefix("*") for host in row.hosts)
        lines.append(f"# id {row.id}: {row.about}")
        lines.append(f"# acl outlook_row_{row.id} dstdomain {hosts}")
        lines.append(f"# acl outlook_row_{row.id}_port port {' '.join(map(str, row.ports))}")
        lines.append(f"# http_access allow CONNECT outlook_row_{row.id} outlook_row_{row.id}_port")
    return "\n".join([*lines, ""])


# --- text


def _text(places: list[Wanted]) -> str:
    lines = _heading("#", places)
    for place in places:
        lines += ["", f"{place.host} TCP {place.port}  ({place.target}; {_where(place)})"]
        if place.networks:
            lines += [f"  {network}" for network in place.networks]
        else:
            lines.append(f"  no published addresses; now: {', '.join(place.seen) or 'none known'}")
        if place.inspected:
            lines.append("  without TLS inspection")
    lines += ["", "# Optional rows that mail and personal sign-in need:"]
    lines += [_row_text(row) for row in endpoints().optional]
    return "\n".join([*lines, ""])


def _row_text(row: Row) -> str:
    return f"# id {row.id} ({row.category}): {', '.join(row.hosts)} TCP {', '.join(map(str, row.ports))}: {row.about}"


_FORMS: dict[str, Callable[[list[Wanted]], str]] = {"nftables": _nftables, "squid": _squid, "text": _text}
#: What `--allowlist` takes.
FORMS = tuple(_FORMS)
