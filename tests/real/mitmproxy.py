"""mitmproxy on loopback: a real gateway that ends TLS and shows a certificate of its own authority.

In front of one server, or as the clients' proxy that inspects whatever passes, mail included, and writes down what it reads.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import require_program
from tests.real.process import free_ports, running, server_directory


@dataclass(frozen=True, slots=True)
class Mitmproxy:
    """A running mitmproxy: `port` ends TLS for one server, `root_file` is the authority its certificates chain to."""

    port: int
    root_file: Path
    log: Path  # where it writes what it reads


@contextmanager
def mitmproxy(upstream_port: int) -> Iterator[Mitmproxy]:
    """mitmproxy in front of https://localhost:`upstream_port` while it runs."""
    binary = require_program("mitmdump", "mitmproxy")
    with server_directory("mitmproxy") as directory:
        [port] = free_ports(1)
        command = [
            *(binary, "--quiet", "--listen-host", "127.0.0.1", "--listen-port", str(port)),
            *("--mode", f"reverse:https://localhost:{upstream_port}", "--set", f"confdir={directory}"),
            *("--set", "ssl_insecure=true"),  # the test's own authority stands behind it
        ]
        with running(command, directory, ports=[port]):
            yield Mitmproxy(port, directory / "mitmproxy-ca-cert.pem", directory / "stdout.log")


@contextmanager
def inspecting_proxy(beyond: int, excepted: str) -> Iterator[Mitmproxy]:
    """mitmproxy as an HTTP proxy that inspects all TLS of CONNECT, and passes on through another proxy on loopback.

    `excepted`: a host that it lets pass as it is.
    """
    binary = require_program("mitmdump", "mitmproxy")
    with server_directory("inspecting") as directory:
        [port] = free_ports(1)
        command = [
            *(binary, "--listen-host", "127.0.0.1", "--listen-port", str(port), "--set", f"confdir={directory}"),
            *("--mode", f"upstream:http://127.0.0.1:{beyond}", "--set", "ssl_insecure=true"),
            *("--tcp-hosts", r".*:\d*(993|995)$"),  # TLS, but not HTTP
            *("--ignore-hosts", f"^{re.escape(excepted)}$"),
            *("--set", "flow_detail=3"),
        ]
        with running(command, directory, ports=[port]):
            yield Mitmproxy(port, directory / "mitmproxy-ca-cert.pem", directory / "stdout.log")
