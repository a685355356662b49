"""Settings of the namespace that `ip` can't make, by a child process that enters it."""

import array
import fcntl
import os
import socket
import struct
from pathlib import Path

from exporter.capabilities import enter_network_namespace
from exporter.client_view.command import ClientViewError

#: Where `ip netns` keeps its namespaces.
NETNS = Path("/run/netns")
_SYSCTL = Path("/proc/sys/net/ipv6/conf")
_SIOCETHTOOL = 0x8946
#: linux/ethtool.h: transmit checksums, TCP and generic segmentation offload.
_OFFLOADS = {"STXCSUM": 0x17, "STSO": 0x1F, "SGSO": 0x24}


def is_namespace(name: str) -> bool:
    """Whether the name is mounted: `ip netns add` that was killed leaves a plain file."""
    try:
        return (NETNS / name).stat().st_dev == Path("/proc/self/ns/net").stat().st_dev
    except FileNotFoundError:
        return False


def settle(name: str, interface: str) -> None:
    """Before the interface is up: no address by router advertisements, and packets as they come from a wire.

    A veth hands over 64 KiB segments without checksums: a filter of the gateway that looks at packets in user space
    would judge something that no client sends. Raises ClientViewError.
    """
    pid = os.fork()
    if pid == 0:
        _child(name, interface)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise ClientViewError(
            f"network namespace {name}: {interface} can't be set up; is `vantage create` run as root?"
        )


def _child(name: str, interface: str) -> None:
    status = 1
    try:
        descriptor = os.open(NETNS / name, os.O_RDONLY | os.O_CLOEXEC)
        enter_network_namespace(descriptor)
        if (_SYSCTL / interface).exists():
            (_SYSCTL / interface / "accept_ra").write_text("0")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for command in _OFFLOADS.values():
                _ethtool(sock, interface, command)
        status = 0
    finally:
        os._exit(status)


def _ethtool(sock: socket.socket, interface: str, command: int) -> None:
    """struct ethtool_value {command, 0} by struct ifreq {name, pointer}: switches one offload off."""
    value = array.array("I", [command, 0])
    request = struct.pack("16sP16x", interface.encode(), value.buffer_info()[0])
    fcntl.ioctl(sock, _SIOCETHTOOL, request)
