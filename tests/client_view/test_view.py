"""`vantage create|remove` on a gateway in namespaces: seen by the same rules as a client, and nothing left behind."""

import dataclasses
import fcntl
import os
import re
import socket
import struct
from collections.abc import Callable, Iterator

import pytest

from exporter.client_view import ClientViewError, addresses, create, marker, remove
from exporter.client_view.view import NETNS_FILES
from exporter.probe.vantage import resolvers_of
from tests.client_view.gateway import BLOCKED, OPEN, Gateway, gateway, killed_at, program_in, seen_from
from tests.probe.namespaces import inside, ip, namespace, root, unique_name

pytestmark = root


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner of an address is a process of this machine: it answers at once."""
    monkeypatch.setattr(addresses, "ANSWER_SECONDS", 0.05)


@pytest.fixture
def plain(needs_package: Callable[[str], str]) -> Iterator[Gateway]:
    with gateway(needs_package("nftables")) as made:
        yield made


@pytest.fixture
def bridged(needs_package: Callable[[str], str]) -> Iterator[Gateway]:
    with gateway(needs_package("nftables"), bridged=True) as made:
        yield made


@pytest.fixture
def name() -> Iterator[str]:
    """A view's name; what a failed test left of it is removed."""
    made = unique_name()
    yield made
    remove(made)


@pytest.fixture
def either(request: pytest.FixtureRequest) -> Gateway:
    made = request.getfixturevalue(request.param)
    assert isinstance(made, Gateway)
    return made


def create_how(name: str, device: str, how: str) -> str:
    return create(name, device, how=how)


def create_with(name: str, device: str, *wanted: str) -> str:
    return create(name, device, addresses=wanted)


# The same rules as a client's


@pytest.mark.parametrize("either", ["plain", "bridged"], indirect=True)
def test_it_is_seen_as_a_client_is(either: Gateway, name: str) -> None:
    told = either.at_gateway(create, name, "in0")
    assert "meet every rule that a client's meet" in told
    for where in (either.client, name):
        assert seen_from(where, 4, OPEN) == "10.78.0.1"  # masqueraded
        assert seen_from(where, 4, BLOCKED) == "refused"
        assert seen_from(where, 6, BLOCKED) == "refused"
    assert seen_from(either.client, 6, OPEN) == "fd77::254"
    assert seen_from(name, 6, OPEN) in told


@pytest.mark.parametrize("either", ["plain", "bridged"], indirect=True)
def test_routed_it_passes_other_rules_and_says_so(either: Gateway, name: str) -> None:
    told = either.at_gateway(create_how, name, "in0", "routed")
    assert "rules by the interface's name (iif in0) do not" in told
    for version, seen in ((4, "10.78.0.1"), (6, "fd77:")):
        for port in (OPEN, BLOCKED):
            assert seen_from(name, version, port).startswith(seen)


def test_redirecting_works_on_a_bridge_too(bridged: Gateway, name: str) -> None:
    bridged.at_gateway(create_how, name, "in0", "redirect")
    assert (seen_from(name, 4, OPEN), seen_from(name, 4, BLOCKED)) == ("10.78.0.1", "refused")


def test_a_port_of_a_bridge_stands_for_the_bridge(bridged: Gateway, name: str) -> None:
    told = bridged.at_gateway(create, name, "port0")
    assert "port0 is a port of the bridge in0" in told
    assert seen_from(name, 4, BLOCKED) == "refused"


def test_a_capture_on_the_inside_interface_sees_both_directions(plain: Gateway, name: str) -> None:
    plain.at_gateway(create, name, "in0")
    (address,) = [plan.addresses[0].partition("/")[0] for plan in [marker.read(NETNS_FILES, name)] if plan]
    assert plain.at_gateway(directions_seen, name, address) == {"sent", "received"}


def directions_seen(name: str, address: str) -> set[str]:
    own = socket.inet_aton(address)
    seen: set[str] = set()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003)) as packets:  # ETH_P_ALL
        packets.bind(("in0", 0x0003))
        packets.settimeout(2)
        assert seen_from(name, 4, OPEN) == "10.78.0.1"
        while len(seen) < 2:
            frame = packets.recv(2048)
            if frame[12:14] == b"\x08\x00" and frame[23] == socket.IPPROTO_TCP:
                seen |= {side for side, place in (("sent", 26), ("received", 30)) if frame[place : place + 4] == own}
    return seen


