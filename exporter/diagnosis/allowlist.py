"""`--allowlist`: rules that would let through exactly what failed, by name, port and Microsoft's published addresses.

The optional rows that mail and personal sign-in need, and that a gateway which opens only what is required forgets,
stand behind as comments. Pure: text in a filter's own language.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from exporter.catalogue import TARGETS
from exporter.diagnosis.endpoints import Network, Row, endpoints
from exporter.diagnosis.tap import WIRE, with_targets
from exporter.observations import Connection, Probe, Verdict
from exporter.vocabulary import Cause, Outcome, Responsible

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
    """A place that failed. `networks`: published; where there are none, `seen`: the addresses it has now.

    `unresolved`: its name doesn't resolve, or wrongly, which rules for addresses don't mend.
    """

    target: str
    host: str
    port: int
    networks: tuple[Network, ...]
    seen: tuple[str, ...]
    inspected: bool
    unresolved: bool = False


#: Causes of the name, which come first.
_OF_THE_NAME = frozenset({Cause.DNS_FAILURE, Cause.DNS_REDIRECTED})


def wanted(
    verdicts: Iterable[Verdict], probes: Iterable[Probe], connections: Iterable[Connection] = ()
) -> list[Wanted]:
    """The places behind verdicts that a rule can mend, each once. Where no probe went, the connections tell."""
    by_way = {(probe.target, probe.vantage): probe for probe in probes}
    known = list(connections)
    found: dict[tuple[str, int], Wanted] = {}
    for verdict in verdicts:
        if verdict.cause not in OPENABLE or verdict.responsible is Responsible.MICROSOFT:
            continue
        probe = by_way.get((verdict.target, verdict.vantage))
        places = _probed(probe) if probe is not None else _connected(verdict, known)
        for host, port, addresses in places:
            found[host, port] = _merged(found.get((host, port)), verdict, host, port, addresses)
    return list(found.values())


Place = tuple[str, int, list[str]]


def _probed(probe: Probe) -> Iterator[Place]:
    """The hosts of the target that failed: where it has several, its worst isn't all."""
    yield probe.host, probe.port, [each.address for each in probe.addresses]
    for each in probe.hosts:
        if each.host != probe.host and each.outcome not in (Outcome.OK, Outcome.SKIPPED):
            yield each.host, probe.port, []


def _connected(verdict: Verdict, connections: Sequence[Connection]) -> Iterator[Place]:
    """Where clients' connections to the target went. Names and addresses that packets bear never become rules: the
    hosts are the catalogue's, the addresses those published."""
    target = TARGETS.get(verdict.target)
    if target is None or not verdict.vantage.startswith(WIRE):
        return
    named = {each.sni for each in with_targets(connections) if each.target == verdict.target}
    for host in [host for host in target.hosts if host in named] or [target.host]:
        yield host, target.port, []


def _merged(before: Wanted | None, verdict: Verdict, host: str, port: int, addresses: Sequence[str]) -> Wanted:
    networks = endpoints().networks_of(host, port)
    seen = dict.fromkeys([*(before.seen if before else ()), *addresses])
    if verdict.cause is Cause.IPV6_BROKEN and before is None:
        networks = tuple(network for network in networks if network.version == 6)
        seen = dict.fromkeys(address for address in seen if ":" in address)
    name = verdict.cause in _OF_THE_NAME
    return Wanted(
        target=verdict.target,
        host=host,
        port=port,
        networks=networks,
        seen=() if name and not networks and verdict.cause is Cause.DNS_REDIRECTED else tuple(seen),
        inspected=verdict.cause in INSPECTED or (before is not None and before.inspected),
        unresolved=name or (before is not None and before.unresolved),
    )


def allowlist(
    form: str, verdicts: Sequence[Verdict], probes: Sequence[Probe], connections: Sequence[Connection] = ()
) -> str:
    """The rules in the language of `form`: nftables, squid or text."""
    return _FORMS[form](wanted(verdicts, probes, connections))


def _optional() -> tuple[Row, ...]:
    """The optional rows, and what personal mail needs besides and no row has."""
    known = endpoints()
    hosts = tuple(sorted(known.like_exchange))
    ports = tuple(sorted({target.port for target in TARGETS.values() if target.host in known.like_exchange}))
    about = "personal mailboxes (Outlook.com) in mail programs, at Exchange Online's addresses"
    return (*known.optional, Row(0, "no row", False, hosts, ports, known.ranges["exchange"], about))


def _id(row: Row) -> str:
    return f"id {row.id}" if row.id else "in no row"


def _heading(mark: str, places: Sequence[Wanted]) -> list[str]:
    what = "what failed" if places else "nothing that a rule could mend failed"
    return [
        f"{mark} outlook-auth-exporter: {what}; by Microsoft's endpoint list, edition {endpoints().edition}.",
        f"{mark} Compare with https://learn.microsoft.com/microsoft-365/enterprise/urls-and-ip-address-ranges",
    ]


def _first(mark: str, place: Wanted) -> list[str]:
    """What has to be mended before a rule helps."""
    return [f"{mark} Its name has to resolve first: see the resolver's filter."] if place.unresolved else []


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
        lines += ["", f"# {place.target}: {place.host} TCP {place.port} ({_where(place)})", *_first("#", place)]
        lines += _nft_rules(place)
    lines += ["", "# Optional rows that mail and personal sign-in need:"]
    for row in _optional():
        lines.append(f"# {_id(row)}: {', '.join(row.hosts)} TCP {', '.join(map(str, row.ports))}: {row.about}")
        lines += [f"# {line}" for line in _nft_for(row.networks, row.ports)]
        if not row.networks:
            lines.append("#   no published addresses: match by name, in a proxy or by DNS")
    return "\n".join([*lines, ""])


def _nft_rules(place: Wanted) -> list[str]:
    if place.networks:
        return _nft_for(place.networks, (place.port,))
    if not place.seen:
        return ["# no published addresses, and none known: match by name, in a proxy or by DNS"]
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
            *_first("#", place),
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
    for row in _optional():
        hosts = " ".join(host.removeprefix("*") for host in row.hosts)
        lines.append(f"# {_id(row)}: {row.about}")
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
        lines += _first("  #", place)
    lines += ["", "# Optional rows that mail and personal sign-in need:"]
    lines += [_row_text(row) for row in _optional()]
    return "\n".join([*lines, ""])


def _row_text(row: Row) -> str:
    return f"# {_id(row)} ({row.category}): {', '.join(row.hosts)} TCP {', '.join(map(str, row.ports))}: {row.about}"


_FORMS: dict[str, Callable[[list[Wanted]], str]] = {"nftables": _nftables, "squid": _squid, "text": _text}
#: What `--allowlist` takes.
FORMS = tuple(_FORMS)
