"""The places of the catalogue, each a host's port, and a listener at every address of each."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from exporter.catalogue import TARGETS
from exporter.lab.listener import Handler, Listener, Reach
from exporter.vocabulary import Protocol

#: Where the same is spoken with STARTTLS.
CLEAR_PORTS = {Protocol.IMAP: 143, Protocol.POP: 110}

Addresses = dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Place:
    """A host's port, and what is spoken there. Its name is `HOST:PORT`, with the catalogue's port."""

    host: str
    port: int
    protocol: Protocol
    starttls: bool

    @property
    def name(self) -> str:
        return f"{self.host}:{self.port}"


def places() -> list[Place]:
    """What the catalogue wants served, once each, and the mail ports that begin in clear."""
    found = {
        (host, target.port): Place(host, target.port, target.protocol, target.starttls)
        for target in TARGETS.values()
        for host in target.hosts
    }
    for place in list(found.values()):
        clear = CLEAR_PORTS.get(place.protocol)
        if clear is not None:
            found[place.host, clear] = Place(place.host, clear, place.protocol, True)
    return list(found.values())


class Listening:
    """Serves every place at each address of its host, the ports shifted by `shift`."""

    def __init__(self, addresses: Addresses, shift: int, handler: Callable[[Place, int], Handler]) -> None:
        """`handler`: serves the connections to a place's address of that index."""
        self._listeners = {
            (place, index): Listener(address, place.port + shift, handler(place, index))
            for place in places()
            for index, address in enumerate(addresses[place.host])
        }

    async def start(self) -> None:
        """Listens everywhere. Raises OSError where a port is taken."""
        for listener in self._listeners.values():
            listener.switch(Reach.OPEN)

    async def stop(self) -> None:
        """Closes every listener and connection."""
        await asyncio.gather(*(listener.stop() for listener in self._listeners.values()))

    def reach(self, places_of: frozenset[str], reach: Reach, index: int | None = None) -> None:
        """How SYNs fare at those places (by name), at one address of each or all; everywhere else they are answered."""
        for (place, number), listener in self._listeners.items():
            concerned = place.name in places_of and index in (None, number)
            listener.switch(reach if concerned else Reach.OPEN)

    def drop_connections(self) -> None:
        """Ends every connection under way, as a restart does."""
        for listener in self._listeners.values():
            listener.drop_connections()
