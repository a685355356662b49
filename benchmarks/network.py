"""Two network namespaces joined by a veth, offloads off so that a packet is a packet; made and removed here.

Nothing is added to the namespace the benchmark is started in. `python -m benchmarks.network DEVICE` switches a device's
offloads off.
"""

import array
import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.children import PYTHON, ROOT, program
from benchmarks.machine import NotPossible

#: RFC 2544's network for benchmarks.
CLIENT, SERVER = "198.18.0.1", "198.18.0.2"
#: Where nginx listens there.
PORT = 443

#: linux/sockios.h and ethtool.h: SIOCETHTOOL; set rx and tx checksums, scatter-gather, TSO, GSO, GRO.
_SIOCETHTOOL = 0x8946
_SET_OFFLOADS = (0x15, 0x17, 0x19, 0x1F, 0x24, 0x2C)


@dataclass(frozen=True, slots=True)
class Namespaces:
    """The client's and the server's; `device` is the client's end."""

    client: str
    server: str
    device: str = "veth0"

    def command(self, namespace: str) -> list[str]:
        """What runs a program there."""
        return ["ip", "netns", "exec", namespace]


@contextmanager
def namespaces() -> Iterator[Namespaces]:
    """Both, while the block runs. Raises NotPossible where we may not."""
    if os.geteuid() != 0:
        raise NotPossible("network namespaces and packet capture need root")
    program("ip", "iproute2")
    made = Namespaces(f"bench-{os.getpid()}-client", f"bench-{os.getpid()}-server")
    try:
        _ip("netns", "add", made.client)
        _ip("netns", "add", made.server)
        peer = ["type", "veth", "peer", "name", made.device, "netns", made.server]
        _ip("link", "add", made.device, "netns", made.client, *peer)
        for namespace, address in ((made.client, CLIENT), (made.server, SERVER)):
            _ip("-n", namespace, "address", "add", f"{address}/30", "dev", made.device)
            for device in ("lo", made.device):
                _ip("-n", namespace, "link", "set", device, "up")
            _run([*made.command(namespace), PYTHON, "-m", "benchmarks.network", made.device])
        yield made
    finally:
        for namespace in (made.client, made.server):  # the veth goes with them
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)


def _ip(*arguments: str) -> None:
    _run(["ip", *arguments])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotPossible(f"{' '.join(command)}: {done.stderr.strip()[-500:]}")


def switch_offloads_off(device: str) -> None:
    """As `ethtool -K DEVICE rx off tx off sg off tso off gso off gro off`, without needing it. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for command in _SET_OFFLOADS:
            value = array.array("B", struct.pack("II", command, 0))
            request = struct.pack("16sP16x", device.encode(), value.buffer_info()[0])
            fcntl.ioctl(sock, _SIOCETHTOOL, request)


if __name__ == "__main__":
    switch_offloads_off(sys.argv[1])