def test_packets_leave_it_as_from_a_wire(plain: Gateway, name: str) -> None:
    plain.at_gateway(create, name, "in0")
    assert inside(name, offloads) == [0, 0, 0]


def offloads() -> list[int]:
    """ETHTOOL_GTXCSUM, GTSO, GGSO of linux/ethtool.h."""
    import array

    told = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for command in (0x16, 0x1E, 0x23):
            value = array.array("I", [command, 9])
            fcntl.ioctl(sock, 0x8946, struct.pack("16sP16x", b"eth0", value.buffer_info()[0]))
            told.append(value[1])
    return told


def test_a_bridge_keeps_its_mac_address(bridged: Gateway, name: str) -> None:
    def mac() -> str:
        return bridged.ip("-o", "link", "show", "dev", "in0").split("link/ether ")[1]

    before = mac()
    bridged.at_gateway(create, name, "in0")
    assert mac() == before


# Addresses and name servers


def test_a_free_address_is_taken_and_a_wanted_one_given(plain: Gateway, name: str) -> None:
    told = plain.at_gateway(create, name, "in0")
    assert re.search(r" 10\.77\.0\.2(?!54)\d\d/24 and fd77::", told)  # .254 answers: it is the client's
    plain.at_gateway(remove, name)
    told = plain.at_gateway(create_with, name, "in0", "fd77::77", "10.77.0.9")
    assert " 10.77.0.9/24 and fd77::77/64;" in told


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (("10.77.0.254",), "10.77.0.254: another machine has this address"),
        (("10.77.0.1",), "10.77.0.1: another machine has this address"),
        (("10.99.0.1",), r"10.99.0.1: isn't of the inside network \(10.77.0.0/24, fd77::/64\)"),
        (("10.77.0.8", "10.77.0.9"), "10.77.0.9: isn't of the inside network"),
        (("10.77.0.300",), "'10.77.0.300': no IP address"),
    ],
)
def test_addresses_that_cannot_be_had(plain: Gateway, name: str, wanted: tuple[str, ...], problem: str) -> None:
    with pytest.raises(ClientViewError, match=problem):
        plain.at_gateway(create_with, name, "in0", *wanted)
    assert not (NETNS_FILES / name).exists()


def test_only_the_families_that_the_gateway_has(plain: Gateway, name: str) -> None:
    plain.ip("address", "flush", "dev", "in0", "scope", "global")
    plain.ip("address", "add", "fd77::1/64", "dev", "in0", "nodad")
    told = plain.at_gateway(create, name, "in0")
    assert "a client's view of in0, fd77::" in told
    assert "10." not in told.partition(";")[0]
    assert seen_from(name, 6, BLOCKED) == "refused"


def test_the_gateway_is_its_name_server_where_it_answers(plain: Gateway, name: str) -> None:
    def create_beside_a_resolver(name: str) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver:
            resolver.bind(("10.77.0.1", 53))
            create(name, "in0")

    plain.at_gateway(create_beside_a_resolver, name)
    assert resolvers_of(name) == [("10.77.0.1", 53)]


# Nothing left behind, nothing of others touched


@pytest.mark.parametrize("how", ["bridge", "redirect", "routed"])
def test_create_and_remove_leave_nothing(bridged: Gateway, name: str, how: str) -> None:
    before = bridged.state()
    bridged.at_gateway(create_how, name, "in0", how)
    assert bridged.state() != before
    assert bridged.at_gateway(remove, name) == f"{name}: removed"
    assert bridged.state() == before
    assert "nothing to remove" in bridged.at_gateway(remove, name)
    assert bridged.state() == before


@pytest.mark.slow
@pytest.mark.parametrize("how", ["bridge", "redirect", "routed"])
def test_killed_at_any_step_of_create_nothing_is_left(bridged: Gateway, name: str, how: str) -> None:
    before = bridged.state()
    step = 0
    while killed_at(step, bridged.name, create_how, name, "in0", how):
        bridged.at_gateway(remove, name)
        assert bridged.state() == before, f"killed at step {step}"
        step += 1
    assert step > 15
    bridged.at_gateway(remove, name)
    assert bridged.state() == before


@pytest.mark.slow
@pytest.mark.parametrize("how", ["bridge", "redirect"])
def test_killed_at_any_step_create_goes_on(bridged: Gateway, name: str, how: str) -> None:
    step = 0
    while killed_at(step, bridged.name, create_how, name, "in0", how):
        bridged.at_gateway(create_how, name, "in0", how)
        assert seen_from(name, 4, BLOCKED) == "refused", f"killed at step {step}"
        assert seen_from(name, 6, OPEN).startswith("fd77:")
        bridged.at_gateway(remove, name)
        step += 4
    assert step > 12


