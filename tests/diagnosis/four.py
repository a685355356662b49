"""Client, gateway, one hop beyond, and the embedded Outlook.com, each a namespace: faults at the gateway or beyond it.

Names are unique to the test, everything is removed with it; real ports, public-looking documentation addresses.

    client 10.99.1.2 ── .1 gateway 10.99.2.1 ── .2 beyond 10.99.3.1 ── .2 Outlook 198.51.100.N (on its loopback)
"""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.lab.places import places
from tests.conftest import require_program

ROOT = Path(__file__).parent.parent.parent
_numbers = itertools.count()

#: Every host of the catalogue at an address of its own.
ADDRESSES = {
    host: f"198.51.100.{number}" for number, host in enumerate(sorted({place.host for place in places()}), start=10)
}


def run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, **options)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done


@dataclass(frozen=True)
class Four:
    """The namespaces' names, and what to point the exporter at."""

    client: str
    gateway: str
    beyond: str
    outlook: str
    directory: Path

    def filter(self, where: str, *rule: str, chain: str = "FORWARD", table: str = "filter") -> None:
        """`iptables` at the gateway or beyond."""
        iptables = require_program("iptables")
        run("ip", "netns", "exec", where, iptables, "-w", "-t", table, "-A", chain, *rule)

    def clear(self) -> None:
        """No rules anywhere."""
        for where in (self.gateway, self.beyond):
            for table in ("filter", "mangle", "nat", "raw"):
                run("ip", "netns", "exec", where, "iptables", "-w", "-t", table, "-F")

    def configuration(self, *targets: str, **more: Any) -> dict[str, Any]:
        """One vantage, the client's namespace."""
        return {
            "probe": {"targets": list(targets), "timeout": "2s"},
            "vantages": [{"name": "clients", "network_namespace": self.client}],
            "identity": {"roots_file": str(self.directory / "roots.pem")},
            **more,
        }


@contextmanager
def four(directory: Path) -> Iterator[Four]:
    """Makes them, with Outlook.com listening; removes them."""
    tag = f"oae4{os.getpid()}x{next(_numbers)}"
    names = [f"{tag}{letter}" for letter in "cgbo"]
    etc = Path("/etc/netns") / names[0]
    with ExitStack() as stack:
        for name in names:
            run("ip", "netns", "add", name)
            stack.callback(run, "ip", "netns", "del", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        _join(names)
        etc.mkdir(parents=True)
        stack.callback(_remove, etc)
        (etc / "hosts").write_text("".join(f"{address} {host}\n" for host, address in ADDRESSES.items()))
        (etc / "resolv.conf").write_text("nameserver 10.99.1.1\n")
        server = subprocess.Popen(
            ["ip", "netns", "exec", names[3], sys.executable, "-m", "tests.diagnosis.outlook_server", str(directory)],
            stdout=subprocess.PIPE, cwd=ROOT, text=True,
        )  # fmt: skip
        stack.callback(_end, server)
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        client, gateway, beyond, outlook = names
        yield Four(client, gateway, beyond, outlook, directory)


def _join(names: list[str]) -> None:
    """A chain of veth pairs; each but the ends forwards, and each knows both directions."""
    for number, (left, right) in enumerate(itertools.pairwise(names), start=1):
        run("ip", "-n", left, "link", "add", f"r{number}", "type", "veth", "peer", "name", f"l{number}", "netns", right)
        ends = (left, f"r{number}", 2 if number == 1 else 1), (right, f"l{number}", 1 if number == 1 else 2)
        for name, link, last in ends:
            run("ip", "-n", name, "address", "add", f"10.99.{number}.{last}/24", "dev", link)
            run("ip", "-n", name, "link", "set", link, "up")
            offloads = [word for feature in ("tso", "gso", "gro", "tx") for word in (feature, "off")]
            run("ip", "netns", "exec", name, "ethtool", "-K", link, *offloads)
    client, gateway, beyond, outlook = names
    for name in (gateway, beyond):
        switches = "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 0 > /proc/sys/net/ipv4/icmp_ratelimit"
        run("ip", "netns", "exec", name, "sh", "-c", switches)
    run("ip", "-n", client, "route", "add", "default", "via", "10.99.1.1")
    run("ip", "-n", gateway, "route", "add", "default", "via", "10.99.2.2")
    run("ip", "-n", beyond, "route", "add", "10.99.1.0/24", "via", "10.99.2.1")
    run("ip", "-n", beyond, "route", "add", "198.51.100.0/24", "via", "10.99.3.2")
    run("ip", "-n", outlook, "route", "add", "default", "via", "10.99.3.1")
    for server in ADDRESSES.values():
        run("ip", "-n", outlook, "address", "add", f"{server}/32", "dev", "lo")


def _remove(etc: Path) -> None:
    for name in ("hosts", "resolv.conf"):
        (etc / name).unlink(missing_ok=True)
    etc.rmdir()


def _end(server: "subprocess.Popen[str]") -> None:
    server.terminate()
    server.wait(10)
    assert server.stdout is not None
    server.stdout.close()
