"""A gateway between the clients' side and the embedded Outlook.com: relays TCP, and misbehaves when told to.

Each host has inside addresses; what comes to one is relayed to the outside one. Every fault is made by doing it: a
reset is an RST on the wire, a dropped SYN is a full backlog, an interception is a real handshake with its own CA.
"""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable, Coroutine, Iterator

from exporter.lab.client_hello import begins_tls
from exporter.lab.conduit import Conduit
from exporter.lab.listener import Handler
from exporter.lab.outlook import GONE
from exporter.lab.pki import Pki
from exporter.lab.places import Addresses, Listening, Place
from exporter.lab.treatments import Pass, Say, Step, Steps, Treatment
from exporter.vocabulary import Protocol

#: Plain chunks of clients remembered from terminated connections, at most.
_MAX_SEEN = 1_000
#: When one side has finished the other gets so long (seconds) to do so.
_HALF_OPEN = 5.0

Choose = Callable[[Place], Treatment]


def behaves(_place: Place) -> Treatment:
    """What a gateway without faults does with a connection."""
    return Treatment()


class Gateway(Listening):
    """Relays each inside address to its outside one. `choose` may change; connections under way keep their treatment.

    `seen`: what clients sent in connections whose TLS the gateway terminated, as (place's name, bytes).
    """

    def __init__(self, pki: Pki, inside: Addresses, outside: Addresses, shift: int) -> None:
        self.choose: Choose = behaves
        self.seen: deque[tuple[str, bytes]] = deque(maxlen=_MAX_SEEN)
        self._pki, self._outside, self._shift = pki, outside, shift
        self._upstream = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._upstream.check_hostname, self._upstream.verify_mode = False, ssl.CERT_NONE
        super().__init__(inside, shift, self._handler)

    def _handler(self, place: Place, index: int) -> Handler:
        async def carry(sock: socket.socket) -> None:
            client = Conduit(sock)
            treatment = self.choose(place)
            try:
                server = await self._connect(place, index) if treatment.connects else None
            except OSError:
                client.reset()
                return
            relay = Relay(client, server, treatment, seen=lambda data: self.seen.append((place.name, data)))
            if treatment.certificate is not None and place.protocol is not Protocol.HTTP:
                context = self._pki.context(place.host, treatment.certificate)
                relay.terminates(context, self._upstream, place.host)
            await relay.run(tls_at_once=not place.starttls)

        return carry

    async def _connect(self, place: Place, index: int) -> Conduit:
        return await Conduit.connect(self._outside[place.host][index], place.port + self._shift)


class _Over(Exception):
    """The connection is dealt with."""


class Relay:
    """One connection: pumps both directions through the treatment until both ends are done."""

    def __init__(
        self, client: Conduit, server: Conduit | None, treatment: Treatment, seen: Callable[[bytes], None]
    ) -> None:
        self._client, self._server, self._treatment, self._seen = client, server, treatment, seen
        self._silent = self._resets = False
        self._ended = 0
        self._contexts: tuple[ssl.SSLContext, ssl.SSLContext, str] | None = None
        self._last = asyncio.get_running_loop().time()

    def terminates(self, downstream: ssl.SSLContext, upstream: ssl.SSLContext, server_name: str) -> None:
        """TLS is to be terminated where it begins."""
        self._contexts = downstream, upstream, server_name

    async def run(self, *, tls_at_once: bool) -> None:
        """Ends with both sides closed, reset where one was reset; closed only when nobody reads them any more."""
        tasks: list[asyncio.Task[None]] = []
        try:
            if tls_at_once and self._contexts is not None:
                await self._terminate(b"")
            tasks = [asyncio.create_task(pump) for pump in self._pumps()]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            try:
                results = await asyncio.gather(*tasks, return_exceptions=True)
                self._resets |= any(isinstance(result, ConnectionResetError) for result in results)
            finally:
                self._close()
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, (_Over, *GONE)):
                raise result

    def _pumps(self) -> Iterator[Coroutine[None, None, None]]:
        yield self._up()
        if self._server is not None:
            yield self._down(self._server)
        if self._treatment.idle is not None:
            yield self._forget(self._treatment.idle)

    async def _terminate(self, received: bytes) -> None:
        """Speaks TLS to both sides from here; `received` is what the client already sent of its handshake."""
        assert self._contexts is not None
        downstream, upstream, server_name = self._contexts
        self._contexts = None
        self._client.begin_tls(downstream, received=received)
        if self._server is not None:
            self._server.begin_tls(upstream, server_name=server_name)
            await self._server.drive()

    async def _up(self) -> None:
        while data := await self._client.receive():
            self._last = asyncio.get_running_loop().time()
            if self._contexts is not None and begins_tls(data):
                await self._terminate(data)
                continue
            if self._client.encrypted:
                self._seen(data)
            if not self._silent:
                await self._obey(self._treatment.from_client(data), self._server)
        await self._finished(self._server)

    async def _down(self, server: Conduit) -> None:
        while data := await server.receive():
            self._last = asyncio.get_running_loop().time()
            if not self._silent:
                await self._obey(self._treatment.from_server(data), self._client)
        await self._finished(self._client)

    async def _obey(self, steps: Steps, other: Conduit | None) -> None:
        for step in steps:
            if self._treatment.delay:
                await asyncio.sleep(self._treatment.delay)
            if isinstance(step, Pass):
                if other is not None:
                    await other.send(step.data)
            elif isinstance(step, Say):
                await self._client.send(step.data)
            else:
                await self._do(step)

    async def _do(self, step: Step) -> None:
        match step:
            case Step.SILENCE:
                self._silent = True
            case Step.RESET:
                self._resets = True
                raise _Over
            case Step.CLOSE:
                await self._client.end()
                raise _Over

    async def _finished(self, other: Conduit | None) -> None:
        """One side said goodbye: the other hears it, and may say its last words."""
        self._ended += 1
        if other is None or self._silent or self._ended == 2:
            raise _Over
        await other.finish()
        await asyncio.sleep(_HALF_OPEN)
        raise _Over

    async def _forget(self, idle: float) -> None:
        loop = asyncio.get_running_loop()
        while (left := self._last + idle - loop.time()) > 0:  # noqa: ASYNC110 - sleeps to a moment, polls nothing
            await asyncio.sleep(left)
        if self._treatment.forgets is Step.RESET:
            self._resets = True
            raise _Over
        self._silent = True

    def _close(self) -> None:
        for side in (self._client, self._server):
            if side is not None and self._resets:
                side.reset()
            elif side is not None:
                side.close()
