"""How the namespace is joined to the inside network, so that its packets meet the rules that a client's meet.

Which rules see a packet is decided by the interface it comes in by, and that differs by construction:

* **bridge**: the inside interface is a bridge, or a port of one. A veth pair's end becomes another port: exactly a
  client, in every hook, of the bridge and of routing.
* **redirect**: any other Ethernet interface (NIC, VLAN, bond, Wi-Fi). What the namespace sends is handed by tc (mirred)
  to the *ingress* of the inside interface, as if it had come in by the wire: taps, netdev, prerouting and forward hooks
  see the inside interface's name. Replies leave by the inside interface; there a tc filter for the view's own address
  mirrors them to the namespace. (Redirecting them would hide them from captures on that interface, which come after.)
  All ends bear the interface's own MAC address, as the frames' pkt_type demands; so the mirrored original is addressed
  to the port it came from, and a switch drops it.
* **routed**: what has no Ethernet frames, or a kernel without clsact, u32 or mirred. The veth's end is an interface of
  its own: rules by address match, rules by the inside interface's name (iif, iifname, -i) do not; the output says so.

Why no macvlan: in bridge, private and passthru mode it never reaches the gateway's own stack, and VEPA needs a switch
that sends frames back (802.1Qbg). Making the inside interface a port of a new bridge would be exact, but moves the
gateway's address and drops its clients' connections.
"""

import ipaddress
from collections.abc import Iterator
from typing import Any

from exporter.client_view.command import ask, attempt, run
from exporter.client_view.inner import settle
from exporter.client_view.inside import Interface, exists
from exporter.client_view.marker import Plan

#: An IPv4 or IPv6 address.
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: The namespace's only interface besides lo.
INNER = "eth0"
_FIRST_PREFERENCE, _LAST_PREFERENCE = 44_000, 44_998
#: An address that only the veth's own end has; the gateway's isn't answered for there (RFC 4861, 7.2.3).
_ROUTED_GATEWAY = "fe80::1"


def build(plan: Plan) -> None:
    """From lo to default routes; every step may have been done before. Raises ClientViewError."""
    if not exists(plan.host_end):
        words = ("name", INNER, "mtu", str(plan.mtu), "netns", plan.name)
        own = ("address", _port_mac(plan), "mtu", str(plan.mtu))
        run("ip", "link", "add", plan.host_end, *own, "type", "veth", "peer", *words)
    run("ip", "-n", plan.name, "link", "set", "lo", "up")
    {"bridge": _as_port, "redirect": _redirected, "routed": _routed}[plan.how](plan)
    run("ip", "link", "set", plan.host_end, "up")
    settle(plan.name, INNER)
    run("ip", "-n", plan.name, "link", "set", INNER, "up")
    for address, gateway in _pairs(plan):
        _address(plan, address, gateway)


def tear_down(plan: Plan) -> None:
    """All that `build` made and the machine still has; each step may have been done before."""
    if plan.how == "redirect" and exists(plan.device):
        for address, preference in _preferences(plan):
            _forget_filter(plan, preference)
            attempt("ip", "neigh", "del", str(address.ip), "dev", plan.device)
        if plan.made_clsact and not _filters(plan.device, "egress") + _filters(plan.device, "ingress"):
            attempt("tc", "qdisc", "del", "dev", plan.device, "clsact")
    if exists(plan.host_end):
        run("ip", "link", "del", plan.host_end)


def has_clsact(device: str) -> bool:
    """Whether somebody already attached the qdisc that redirecting needs."""
    return any(each.get("kind") == "clsact" for each in ask("tc", "qdisc", "show", "dev", device))


def has_ingress(device: str) -> bool:
    """Its older form, which excludes clsact and has no egress side."""
    return any(each.get("kind") == "ingress" for each in ask("tc", "qdisc", "show", "dev", device))


def free_preference(device: str) -> int:
    """Two preferences in a row that no filter of the device's egress has."""
    taken = {each.get("pref") for each in _filters(device, "egress")}
    free = (each for each in range(_FIRST_PREFERENCE, _LAST_PREFERENCE, 2) if not taken & {each, each + 1})
    return next(free, _LAST_PREFERENCE)


def _as_port(plan: Plan) -> None:
    run("ip", "link", "set", plan.host_end, "addrgenmode", "none")
    run("ip", "link", "set", plan.host_end, "master", plan.device)


