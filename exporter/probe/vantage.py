"""Where a vantage's sockets come from, and whom it asks for names.

A socket belongs to the network namespace it was made in; connecting it, and timing that, stays with the prober.
"""

import errno
import ipaddress
import re
import socket
from pathlib import Path
from typing import Protocol

#: Bytes of a resolv.conf or hosts file that are read; what lies beyond is ignored (lists of blocked names grow long).
MAX_FILE = 4_194_304
#: Name servers used, as in the C library (MAXNS).
MAX_RESOLVERS = 3
#: Addresses kept for a name of a hosts file.
MAX_ADDRESSES = 16
#: Characters of an interface's name (IFNAMSIZ less its end).
MAX_INTERFACE = 15

#: The type, where a method is named `socket`.
Socket = socket.socket

_HOST_NAME = re.compile(r"[a-z0-9_-][a-z0-9._-]{0,252}")


class SocketMaker(Protocol):
    """Makes sockets of a vantage."""

    def socket(self, family: int, kind: int) -> Socket:
        """A non-blocking, unconnected socket of the vantage. Raises OSError where it can't be had."""
        ...


class FamilyNotUsable(OSError):
    """This vantage has nothing of that address family (errno EADDRNOTAVAIL): skip it, nothing is broken."""


class LocalSockets:
    """Sockets of this machine, or of `made_by` (a vantage process), bound to an interface or source address."""

    def __init__(
        self, *, interface: str | None = None, source_address: str | None = None, made_by: SocketMaker | None = None
    ) -> None:
        self._interface = interface
        self._source = source_address
        self._made_by = made_by

    def socket(self, family: int, kind: int) -> Socket:
        """See SocketMaker. Raises FamilyNotUsable, or OSError with one line saying what is missing."""
        sock = self._unbound(family, kind)
        try:
            sock.setblocking(False)
            if self._interface is not None:
                _bind_to_interface(sock, self._interface)
            if self._source is not None:
                _bind_to_address(sock, family, self._source)
        except OSError:
            sock.close()
            raise
        return sock

    def _unbound(self, family: int, kind: int) -> Socket:
        try:
            return self._made_by.socket(family, kind) if self._made_by else socket.socket(family, kind)
        except OSError as error:
            if error.errno == errno.EAFNOSUPPORT:  # a kernel without IPv6
                raise FamilyNotUsable(errno.EADDRNOTAVAIL, f"no {_name(family)} on this machine") from error
            raise


def _bind_to_interface(sock: socket.socket, interface: str) -> None:
    """SO_BINDTODEVICE, open to everyone since Linux 5.7 (c427bfec18f2); the socket's own namespace is searched."""
    name = interface.encode()
    if not 0 < len(name) <= MAX_INTERFACE or b"\0" in name:
        raise OSError(errno.ENODEV, f"interface {interface!r}: no name of an interface")
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name + b"\0")
    except OSError as error:
        reasons = {
            errno.ENODEV: "no such interface here; `ip link` names them",
            errno.EPERM: "before Linux 5.7 binding to an interface needs CAP_NET_RAW; use source_address instead",
        }
        reason = reasons.get(error.errno or 0, error.strerror)
        raise OSError(error.errno, f"interface {interface}: {reason}") from error


def _bind_to_address(sock: socket.socket, family: int, source: str) -> None:
    """The port is left to connect(): so an address isn't used up by 28,000 connections to different servers."""
    version = ipaddress.ip_address(source).version
    if (family == socket.AF_INET6) != (version == 6):
        raise FamilyNotUsable(errno.EADDRNOTAVAIL, f"no {_name(family)} source address is configured")
    if sock.type == socket.SOCK_STREAM:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
    try:
        sock.bind((source, 0))
    except OSError as error:
        missing = error.errno == errno.EADDRNOTAVAIL
        reason = "no address of this machine here; `ip address` shows them" if missing else error.strerror
        raise OSError(error.errno, f"source address {source}: {reason}") from error


def _name(family: int) -> str:
    return "IPv6" if family == socket.AF_INET6 else "IPv4"


def resolvers_of(namespace: str | None, etc: Path = Path("/etc")) -> list[tuple[str, int]]:
    """The name servers of a namespace (/etc/netns/NAME/resolv.conf) or of this machine: resolv.conf(5), at most three.

    Addresses keep their scope id (fe80::1%eth0). None named, or no such file: 127.0.0.1. Raises OSError where the file
    is there and can't be read.
    """
    found = []
    for line in _lines(_file(namespace, "resolv.conf", etc)):
        words = line.split()
        if line.startswith("nameserver") and words[0] == "nameserver" and (address := _address(words[1:2])):
            found.append((address, 53))
    return found[:MAX_RESOLVERS] or [("127.0.0.1", 53)]


def hosts_of(namespace: str | None, etc: Path = Path("/etc")) -> dict[str, list[str]]:
    """The hosts file of a namespace or of this machine, hosts(5): lower-cased names, addresses of both families.

    Lines that are none are skipped. Raises OSError where the file is there and can't be read.
    """
    found: dict[str, list[str]] = {}
    for line in _lines(_file(namespace, "hosts", etc)):
        words = line.split()
        address = _address(words[:1])
        if address is None:
            continue
        for word in words[1:]:
            addresses = found.setdefault(name, []) if (name := _host_name(word)) else []
            if address not in addresses and len(addresses) < MAX_ADDRESSES:
                addresses.append(address)
    return found


def _file(namespace: str | None, name: str, etc: Path) -> Path:
    """`ip netns exec` puts the files of /etc/netns/NAME over those of /etc; what isn't there stays /etc's."""
    own = etc / "netns" / namespace / name if namespace else None
    return own if own is not None and own.exists() else etc / name


def _lines(path: Path) -> list[str]:
    """A file's lines without comments; a line cut by MAX_FILE is left out."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        return []
    if len(data) > MAX_FILE:
        data = data[: data.rfind(b"\n", 0, MAX_FILE) + 1]
    lines = data.decode("utf-8", "replace").split("\n")
    return [line.partition("#")[0].partition(";")[0] for line in lines]


def _address(words: list[str]) -> str | None:
    """The address in its usual form, its scope id kept; None for what is none."""
    try:
        return str(ipaddress.ip_address(words[0]))
    except (ValueError, IndexError):
        return None


def _host_name(word: str) -> str | None:
    name = word.lower().rstrip(".")
    return name if _HOST_NAME.fullmatch(name) else None
