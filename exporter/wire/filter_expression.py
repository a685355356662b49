"""The kernel's filter in the language of tcpdump (pcap-filter(7)), to capture with other tools what we are shown.

It says the same but for IPv6 extension headers, PPPoE, segments merged beyond what IP's length can say, and tags: a
capture of frames with a VLAN tag in them needs `with_vlan`, where the kernel took it off the plain form is right.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.wire.kernel_filter import (
    END_OF_EARLY_DATA,
    FINISHED,
    MAX_KNOWN,
    SHORT,
    SHORTEST_WITH_FINISHED,
    FilterSpec,
)


@dataclass(frozen=True, slots=True)
class _Words:
    """How the language gets at a TCP segment's fields; `tcp[]` is IPv4's only."""

    family: str
    flags: str
    length: str
    payload: str


_IPV4 = _Words(
    family="ip and tcp",
    flags="tcp[13]",
    length="(ip[2:2] - ((ip[0] & 0x0f) << 2) - ((tcp[12] & 0xf0) >> 2))",
    payload="tcp[((tcp[12] & 0xf0) >> 2):{}]",
)
_IPV6 = _Words(
    family="ip6 and ip6[6] = 6",
    flags="ip6[53]",
    length="(ip6[4:2] - ((ip6[52] & 0xf0) >> 2))",
    payload="ip6[(40 + ((ip6[52] & 0xf0) >> 2)):{}]",
)
_OTHERS = (
    "(udp src port 53)",
    "(ip and udp dst port 443 and udp[4:2] > 8 and udp[8] & 0xe0 = 0xc0)",
    "(ip6 and udp dst port 443 and ip6[6] = 17 and ip6[44:2] > 8 and ip6[48] & 0xe0 = 0xc0)",
    "(icmp and (icmp[0] = 3 or icmp[0] = 11 or icmp[0] = 12) and icmp[17] = 6)",
    "(ip6 and ip6[6] = 58 and ip6[40] > 0 and ip6[40] < 5 and ip6[54] = 6)",
)


def expression(spec: FilterSpec, *, with_vlan: bool = False) -> str:
    """The filter as one expression."""
    plain = " or ".join((_tcp(_IPV4, spec), _tcp(_IPV6, spec), *_OTHERS))
    return f"{plain} or (vlan and ({plain}))" if with_vlan else plain


def _tcp(words: _Words, spec: FilterSpec) -> str:
    """Flags first: a load past a packet's end rejects it."""
    tls = spec.mail | spec.web
    both = spec.known is None
    ends = f"{words.flags} & 7 != 0" + ("" if spec.anywhere else f" and ({_ports('', tls | spec.plain)})")
    handshake = " or ".join(f"{words.payload.format(2)} = {head}" for head in ("0x1603", "0x1503", "0x1403"))
    where = f"{words.length} >= 5" if spec.anywhere else f"({_ports('', tls)})"
    tail = f"({words.flags} & 8 != 0 or {words.length} < {SHORT})"
    parts = [
        f"({_ports('', tls)}) and {words.length} < 5",
        f"{where} and ({handshake})",
        f"({_ports('', tls if both else spec.mail)}) and {_at_least(words, 2, '= 0x1703')}",
        f"({_ports('dst ', tls)}) and {_at_least(words, 2, '!= 0x1703')} and {tail}",
        f"({_ports('dst ', spec.web)}) and {_at_least(words, 2, '= 0x1703')} and ({_finished(words)})",
        f"({_ports('src ', tls)}) and {tail} and {words.length} >= 5 and {words.payload.format(4)} & 0x80808080 = 0"
        f" and ({words.payload.format(2)} + 0x6060) & 0x8080 = 0x8080",
        *(_known(words, spec)),
    ]
    if spec.anywhere:
        elsewhere = f"not ({_ports('', tls)})"
        parts.append(f"{elsewhere} and {_at_least(words, 2, '= 0x1703')} and {_finished(words, alone=True)}")
    payload = " or ".join(f"({part})" for part in parts)
    return f"({words.family} and (({ends}) or ({words.flags} & 7 = 0 and {words.length} > 0 and ({payload}))))"


def _finished(words: _Words, *, alone: bool = False) -> str:
    """A record's length, behind its type and version. `alone`: of either side, where no port tells which."""
    length = words.payload.replace("):{}]", ") + 3:2]")
    within = f"({length} >= {FINISHED.start} and {length} < {FINISHED.stop})"
    if alone:
        return f"({within} or ({length} < {FINISHED.start} and {words.length} >= {SHORTEST_WITH_FINISHED}))"
    return f"{length} = {END_OF_EARLY_DATA} or {within}"


def _at_least(words: _Words, size: int, comparison: str) -> str:
    return f"{words.length} >= 5 and {words.payload.format(size)} {comparison}"


def _known(words: _Words, spec: FilterSpec) -> Iterable[str]:
    version = 4 if words is _IPV4 else 6
    for network in [each for each in spec.known or () if each.version == version][: MAX_KNOWN[version]]:
        for direction in ("src", "dst"):
            there = f"({_ports(direction + ' ', spec.web)}) and {direction} net {network}"
            yield f"{there} and {_at_least(words, 2, '= 0x1703')}"


def _ports(direction: str, ports: Iterable[int]) -> str:
    return " or ".join(f"tcp {direction}port {port}" for port in sorted(ports)) or "tcp port 0"
