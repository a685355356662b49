"""squid on loopback: one port open to all, one with basic authentication; some destinations are denied."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import require_program
from tests.real.process import free_ports, running, server_directory

USER = "proxy-user"
PASSWORD = "proxy-password-of-this-test"

_CONFIGURATION = """\
http_port 127.0.0.1:{open_port} name=open
http_port 127.0.0.1:{authenticated_port} name=authenticated
auth_param basic program /usr/lib/squid/basic_ncsa_auth {directory}/passwords
auth_param basic children 1
auth_param basic realm the gateway of this test
acl signed_in proxy_auth REQUIRED
acl authenticated myportname authenticated
acl denied_port port {denied_port}
http_access deny denied_port
http_access deny authenticated !signed_in
http_access allow all
cache deny all
cache_mem 0
memory_pools off
memory_cache_shared off
workers 1
shutdown_lifetime 0 seconds
connect_timeout 3 seconds
pinger_enable off
netdb_filename none
pid_filename none
visible_hostname gateway.test
dns_nameservers 127.0.0.1
access_log none
cache_log {directory}/cache.log
coredump_dir {directory}
max_filedescriptors 512
"""


@dataclass(frozen=True, slots=True)
class Squid:
    """A running squid. CONNECT to `denied_port` is answered with 403."""

    open_port: int
    authenticated_port: int
    denied_port: int


@contextmanager
def squid() -> Iterator[Squid]:
    """squid while it runs."""
    binary = require_program("squid", "squid")
    with server_directory("squid") as directory:
        proxy = Squid(*free_ports(3))
        _write_passwords(directory / "passwords")
        configuration = directory / "squid.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                directory=directory,
                open_port=proxy.open_port,
                authenticated_port=proxy.authenticated_port,
                denied_port=proxy.denied_port,
            )
        )
        _give_to_proxy(directory)
        command = [binary, "-N", "-n", f"test{proxy.open_port}", "-f", configuration]
        ports = (proxy.open_port, proxy.authenticated_port)
        with running(command, directory, ports=ports, stop=signal.SIGKILL):  # else 2 s
            yield proxy


def _write_passwords(path: Path) -> None:
    hashed = subprocess.run(
        ["openssl", "passwd", "-apr1", "-stdin"], input=PASSWORD, capture_output=True, text=True, check=True
    ).stdout.strip()
    path.write_text(f"{USER}:{hashed}\n")


def _give_to_proxy(directory: Path) -> None:
    """squid started by root becomes the user proxy, who writes its log."""
    try:
        shutil.chown(directory, "proxy", "proxy")
    except PermissionError:
        pass  # not root: squid stays who we are
