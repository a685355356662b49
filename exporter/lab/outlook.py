"""The embedded Outlook.com: every host of the catalogue on loopback addresses of its own, the ports shifted."""

import asyncio
import socket
import ssl
from dataclasses import dataclass

from exporter.lab import web_pages
from exporter.lab.behaviour import Behaviour, Reply, Then
from exporter.lab.conduit import Conduit
from exporter.lab.http_server import Answer, HttpServer, Request
from exporter.lab.imap_server import ImapServer
from exporter.lab.pki import Pki
from exporter.lab.places import Addresses, Listening, Place
from exporter.lab.pop_server import PopServer
from exporter.lab.sign_in import SignIn
from exporter.lab.smtp_server import SmtpServer
from exporter.vocabulary import Protocol

#: What a connection may fail with without being news: a client that left, or that doesn't speak TLS.
GONE = (OSError, EOFError, ssl.SSLError)

Server = ImapServer | SmtpServer | PopServer | HttpServer


class Outlook(Listening):
    """All servers. `addresses` maps a host to its loopback addresses; ports are shifted by `shift`."""

    def __init__(self, pki: Pki, addresses: Addresses, shift: int) -> None:
        self.behaviour = Behaviour()
        self.sign_in = SignIn()
        super().__init__(addresses, shift, lambda place, _index: _Handler(self, place, pki))


@dataclass(frozen=True, slots=True)
class _Handler:
    """Serves the connections of one place."""

    outlook: Outlook
    place: Place
    pki: Pki

    async def __call__(self, sock: socket.socket) -> None:
        conduit = Conduit(sock)
        behaviour = self.outlook.behaviour.at(self.place.name)
        behaviour.traffic.count("connection", self.place.name)
        try:
            if self.place.protocol is not Protocol.HTTP and not self.place.starttls:
                await self._secure(conduit, behaviour)
            await self._talk(conduit, behaviour, self._server(conduit, behaviour))
            await conduit.end()
        except GONE:
            pass
        finally:
            conduit.close()

    def _server(self, conduit: Conduit, behaviour: Behaviour) -> Server:
        match self.place.protocol:
            case Protocol.IMAP:
                return ImapServer(behaviour, starttls=self.place.starttls)
            case Protocol.SMTP:
                return SmtpServer(behaviour, starttls=self.place.starttls, client_address=conduit.peer)
            case Protocol.POP:
                return PopServer(behaviour, starttls=self.place.starttls)
            case _:
                return HttpServer(lambda request: self._page(request))

    def _page(self, request: Request) -> Answer:
        """Each request of a connection sees the switches anew."""
        return web_pages.answer(request, self.outlook.behaviour.at(self.place.name), self.outlook.sign_in)

    async def _secure(self, conduit: Conduit, behaviour: Behaviour) -> None:
        conduit.begin_tls(self.pki.context(self.place.host, behaviour.certificate, self.place.protocol))
        await conduit.handshake()
        behaviour.traffic.count("handshake", self.place.name)

    async def _talk(self, conduit: Conduit, behaviour: Behaviour, server: Server) -> None:
        if not await self._say(conduit, behaviour, server.greeting()):
            return
        while True:
            try:
                async with asyncio.timeout(behaviour.idle_timeout):
                    data = await conduit.receive()
            except TimeoutError:
                await conduit.send(server.farewell)
                return
            if not data:
                return
            for reply in server.receive(data):
                if not await self._say(conduit, behaviour, reply):
                    return

    async def _say(self, conduit: Conduit, behaviour: Behaviour, reply: Reply) -> bool:
        """Writes a reply; False when the conversation is over."""
        if reply.delay:
            await asyncio.sleep(reply.delay)
        await conduit.send(reply.data, behaviour.split)
        if reply.then is Then.START_TLS:
            await self._secure(conduit, behaviour)
        return reply.then is not Then.CLOSE
