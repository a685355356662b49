"""The real servers, each started once for all tests that ask for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real import blackbox as blackbox_exporter
from tests.real import dns as name_servers
from tests.real import dovecot as imap_and_pop
from tests.real import microsocks as socks
from tests.real import mitmproxy as interceptor
from tests.real import nginx as web
from tests.real import postfix as submission
from tests.real import squid as http_proxy
from tests.real.certificates import Authority, make_authority
from tests.real.process import server_directory


@pytest.fixture(scope="session")
def authority() -> Iterator[Authority]:
    with server_directory("pki") as directory:
        yield make_authority(directory)


@pytest.fixture(scope="session")
def root_file(authority: Authority) -> Path:
    return authority.root_file


@pytest.fixture(scope="session")
def dovecot(authority: Authority) -> Iterator[imap_and_pop.Dovecot]:
    with imap_and_pop.dovecot(authority.leaf("dovecot")) as running:
        yield running


@pytest.fixture(scope="session")
def postfix(authority: Authority, dovecot: imap_and_pop.Dovecot) -> Iterator[submission.Postfix]:
    with submission.postfix(authority.leaf("postfix"), dovecot.sasl_socket) as running:
        yield running


@pytest.fixture(scope="session")
def nginx(authority: Authority) -> Iterator[web.Nginx]:
    with web.nginx(authority) as running:
        yield running


@pytest.fixture(scope="session")
def squid() -> Iterator[http_proxy.Squid]:
    with http_proxy.squid() as running:
        yield running


@pytest.fixture(scope="session")
def open_socks() -> Iterator[int]:
    with socks.microsocks(credentials=False) as port:
        yield port


@pytest.fixture(scope="session")
def guarded_socks() -> Iterator[int]:
    with socks.microsocks(credentials=True) as port:
        yield port


@pytest.fixture(scope="session")
def dnsmasq() -> Iterator[int]:
    with name_servers.dnsmasq() as port:
        yield port


@pytest.fixture(scope="session")
def unbound(dnsmasq: int) -> Iterator[int]:
    with name_servers.unbound(dnsmasq) as port:
        yield port


@pytest.fixture(scope="session")
def blackbox(root_file: Path) -> Iterator[blackbox_exporter.Blackbox]:
    with blackbox_exporter.blackbox(root_file) as running:
        yield running


@pytest.fixture(scope="session")
def mitmproxy(nginx: web.Nginx) -> Iterator[interceptor.Mitmproxy]:
    with interceptor.mitmproxy(nginx.ports["healthy"]) as running:
        yield running