def _redirected(plan: Plan) -> None:
    for where in ((), ("-n", plan.name)):
        end = INNER if where else plan.host_end
        run("ip", *where, "link", "set", end, "address", plan.mac, "addrgenmode", "none")
    for device in (plan.host_end, plan.device):
        if not has_clsact(device):
            run("tc", "qdisc", "add", "dev", device, "clsact")
    if not _leads(plan.host_end, "ingress", plan.device):
        _hand_over(plan)
    for address, preference in _preferences(plan):
        if not _leads(plan.device, "egress", plan.host_end, preference):
            _copy_replies(plan, address, preference)
        run("ip", "neigh", "replace", str(address.ip), "lladdr", plan.mac, "dev", plan.device, "nud", "permanent")


def _hand_over(plan: Plan) -> None:
    """What the namespace sends, to the ingress of the inside interface."""
    attempt("tc", "filter", "del", "dev", plan.host_end, "ingress")
    everything = ("protocol", "all", "pref", "1", "u32", "match", "u32", "0", "0")
    handed_over = ("action", "mirred", "ingress", "redirect", "dev", plan.device)
    run("tc", "filter", "add", "dev", plan.host_end, "ingress", *everything, *handed_over)


def _copy_replies(plan: Plan, address: Interface, preference: int) -> None:
    """What leaves the inside interface for the view's address, to the namespace. Others' filters go on behind ours."""
    _forget_filter(plan, preference)
    protocol, match = ("ip", "ip") if address.version == 4 else ("ipv6", "ip6")
    matched = ("u32", "match", match, "dst", f"{address.ip}/{address.max_prefixlen}")
    copied = ("action", "mirred", "egress", "mirror", "dev", plan.host_end, "continue")
    at = ("dev", plan.device, "egress", "protocol", protocol, "pref", str(preference))
    run("tc", "filter", "add", *at, *matched, *copied)


def _routed(plan: Plan) -> None:
    run("ip", "link", "set", plan.host_end, "up")
    for address, _ in _pairs(plan):
        if address.version == 6:
            run("ip", "-6", "address", "replace", f"{_ROUTED_GATEWAY}/64", "dev", plan.host_end, "nodad")
        run("ip", "route", "replace", f"{address.ip}/{address.max_prefixlen}", "dev", plan.host_end)


def _address(plan: Plan, address: Interface, gateway: Address) -> None:
    own, via = str(address), str(gateway)
    if plan.how == "routed":
        own = f"{address.ip}/{address.max_prefixlen}"
        via = via if address.version == 4 else _ROUTED_GATEWAY
    nodad = ("nodad",) if address.version == 6 else ()
    run("ip", "-n", plan.name, "address", "replace", own, "dev", INNER, *nodad)
    if plan.how != "bridge":  # nobody may answer there for the gateway (arp_ignore)
        mac = plan.mac if plan.how == "redirect" else _mac(plan.host_end)
        run("ip", "-n", plan.name, "neigh", "replace", via, "lladdr", mac, "dev", INNER, "nud", "permanent")
    family = f"-{address.version}"
    run("ip", "-n", plan.name, family, "route", "replace", "default", "via", via, "dev", INNER, "onlink")


def _pairs(plan: Plan) -> Iterator[tuple[Interface, Address]]:
    for address, gateway in zip(plan.addresses, plan.gateways, strict=True):
        yield ipaddress.ip_interface(address), ipaddress.ip_address(gateway)


def _preferences(plan: Plan) -> Iterator[tuple[Interface, int]]:
    for address, _ in _pairs(plan):
        yield address, plan.first_preference + (address.version == 6)


def _leads(device: str, side: str, to: str, preference: int = 1) -> bool:
    """Whether our filter is in place, and its end is the one that exists now."""
    return any(
        each.get("pref") == preference and action.get("to_dev") == to
        for each in _filters(device, side)
        for action in each.get("options", {}).get("actions", [])
    )


def _forget_filter(plan: Plan, preference: int) -> None:
    """Ours: the preference was free when it was planned, and is written in the marker."""
    attempt("tc", "filter", "del", "dev", plan.device, "egress", "pref", str(preference))


def _port_mac(plan: Plan) -> str:
    """A bridge takes the lowest MAC address of its ports: one that begins with fe doesn't change it for its clients."""
    tail = plan.host_end.removeprefix("oae-").rjust(10, "0")
    return "fe:" + ":".join(tail[place : place + 2] for place in range(0, 10, 2))


def _mac(interface: str) -> str:
    return next((str(link["address"]) for link in ask("ip", "link", "show", "dev", interface)), "")


def _filters(device: str, side: str) -> list[dict[str, Any]]:
    return ask("tc", "filter", "show", "dev", device, side)
