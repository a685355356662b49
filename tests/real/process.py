"""A foreign server as a child in the foreground: started, awaited on its ports, stopped by signal, wholly gone."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest

START_SECONDS = 15.0
STOP_SECONDS = 8.0
LOG_TAIL = 4_000  # characters of a server's log shown when it doesn't start


def need_root(what: str) -> None:
    """Skips the test where we aren't root."""
    if os.geteuid() != 0:
        pytest.skip(f"{what} starts only as root")


def free_ports(count: int) -> list[int]:
    """Distinct loopback TCP ports that nobody listens on; all are held at once, so that none comes twice."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@contextmanager
def server_directory(name: str) -> Iterator[Path]:
    """A short (Unix socket paths end at 107 bytes), world-readable directory under /tmp, removed at the end."""
    directory = Path(mkdtemp(prefix=f"real-{name}-", dir="/tmp"))
    directory.chmod(0o755)  # the servers give up root and must still reach their files
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


@contextmanager
def running(
    command: Sequence[object],
    directory: Path,
    *,
    ports: Sequence[int],
    stop: signal.Signals = signal.SIGTERM,
    address: str = "127.0.0.1",
    cwd: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """The server while it runs, in `directory` or `cwd`; it accepts connections on all of `ports` (TCP) at the start."""
    log = directory / "stdout.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd or directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _await_ports(child, address, ports, directory)
            yield child
        finally:
            end(child, stop)


def logs(directory: Path) -> str:
    """The tails of the server's logs."""
    return "\n".join(
        f"--- {path.name}\n{path.read_text(errors='replace')[-LOG_TAIL:]}" for path in sorted(directory.glob("*.log"))
    )


def _await_ports(child: subprocess.Popen[bytes], address: str, ports: Sequence[int], directory: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    for port in ports:
        while not _accepts(address, port):
            if child.poll() is not None:
                raise AssertionError(f"{child.args!r} ended with {child.returncode}\n{logs(directory)}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{child.args!r} doesn't accept on {port}\n{logs(directory)}")
            time.sleep(0.02)  # a foreign server tells nobody that it is ready: asking is all we can do


def _accepts(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((address, port)) == 0


def end(child: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
    """Asks the server to end, then ends what is left of its own session (and of no other)."""
    if child.poll() is None:
        child.send_signal(how)
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait(STOP_SECONDS)
