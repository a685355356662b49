"""What the gateway's inside interface is: its kind, and the addresses that clients know the gateway by."""

import ipaddress
from dataclasses import dataclass
from typing import Any

from exporter.client_view.command import ClientViewError, ask

#: IPv4 or IPv6 address with its prefix length, as on an interface.
Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """`device` is what clients' packets are routed by: the interface itself, or the bridge it is a port of."""

    device: str
    bridge: bool
    ethernet: bool
    mac: str
    mtu: int
    spanning_tree: bool
    gateways: tuple[Interface, ...]  # at most one of each family, IPv4 first


def look(interface: str) -> Inside:
    """Raises ClientViewError: no such interface, or one that can't be an inside."""
    link = _link(interface)
    if link.get("linkinfo", {}).get("info_slave_kind") == "bridge":
        link = _link(str(link["master"]))
    device = str(link["ifname"])
    if link.get("link_type") == "loopback":
        raise ClientViewError(f"{device}: is the loopback interface; name the one to the clients")
    if "UP" not in link.get("flags", []):
        raise ClientViewError(f"{device}: is down; `ip link set {device} up`")
    gateways = _gateways(device)
    if not gateways:
        master = link.get("master")
        hint = f"it belongs to {master}: name that one" if master else "clients' gateway address is expected there"
        raise ClientViewError(f"{device}: has no address; {hint}")
    info = link.get("linkinfo", {})
    return Inside(
        device=device,
        bridge=info.get("info_kind") == "bridge",
        ethernet=link.get("link_type") == "ether",
        mac=str(link.get("address", "")),
        mtu=int(link["mtu"]),
        spanning_tree=bool(info.get("info_data", {}).get("stp_state")),
        gateways=gateways,
    )


def exists(interface: str) -> bool:
    """Whether there is an interface of that name here."""
    return bool(ask("ip", "link", "show", "dev", interface))


def _link(interface: str) -> dict[str, Any]:
    found = ask("ip", "-d", "link", "show", "dev", interface) if interface else []
    if not found:
        others = ", ".join(str(each["ifname"]) for each in ask("ip", "link", "show") if each.get("ifname") != "lo")
        raise ClientViewError(f"{interface}: no such interface; there are {others or 'none'}")
    return found[0]


def _gateways(device: str) -> tuple[Interface, ...]:
    """The first global IPv4 address, and the best IPv6 one: public before unique local (RFC 4193), none temporary."""
    found: dict[int, list[Interface]] = {4: [], 6: []}
    for link in ask("ip", "address", "show", "dev", device):
        for each in link.get("addr_info", []):
            if each.get("scope") == "global" and not each.keys() & {
                "temporary",
                "deprecated",
                "tentative",
                "dadfailed",
            }:
                address = ipaddress.ip_interface(f"{each['local']}/{each['prefixlen']}")
                found[address.version].append(address)
    found[6].sort(key=lambda address: address.is_private)
    return tuple(addresses[0] for addresses in found.values() if addresses)
