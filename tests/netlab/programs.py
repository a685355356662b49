"""Gateways that nobody here wrote, in the gateway's place: squid, mitmproxy, haproxy, nginx, Postfix, as people run them.

A scenario names one of `PROGRAMS`; connections come to it redirected, by a name that leads to it, or because clients
are told to use it as their proxy.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import require_program
from tests.netlab.topology import GATEWAYS_RESOLVER, RESOLVER, Network
from tests.real.postfix import configured
from tests.real.process import end, logs

#: Where each listens, in the gateway.
PROXY_PORT, MITMPROXY_PORT, NAME_FILTER_PORT, ENDS_TLS_PORT, SUBMISSION_PORT = 3128, 15_001, 15_002, 15_003, 15_004
ASKED_MITMPROXY_PORT = 15_005
START_SECONDS = 20.0

_SQUID = """\
http_port 10.77.1.1:3128
acl web port 443 80
acl refused dstdomain {refused}
{rules}
cache deny all
cache_mem 0
shutdown_lifetime 0 seconds
connect_timeout 3 seconds
pinger_enable off
pid_filename none
visible_hostname gateway.example.net
dns_nameservers {resolver}
access_log none
cache_log {directory}/cache.log
coredump_dir {directory}
max_filedescriptors 1024
"""

_SQUID_USERS = """\
auth_param basic program /usr/lib/squid/basic_ncsa_auth {directory}/passwords
auth_param basic realm example
acl known proxy_auth REQUIRED
http_access deny !known
"""

_HAPROXY = """\
global
    maxconn 500
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend by_name
    bind 10.77.1.1:15002
    tcp-request inspect-delay 3s
    tcp-request content reject if {{ req.ssl_sni -i login.microsoftonline.com }}
    tcp-request content accept if {{ req.ssl_hello_type 1 }}
    default_backend onward
backend onward
    option transparent
frontend opened
    bind 10.77.1.1:15003 ssl crt {directory}/gateway.pem
    default_backend closed_again
backend closed_again
    server whoever 0.0.0.0:0 ssl verify none
"""

_NGINX = """\
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 200; }}
http {{
    access_log off;
    server {{
        listen 10.77.1.1:443 ssl;
        ssl_certificate {directory}/gateway.pem;
        ssl_certificate_key {directory}/gateway.pem;
        default_type text/html;
        return 403 "<html><h1>Blocked by company policy</h1></html>";
    }}
}}
"""

_POSTFIX_MAIN = """\
compatibility_level = 3.6
queue_directory = {directory}/spool
data_directory = {directory}/data
maillog_file_prefixes = /tmp
maillog_file = {directory}/postfix.log
myhostname = mailgate.example.net
mydestination =
alias_maps =
inet_interfaces = all
inet_protocols = ipv4
smtpd_peername_lookup = no
disable_dns_lookups = yes
smtpd_relay_restrictions = reject
"""

_POSTFIX_MASTER = """\
10.77.1.1:15004 inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
anvil unix - - n - 1 anvil
rewrite unix - - n - - trivial-rewrite
cleanup unix n - n - 0 cleanup
proxymap unix - - n - - proxymap
"""


@dataclass(frozen=True, slots=True)
class Program:
    """`prepare` writes what it needs into a directory and returns its command; `port`: where it is awaited."""

    binary: str
    package: str
    port: int
    prepare: Callable[[str, Path], list[str]]


@contextmanager
def started(name: str, net: Network) -> Iterator[None]:
    """The program, in the gateway, while the block runs. Raises AssertionError where it doesn't come up."""
    program = PROGRAMS[name]
    binary = require_program(program.binary, program.package)
    directory = Path("/tmp", f"{net.names['gateway']}-{program.binary}")
    directory.mkdir(mode=0o755)
    child = None
    try:
        _certificate(directory)
        command = net.command("gateway", *program.prepare(binary, directory))
        with (directory / "output.log").open("wb") as output:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd=directory
            )
        _await(net, program.port, directory)
        yield
    finally:
        if child is not None:
            end(child, signal.SIGKILL)  # nothing of it is kept
        shutil.rmtree(directory)


