"""Programs as children: found, started, awaited, and ended with all their own children."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.machine import NotPossible

START_SECONDS = 15.0
STOP_SECONDS = 5.0

PYTHON = sys.executable
#: Where `python -m exporter` and `python -m benchmarks` are found.
ROOT = Path(__file__).resolve().parent.parent


def program(name: str, package: str) -> str:
    """The program's path. Raises NotPossible with its Debian package."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        raise NotPossible(f"{name} is not installed (Debian package {package})")
    return path


def free_port() -> int:
    """A loopback TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None, output: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The child while it runs, in a session of its own. stderr goes to `log`, stdout to `output` or there too."""
    with log.open("wb") as errors, (output or log).open("ab") as said:
        child = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=errors,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    try:
        yield child
    finally:
        end(child)


def end(child: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
    """Asks it to end, then ends what is left of its own session (and of no other)."""
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


def await_words(child: subprocess.Popen[bytes], log: Path, words: str) -> None:
    """Until `words` stand in its log. Raises NotPossible where it ends or says nothing of the kind."""
    deadline = time.monotonic() + START_SECONDS
    while words not in (text := log.read_text(errors="replace")):
        if child.poll() is not None or time.monotonic() > deadline:
            raise NotPossible(f"{child.args!r} didn't start:\n{text[-2000:]}")
        time.sleep(0.01)


def await_port(child: subprocess.Popen[bytes], log: Path, port: int) -> None:
    """Until it accepts on a loopback port. Raises NotPossible where it doesn't."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if child.poll() is not None or time.monotonic() > deadline:
            raise NotPossible(f"{child.args!r} didn't start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)


@contextmanager
def spinners(log: Path) -> Iterator[None]:
    """A process on every core that never rests."""
    cores = sorted(os.sched_getaffinity(0))
    children = []
    try:
        for core in cores:
            code = f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
            with log.open("ab") as said:
                children.append(subprocess.Popen([PYTHON, "-c", code], stderr=said, start_new_session=True))
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()
