"""microsocks on loopback: SOCKS5 (RFC 1928), with user and password (RFC 1929) or without."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.conftest import require_program
from tests.real.process import free_ports, running, server_directory

USER = "socks-user"
PASSWORD = "socks-password-of-this-test"


@contextmanager
def microsocks(*, credentials: bool) -> Iterator[int]:
    """The port of a SOCKS5 proxy while it runs."""
    binary = require_program("microsocks", "microsocks")
    with server_directory("socks") as directory:
        [port] = free_ports(1)
        needed = ["-u", USER, "-P", PASSWORD] if credentials else []
        with running([binary, "-i", "127.0.0.1", "-p", str(port), *needed], directory, ports=[port]):
            yield port
