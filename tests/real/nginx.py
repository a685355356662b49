"""nginx on loopback, one port for each way a TLS or web server can be wrong."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import require_program
from tests.real import dns
from tests.real.certificates import Authority, Files
from tests.real.process import free_ports, running, server_directory

BLOCK_PAGE = "<html><title>Blocked</title><script>alert(1)</script>This site is blocked by policy.</html>"
PORTAL = "http://portal.example.org/login"

_CONFIGURATION = """\
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
{user}
worker_processes 1;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    default_type text/html;
    ssl_protocols TLSv1.2 TLSv1.3;
{servers}
}}
"""

_TLS_SERVER = """\
    server {{
        {listen}
        ssl_certificate {chain};
        ssl_certificate_key {key};
        {extra}
        location / {{ {answer} }}
    }}
"""

_PLAIN_SERVER = """\
    server {{
        listen 127.0.0.1:{port};
        location / {{ {answer} }}
    }}
"""

_OLD = "ssl_protocols {version}; ssl_ciphers ALL:@SECLEVEL=0;"  # OpenSSL 3 signs with SHA-1 only at level 0
#: More than one address, for names that have many.
_ADDRESSES = {"healthy": dns.MANY_ADDRESSES}
_OK = 'return 200 "an ordinary page";'

#: Name of a port → what its server block adds. The certificate is the faultless one unless `_certificates` has it.
_EXTRAS = {
    "healthy": "",
    "tls10": _OLD.format(version="TLSv1"),
    "tls11": _OLD.format(version="TLSv1.1"),
    "tls12": "ssl_protocols TLSv1.2; ssl_ecdh_curve P-256;",
    "tls13": "ssl_protocols TLSv1.3; ssl_ecdh_curve X25519;",
    "retry": "ssl_protocols TLSv1.3; ssl_ecdh_curve P-384;",  # not among a client's first key shares: HelloRetryRequest
    "wrong_name": "",
    "expired": "",
    "not_yet_valid": "",
    "incomplete": "",
    "self_signed": "",
    "unreadable": "",
    "expired_wrong_name": "",
    "forbidden": "",
    "redirect": "",
    "unavailable": "",
    "not_found": "",
}

_ANSWERS = {
    "forbidden": f"return 403 '{BLOCK_PAGE}';",
    "redirect": f"return 302 {PORTAL};",
    "unavailable": 'return 503 "overloaded";',
    "not_found": "return 404;",
}


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running nginx: `ports` by the name of the fault, `certificates` alike (for what the exporter should report)."""

    ports: dict[str, int]
    certificates: dict[str, Files]


@contextmanager
def nginx(authority: Authority) -> Iterator[Nginx]:
    """nginx while it runs."""
    binary = require_program("nginx", "nginx-light")
    with server_directory("nginx") as directory:
        names = [*_EXTRAS, "plain_http", "plain_forbidden"]
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        certificates = _certificates(authority)
        configuration = directory / "nginx.conf"
        configuration.write_text(_configuration(directory, ports, certificates))
        with running([binary, "-c", configuration, "-p", directory], directory, ports=list(ports.values())):
            yield Nginx(ports, certificates)


def _certificates(authority: Authority) -> dict[str, Files]:
    names = ("localhost", "127.0.0.1", dns.GOOD, dns.ALIAS, dns.MANY, dns.PARTIAL, dns.DUAL, dns.REDIRECTED)
    good = authority.leaf("nginx", names=names)
    return dict.fromkeys(_EXTRAS, good) | {
        "wrong_name": authority.leaf("wrong-name", names=("elsewhere.example.org",)),
        "expired": authority.leaf("expired", days=(-1.5, -0.5)),
        "not_yet_valid": authority.leaf("not-yet-valid", days=(5, 20)),
        "expired_wrong_name": authority.leaf("expired-wrong-name", names=("elsewhere.example.org",), days=(-1.5, -0.5)),
        "incomplete": authority.leaf("incomplete", intermediate=False),
        "self_signed": authority.self_signed("self-signed"),
        "unreadable": authority.unreadable("unreadable"),
    }


def _configuration(directory: Path, ports: dict[str, int], certificates: dict[str, Files]) -> str:
    servers = [
        _TLS_SERVER.format(
            listen=" ".join(f"listen {address}:{ports[name]} ssl;" for address in _ADDRESSES.get(name, ("127.0.0.1",))),
            chain=certificates[name].chain,
            key=certificates[name].key,
            extra=extra,
            answer=_ANSWERS.get(name, _OK),
        )
        for name, extra in _EXTRAS.items()
    ]
    servers.append(_PLAIN_SERVER.format(port=ports["plain_http"], answer=_OK))
    servers.append(_PLAIN_SERVER.format(port=ports["plain_forbidden"], answer=_ANSWERS["forbidden"]))
    return _CONFIGURATION.format(directory=directory, servers="".join(servers), user=_user())


def _user() -> str:
    """As root the worker would become nobody, who may not write below our directory."""
    return "user root;" if os.geteuid() == 0 else ""
