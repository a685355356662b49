"""Clients' addresses and ports as they may leave the site: stand-ins from the documentation ranges (RFC 5737, 3849).

The same client is the same stand-in throughout a report and the packets beside it; nothing leads back from one.
"""

import ipaddress
from collections.abc import Iterable
from itertools import count

_RANGES = {
    ("inside", 4): "192.0.2.0/24", ("inside", 6): "2001:db8:1::/64",
    ("outside", 4): "203.0.113.0/24", ("outside", 6): "2001:db8:2::/64",
}  # fmt: skip
#: Ports stand in from here on.
FIRST_PORT = 50_001


class Pseudonyms:
    """`plain`: addresses stay as they are. `taken`: addresses that mean themselves, and so are no stand-ins."""

    def __init__(self, *, plain: bool = False, taken: Iterable[str] = ()) -> None:
        self.plain = plain
        self._taken = set(taken)
        self._addresses: dict[tuple[str, str], str] = {}
        self._ports: dict[tuple[str, str, int], int] = {}
        self._free = {
            key: (str(address) for address in ipaddress.ip_network(text).hosts()) for key, text in _RANGES.items()
        }
        self._free_ports = count(FIRST_PORT)

    def address(self, side: str, address: str) -> str:
        """The stand-in of an address seen on that side, `inside` or `outside`."""
        if self.plain:
            return address
        if (side, address) not in self._addresses:
            free = self._free[side, 6 if ":" in address else 4]
            self._addresses[side, address] = next(each for each in free if each not in self._taken)
        return self._addresses[side, address]

    def port(self, side: str, address: str, port: int) -> int:
        """The stand-in of a client's port there: a gateway's log leads from a port to its address."""
        if self.plain:
            return port
        key = side, address, port
        if key not in self._ports:
            self._ports[key] = next(self._free_ports)
        return self._ports[key]

    def known(self, side: str, address: str) -> bool:
        """Whether that is a client's address."""
        return (side, address) in self._addresses
