"""A gateway for one test: a client's namespace inside, a server's outside, and rules between them.

10.77.0.1 and fd77::1 are the gateway's inside addresses, 10.77.0.254 and fd77::254 the client's; outside is 10.78.
IPv4 is masqueraded. Port 4434 is reset for what comes in by the inside interface, whatever its address.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter.capabilities import enter_network_namespace
from exporter.probe.vantage_process import fork_vantage_process
from tests.probe.namespaces import inside, ip, namespace

SERVER = {4: "10.78.0.2", 6: "fd78::2"}
OPEN, BLOCKED = 4433, 4434

#: Answers each connection with the address that it came from.
_SERVER = """
import selectors, socket
with selectors.DefaultSelector() as selector:
    for port in (4433, 4434):
        server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        selector.register(server, selectors.EVENT_READ)
    print("listening", flush=True)
    while True:
        for key, _ in selector.select():
            channel, peer = key.fileobj.accept()
            with channel:
                channel.send(peer[0].removeprefix("::ffff:").encode())
"""

_RULES = """
table inet filter {
  chain forward {
    type filter hook forward priority filter;
    iifname "in0" tcp dport 4434 reject with tcp reset
  }
}
table ip nat {
  chain postrouting { type nat hook postrouting priority srcnat; oifname "out0" masquerade; }
}
"""


@dataclass(frozen=True, slots=True)
class Gateway:
    """Names of the three namespaces. Functions called `at_gateway` see the gateway's interfaces as their own."""

    name: str
    client: str
    server: str

    def at_gateway(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return inside(self.name, function, *arguments)

    def ip(self, *words: str) -> str:
        return ip("-n", self.name, *words)

    def program(self, *words: str) -> str:
        return program_in(self.name, *words)

    def state(self) -> list[str]:
        """All that a view could change: of the machine and of the gateway.

        What other test processes make on this machine at the same time is left out.
        """
        own = f"oaet{os.getpid()}-"
        files = sorted(str(path) for path in Path("/etc").glob("*netns*/**/*"))
        alone = "PYTEST_XDIST_WORKER" not in os.environ  # else a directory of all may come and go meanwhile
        if alone and all(own in each or each == "/etc/netns/.outlook-auth-exporter" for each in files):
            files += sorted(path.name for path in Path("/etc").iterdir() if "netns" in path.name)
        names = [name for name in ip("netns").splitlines() if name.startswith(own)]
        here = [_name(line) for line in self.ip("-o", "link").splitlines()]
        here += [self.ip("-o", *what) for what in (("-4", "route"), ("-6", "route"), ("address",))]
        permanent = self.ip("neigh", "show", "nud", "permanent")
        tc = [self.program("tc", *what) for what in (("qdisc",), ("filter", "show", "dev", "in0", "egress"))]
        return [*(each for each in files if own in each or "/" not in each), *names, *here, permanent, *tc]


def _name(line: str) -> str:
    """Its number and name: flags and state follow the peer's a moment later."""
    return line.partition("<")[0]


def program_in(where: str, *words: str) -> str:
    command = ["nsenter", f"--net=/run/netns/{where}", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


@contextmanager
def gateway(nft: str, *, bridged: bool = False) -> Iterator[Gateway]:
    """The three namespaces, joined; with `bridged`, in0 is a bridge and the client is behind its port `port0`."""
    with ExitStack() as stack:
        made = Gateway(*(stack.enter_context(namespace()) for _ in range(3)))
        inside(made.name, _forward)
        port = "port0" if bridged else "in0"
        if bridged:
            made.ip("link", "add", "in0", "type", "bridge")
            made.ip("link", "set", "in0", "up")
        made.ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", made.client)
        made.ip("link", "add", "out0", "type", "veth", "peer", "name", "eth0", "netns", made.server)
        if bridged:
            made.ip("link", "set", port, "master", "in0")
        _number(made)
        for end in (port, "out0"):
            made.ip("link", "set", end, "up")
        for where, network in ((made.client, "77"), (made.server, "78")):
            ip("-n", where, "link", "set", "eth0", "up")
            ip("-n", where, "route", "add", "default", "via", f"10.{network}.0.1")
            ip("-n", where, "-6", "route", "add", "default", "via", f"fd{network}::1")
        subprocess.run(
            ["nsenter", f"--net=/run/netns/{made.name}", nft, "-f", "-"], input=_RULES, text=True, check=True
        )
        stack.enter_context(_server(made.server))
        yield made


def _number(made: Gateway) -> None:
    for where, device, four, six in (
        (made.name, "in0", "10.77.0.1", "fd77::1"),
        (made.name, "out0", "10.78.0.1", "fd78::1"),
        (made.client, "eth0", "10.77.0.254", "fd77::254"),
        (made.server, "eth0", SERVER[4], SERVER[6]),
    ):
        ip("-n", where, "address", "add", f"{four}/24", "dev", device)
        ip("-n", where, "-6", "address", "add", f"{six}/64", "dev", device, "nodad")


def _forward() -> None:
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    for what, value in (("all/forwarding", "1"), ("all/accept_dad", "0"), ("default/accept_dad", "0")):
        (Path("/proc/sys/net/ipv6/conf") / what).write_text(value)


@contextmanager
def _server(where: str) -> Iterator[None]:
    command = ["ip", "netns", "exec", where, sys.executable, "-c", _SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "listening\n"
            yield
        finally:
            child.kill()


def seen_from(where: str, version: int, port: int) -> str:
    """How the server sees a connection made in the namespace; "refused" or "timeout" where it doesn't come through."""
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    with fork_vantage_process(where) as process, process.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(3)
        try:
            sock.connect((SERVER[version], port))
            return sock.recv(64).decode()
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "timeout"


def killed_at(step: int, where: str, function: Callable[..., Any], *arguments: Any) -> bool:
    """Calls the function in the namespace, in a child that is killed at that step; False where it ended before.

    A step is a program started, or a change in the file system.
    """
    pid = os.fork()
    if pid == 0:
        _die_at(step, where, function, arguments)
    status = os.waitpid(pid, 0)[1]
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    return os.WIFSIGNALED(status)


def _die_at(step: int, where: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    left = step

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        return call

    status = 1
    try:
        enter_network_namespace(os.open(f"/run/netns/{where}", os.O_RDONLY))
        for module, name in ((subprocess, "run"), *((os, name) for name in ("mkdir", "rename", "rmdir", "unlink"))):
            setattr(module, name, counted(getattr(module, name)))
        function(*arguments)
        status = 0
    finally:
        os._exit(status)
