"""A vantage process forked into a namespace: its sockets come out there, and it can do nothing else."""

import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.capabilities import held_capabilities
from exporter.probe import vantage_process
from exporter.probe.vantage import LocalSockets
from exporter.probe.vantage_process import (
    NamespaceForbidden,
    NamespaceMissing,
    VantageError,
    VantageProcess,
    fork_vantage_process,
)
from exporter.probe.vantage_protocol import REPLY, Status, read_reply, request
from tests.probe.namespaces import linked, namespace, root, unique_name

TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM

#: Accepts one connection on the port and prints whence it came. Its first line says that it listens.
PEER_SEEN = """
import socket
with socket.create_server(("::", 4433), family=socket.AF_INET6, dualstack_ipv6=True) as server:
    print("listening", flush=True)
    print(server.accept()[1][0], flush=True)
"""


@contextmanager
def peer_seen_in(where: str) -> Iterator["subprocess.Popen[str]"]:
    command = ["ip", "netns", "exec", where, sys.executable, "-c", PEER_SEEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "listening\n"
            yield server
        finally:
            server.kill()


@pytest.fixture(scope="module")
def empty() -> Iterator[str]:
    with namespace() as name:
        yield name


@pytest.fixture
def process(empty: str) -> Iterator[VantageProcess]:
    with fork_vantage_process(empty) as made:
        yield made


def ended(pid: int, within: float = 5) -> bool:
    """Waits for a process, a child or not, to end."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], within)[0])
    finally:
        os.close(descriptor)


def pid_of(process: VantageProcess) -> int:
    assert process.pid is not None
    return process.pid


@root
@pytest.mark.parametrize(
    ("family", "server", "client"),
    [(socket.AF_INET, "10.77.0.2", "::ffff:10.77.0.1"), (socket.AF_INET6, "fd77::2", "fd77::1")],
)
def test_a_connection_comes_out_of_the_namespace(family: int, server: str, client: str) -> None:
    with (
        namespace() as left,
        namespace() as right,
        linked(left, right),
        fork_vantage_process(left) as process,
        peer_seen_in(right) as seen,
        LocalSockets(interface="eth0", made_by=process).socket(family, TCP) as sock,
    ):
        sock.settimeout(5)
        sock.connect((server, 4433))
        assert seen.stdout is not None
        assert seen.stdout.readline().strip() == client


@root
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("kind", [TCP, UDP])
def test_its_sockets_do_not_block_and_are_not_inherited(process: VantageProcess, family: int, kind: int) -> None:
    with process.socket(family, kind) as sock:
        assert (sock.family, sock.type, sock.getblocking()) == (family, kind, False)
        assert not sock.get_inheritable()
        assert os.get_blocking(sock.fileno()) is False


@root
def test_it_holds_no_capability_no_file_and_leaves_no_core(process: VantageProcess) -> None:
    pid = pid_of(process)
    assert held_capabilities(pid) == 0
    status = Path(f"/proc/{pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "CapBnd:\t0000000000000000" in status
    files = {name: os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
    assert files.pop("3").startswith("socket:")
    assert files == dict.fromkeys("012", "/dev/null")
    assert "Max core file size        0 " in Path(f"/proc/{pid}/limits").read_text()


@root
@pytest.mark.parametrize("message", [b"\x01\x04\x03\0\0\0\0\x01", b"GET / HTTP/1.0\r\n", b"\xff"])
def test_other_requests_are_refused_and_it_goes_on(process: VantageProcess, message: bytes) -> None:
    channel = process._channel
    assert channel is not None
    channel.send(message)
    data, descriptors, _, _ = socket.recv_fds(channel, 64, 4)
    told = read_reply(data)
    assert told is not None
    assert (told.status, descriptors) == (Status.REFUSED, [])
    process.socket(socket.AF_INET, TCP).close()


@root
def test_files_handed_to_it_are_not_kept(process: VantageProcess) -> None:
    channel = process._channel
    assert channel is not None
    with open("/dev/null") as file:
        socket.send_fds(channel, [request(socket.AF_INET, TCP, 99)], [file.fileno()])
    data, descriptors, _, _ = socket.recv_fds(channel, REPLY.size, 1)
    for descriptor in descriptors:
        os.close(descriptor)
    assert read_reply(data) == (Status.OK, 0, 99)
    channel.send(b"?")  # once this is refused, its own copy of the socket is closed
    assert channel.recv(64)
    assert len(os.listdir(f"/proc/{pid_of(process)}/fd")) == 4


@root
def test_the_service_refuses_to_ask_for_other_sockets(process: VantageProcess) -> None:
    with pytest.raises(OSError, match="Address family"):
        process.socket(socket.AF_UNIX, TCP)
    process.socket(socket.AF_INET, TCP).close()


@root
def test_threads_share_it(process: VantageProcess) -> None:
    def ask(number: int) -> bool:
        family, kind = (socket.AF_INET, TCP) if number % 2 else (socket.AF_INET6, UDP)
        with process.socket(family, kind) as sock:
            return (sock.family, sock.type) == (family, kind)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(200)))


@root
def test_one_that_hangs_is_told_of_and_its_late_answer_thrown_away(
    process: VantageProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vantage_process, "TIMEOUT", 0.1)
    os.kill(pid_of(process), signal.SIGSTOP)
    with pytest.raises(VantageError, match="doesn't answer"):
        process.socket(socket.AF_INET, TCP)
    os.kill(pid_of(process), signal.SIGCONT)
    monkeypatch.setattr(vantage_process, "TIMEOUT", 5)
    with process.socket(socket.AF_INET6, UDP) as sock:
        assert (sock.family, sock.type) == (socket.AF_INET6, UDP)


@root
def test_one_that_was_killed_is_told_of(process: VantageProcess) -> None:
    pid = pid_of(process)
    os.kill(pid, signal.SIGKILL)
    assert ended(pid)
    with pytest.raises(VantageError, match=r"^the vantage process of network namespace \S+ has ended; restart it$"):
        process.socket(socket.AF_INET, TCP)


@root
def test_closing_ends_it(empty: str) -> None:
    process = fork_vantage_process(empty)
    pid = pid_of(process)
    process.close()
    process.close()
    assert ended(pid)
    with pytest.raises(VantageError, match="was closed"):
        process.socket(socket.AF_INET, TCP)


def parent_script(empty: str, then: str) -> "subprocess.Popen[str]":
    code = f"""
        import os, signal, sys
        from exporter.probe.vantage_process import fork_vantage_process
        first, second = fork_vantage_process({empty!r}), fork_vantage_process({empty!r})
        print(first.pid, second.pid, flush=True)
        {then}
    """
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)


@root
@pytest.mark.parametrize("then", ["signal.pause()", "os._exit(0)"])
def test_they_end_with_their_parent(empty: str, then: str) -> None:
    with parent_script(empty, then) as parent:
        assert parent.stdout is not None
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        parent.kill()
    for child in children:
        assert ended(child)


@root
def test_it_ends_with_its_parents_end_of_the_socket_alone(empty: str) -> None:
    with parent_script(empty, "first._channel.close(); second._channel.close(); signal.pause()") as parent:
        assert parent.stdout is not None
        children = [int(pid) for pid in parent.stdout.readline().split()]
        try:
            assert all(ended(child) for child in children)
        finally:
            parent.kill()


@root
def test_a_namespace_that_is_not_there() -> None:
    name = unique_name()
    with pytest.raises(NamespaceMissing) as caught:
        fork_vantage_process(name)
    assert str(caught.value) == (
        f"network namespace {name}: doesn't exist; make it: outlook-auth-exporter vantage create {name} --inside IF"
    )


@pytest.mark.parametrize("name", ["", ".", "..", "../netns/x", "a/b", "a\0b", "-x", "x" * 65])
def test_no_name_of_a_namespace(name: str) -> None:
    with pytest.raises(NamespaceMissing, match="no name of one"):
        fork_vantage_process(name)


@root
def test_a_file_that_was_left_over(tmp_path: Path) -> None:
    (tmp_path / "left").touch()
    with pytest.raises(NamespaceMissing, match="left-over file"):
        fork_vantage_process("left", tmp_path)


@root
def test_without_the_right_it_says_how_to_grant_it(empty: str) -> None:
    code = f"""
        from exporter.capabilities import drop_capabilities
        from exporter.probe.vantage_process import NamespaceForbidden, fork_vantage_process
        drop_capabilities()
        try:
            fork_vantage_process({empty!r})
        except NamespaceForbidden as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == (
        f"network namespace {empty}: entering it needs CAP_SYS_ADMIN; start as root, or have systemd start a vantage "
        "process in it (NetworkNamespacePath=) and name its socket in vantage_socket"
    )
    assert issubclass(NamespaceForbidden, OSError)


def test_it_is_not_forked_once_threads_run() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        with pytest.raises(VantageError, match="when the program starts; restart it"):
            fork_vantage_process("clients")
    finally:
        done.set()
        thread.join()
