"""The whole lab: embedded Outlook.com, gateway, two resolvers; and the configuration that points the product at it."""

import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from exporter.catalogue import TARGETS, Target
from exporter.lab.dns_server import DnsServer, Names
from exporter.lab.faults import FAULTS
from exporter.lab.gateway import Gateway
from exporter.lab.outlook import Outlook, places
from exporter.lab.pki import Pki
from exporter.vocabulary import Protocol

_OUTSIDE, _INSIDE = "127.60.0.", "127.61.0."
#: Ports tried for the catalogue's, shifted, until all are free.
_SHIFTS = range(10_000, 50_000, 1_000)


class Lab:
    """Started by `Lab.start`; its faults are switched by name."""

    def __init__(self, directory: Path) -> None:
        hosts = sorted({place.host for place in places()})
        self.outside = {host: f"{_OUTSIDE}{number}" for number, host in enumerate(hosts, 1)}
        self.inside = {host: f"{_INSIDE}{number}" for number, host in enumerate(hosts, 1)}
        self.pki = Pki(directory)
        self.shift = _free_shift([*self.outside.values(), *self.inside.values()])
        self.outlook = Outlook(self.pki, self.outside, self.shift)
        self.gateway = Gateway(self.pki, self.inside, self.outside, self.shift)
        self.clients_dns = DnsServer(Names({host: [address] for host, address in self.inside.items()}))
        self.wan_dns = DnsServer(Names({host: [address] for host, address in self.outside.items()}))
        self.fault: str | None = None

    @classmethod
    @asynccontextmanager
    async def start(cls, directory: Path) -> AsyncIterator["Lab"]:
        """Runs the lab on this event loop; files go into `directory`."""
        lab = cls(directory)
        try:
            for part in (lab.outlook, lab.gateway, lab.clients_dns, lab.wan_dns):
                await part.start()
            yield lab
        finally:
            for part in (lab.gateway, lab.outlook, lab.clients_dns, lab.wan_dns):
                await part.stop()

    async def set_fault(self, name: str | None) -> None:
        """Switches to a fault of `FAULTS`, or to health. Raises KeyError for a name that is none."""
        fault = FAULTS[name] if name is not None else None
        self.fault = name
        behaviour = self.outlook.behaviour
        behaviour.outage = behaviour.throttled = False
        behaviour.greeting_delay = behaviour.auth_delay = behaviour.token_delay = 0.0
        self.outlook.certificate_kinds = {}
        self.clients_dns.names.fault = fault.dns if fault else None
        self.clients_dns.names.faulty = fault.hosts if fault else frozenset()
        if fault is not None and fault.certificate not in (None, "other"):
            self.outlook.certificate_kinds = dict.fromkeys(fault.hosts or self.outside, str(fault.certificate))
        if fault is not None:
            for switch, value in (fault.behaviour or {}).items():
                setattr(behaviour, switch, value)
        await self.gateway.set_fault(fault)

    def configuration(self) -> dict[str, Any]:
        """What makes the product probe this lab: two vantages, the catalogue at the lab's ports."""
        return {
            "probe": {
                "custom": [_custom(target, self.shift) for target in TARGETS.values()],
                "private_networks": ["127.0.0.0/8"],
            },
            "vantages": [
                {"name": "clients", "resolver": f"127.0.0.1:{self.clients_dns.port}"},
                {"name": "wan", "resolver": f"127.0.0.1:{self.wan_dns.port}"},
            ],
            "identity": {"roots_file": str(self.pki.roots_file)},
        }

    def trust_store(self) -> Path:
        """What SSL_CERT_FILE should name: this machine's trust, which lacks the root under `root_not_trusted`."""
        return self.pki.other_roots_file if self.fault == "root_not_trusted" else self.pki.roots_file


def _custom(target: Target, shift: int) -> dict[str, Any]:
    """A catalogue target at the lab's port; mail ports are no longer those by which STARTTLS is told."""
    entry: dict[str, Any] = {"name": target.name, "port": target.port + shift}
    if target.protocol in (Protocol.IMAP, Protocol.POP, Protocol.SMTP):
        entry["tls"] = "starttls" if target.starttls else "implicit"
    return entry


def _free_shift(addresses: list[str]) -> int:
    """A shift by which every port is free on every address; several labs may run side by side."""
    ports = sorted({place.port for place in places()})
    shifts = list(_SHIFTS)
    random.shuffle(shifts)
    for shift in shifts:
        if all(_free(addresses[0], port + shift) for port in ports):
            return shift
    raise OSError("no free range of ports on loopback")


def _free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
