"""The whole lab: embedded Outlook.com, gateway, two resolvers; and the configuration that points the product at it."""

import asyncio
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from exporter.catalogue import TARGETS
from exporter.lab.dns_server import DnsServer, Names
from exporter.lab.faults import Fault, fault_named
from exporter.lab.gateway import Choose, Gateway, behaves
from exporter.lab.listener import Reach
from exporter.lab.outlook import Outlook
from exporter.lab.pki import Pki
from exporter.lab.places import Addresses, Place, places
from exporter.lab.proxy_server import ProxyServer
from exporter.lab.treatments import Treatment
from exporter.vocabulary import Protocol

#: Addresses of hosts: network.INDEX.NUMBER, as seen behind the gateway and from outside.
_OUTSIDE, _INSIDE = "127.60", "127.61"
#: Shifts of the catalogue's ports; each lab takes one. Below the ports that systems give to clients.
_SHIFTS = range(10_000, 32_000, 1_000)


class Lab:
    """Started by `Lab.start`. `host_addresses`: how many each host has, side by side."""

    def __init__(self, directory: Path, *, era: str, host_addresses: int, claim: socket.socket) -> None:
        hosts = sorted({place.host for place in places()})
        self.outside = _addresses(_OUTSIDE, hosts, host_addresses)
        self.inside = _addresses(_INSIDE, hosts, host_addresses)
        self.shift: int = claim.getsockname()[1]
        self.pki = Pki(directory)
        self.outlook = Outlook(self.pki, self.outside, self.shift)
        self.outlook.behaviour.year = era
        self.gateway = Gateway(self.pki, self.inside, self.outside, self.shift)
        self.clients_dns = DnsServer(Names(dict(self.inside)))
        self.wan_dns = DnsServer(Names(dict(self.outside)))
        self.proxy = ProxyServer(self._proxied)
        self.fault: str | None = None
        self._claim = claim

    @classmethod
    @asynccontextmanager
    async def start(cls, directory: Path, *, era: str = "2026", host_addresses: int = 2) -> AsyncIterator["Lab"]:
        """Runs the lab on this event loop; certificates and keys go into `directory`. `era`: 2023, 2024 or 2026.

        Raises OSError where loopback has no free range of ports.
        """
        lab = await cls._started(directory, era, host_addresses)
        try:
            yield lab
        finally:
            await lab._stop()

    @classmethod
    async def _started(cls, directory: Path, era: str, host_addresses: int) -> "Lab":
        shifts = list(_SHIFTS)
        random.shuffle(shifts)
        for shift in shifts:
            claim = _claim(shift)
            if claim is None:
                continue
            lab = cls(directory, era=era, host_addresses=host_addresses, claim=claim)
            try:
                for part in lab._parts():
                    await part.start()
            except OSError:  # somebody else listens in this range
                await lab._stop()
                continue
            return lab
        raise OSError("no free range of ports on loopback for the lab")

    def _parts(self) -> tuple[Outlook | Gateway | DnsServer | ProxyServer, ...]:
        return self.outlook, self.gateway, self.clients_dns, self.wan_dns, self.proxy

    def _proxied(self, host: str, port: int) -> str | None:
        """Where the proxy connects to: any place of the lab, from outside, by name or by either side's address."""
        known = {place.host for place in places() if place.port + self.shift == port}
        for name in known:
            if host.lower() == name or host in (*self.inside[name], *self.outside[name]):
                return self.outside[name][0] if host.lower() == name else host
        return None

    async def _stop(self) -> None:
        await asyncio.gather(*(part.stop() for part in self._parts()))
        self._claim.close()

    @property
    def counts(self) -> Counter[str]:
        """What reached the embedded Outlook.com; see `behaviour.Traffic`."""
        return self.outlook.behaviour.counts

    async def set_fault(self, name: str | None) -> None:
        """Switches to a fault or variant of `faults`, or to health, for connections that begin from now on.

        Switches that were set by hand stay as they are. Raises KeyError for a name that is none, changing nothing.
        """
        fault = fault_named(name) if name is not None else None
        self.fault = name
        self._lie(fault)
        self._reach(fault)
        self.gateway.choose = _treats(fault)
        changes = fault.outlook if fault is not None else {}
        concerned = fault.places if fault is not None else ()
        self.outlook.behaviour.overlay = dict.fromkeys(concerned, changes)
        await asyncio.sleep(0)

    def _lie(self, fault: Fault | None) -> None:
        self.clients_dns.names.lie = fault.lie if fault is not None else None
        self.clients_dns.names.lied_about = fault.hosts if fault is not None else frozenset()

    def _reach(self, fault: Fault | None) -> None:
        sides: dict[str, Gateway | Outlook] = {"inside": self.gateway, "outside": self.outlook}
        for name, side in sides.items():
            if fault is not None and fault.reach is not None and name in fault.sides:
                side.reach(fault.places, fault.reach, fault.address)
            else:
                side.reach(frozenset(), Reach.OPEN)

    def configuration(self, *proxies: str) -> dict[str, Any]:
        """What makes the product probe this lab: two vantages, the catalogue at the lab's ports.

        `proxies`: `http`, `socks5`: a vantage of that name through the lab's proxy, which knows the outside.
        """
        return {
            "probe": {
                "custom": [self._custom(name) for name in TARGETS],
                "private_networks": ["127.0.0.0/8", "::1/128"],
            },
            "vantages": [
                {"name": "clients", "resolver": f"127.0.0.1:{self.clients_dns.port}"},
                {"name": "wan", "resolver": f"127.0.0.1:{self.wan_dns.port}"},
                *({"name": name, "proxy": f"{name}://127.0.0.1:{self.proxy.port}"} for name in proxies),
            ],
            "identity": {"roots_file": str(self.pki.roots_file)},
        }

    def _custom(self, name: str) -> dict[str, Any]:
        target = TARGETS[name]
        entry: dict[str, Any] = {"name": name, "port": target.port + self.shift}
        if target.protocol in (Protocol.IMAP, Protocol.POP, Protocol.SMTP):
            entry["tls"] = "starttls" if target.starttls else "implicit"
        return entry

    def environment(self) -> dict[str, str]:
        """Environment variables for the product: this lab's trust store stands for the machine's."""
        return {"SSL_CERT_FILE": str(self.trust_store())}

    def trust_store(self) -> Path:
        """What SSL_CERT_FILE should name; it doesn't change with the fault."""
        return self.pki.trust_file


def _treats(fault: Fault | None) -> Choose:
    """What the gateway does to connections under a fault."""

    def choose(place: Place) -> Treatment:
        if fault is None or fault.treatment is None or place.name not in fault.places:
            return behaves(place)
        return fault.treatment()

    return choose


def _addresses(network: str, hosts: list[str], each: int) -> Addresses:
    return {
        host: tuple(f"{network}.{index}.{number}" for index in range(each))
        for number, host in enumerate(hosts, start=1)
    }


def _claim(shift: int) -> socket.socket | None:
    """Reserves a shift for one lab, so that several can run side by side; None where another has it."""
    sock = socket.socket()
    try:
        sock.bind((f"{_OUTSIDE}.0.1", shift))
    except OSError:
        sock.close()
        return None
    return sock
