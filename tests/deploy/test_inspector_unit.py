"""The inspector under its unit's rights: user, capability, system calls, address families; as near as goes without an init.

What only systemd does isn't there: the mount namespace of ProtectSystem= and the like, and MemoryMax=.
"""

import os
import shutil
import site
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.capabilities import held_capabilities
from exporter.wire.interface_state import Interface
from exporter.wire.messages import Kind
from exporter.wire.sandbox import CAP_NET_RAW
from tests.conftest import require_program
from tests.deploy.running import ROOT
from tests.deploy.system_calls import SystemCalls
from tests.deploy.test_units import INSPECTOR, settings
from tests.probe.namespaces import inside, namespace, root
from tests.wire.test_process import Heard, children, is_open

pytestmark = root

#: What DynamicUser= would be: users that own nothing.
USER, GROUP = 61_234, 61_235


@contextmanager
def unit() -> Iterator[tuple[subprocess.Popen[bytes], Path, Path]]:
    """`ExecStart=` of the unit, in a directory that is its RuntimeDirectory=; its socket, and what it logs."""
    directory = Path(tempfile.mkdtemp(prefix="oae-inspector-unit-"))
    child = None
    try:
        os.chown(directory, USER, GROUP)
        config, log = directory / "exporter.yml", directory / "log"
        config.write_text(f"inspect: {{socket: {directory}/socket, interfaces: [{{name: lo, side: inside}}]}}\n")
        config.chmod(0o644)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, log.open("wb") as output:
            ready.bind(str(directory / "notify"))
            (directory / "notify").chmod(0o666)
            ready.settimeout(20)
            env = {
                "NOTIFY_SOCKET": str(directory / "notify"),
                "PYTHONPATH": ":".join([str(ROOT), *site.getsitepackages()]),
            }
            child = subprocess.Popen(command(config), cwd=ROOT, env=env, stdout=output, stderr=output)
            try:
                assert ready.recv(100) == b"READY=1"  # Type=notify
            except TimeoutError:
                raise AssertionError(log.read_text()) from None
        yield child, directory / "socket", log
    finally:
        if child is not None:
            child.kill()
            child.wait(5)
        shutil.rmtree(directory)


def command(config: Path) -> list[str]:
    """Under the unit's user, rights and filter."""
    lines = settings(INSPECTOR)
    (capability,) = lines["AmbientCapabilities"]
    right = "+" + capability.removeprefix("CAP_").lower()
    python = interpreter()
    calls = SystemCalls.of(lines["SystemCallFilter"], lines["RestrictAddressFamilies"])
    return [
        require_program("setpriv", "util-linux"),
        f"--reuid={USER}",
        f"--regid={GROUP}",
        "--clear-groups",
        f"--bounding-set=-all,{right}",
        f"--inh-caps=-all,{right}",
        f"--ambient-caps=-all,{right}",
        "--no-new-privs",
        *(python, *calls.command[1:]),
        *(python, "-m", "exporter", "run", "--only", "inspector", "--config", str(config)),
    ]


def interpreter() -> str:
    """This one, or the system's of the same version where this one lies in somebody's home."""
    mine = Path(sys.executable).resolve()
    if all(parent.stat().st_mode & 0o005 == 0o005 for parent in mine.parents):
        return str(mine)
    found = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/local/bin:/usr/bin")
    return found or pytest.skip("no Python of this version that every user may start")


def counted() -> tuple[list[int], list[str], float, str, int, float]:
    """Rights and states of its processes, packets it counted, its log, its status, and how long its end took."""
    with unit() as (child, path, log):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
            channel.connect(str(path))
            heard = Heard(channel)
            heard.order(Interface("lo", "inside"))
            heard.until(Kind.INTERFACES, is_open)
            processes = [child.pid, *children(child.pid)]
            rights = [held_capabilities(each) for each in processes]
            states = [Path(f"/proc/{each}/status").read_text() for each in processes]
            greet()
            heard.until(Kind.SAMPLES, lambda _: packets(heard))
            seen = packets(heard)
        begun = time.monotonic()
        child.terminate()
        status = child.wait(10)
        return rights, states, seen, log.read_text(), status, time.monotonic() - begun


def greet() -> None:
    """A mail connection on loopback."""
    with (
        socket.create_server(("127.0.0.1", 993)) as server,
        socket.create_connection(server.getsockname()),
        server.accept()[0],
    ):
        pass


def packets(heard: Heard) -> float:
    return sum(value for name, value in heard.samples.items() if "packets_total" in name)


@pytest.fixture(scope="module")
def run() -> Iterator[tuple[list[int], list[str], float, str, int, float]]:
    with namespace() as where:
        yield inside(where, counted)


def test_it_counts_packets_and_ends_at_once(run):
    _, _, seen, log, status, seconds = run
    assert seen >= 3, log
    assert (status, "Traceback" in log) == (0, False), log
    assert seconds < 2


def test_its_worker_shuts_itself_in_further(run):
    """Its own filter comes upon the unit's; where the unit forbade that, it would say so and count without."""
    rights, states, _, log, _, _ = run
    assert rights == [1 << CAP_NET_RAW] * 2
    kept, worker = (
        int(next(line for line in each.splitlines() if "Seccomp_filters" in line).split()[1]) for each in states
    )
    assert worker == kept + 1, log
    assert all(f"Uid:\t{USER}" in each and "NoNewPrivs:\t1" in each for each in states)
