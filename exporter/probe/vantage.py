"""Where a vantage's sockets come from, and whom it asks for names.

A socket belongs to the network namespace it was made in; connecting it, and timing that, stays with the prober.
"""

import ipaddress
import socket
from pathlib import Path
from typing import Protocol

#: Bytes of a resolv.conf or hosts file that are read.
MAX_FILE = 1_048_576
#: Name servers used, as in the C library.
MAX_RESOLVERS = 3


class SocketMaker(Protocol):
    """Makes sockets of a vantage."""

    def socket(self, family: int, kind: int) -> socket.socket:
        """A non-blocking, unconnected socket of the vantage. Raises OSError where it can't be had."""
        ...


class LocalSockets:
    """Sockets of this machine, or of `made_by` (a vantage process), bound to an interface or source address."""

    def __init__(
        self, *, interface: str | None = None, source_address: str | None = None, made_by: SocketMaker | None = None
    ) -> None:
        self._interface = interface
        self._source = source_address
        self._made_by = made_by

    def socket(self, family: int, kind: int) -> socket.socket:
        """See SocketMaker. A source address of the other family gives EADDRNOTAVAIL: that family isn't usable here."""
        sock = self._made_by.socket(family, kind) if self._made_by else socket.socket(family, kind)
        try:
            sock.setblocking(False)
            if self._interface is not None:  # unprivileged since Linux 5.7
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface.encode() + b"\0")
            if self._source is not None:
                _bind(sock, family, self._source)
        except OSError:
            sock.close()
            raise
        return sock


def _bind(sock: socket.socket, family: int, address: str) -> None:
    version = ipaddress.ip_address(address).version
    if (family == socket.AF_INET6) != (version == 6):
        raise OSError(99, f"no IPv{4 if version == 6 else 6} source address is configured")  # EADDRNOTAVAIL
    sock.bind((address, 0))


def resolvers_of(namespace: str | None, etc: Path = Path("/etc")) -> list[tuple[str, int]]:
    """The name servers of a namespace (/etc/netns/NAME/resolv.conf) or of this machine, at most three."""
    found = []
    for words in _lines(_file(namespace, "resolv.conf", etc)):
        if words[0] == "nameserver" and len(words) > 1 and (address := _address(words[1])):
            found.append((address, 53))
    return found[:MAX_RESOLVERS] or [("127.0.0.1", 53)]


def hosts_of(namespace: str | None, etc: Path = Path("/etc")) -> dict[str, list[str]]:
    """The hosts file of a namespace or of this machine: lower-cased names with their addresses, both families."""
    found: dict[str, list[str]] = {}
    for words in _lines(_file(namespace, "hosts", etc)):
        if (address := _address(words[0])) is not None:
            for name in words[1:]:
                addresses = found.setdefault(name.lower().rstrip("."), [])
                if address not in addresses:
                    addresses.append(address)
    return found


def _file(namespace: str | None, name: str, etc: Path) -> Path:
    """`ip netns exec` puts the files of /etc/netns/NAME over those of /etc; what isn't there stays /etc's."""
    own = etc / "netns" / namespace / name if namespace else None
    return own if own is not None and own.exists() else etc / name


def _lines(path: Path) -> list[list[str]]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE).decode("utf-8", "replace")
    except OSError:
        return []
    lines = (line.partition("#")[0].partition(";")[0].split() for line in text.splitlines())
    return [words for words in lines if words]


def _address(text: str) -> str | None:
    """The address, a scope id kept (fe80::1%eth0); None for what is none."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
