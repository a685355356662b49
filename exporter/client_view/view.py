"""`vantage create NAME --inside IF` and `vantage remove NAME`, step by step.

The plan is written down first (marker), then made; so whatever a crash leaves, `remove` finds it, and `create` goes on
with it. Namespaces, files and interfaces that no marker of ours names are never touched.
"""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from exporter.client_view import addresses as addressing
from exporter.client_view import joining, marker
from exporter.client_view import resolver as resolving
from exporter.client_view.command import ClientViewError, run
from exporter.client_view.inner import NETNS, is_namespace
from exporter.client_view.inside import Inside, exists, look
from exporter.client_view.marker import Plan

#: Where `ip netns exec` looks for a namespace's own files.
NETNS_FILES = Path("/etc/netns")

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_CONSTRUCTIONS = ("bridge", "redirect", "routed")


def create(
    name: str, inside: str, *, addresses: Sequence[str] = (), resolvers: Sequence[str] = (), how: str | None = None
) -> str:
    """Makes the view, or what a crash left out of it; what was made and what to know of it, as text for people.

    `addresses`: those of the namespace, by default a free one of each family. `resolvers`: likewise. `how`: bridge,
    redirect or routed (see `joining`), by default the nearest to a client that the interface allows.
    Raises ClientViewError with one clear line; a view that couldn't be made is removed again.
    """
    _check(name, "create")
    if how not in (None, *_CONSTRUCTIONS):
        raise ClientViewError(f"{how}: no construction; there are {', '.join(_CONSTRUCTIONS)}")
    with marker.locked(NETNS_FILES):
        plan = marker.read(NETNS_FILES, name)
        if plan is not None:
            return _create_again(plan, inside)
        _check_not_taken(name)
        facts = look(inside)
        plan = _planned(name, inside, facts, addresses, resolvers, how)
        return _create_new(plan, facts, fall_back=how is None)


def remove(name: str) -> str:
    """Removes what `create` made, also after a crash half-way; text for people.

    Raises ClientViewError where something of that name isn't ours.
    """
    _check(name, "remove")
    with marker.locked(NETNS_FILES):
        plan = marker.read(NETNS_FILES, name)
        if plan is None:
            marker.erase_half_made(NETNS_FILES, name)
            _check_not_taken(name)
            return f"{name}: there is no such client's view; nothing to remove"
        _remove(plan)
        return f"{name}: removed"


def _create_again(plan: Plan, inside: str) -> str:
    if plan.inside != inside:
        raise ClientViewError(f"{plan.name}: is a view of {plan.inside} already; remove it first")
    facts = look(inside)
    if (plan.how == "redirect" and plan.mac != facts.mac) or plan.gateways != tuple(str(a.ip) for a in facts.gateways):
        raise ClientViewError(f"{plan.name}: {inside} has changed since it was made; remove it, then create it again")
    if plan.boot != marker.this_boot():
        _check_after_restart(plan)
        plan = _renewed(plan)
        marker.write_again(NETNS_FILES, plan)
    _make(plan)
    return _told(plan, facts)


def _create_new(plan: Plan, facts: Inside, *, fall_back: bool) -> str:
    """Makes it; where redirecting isn't possible here, routed. Removes it again where neither is."""
    try:
        plan = marker.write_new(NETNS_FILES, plan)
        _make(plan)
    except BaseException as error:
        if (written := marker.read(NETNS_FILES, plan.name)) is not None:
            _remove(written)
        if isinstance(error, ClientViewError) and fall_back and plan.how == "redirect":
            routed = replace(plan, how="routed", made_clsact=False, first_preference=0)
            return f"{_create_new(routed, facts, fall_back=False)}\n(Redirecting isn't possible here: {error})"
        raise
    return _told(plan, facts)


def _planned(
    name: str, inside: str, facts: Inside, addresses: Sequence[str], resolvers: Sequence[str], how: str | None
) -> Plan:
    how = how or _nearest(facts)
    redirect = how == "redirect"
    taken = {address.partition("/")[0] for other in marker.read_all(NETNS_FILES) for address in other.addresses}
    return Plan(
        name=name,
        boot=marker.this_boot(),
        inside=inside,
        device=facts.device,
        how=how,
        host_end="oae-" + hashlib.sha256(name.encode()).hexdigest()[:8],
        addresses=tuple(str(address) for address in addressing.choose(facts, addresses, taken)),
        gateways=tuple(str(gateway.ip) for gateway in facts.gateways),
        mac=facts.mac,
        mtu=facts.mtu,
        first_preference=joining.free_preference(facts.device) if redirect else 0,
        made_clsact=redirect and not joining.has_clsact(facts.device),
        resolvers=resolving.choose(facts.gateways, resolvers),
    )


