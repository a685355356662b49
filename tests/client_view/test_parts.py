"""The parts of `vantage create` that need no right: programs' errors, addresses, name servers."""

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.client_view import ClientViewError, addresses, command, resolver
from exporter.client_view.inside import Inside

OWN_MAC = bytes.fromhex("020000000001")


def inside_of(*gateways: str, ethernet: bool = False) -> Inside:
    interfaces = tuple(ipaddress.ip_interface(gateway) for gateway in gateways)
    return Inside(
        device="in0", bridge=False, ethernet=ethernet, mac="02:00:00:00:00:01", mtu=1500, spanning_tree=False,
        gateways=interfaces,
    )  # fmt: skip


# Programs


def program(directory: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = directory / "ip"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(command, "_SEARCHED", f"{directory}:/bin:/usr/bin")


def test_a_programs_own_words_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "echo 'RTNETLINK answers:' >&2; echo ' File exists' >&2; exit 2", monkeypatch)
    with pytest.raises(ClientViewError, match=r"^ip link add x: RTNETLINK answers: File exists$"):
        command.run("ip", "link", "add", "x")
    assert command.attempt("ip", "link") is False
    assert command.ask("ip", "link") == []


def test_a_program_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "exec sleep 60", monkeypatch)
    monkeypatch.setattr(command, "TIMEOUT", 0.1)
    with pytest.raises(ClientViewError, match=r"^ip link: no end within 0 s$"):
        command.run("ip", "link")


def test_a_program_too_old_for_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "echo '1: lo: <LOOPBACK>'", monkeypatch)
    with pytest.raises(ClientViewError, match=r"iproute2 5\.0 or newer is needed"):
        command.ask("ip", "link")


def test_a_program_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClientViewError, match=r"oae-none is not installed \(Debian package iproute2\)"):
        command.run("oae-none")


# Addresses


@given(st.integers(1, 2**24), st.integers(16, 30))
def test_a_chosen_address_is_of_the_network_and_nobody_elses(number: int, length: int) -> None:
    network = ipaddress.ip_network((0x0A000000 + number, length), strict=False)
    gateway = ipaddress.ip_interface(f"{network.network_address + 1}/{length}")
    taken = str(network.broadcast_address - 1)
    if length == 30:
        with pytest.raises(ClientViewError, match="no free address found"):
            addresses.choose(inside_of(str(gateway)), (), {taken})
        return
    (chosen,) = addresses.choose(inside_of(str(gateway)), (), {taken})
    assert chosen.network == network
    assert str(chosen.ip) not in {str(gateway.ip), taken, str(network.network_address), str(network.broadcast_address)}


@given(st.integers(64, 126))
def test_an_ipv6_address_too(length: int) -> None:
    (chosen,) = addresses.choose(inside_of(f"fd77::1/{length}"), ())
    assert chosen.ip in ipaddress.ip_interface(f"fd77::1/{length}").network
    assert str(chosen.ip) not in ("fd77::1", "fd77::")


@pytest.mark.parametrize("gateway", ["10.0.0.1/32", "fd77::1/128"])
def test_a_network_of_one(gateway: str) -> None:
    with pytest.raises(ClientViewError, match="no free address"):
        addresses.choose(inside_of(gateway), ())


@given(st.lists(st.binary(max_size=80), max_size=8))
def test_any_frames_give_only_senders_of_arp(frames: list[bytes]) -> None:
    wire, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    answer = (
        b"\xff" * 12 + b"\x08\x06" + bytes.fromhex("0001080006040002") + b"\x02" * 6 + b"\x0a\x00\x00\x09" + b"\0" * 10
    )
    own = answer.replace(b"\x02" * 6, OWN_MAC)
    with wire, ours:
        for frame in (*frames, own, answer):
            wire.send(frame)
        senders = addresses._senders(ours, OWN_MAC, time.monotonic() + 5)
        found = [next(senders)]
        while found[-1] != ipaddress.IPv4Address("10.0.0.9"):
            found.append(next(senders))
    assert len(found) <= len(frames) + 1


# Name servers


@contextmanager
def udp(answer: bytes | None) -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            _, peer = server.recvfrom(512)
            if answer is not None:
                server.sendto(answer, peer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


@pytest.mark.parametrize("answer", [b"an answer", None])
def test_what_listens_is_a_name_server_even_a_slow_one(answer: bytes | None) -> None:
    with udp(answer) as port:
        assert resolver.answers("127.0.0.1", port)


def test_what_refuses_is_none() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    assert not resolver.answers("127.0.0.1", port)
    assert not resolver.answers("192.0.2.1%none", port)


@pytest.mark.parametrize(
    ("own", "upstream", "chosen"),
    [
        ("nameserver 10.0.0.53\nnameserver 127.0.0.1\n", "", ("10.0.0.53",)),
        ("nameserver 127.0.0.53\n", "nameserver 192.0.2.1\n", ("192.0.2.1",)),
        ("nameserver 127.0.0.53\n", "", ()),
    ],
)
def test_without_one_at_the_gateway_its_own_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, upstream: str, chosen: tuple[str, ...]
) -> None:
    (tmp_path / "resolve").mkdir()
    (tmp_path / "resolv.conf").write_text(own)
    (tmp_path / "resolve" / "resolv.conf").write_text(upstream)
    monkeypatch.setattr(resolver, "_RESOLVED", tmp_path / "resolve")
    monkeypatch.setattr(resolver, "answers", lambda address: False)
    assert resolver.choose([ipaddress.ip_interface("10.0.0.1/24")], (), tmp_path) == chosen


def test_wanted_name_servers() -> None:
    assert resolver.choose([], ["10.0.0.53", "FD77::1"]) == ("10.0.0.53", "fd77::1")
    with pytest.raises(ClientViewError, match=r"resolver 'dns\.example': no IP address"):
        resolver.choose([], ["dns.example"])
