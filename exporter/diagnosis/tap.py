"""What is seen on the wire at one place, of one target: clients' connections to it, and beside it those to others."""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from exporter.diagnosis.endpoints import endpoints
from exporter.diagnosis.seen import Seen
from exporter.observations import Connection
from exporter.probe.resolve import IpNetwork
from exporter.vocabulary import Cause, ClosedBy, ConnectionOutcome

#: The vantage of what was seen on the wire; `wire:NAME` where the interface, or the side, is known.
WIRE = "wire"
#: The tap on the gateway's other side: what it sees is not the gateway's doing.
BEYOND = f"{WIRE}:outside"
#: Failures among successes count from so many, and from such a share, on.
SOME, SHARE = 3, 0.2


@dataclass(frozen=True, slots=True)
class Walked:
    """About one target. `false_servers`: addresses that a resolver leads to and where nothing of Microsoft's is.
    `certificate_fault`: what is wrong with the certificate, which isn't a forged one.
    """

    false_servers: frozenset[str] = frozenset()
    certificate_fault: Cause | None = None


@dataclass(frozen=True)
class Tap:
    """The connections to one target at one tap. `peers`: those to other targets there.

    `expected`: networks in which the administrator has relays of his own. `walked`: what walks of the same round
    found out by experiments, which packets alone don't have.
    """

    target: str
    vantage: str
    connections: tuple[Connection, ...]
    peers: tuple[Connection, ...]
    two_sided: bool = False
    expected: tuple[IpNetwork, ...] = ()
    own_stack: str | None = None
    walked: Walked = field(default_factory=Walked)

    def ended(self, *outcomes: ConnectionOutcome) -> list[Connection]:
        """Those that got so far and no further."""
        return [each for each in self.connections if each.outcome in outcomes]

    @cached_property
    def established(self) -> list[Connection]:
        """Those whose handshake was completed."""
        return self.ended(ConnectionOutcome.ESTABLISHED)

    def count(self, connections: Sequence[Connection]) -> float:
        """How much weight a number of failures has: all of them, or enough among successes; 0 for the odd one."""
        if not connections:
            return 0.0
        told = [each for each in self.connections if each.outcome is not ConnectionOutcome.INCOMPLETE]
        if len(connections) == len(told):
            return min(0.6 + 0.1 * (len(connections) - 1), 0.9)
        return 0.6 if len(connections) >= SOME and len(connections) >= SHARE * len(told) else 0.0


def taps(seen: Seen, walked: Mapping[str, Walked]) -> list[Tap]:
    """Connections of known targets, by target and tap. `walked` by target."""
    by_tap: dict[str, list[Connection]] = {}
    for connection in seen.connections:
        by_tap.setdefault(WIRE + (f":{connection.interface}" if connection.interface else ""), []).append(connection)
    expected = tuple(map(ipaddress.ip_network, seen.private_networks))
    found = []
    for vantage, unnamed in by_tap.items():
        connections = list(with_targets([each for each in unnamed if not _only_looked(each)]))
        targets = dict.fromkeys(each.target for each in connections if each.target is not None)
        for target in targets:
            own = tuple(each for each in connections if each.target == target)
            others = tuple(each for each in connections if each.target != target)
            two_sided = seen.two_sided and vantage == f"{WIRE}:inside"
            known = walked.get(target, Walked())
            found.append(Tap(target, vantage, own, others, two_sided, expected, seen.own_stack, known))
    return found


def _only_looked(connection: Connection) -> bool:
    """Whether the client left without a word, though it was spoken to: a monitor's TCP check, or our own of every
    address. Nothing was asked, so nothing was refused."""
    spoken_to = connection.outcome in (ConnectionOutcome.NOT_TLS, ConnectionOutcome.HANDSHAKE_FAILED)
    left = connection.closed_by in (ClosedBy.CLIENT, ClosedBy.RESET_CLIENT)
    return spoken_to and left and connection.bytes_sent == 0 and not connection.tampering


def with_targets(connections: Sequence[Connection]) -> Iterator[Connection]:
    """A connection that got no name out is of the target that others reach there, or that its port and address tell."""
    known = {(each.server, each.server_port): each.target for each in connections if each.target is not None}
    for each in connections:
        nameless = each.target is None and each.sni is None  # one with another name is what a fault is compared with
        there = (known.get((each.server, each.server_port)) or _by_address(each)) if nameless else None
        target = each.target or there
        yield each if target == each.target else replace(each, target=target)


_BY_PORT = {993: "imap", 995: "pop", 587: "smtp"}


def _by_address(connection: Connection) -> str | None:
    """Mail to one of the addresses that Microsoft publishes for Exchange Online."""
    name = _BY_PORT.get(connection.server_port)
    address = ipaddress.ip_address(connection.server)
    networks = endpoints().ranges["exchange"] if name is not None else ()
    return name if any(address in network for network in networks if network.version == address.version) else None
