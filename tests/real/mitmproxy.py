"""mitmproxy on loopback: a real gateway that ends TLS and shows a certificate of its own authority."""

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
            yield Mitmproxy(port, directory / "mitmproxy-ca-cert.pem")
