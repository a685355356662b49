"""A vantage process of its own, as systemd starts it: found again after a restart, closed to strangers."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from exporter.capabilities import held_capabilities
from exporter.client_side import client_side_covered
from exporter.metrics.wire_mirror import WireMirror
from exporter.prepare import VantageProcesses, make_vantages
from exporter.probe import vantage_server
from exporter.probe.vantage_process import VantageError, awaited_vantage_process, connect_vantage_process
from exporter.probe.vantage_protocol import Step, greeting, request
from exporter.settings import Settings
from exporter.settings_errors import ConfigurationError
from tests.in_child import in_child
from tests.probe.namespaces import linked, namespace, root
from tests.probe.test_vantage_process import peer_seen_in

TCP = socket.SOCK_STREAM


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short, for a Unix socket's path ends at 107 bytes, and open to other users."""
    with tempfile.TemporaryDirectory(prefix="oaet-", dir="/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@contextmanager
def serving(path: Path, *users: int, where: str | None = None) -> Iterator["subprocess.Popen[str]"]:
    """The stand-alone process, ready as it tells systemd."""
    notify = path.with_suffix(".notify")
    prefix = ["ip", "netns", "exec", where] if where else []
    command = [*prefix, sys.executable, "-m", "exporter.probe.vantage_server", str(path), *map(str, users)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(notify))
        systemd.settimeout(20)
        environment = {**os.environ, "NOTIFY_SOCKET": str(notify)}
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as child:
            try:
                assert systemd.recv(64) == b"READY=1"
                yield child
            finally:
                child.terminate()
                child.wait(10)
                notify.unlink()


def as_user(uid: int, path: Path) -> str:
    """What a process of another user is told when it asks."""

    def asked() -> str:
        os.setuid(uid)
        return _asked(path)

    return in_child(asked)


def _asked(path: Path) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
        try:
            channel.connect(str(path))
            channel.settimeout(5)
            return "greeted" if channel.recv(16) else "closed"
        except OSError as error:
            return str(error.strerror)


@root
def test_a_connection_comes_out_of_its_namespace(directory: Path) -> None:
    path = directory / "clients.sock"
    with (
        namespace() as left,
        namespace() as right,
        linked(left, right),
        serving(path, where=left),
        connect_vantage_process(path) as process,
        peer_seen_in(right) as seen,
        process.socket(socket.AF_INET, TCP) as sock,
    ):
        sock.settimeout(5)
        sock.connect(("10.77.0.2", 4433))
        assert seen.stdout is not None
        assert seen.stdout.readline().strip() == "::ffff:10.77.0.1"


def test_it_holds_nothing_and_leaves_no_file(directory: Path) -> None:
    path = directory / "clients.sock"
    with serving(path) as child:
        assert path.stat().st_mode & 0o777 == 0o600
        assert held_capabilities(child.pid) == 0
        child.terminate()
        assert child.wait(10) == 0
    assert list(directory.iterdir()) == []


def test_a_restart_is_survived(directory: Path) -> None:
    path = directory / "clients.sock"
    with serving(path) as first:
        process = connect_vantage_process(path)
        process.socket(socket.AF_INET, TCP).close()
        first.send_signal(signal.SIGKILL)
        first.wait(10)
        with pytest.raises(VantageError, match="Connection refused; is its unit started"):
            process.socket(socket.AF_INET, TCP)
    with process, serving(path):  # in place of the socket that the killed one left
        process.socket(socket.AF_INET, TCP).close()
        assert process.pid is None


def test_several_ask_at_once_and_a_bad_one_harms_nobody(directory: Path) -> None:
    path = directory / "clients.sock"
    with serving(path), connect_vantage_process(path) as one, connect_vantage_process(path) as other:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as bad:
            bad.connect(str(path))
            for _ in range(10_000):  # never reads: is left when its buffer is full
                try:
                    bad.send(request(socket.AF_INET, TCP, 1))
                except OSError:
                    break
            else:
                pytest.fail("the one that doesn't read was kept")
        for process in (one, other):
            process.socket(socket.AF_INET6, TCP).close()


def test_connections_are_bounded(directory: Path) -> None:
    path = directory / "clients.sock"
    with serving(path), ExitStack() as stack:
        for _ in range(vantage_server.MAX_CONNECTIONS):
            stack.enter_context(connect_vantage_process(path))
        with pytest.raises(VantageError, match="the vantage process at"):
            connect_vantage_process(path)


@root
def test_other_users_are_turned_away(directory: Path) -> None:
    path = directory / "clients.sock"
    with serving(path):
        assert as_user(65534, path) == "Permission denied"
    with serving(path, 4242):
        assert as_user(65534, path) in ("closed", "Connection reset by peer")
        assert as_user(4242, path) == "greeted"


def test_one_listens_at_a_path(directory: Path) -> None:
    path = directory / "clients.sock"
    with serving(path):
        assert failed(path) == f"{path}: another process listens there"


def failed(*arguments: object) -> str:
    """The one line of a start that fails with exit status 2."""
    command = [sys.executable, "-m", "exporter.probe.vantage_server", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    return done.stderr.removesuffix("\n")


def test_paths_that_cannot_be_used(directory: Path) -> None:
    (directory / "file").touch()
    assert failed(directory / "file") == f"{directory}/file: is there and is no socket"
    assert failed(directory / "none" / "x") == f"{directory}/none/x: No such file or directory"
    assert "AF_UNIX path too long" in failed(directory / ("x" * 120))
    assert failed().startswith("usage: ")
    assert failed(directory / "x", "someone").startswith("usage: ")


def test_nobody_listens(directory: Path) -> None:
    with pytest.raises(VantageError, match="No such file or directory; is its unit started"):
        connect_vantage_process(directory / "none")


def test_one_that_comes_later_is_used_from_then_on(directory: Path) -> None:
    path = directory / "clients.sock"
    with awaited_vantage_process(path) as process:
        assert "No such file or directory; is its unit started" in (process.problem() or "")
        with serving(path):
            assert process.problem() is None
            process.socket(socket.AF_INET, TCP).close()
        assert "is its unit started" in (process.problem() or "")


def test_a_service_goes_on_without_it_and_a_command_does_not(directory: Path) -> None:
    settings = Settings.model_validate(
        {"vantages": [{"name": "a"}, {"name": "b", "vantage_socket": directory / "none"}]}
    )
    told: list[VantageError] = []
    processes = VantageProcesses(missing=told.append)
    first, second = make_vantages(settings, {}, processes)
    assert (first.problem, len(told)) == (None, 1)
    assert second.problem is not None
    assert "is its unit started" in (second.problem() or "")
    assert not client_side_covered([first, second], WireMirror())
    with serving(directory / "none"):
        assert client_side_covered([first, second], WireMirror())
    processes.close()
    with pytest.raises(ConfigurationError, match=r"vantages\[1\] \(b\): .* is its unit started"):
        make_vantages(settings, {}, VantageProcesses())


@pytest.mark.parametrize("first", [b"HTTP/1.1 400 Bad Request\r\n", b"\x02\x00\x00\x00", greeting(Step.ENTER, 1)])
def test_something_else_listens(directory: Path, first: bytes) -> None:
    def greet(listener: socket.socket) -> None:
        channel, _ = listener.accept()
        with channel:
            channel.send(first)

    path = directory / "other.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=greet, args=(listener,))
        thread.start()
        with pytest.raises(VantageError, match=r"speaks another protocol|isn't ready"):
            connect_vantage_process(path)
        thread.join()