@pytest.mark.slow
@pytest.mark.parametrize("how", ["bridge", "redirect", "routed"])
def test_killed_at_any_step_of_remove_the_next_one_ends_it(bridged: Gateway, name: str, how: str) -> None:
    before = bridged.state()
    step = 0
    while True:
        bridged.at_gateway(create_how, name, "in0", how)
        if not killed_at(step, bridged.name, remove, name):
            break
        bridged.at_gateway(remove, name)
        assert bridged.state() == before, f"killed at step {step}"
        step += 1
    assert step > 5
    assert bridged.state() == before


@pytest.mark.parametrize("how", ["bridge", "redirect", "routed"])
def test_creating_again_changes_nothing(bridged: Gateway, name: str, how: str) -> None:
    told = bridged.at_gateway(create_how, name, "in0", how)
    state, number = bridged.state(), os.stat(f"/run/netns/{name}").st_ino
    assert bridged.at_gateway(create, name, "in0") == told
    assert (bridged.state(), os.stat(f"/run/netns/{name}").st_ino) == (state, number)


@pytest.mark.parametrize("first_out", [0, 1])
def test_two_views_share_the_interface_until_the_last_is_gone(plain: Gateway, first_out: int) -> None:
    before = plain.state()
    names = [unique_name(), unique_name()]
    try:
        for each in names:
            plain.at_gateway(create, each, "in0")
        plain.at_gateway(remove, names.pop(first_out))
        assert seen_from(names[0], 4, BLOCKED) == "refused"
        assert seen_from(names[0], 6, OPEN).startswith("fd77:")
    finally:
        for each in names:
            plain.at_gateway(remove, each)
    assert plain.state() == before


def test_an_administrators_own_filters_stay_and_still_see_replies(plain: Gateway, name: str) -> None:
    plain.program("tc", "qdisc", "add", "dev", "in0", "clsact")
    own = ("protocol", "ip", "pref", "50000", "u32", "match", "u32", "0", "0", "action", "mirred", "egress", "mirror")
    plain.ip("link", "add", "tap0", "type", "veth", "peer", "name", "tap1")
    plain.program("tc", "filter", "add", "dev", "in0", "egress", *own, "dev", "tap0", "continue")
    before = plain.state()
    plain.at_gateway(create, name, "in0")
    assert seen_from(name, 4, OPEN) == "10.78.0.1"
    plain.at_gateway(remove, name)
    assert plain.state() == before


def test_an_ingress_qdisc_leaves_only_routing(plain: Gateway, name: str) -> None:
    plain.program("tc", "qdisc", "add", "dev", "in0", "ingress")
    before = plain.state()
    with pytest.raises(ClientViewError, match="tc qdisc add dev in0 clsact: "):
        plain.at_gateway(create_how, name, "in0", "redirect")
    assert plain.state() == before
    assert "iif in0) do not" in plain.at_gateway(create, name, "in0")
    assert seen_from(name, 4, OPEN) == "10.78.0.1"


