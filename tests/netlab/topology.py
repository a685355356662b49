"""Four network namespaces in a row: client, gateway, the provider's router, internet; removed whatever happens.

    client 10.77.1.2 — 10.77.1.1 gateway 10.77.2.1 — 10.77.2.2 provider 10.77.3.1 — 10.77.3.2 internet

The gateway masquerades. The internet's servers have addresses of RFC 5737 on its loopback, the public resolver is
192.0.2.53. The gateway's `in0` and `out0` are its two sides. Offloads are off, so that a packet is a packet.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

RESOLVER, GATEWAYS_RESOLVER = "192.0.2.53", "10.77.1.1"
PLACES = ("client", "gateway", "provider", "internet")
NFT_TABLE = "oae_lab"
_LINKS = (
    ("client", "eth0", "10.77.1.2", "gateway", "in0", "10.77.1.1"),
    ("gateway", "out0", "10.77.2.1", "provider", "in0", "10.77.2.2"),
    ("provider", "out0", "10.77.3.1", "internet", "eth0", "10.77.3.2"),
)
_ROUTES = (
    ("client", "default", "10.77.1.1"),
    ("gateway", "default", "10.77.2.2"),
    ("provider", "default", "10.77.3.2"),
    ("provider", "10.77.1.0/24", "10.77.2.1"),
    ("internet", "10.77.0.0/16", "10.77.3.1"),
)


@dataclass(frozen=True, slots=True)
class Network:
    """The namespaces' names, by place."""

    names: dict[str, str]

    def command(self, place: str, *words: str) -> list[str]:
        """What runs a program there, with that place's own resolver."""
        return ["ip", "netns", "exec", self.names[place], *words]

    def run(self, place: str, *words: str, check: bool = True, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        """Runs it to its end. Raises AssertionError where it must not fail and does."""
        done = subprocess.run(self.command(place, *words), capture_output=True, text=True, timeout=timeout, check=False)
        assert not check or done.returncode == 0, f"{place}: {' '.join(words)}: {done.stderr}{done.stdout}"
        return done

    def rules(self, place: str, *rules: str) -> None:
        """iptables rules, each a line without the program's name."""
        for rule in rules:
            self.run(place, "iptables", "-w", *rule.split())

    def filtered(self, place: str, *rules: str) -> None:
        """Rules of a chain of nftables on what is forwarded."""
        self.run(place, "nft", "add", "table", "ip", NFT_TABLE)
        chain = "{ type filter hook forward priority 0 ; }"
        self.run(place, "nft", f"add chain ip {NFT_TABLE} forwarded {chain}")
        for rule in rules:
            self.run(place, "nft", f"add rule ip {NFT_TABLE} forwarded {rule}")

    @contextmanager
    def with_six(self) -> Iterator[None]:
        """While the block runs, IPv6 from the client through the gateway to the provider, and no further."""
        links = (("client", "eth0", "fd77:1::2"), ("gateway", "in0", "fd77:1::1"),
                 ("gateway", "out0", "fd77:2::1"), ("provider", "in0", "fd77:2::2"))  # fmt: skip
        routes = (("client", "default", "fd77:1::1"), ("gateway", "default", "fd77:2::2"),
                  ("provider", "fd77:1::/64", "fd77:2::1"))  # fmt: skip
        for place, device, address in links:
            self.run(place, "ip", "-6", "address", "add", f"{address}/64", "dev", device, "nodad")
        for place, destination, by in routes:
            self.run(place, "ip", "-6", "route", "add", destination, "via", by)
        for place in ("gateway", "provider"):
            self.run(place, "sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        self.run("provider", "ip", "-6", "route", "add", "blackhole", "2001:db8::/32")
        try:
            yield
        finally:
            self.run("provider", "ip", "-6", "route", "del", "blackhole", "2001:db8::/32")
            for place, device, address in links:
                self.run(place, "ip", "-6", "address", "del", f"{address}/64", "dev", device)
            for place, destination, _ in routes:
                self.run(place, "ip", "-6", "route", "del", destination, check=False)

    def forgets(self, place: str, seconds: int) -> None:
        """After so much silence it knows nothing of a connection, and takes up none in its middle."""
        self.run(place, "sysctl", "-qw", f"net.netfilter.nf_conntrack_tcp_timeout_established={seconds}")
        self.run(place, "sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_loose=0")

    def remembers(self, place: str) -> None:
        """As the kernel comes."""
        self.run(place, "sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_timeout_established=432000")
        self.run(place, "sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_loose=1")

    def forget_rules(self) -> None:
        """Every filter of gateway and provider, but the masquerading."""
        for place in ("gateway", "provider"):
            for table in ("filter", "mangle"):
                self.run(place, "iptables", "-w", "-t", table, "-F")
            self.run(place, "iptables", "-w", "-t", "nat", "-F", "PREROUTING")
            self.run(place, "conntrack", "-F", check=False)
            self.run(place, "nft", "delete", "table", "ip", NFT_TABLE, check=False)
        self.run("gateway", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.remembers("gateway")


@contextmanager
def network(addresses: Sequence[str], prefix: str | None = None) -> Iterator[Network]:
    """The whole row, `addresses` being the internet's servers. Leftovers of the same prefix are removed first."""
    prefix = prefix or f"oaenl{os.getpid()}"
    made = Network({place: f"{prefix}-{place}" for place in PLACES})
    remove(made)
    try:
        _make(made, addresses)
        yield made
    finally:
        remove(made)


def remove(network: Network) -> None:
    """Ends what runs there, and the namespaces; nothing where there is nothing."""
    for name in network.names.values():
        if not Path("/run/netns", name).exists():
            continue
        pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False).stdout.split()
        if pids:
            subprocess.run(["kill", "-9", *pids], capture_output=True, check=False)
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        shutil.rmtree(Path("/etc/netns", name), ignore_errors=True)


def _make(made: Network, addresses: Sequence[str]) -> None:
    for place, name in made.names.items():
        _ip("netns", "add", name)
        resolver = GATEWAYS_RESOLVER if place == "client" else RESOLVER
        Path("/etc/netns", name).mkdir(parents=True)
        Path("/etc/netns", name, "resolv.conf").write_text(f"nameserver {resolver}\noptions timeout:2 attempts:1\n")
        _ip("-n", name, "link", "set", "lo", "up")
    for left, device, address, right, peer, other in _LINKS:
        ends = ["type", "veth", "peer", "name", peer, "netns", made.names[right]]
        _ip("-n", made.names[left], "link", "add", device, *ends)
        for place, end, own in ((left, device, address), (right, peer, other)):
            _ip("-n", made.names[place], "address", "add", f"{own}/24", "dev", end)
            made.run(place, "ethtool", "-K", end, "tso", "off", "gso", "off", "gro", "off", "tx", "off", check=False)
            _ip("-n", made.names[place], "link", "set", end, "up")
    for place, destination, by in _ROUTES:
        _ip("-n", made.names[place], "route", "add", destination, "via", by)
    for place in ("gateway", "provider"):
        made.run(place, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    for address in (*addresses, RESOLVER):
        _ip("-n", made.names["internet"], "address", "add", f"{address}/32", "dev", "lo")
    made.rules("gateway", "-t nat -A POSTROUTING -o out0 -j MASQUERADE")


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
