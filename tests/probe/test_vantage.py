"""Sockets bound as configured, and the resolver's files read as the C library reads them.

Invariant of both files: any bytes give only addresses, and names as they are compared.
"""

import errno
import ipaddress
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.probe import vantage
from exporter.probe.vantage import FamilyNotUsable, LocalSockets, hosts_of, resolvers_of
from tests.probe.namespaces import inside, linked, namespace, root

TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM


def etc_with(directory: Path, name: str, content: str | bytes) -> Path:
    data = content.encode() if isinstance(content, str) else content
    (directory / name).write_bytes(data)
    return directory


# resolv.conf


@pytest.mark.parametrize(
    ("content", "servers"),
    [
        ("nameserver 10.0.0.53\n", ["10.0.0.53"]),
        ("nameserver\t10.0.0.53", ["10.0.0.53"]),
        ("# a comment\n; another\nsearch example\nnameserver 10.0.0.53 # the gateway\n", ["10.0.0.53"]),
        ("nameserver fe80::1%eth0\nnameserver 2001:DB8::0:1\n", ["fe80::1%eth0", "2001:db8::1"]),
        ("nameserver 10.0.0.1\r\nnameserver 10.0.0.2\r\n", ["10.0.0.1", "10.0.0.2"]),
        ("nameserver 10.0.0.1\nnameserver bad\nnameserver\nnameserver 10.0.0.2\n", ["10.0.0.1", "10.0.0.2"]),
        ("".join(f"nameserver 10.0.0.{number}\n" for number in range(1, 6)), ["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
        (" nameserver 10.0.0.1\nnameservers 10.0.0.2\n#nameserver 10.0.0.3\n", ["127.0.0.1"]),
        ("", ["127.0.0.1"]),
    ],
)
def test_name_servers(tmp_path: Path, content: str, servers: list[str]) -> None:
    assert resolvers_of(None, etc_with(tmp_path, "resolv.conf", content)) == [(server, 53) for server in servers]


def test_no_resolv_conf_is_the_machine_itself(tmp_path: Path) -> None:
    assert resolvers_of(None, tmp_path) == [("127.0.0.1", 53)]


def test_a_namespaces_own_files_stand_before_the_machines(tmp_path: Path) -> None:
    etc_with(tmp_path, "resolv.conf", "nameserver 127.0.0.53\n")
    etc_with(tmp_path, "hosts", "10.0.0.9 imap.example\n")
    own = tmp_path / "netns" / "clients"
    own.mkdir(parents=True)
    etc_with(own, "resolv.conf", "nameserver 10.0.0.53\n")
    assert resolvers_of("clients", tmp_path) == [("10.0.0.53", 53)]
    assert resolvers_of("others", tmp_path) == [("127.0.0.53", 53)]
    assert hosts_of("clients", tmp_path) == {"imap.example": ["10.0.0.9"]}


# hosts


@pytest.mark.parametrize(
    ("content", "hosts"),
    [
        (
            "127.0.0.1 localhost\n::1 localhost ip6-localhost\n",
            {"localhost": ["127.0.0.1", "::1"], "ip6-localhost": ["::1"]},
        ),
        ("10.0.0.1\tIMAP.Example. imap # moved\n", {"imap.example": ["10.0.0.1"], "imap": ["10.0.0.1"]}),
        ("10.0.0.1 a\n10.0.0.1 a\n10.0.0.2 a\n", {"a": ["10.0.0.1", "10.0.0.2"]}),
        ("fe80::1%lo0 router\n", {"router": ["fe80::1%lo0"]}),
        ("10.0.0.1\nbad line\n10.0.0.300 b\n\n   \n#10.0.0.1 c\n10.0.0.4 d", {"d": ["10.0.0.4"]}),
        ("10.0.0.1 <script> ok \x1b[2J\n", {"ok": ["10.0.0.1"]}),
    ],
)
def test_hosts(tmp_path: Path, content: str, hosts: dict[str, list[str]]) -> None:
    assert hosts_of(None, etc_with(tmp_path, "hosts", content)) == hosts


def test_a_file_is_read_up_to_its_bound_and_not_to_a_cut_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    etc = etc_with(tmp_path, "hosts", "10.0.0.1 first\n10.0.0.2 second.example\n")
    monkeypatch.setattr(vantage, "MAX_FILE", 30)
    assert hosts_of(None, etc) == {"first": ["10.0.0.1"]}


def test_a_name_keeps_a_bounded_number_of_addresses(tmp_path: Path) -> None:
    lines = "".join(f"10.0.0.{number} many\n" for number in range(1, 100))
    assert len(hosts_of(None, etc_with(tmp_path, "hosts", lines))["many"]) == vantage.MAX_ADDRESSES


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "hosts").mkdir()
    with pytest.raises(IsADirectoryError):
        hosts_of(None, tmp_path)


LINES = st.lists(
    st.sampled_from(
        [b"nameserver ", b"10.0.0.1", b"::1", b"fe80::1%e", b" ", b"\t", b"#", b";", b"\n", b"\r\n", b"Host.", b"\x00"]
    )
    | st.binary(max_size=6)
).map(b"".join)


@given(content=LINES)
def test_any_bytes_give_addresses(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    etc = tmp_path_factory.mktemp("etc")
    etc_with(etc, "resolv.conf", content)
    etc_with(etc, "hosts", content)
    servers = resolvers_of(None, etc)
    assert 1 <= len(servers) <= vantage.MAX_RESOLVERS
    for server, port in servers:
        assert str(ipaddress.ip_address(server)) == server
        assert port == 53
    for name, addresses in hosts_of(None, etc).items():
        assert name == name.lower().rstrip(".")
        assert all(str(ipaddress.ip_address(address)) == address for address in addresses)


@given(content=LINES, garbage=st.binary(max_size=40))
def test_garbage_behind_changes_nothing_before_it(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, garbage: bytes
) -> None:
    etc = tmp_path_factory.mktemp("etc")
    before = hosts_of(None, etc_with(etc, "hosts", content + b"\n"))
    after = hosts_of(None, etc_with(etc, "hosts", content + b"\n" + garbage))
    for name, addresses in before.items():
        assert after[name][: len(addresses)] == addresses


# sockets


@pytest.mark.parametrize("kind", [TCP, UDP])
def test_a_plain_socket_does_not_block(kind: int) -> None:
    with LocalSockets().socket(socket.AF_INET, kind) as sock:
        assert (sock.family, sock.type, sock.getblocking()) == (socket.AF_INET, kind, False)


def test_a_source_address_is_bound_and_its_port_left_to_connect() -> None:
    with LocalSockets(source_address="127.0.0.9").socket(socket.AF_INET, TCP) as sock:
        assert sock.getsockname() == ("127.0.0.9", 0)


@pytest.mark.parametrize(
    ("source", "family", "missing"), [("127.0.0.1", socket.AF_INET6, "IPv6"), ("::1", socket.AF_INET, "IPv4")]
)
def test_the_other_family_is_not_usable(source: str, family: int, missing: str) -> None:
    with pytest.raises(FamilyNotUsable, match=f"no {missing} source address") as caught:
        LocalSockets(source_address=source).socket(family, TCP)
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_an_address_of_someone_else_is_a_mistake_to_tell() -> None:
    with pytest.raises(OSError, match=r"source address 192\.0\.2\.7: no address of this machine") as caught:
        LocalSockets(source_address="192.0.2.7").socket(socket.AF_INET, TCP)
    assert not isinstance(caught.value, FamilyNotUsable)


@pytest.mark.parametrize("interface", ["oae-none", "a-name-longer-than-any", "", "a\0b"])
def test_an_interface_that_is_not_there(interface: str) -> None:
    with pytest.raises(OSError, match="interface ") as caught:
        LocalSockets(interface=interface).socket(socket.AF_INET, TCP)
    assert caught.value.errno == errno.ENODEV


def test_a_kernel_without_ipv6() -> None:
    class NoIPv6:
        def socket(self, family: int, kind: int) -> socket.socket:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    with pytest.raises(FamilyNotUsable, match="no IPv6 on this machine"):
        LocalSockets(made_by=NoIPv6()).socket(socket.AF_INET6, TCP)


def test_what_another_maker_refuses_is_passed_on() -> None:
    class Full:
        def socket(self, family: int, kind: int) -> socket.socket:
            raise OSError(errno.EMFILE, "Too many open files")

    with pytest.raises(OSError, match="Too many open files"):
        LocalSockets(made_by=Full()).socket(socket.AF_INET, TCP)


@root
def test_bound_to_an_interface_packets_leave_only_there() -> None:
    def reachable(interface: str | None) -> int:
        sockets = LocalSockets(interface=interface)
        with socket.create_server(("127.0.0.1", 0)) as server, sockets.socket(socket.AF_INET, TCP) as sock:
            sock.settimeout(1)
            return sock.connect_ex(server.getsockname())

    with namespace() as left, namespace() as right, linked(left, right):
        assert inside(left, reachable, None) == 0
        assert inside(left, reachable, "lo") == 0
        assert inside(left, reachable, "eth0") != 0
