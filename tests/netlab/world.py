"""What lives in the network: the embedded Outlook.com and the public resolver in the internet, a relay in the gateway.

`python -m tests.netlab.world DIRECTORY GATEWAY` runs in the internet's namespace; a line on stdin switches it:
`outlook NAME` (a fault of exporter.lab.faults whose switches are the servers'), `relay NAME` (one whose treatment is
the gateway's, for connections redirected to port 15000), `health`. Each is answered by `done`.
"""

import asyncio
import socket
import ssl
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exporter.capabilities import enter_network_namespace
from exporter.lab.conduit import Conduit
from exporter.lab.dns_server import DnsServer, Names
from exporter.lab.faults import Fault, fault_named
from exporter.lab.gateway import Relay
from exporter.lab.listener import Listener, Reach
from exporter.lab.outlook import Outlook
from exporter.lab.pki import Pki
from exporter.lab.places import Addresses, Place, places
from exporter.lab.treatments import Treatment
from exporter.vocabulary import Protocol

#: Where redirected connections arrive in the gateway.
RELAY_PORT = 15_000
RESOLVER = "192.0.2.53"
_SO_ORIGINAL_DST = 80

#: A token with which clients are let in.
GOOD_TOKEN = "EwB" + "good" * 375

READY = "the world is up"


def server_addresses() -> Addresses:
    """Two for each host, of RFC 5737's networks: what labs use as the internet."""
    hosts = sorted({place.host for place in places()})
    return {host: (f"203.0.113.{number}", f"198.51.100.{number}") for number, host in enumerate(hosts, start=1)}


class GatewaysRelay:
    """Carries redirected connections to where they meant to go, through the treatment of the hour."""

    def __init__(self, pki: Pki, namespace: int, home: int, addresses: Addresses) -> None:
        self.fault: Fault | None = None
        self._pki, self._namespace, self._home = pki, namespace, home
        self._hosts = {address: host for host, own in addresses.items() for address in own}
        self._places = {(place.host, place.port): place for place in places()}
        self._upstream = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._upstream.check_hostname, self._upstream.verify_mode = False, ssl.CERT_NONE
        self._listener = Listener("0.0.0.0", RELAY_PORT, self._carry)

    def start(self) -> None:
        """Listens in the gateway."""
        with self._inside():
            self._listener.switch(Reach.OPEN)

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """Sockets made in this block are the gateway's."""
        enter_network_namespace(self._namespace)
        try:
            yield
        finally:
            enter_network_namespace(self._home)

    async def _carry(self, sock: socket.socket) -> None:
        _, port, address = struct.unpack_from(">HH4s", sock.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16))
        client, destination = Conduit(sock), socket.inet_ntoa(address)
        place = self._places.get((self._hosts.get(destination, ""), port))
        treatment = self._treatment(place)
        try:
            server = await self._connect(destination, port) if treatment.connects else None
        except OSError:
            client.reset()
            return
        relay = Relay(client, server, treatment, seen=lambda _data: None)
        if treatment.certificate is not None and place is not None and place.protocol is not Protocol.HTTP:
            relay.terminates(self._pki.context(place.host, treatment.certificate), self._upstream, place.host)
        await relay.run(tls_at_once=place is not None and not place.starttls)

    def _treatment(self, place: Place | None) -> Treatment:
        fault = self.fault
        if place is None or fault is None or fault.treatment is None or place.name not in fault.places:
            return Treatment()
        return fault.treatment()

    async def _connect(self, address: str, port: int) -> Conduit:
        with self._inside():
            sock = socket.socket()
        try:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
        except BaseException:
            sock.close()
            raise
        return Conduit(sock)


class World:
    """All of it, and its switches."""

    def __init__(self, directory: Path, gateway: str) -> None:
        addresses = server_addresses()
        self._pki = Pki(directory)
        self._outlook = Outlook(self._pki, addresses, 0)
        self._outlook.behaviour.valid_tokens.add(GOOD_TOKEN)
        self._dns = DnsServer(Names(dict(addresses)), RESOLVER, port=53)
        home = Path("/proc/self/ns/net").open("rb")  # noqa: SIM115 - held as long as we live
        there = Path("/run/netns", gateway).open("rb")  # noqa: SIM115
        self._relay = GatewaysRelay(self._pki, there.fileno(), home.fileno(), addresses)
        self._open = home, there

    async def live(self) -> None:
        """Serves, and obeys, until stdin ends."""
        await self._outlook.start()
        await self._dns.start()
        self._relay.start()
        print(READY, flush=True)
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := (await reader.readline()).decode().split():
            self.obey(*line)
            print("done", flush=True)

    def obey(self, what: str, name: str = "") -> None:
        """One order."""
        fault = fault_named(name) if name else None
        self._relay.fault = fault if what == "relay" else None
        changes = fault.outlook if fault is not None and what == "outlook" else {}
        self._outlook.behaviour.overlay = dict.fromkeys(fault.places, changes) if fault is not None else {}
        reach = fault if fault is not None and what == "outlook" and fault.reach is not None else None
        if reach is not None and reach.reach is not None:
            self._outlook.reach(reach.places, reach.reach, reach.address)
        else:
            self._outlook.reach(frozenset(), Reach.OPEN)


if __name__ == "__main__":
    asyncio.run(World(Path(sys.argv[1]), sys.argv[2]).live())
