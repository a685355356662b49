"""The lab as a whole: network, world, the clients' resolver (dnsmasq); scenarios brought up and taken down."""

import json
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.netlab.programs import PROXY_PORT, started
from tests.netlab.scenarios import Scenario
from tests.netlab.topology import GATEWAYS_RESOLVER, RESOLVER, Network, network
from tests.netlab.weather import bad_line
from tests.netlab.world import READY, server_addresses

ROOT = Path(__file__).parents[2]


class NetLab:
    """Running. `apply` brings a scenario up, `clear` takes it down; `run` runs any program at a place."""

    def __init__(self, net: Network, directory: Path, world: subprocess.Popen[str]) -> None:
        self.network, self.directory, self._world = net, directory, world
        self._dnsmasq: subprocess.Popen[bytes] | None = None
        self._programs = ExitStack()
        self._scenario: Scenario | None = None
        self._resolver(())

    def run(self, place: str, *words: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """Runs a program at a place; its failure is the caller's business."""
        return self.network.run(place, *words, check=False, timeout=timeout)

    def apply(self, scenario: Scenario) -> None:
        """Brings it up, in the place of the one before."""
        self.clear()
        self._scenario = scenario
        if scenario.program:
            self._programs.enter_context(started(scenario.program, self.network))
        if scenario.weather is not None:
            self._programs.enter_context(bad_line(self.network, "gateway", *scenario.weather))
        if scenario.six:
            self._programs.enter_context(self.network.with_six())
        if scenario.forgets:
            self.network.forgets("gateway", scenario.forgets)
        if scenario.relay:
            self._order("relay", scenario.relay)
        if scenario.outlook:
            self._order("outlook", scenario.outlook)
        self.network.rules("gateway", *map(_with_addresses, scenario.gateway))
        self.network.rules("provider", *map(_with_addresses, scenario.provider))
        if scenario.nft:
            self.network.filtered("gateway", *scenario.nft)
        if scenario.dnsmasq:
            self._resolver(tuple(map(_with_addresses, scenario.dnsmasq)))

    def clear(self) -> None:
        """Health."""
        self._scenario = None
        self._programs.close()
        self.network.forget_rules()
        self._order("health")
        self._resolver(())

    def configuration(self, *vantages: str, **probe: Any) -> Path:
        """The product's configuration at the gateway: `clients` (a client's view) and `wan` (the gateway's own way)."""
        known = {
            "clients": {"name": "clients", "network_namespace": self.network.names["client"]},
            "wan": {"name": "wan", "resolver": RESOLVER},
        }
        if self._scenario is not None and self._scenario.proxied:
            known["clients"]["proxy"] = f"http://{GATEWAYS_RESOLVER}:{PROXY_PORT}"
        if self._scenario is not None and self._scenario.forgets:
            probe = {"hold": {"targets": list(self._scenario.targets)}} | probe
        content = {
            "probe": dict(probe),
            "vantages": [known[name] for name in vantages or known],
            "identity": {"roots_file": str(self.directory / "roots.pem")},
        }
        path = self.directory / "exporter.yml"
        path.write_text(yaml.safe_dump(content))
        return path

    def product(self, *words: str, timeout: float = 170) -> subprocess.CompletedProcess[str]:
        """The product's command, run at the gateway."""
        command = ["env", f"SSL_CERT_FILE={self.directory / 'trust.pem'}", sys.executable, "-m", "exporter", *words]
        done = self.network.run("gateway", *command, check=False, timeout=timeout)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def lines(self, *words: str) -> list[dict[str, Any]]:
        """Its JSON Lines."""
        return [json.loads(line) for line in self.product(*words, "--json").stdout.splitlines()]

    def _resolver(self, lines: Sequence[str]) -> None:
        """The clients' resolver, with those lines besides its own."""
        if self._dnsmasq is not None:
            self._dnsmasq.kill()
            self._dnsmasq.wait()
        path = self.directory / "dnsmasq.conf"
        own = (
            "no-resolv",
            "no-hosts",
            f"server={RESOLVER}",
            "listen-address=10.77.1.1",
            "bind-interfaces",
            "user=root",
        )
        path.write_text("\n".join([*own, "cache-size=0", *lines]) + "\n")
        command = self.network.command(
            "gateway", "dnsmasq", "--keep-in-foreground", f"--conf-file={path}", "--pid-file="
        )
        self._dnsmasq = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _order(self, *words: str) -> None:
        assert self._world.stdin is not None
        assert self._world.stdout is not None
        self._world.stdin.write(" ".join(words) + "\n")
        self._world.stdin.flush()
        assert self._world.stdout.readline() == "done\n"

    def close(self) -> None:
        """Ends the resolver, and what else runs in the gateway."""
        self._programs.close()
        if self._dnsmasq is not None:
            self._dnsmasq.kill()
            self._dnsmasq.wait()


@contextmanager
def net_lab(prefix: str | None = None) -> Iterator[NetLab]:
    """Up while the block runs, half a second; needs root."""
    addresses = server_addresses()
    with (
        tempfile.TemporaryDirectory(prefix="netlab-", dir="/tmp") as name,
        network([each for own in addresses.values() for each in own], prefix) as net,
    ):
        command = net.command("internet", sys.executable, "-m", "tests.netlab.world", name, net.names["gateway"])
        world = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        watchdog = threading.Timer(3600, world.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            assert world.stdout is not None
            assert world.stdout.readline() == f"{READY}\n"
            lab = NetLab(net, Path(name), world)
            try:
                yield lab
            finally:
                lab.close()
        finally:
            watchdog.cancel()
            world.kill()
            world.communicate()


def _with_addresses(rule: str) -> str:
    """`{HOST}` is that host's first address, `{HOST:all}` all of them."""

    def named(match: re.Match[str]) -> str:
        host, _, every = match[1].partition(":")
        addresses = server_addresses()[host]
        return ",".join(addresses) if every else addresses[0]

    return re.sub(r"\{([^}]+)\}", named, rule)