def test_a_kernel_that_cannot_redirect_falls_back(plain: Gateway, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_mirred(plan: object) -> None:
        raise ClientViewError("tc filter add: unknown action mirred")

    before = plain.state()
    monkeypatch.setattr("exporter.client_view.joining._redirected", no_mirred)
    told = plain.at_gateway(create, name, "in0")
    assert "(Redirecting isn't possible here: tc filter add: unknown action mirred)" in told
    assert seen_from(name, 4, OPEN) == "10.78.0.1"
    plain.at_gateway(remove, name)
    assert plain.state() == before


def test_an_administrators_changes_stay(plain: Gateway, name: str) -> None:
    plain.at_gateway(create, name, "in0")
    own = NETNS_FILES / name
    (own / "resolv.conf").write_text("nameserver 10.77.0.53\n")
    (own / "hosts").write_text("10.77.0.9 imap.example\n")
    plain.at_gateway(create, name, "in0")
    plain.at_gateway(remove, name)
    try:
        assert sorted(path.name for path in own.iterdir()) == ["hosts", "resolv.conf"]
        with pytest.raises(ClientViewError, match="has files that vantage create didn't write; they are left alone"):
            plain.at_gateway(create, name, "in0")
    finally:
        for path in (own / "hosts", own / "resolv.conf"):
            path.unlink()
        own.rmdir()
        marker.remove_if_empty(NETNS_FILES)


# After a restart of the machine


def forget_boot(name: str) -> None:
    plan = marker.read(NETNS_FILES, name)
    assert plan is not None
    marker.write_again(NETNS_FILES, dataclasses.replace(plan, boot="another"))


def test_after_a_restart_it_is_made_again_or_its_files_removed(plain: Gateway, name: str) -> None:
    before = plain.state()
    for again in (True, False):
        plain.at_gateway(create, name, "in0")
        plain.at_gateway(restart, name)
        if again:
            plain.at_gateway(create, name, "in0")
            assert seen_from(name, 4, BLOCKED) == "refused"
        plain.at_gateway(remove, name)
        assert plain.state() == before


def restart(name: str) -> None:
    """What a restart leaves: files alone."""
    plan = marker.read(NETNS_FILES, name)
    assert plan is not None
    from exporter.client_view import joining

    joining.tear_down(plan)
    ip("netns", "del", name)
    forget_boot(name)


def test_after_a_restart_someone_elses_namespace_of_that_name_stays(plain: Gateway, name: str) -> None:
    plain.at_gateway(create, name, "in0")
    plain.at_gateway(restart, name)
    ip("netns", "add", name)
    try:
        for function, arguments in ((create, (name, "in0")), (remove, (name,))):
            with pytest.raises(ClientViewError, match="someone else has made a namespace of this name"):
                plain.at_gateway(function, *arguments)
        assert program_in(name, "ip", "link")
    finally:
        ip("netns", "del", name)


# Errors, each one line


def test_a_namespace_of_others_is_left_alone(plain: Gateway) -> None:
    for function, arguments in ((create, (plain.client, "in0")), (remove, (plain.client,))):
        with pytest.raises(ClientViewError, match="is a network namespace that vantage create didn't make"):
            plain.at_gateway(function, *arguments)
    assert seen_from(plain.client, 4, OPEN) == "10.78.0.1"


def test_it_is_a_view_of_one_interface(plain: Gateway, name: str) -> None:
    plain.at_gateway(create, name, "in0")
    with pytest.raises(ClientViewError, match=r"is a view of in0 already; remove it first$"):
        plain.at_gateway(create, name, "out0")


def test_a_gateway_that_was_renumbered(plain: Gateway, name: str) -> None:
    plain.at_gateway(create, name, "in0")
    plain.ip("address", "del", "10.77.0.1/24", "dev", "in0")
    with pytest.raises(ClientViewError, match="in0 has changed since it was made; remove it, then create it again"):
        plain.at_gateway(create, name, "in0")


@pytest.mark.parametrize(
    ("device", "problem"),
    [
        ("eth9", r"^eth9: no such interface; there are in0@?\S*, .*out0"),
        ("", "^: no such interface"),
        ("--help", "^--help: no such interface"),
        ("lo", "^lo: is the loopback interface"),
        ("down0", "^down0: is down; `ip link set down0 up`$"),
        ("bare0", "^bare0: has no address; clients' gateway address is expected there$"),
    ],
)
def test_interfaces_that_are_no_inside(plain: Gateway, name: str, device: str, problem: str) -> None:
    plain.ip("link", "add", "down0", "type", "veth", "peer", "name", "bare0")
    plain.ip("link", "set", "bare0", "up")
    with pytest.raises(ClientViewError, match=problem):
        plain.at_gateway(create, name, device)


@pytest.mark.parametrize("bad", ["", ".", "..", "a/b", "-n", "../x", "a\nb", "x" * 65])
def test_no_names(bad: str) -> None:
    for function, arguments in ((create, (bad, "in0")), (remove, (bad,))):
        with pytest.raises(ClientViewError, match="no name for a network namespace"):
            function(*arguments)


def test_an_unknown_construction() -> None:
    with pytest.raises(ClientViewError, match="macvlan: no construction; there are bridge, redirect, routed"):
        create("clients", "in0", how="macvlan")


def test_without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ClientViewError, match=r"^vantage create makes a network namespace: run it as root \(sudo\)$"):
        create("clients", "in0")
    with pytest.raises(ClientViewError, match=r"^vantage remove "):
        remove("clients")


def test_the_state_that_is_compared_would_show_a_left_over(plain: Gateway) -> None:
    before = plain.state()
    with namespace():
        assert plain.state() != before
    plain.ip("neigh", "replace", "10.77.0.99", "lladdr", "02:00:00:00:00:99", "dev", "in0", "nud", "permanent")
    assert plain.state() != before
