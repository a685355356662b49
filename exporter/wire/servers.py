"""Which target a connection goes to: by the server's name, by addresses that names were seen to have, by networks."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import islice
from typing import Final

from exporter.catalogue import Target
from exporter.vocabulary import ClientFamily, Protocol

#: Addresses that DNS answers or server names taught.
MAX_NAMES: Final = 4_096

#: Where Exchange Online's mail hosts live (endpoint list of 2026-08-14, ids 1, 2, 9, 10; facts 8): for hellos without a
#: name whose address no DNS answer told. Sign-in hosts have no published networks.
EXCHANGE_NETWORKS = tuple(
    ip_network(text)
    for text in (
        "13.107.6.152/31", "13.107.18.10/31", "13.107.128.0/22", "23.103.160.0/20", "40.96.0.0/13", "40.104.0.0/15",
        "52.96.0.0/14", "131.253.33.215/32", "132.245.0.0/16", "150.171.32.0/22", "204.79.197.215/32",
    )
)  # fmt: skip

Network = IPv4Network | IPv6Network
#: Mail's other ports, as their protocol's own.
_MAIL_PORTS = {
    25: Protocol.SMTP, 465: Protocol.SMTP, 587: Protocol.SMTP, 2525: Protocol.SMTP,
    143: Protocol.IMAP, 993: Protocol.IMAP, 110: Protocol.POP, 995: Protocol.POP,
}  # fmt: skip
_MAIL = frozenset({Protocol.IMAP, Protocol.POP, Protocol.SMTP})


def mail_protocol(port: int) -> Protocol | None:
    """What is spoken at a port that belongs to mail."""
    return _MAIL_PORTS.get(port)


class Servers:
    """The targets, and what is known of addresses. Addresses are packed, names in lower case."""

    def __init__(self, targets: Mapping[str, Target], networks: Iterable[Network] = ()) -> None:
        self._by_host: dict[str, list[Target]] = {}
        for target in targets.values():
            for host in target.hosts:
                self._by_host.setdefault(host.lower(), []).append(target)
        self._targets = list(targets.values())
        self._configured = _ranges(networks)
        self._exchange = _ranges(EXCHANGE_NETWORKS)
        self._hosts: OrderedDict[bytes, list[str]] = OrderedDict()  # the latest name of an address stands last

    def learn(self, name: str, address: bytes) -> None:
        """A DNS answer, or a ClientHello, gave this name for that address. Names of no target are passed over."""
        if name not in self._by_host:
            return
        hosts = self._hosts.setdefault(address, [])
        if name in hosts:
            hosts.remove(name)
        hosts.append(name)
        self._hosts.move_to_end(address)
        if len(self._hosts) > MAX_NAMES:
            self._hosts.popitem(last=False)

    def latest_addresses(self, count: int) -> list[bytes]:
        """Addresses learned, the latest first."""
        return list(islice(reversed(self._hosts), count))

    def is_sign_in(self, name: str) -> bool:
        """Whether tokens are asked for at that host."""
        return any(target.protocol is Protocol.SIGN_IN for target in self._by_host.get(name, ()))

    def is_ours(self, name: str | None, address: bytes) -> bool:
        """Whether a connection is to be followed live."""
        if (name is not None and name in self._by_host) or _within(address, self._configured):
            return True
        return name is None and (address in self._hosts or _within(address, self._exchange))

    def target(self, name: str | None, address: bytes, port: int, family: ClientFamily | None = None) -> str | None:
        """The target's name. A server's name decides, whatever the port; without one, what the address is known for."""
        if name is not None and name in self._by_host:
            targets = self._by_host[name]
            return self._at_port(targets, port, family) or self._elsewhere(targets, port)
        if name is None:
            for host in reversed(self._hosts.get(address, [])):
                if found := self._at_port(self._by_host[host], port, family):
                    return found
        if _within(address, self._configured) or (name is None and _within(address, self._exchange)):
            return self._of_port(port)
        return None

    def _at_port(self, targets: list[Target], port: int, family: ClientFamily | None) -> str | None:
        """The target of a host at that port, or the one that speaks the same protocol at another of its ports."""
        here = [target for target in targets if target.port == port]
        if len(here) > 1:  # outlook.office365.com: phones' connector and everything else, told apart by the phone
            phone = family is ClientFamily.APPLE
            here.sort(key=lambda target: (target.protocol is Protocol.ACTIVESYNC) != phone)
        if not here and (spoken := _MAIL_PORTS.get(port)) is not None:
            here = [target for target in targets if target.protocol is spoken]
        return here[0].name if here else None

    def _elsewhere(self, targets: list[Target], port: int) -> str | None:
        """A host's target at a port that isn't mail's and none of its own: what isn't mail comes first."""
        if port in _MAIL_PORTS:
            return None
        return min(targets, key=lambda target: target.protocol in _MAIL).name

    def _of_port(self, port: int) -> str | None:
        """Of a server known only to be Microsoft's, or configured: mail is told by its port, the web isn't."""
        spoken = _MAIL_PORTS.get(port)
        return next((target.name for target in self._targets if spoken and target.protocol is spoken), None)


_Range = tuple[int, bytes, bytes]


def _ranges(networks: Iterable[Network]) -> list[_Range]:
    """Length of an address, the network's first and last: packed addresses compare as numbers do."""
    return [
        (network.max_prefixlen // 8, network.network_address.packed, network.broadcast_address.packed)
        for network in networks
    ]


def _within(address: bytes, ranges: list[_Range]) -> bool:
    size = len(address)
    return any(length == size and first <= address <= last for length, first, last in ranges)