def _nearest(facts: Inside) -> str:
    if facts.bridge:
        return "bridge"
    return "redirect" if facts.ethernet and not joining.has_ingress(facts.device) else "routed"


def _renewed(plan: Plan) -> Plan:
    """For this boot: filters of others may have come in another order."""
    if plan.how != "redirect":
        return replace(plan, boot=marker.this_boot())
    made_clsact = not joining.has_clsact(plan.device)
    preference = joining.free_preference(plan.device)
    return replace(plan, boot=marker.this_boot(), first_preference=preference, made_clsact=made_clsact)


def _make(plan: Plan) -> None:
    if not is_namespace(plan.name):
        if (NETNS / plan.name).exists():  # `ip netns add` was killed before it mounted it
            run("ip", "netns", "del", plan.name)
        run("ip", "netns", "add", plan.name)
    joining.build(plan)
    marker.write_resolv_conf(NETNS_FILES, plan)


def _remove(plan: Plan) -> None:
    if plan.boot == marker.this_boot():
        _leave_to_others(plan)
        joining.tear_down(plan)
        if (NETNS / plan.name).exists():
            run("ip", "netns", "del", plan.name)
    else:
        _check_after_restart(plan)
    marker.erase(NETNS_FILES, plan)


def _leave_to_others(plan: Plan) -> None:
    """The qdisc and directory that we made go with the last view that uses them."""
    for other in marker.read_all(NETNS_FILES):
        if other.name != plan.name:
            shares = other.how == "redirect" and other.device == plan.device and other.boot == plan.boot
            made_clsact = other.made_clsact or (plan.made_clsact and shares)
            made_parent = other.made_parent or plan.made_parent
            if (made_clsact, made_parent) != (other.made_clsact, other.made_parent):
                marker.write_again(NETNS_FILES, replace(other, made_clsact=made_clsact, made_parent=made_parent))


def _check(name: str, verb: str) -> None:
    if not _NAME.fullmatch(name):
        raise ClientViewError(f"{name!r}: no name for a network namespace; letters, digits, _ . - (64 at most)")
    if os.geteuid() != 0:
        raise ClientViewError(f"vantage {verb} makes a network namespace: run it as root (sudo)")


def _check_not_taken(name: str) -> None:
    files = NETNS_FILES / name
    if (NETNS / name).exists():
        raise ClientViewError(f"{name}: is a network namespace that vantage create didn't make; it is left alone")
    if files.is_dir() and any(files.iterdir()):
        raise ClientViewError(f"{files}: has files that vantage create didn't write; they are left alone")


def _check_after_restart(plan: Plan) -> None:
    """A restart ended all but the files: what has the name now was made by someone else."""
    if (NETNS / plan.name).exists() or exists(plan.host_end):
        raise ClientViewError(f"{plan.name}: someone else has made a namespace of this name; it is left alone")


def _told(plan: Plan, facts: Inside) -> str:
    addresses = " and ".join(plan.addresses)
    lines = [f"{plan.name}: a client's view of {plan.inside}, {addresses}; name server {' '.join(plan.resolvers)}"]
    lines += _what_rules_see(plan)
    if plan.device != plan.inside:
        lines.append(f"{plan.inside} is a port of the bridge {plan.device}, which is what it is joined to.")
    if facts.spanning_tree:
        lines.append(f"{plan.device} runs the spanning tree protocol: the new port passes packets after some 30 s.")
    if not plan.resolvers:
        lines[0] = lines[0].partition("; name server")[0]
        lines.append(f"No name server was found that it could reach; name one in {NETNS_FILES / plan.name}/resolv.conf")
    lines.append("Keep its address out of the DHCP pool. In the configuration:")
    lines.append(f"vantages: [{{name: clients, network_namespace: {plan.name}}}]")
    return "\n".join(lines)


def _what_rules_see(plan: Plan) -> list[str]:
    if plan.how == "bridge":
        return [f"It is a port of the bridge {plan.device}: its packets meet every rule that a client's meet."]
    if plan.how == "redirect":
        return [
            f"Its packets come in by {plan.device}, as tc hands them over: they meet every rule that a client's meet.",
            "It reaches the gateway and what is beyond, not other machines of the inside network.",
        ]
    return [
        f"Its packets come in by {plan.host_end}: rules by address see a client, rules by the interface's name "
        f"(iif {plan.device}) do not.",
        f"Where your rules name {plan.device}, let them name {plan.host_end} too.",
    ]