def _await(net: Network, port: int, directory: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while f":{port} " not in net.run("gateway", "ss", "-Hltn").stdout:
        if time.monotonic() > deadline:
            raise AssertionError(f"nobody listens on {port}\n{logs(directory)}")
        time.sleep(0.05)


def _certificate(directory: Path) -> None:
    """The gateway's own, for every name that it may stand in for, signed by itself."""
    names = "DNS:*.outlook.com,DNS:*.office365.com,DNS:*.office.com,DNS:login.live.com,DNS:login.microsoftonline.com"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
         "-subj", "/O=Example Gateway/CN=gateway.example.net", "-addext", f"subjectAltName={names}",
         "-keyout", directory / "key.pem", "-out", directory / "certificate.pem"],
        check=True, capture_output=True, timeout=20,
    )  # fmt: skip
    both = (directory / "key.pem").read_bytes() + (directory / "certificate.pem").read_bytes()
    (directory / "gateway.pem").write_bytes(both)


def _squid(refused: str, *rules: str, users: bool = False) -> Callable[[str, Path], list[str]]:
    def prepare(binary: str, directory: Path) -> list[str]:
        (directory / "passwords").write_text("nobody:*\n")
        shutil.chown(directory, "proxy", "proxy")
        asked = _SQUID_USERS.format(directory=directory) if users else ""
        content = _SQUID.format(refused=refused, rules=asked + "\n".join(rules), resolver=RESOLVER, directory=directory)
        (directory / "squid.conf").write_text(content)
        return [binary, "-N", "-n", f"lab{os.getpid()}", "-f", str(directory / "squid.conf")]

    return prepare


def _mitmproxy(mode: str, port: int) -> Callable[[str, Path], list[str]]:
    def prepare(binary: str, directory: Path) -> list[str]:
        return [
            *(binary, "--quiet", "--mode", mode, "--listen-host", GATEWAYS_RESOLVER),
            *("--listen-port", str(port), "--set", f"confdir={directory}", "--set", "ssl_insecure=true"),
        ]

    return prepare


def _haproxy(binary: str, directory: Path) -> list[str]:
    (directory / "haproxy.cfg").write_text(_HAPROXY.format(directory=directory))
    return [binary, "-db", "-f", str(directory / "haproxy.cfg")]


def _nginx(binary: str, directory: Path) -> list[str]:
    (directory / "nginx.conf").write_text(_NGINX.format(directory=directory))
    return [binary, "-c", str(directory / "nginx.conf"), "-p", str(directory)]


def _postfix(binary: str, directory: Path) -> list[str]:
    return configured(binary, directory, _POSTFIX_MAIN.format(directory=directory), _POSTFIX_MASTER)


PROGRAMS = {
    "squid_that_opens_the_web": Program(
        "squid", "squid", PROXY_PORT, _squid("nothing.example", "http_access allow web", "http_access deny all")
    ),
    "squid_that_refuses_a_name": Program(
        "squid", "squid", PROXY_PORT, _squid("login.live.com", "http_access deny refused", "http_access allow all")
    ),
    "squid_with_users": Program(
        "squid", "squid", PROXY_PORT, _squid("nothing.example", "http_access allow all", users=True)
    ),
    "mitmproxy": Program("mitmdump", "mitmproxy", MITMPROXY_PORT, _mitmproxy("transparent", MITMPROXY_PORT)),
    "mitmproxy_asked_for": Program(
        "mitmdump", "mitmproxy", ASKED_MITMPROXY_PORT, _mitmproxy("regular", ASKED_MITMPROXY_PORT)
    ),
    "haproxy": Program("haproxy", "haproxy", NAME_FILTER_PORT, _haproxy),
    "nginx": Program("nginx", "nginx", 443, _nginx),
    "postfix": Program("postfix", "postfix", SUBMISSION_PORT, _postfix),
}
