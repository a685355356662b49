"""The embedded Outlook.com: every host of the catalogue on a loopback address of its own, the catalogue's ports shifted."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import h11

from exporter.catalogue import TARGETS
from exporter.lab.behaviour import Behaviour, Reply, Then
from exporter.lab.imap_server import ImapServer
from exporter.lab.pki import Pki
from exporter.lab.pop_server import PopServer
from exporter.lab.smtp_server import SmtpServer
from exporter.lab.web_pages import Answer, Request, WebPages
from exporter.vocabulary import Protocol

#: A connection that says nothing is closed after so many seconds.
IDLE = 120.0
MAX_LINE = 65_536

MailServer = ImapServer | SmtpServer | PopServer


@dataclass(frozen=True, slots=True)
class Place:
    """One listener: a host's address, and what is spoken there."""

    host: str
    port: int
    protocol: Protocol
    starttls: bool


def places() -> list[Place]:
    """What the catalogue wants served, once each."""
    found = {
        (host, target.port): Place(host, target.port, target.protocol, target.starttls)
        for target in TARGETS.values()
        for host in target.hosts
    }
    return list(found.values())


class Outlook:
    """All servers. `addresses` maps a host to its loopback address; ports are shifted by `port_shift`."""

    def __init__(self, pki: Pki, addresses: dict[str, str], port_shift: int) -> None:
        self.behaviour = Behaviour()
        self.pages = WebPages(self.behaviour)
        self.certificate_kinds: dict[str, str] = {}
        self._pki, self._addresses, self._shift = pki, addresses, port_shift
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listens everywhere. Raises OSError where a port is taken."""
        for place in places():
            address = self._addresses[place.host]
            handler = self._handler(place)
            server = await asyncio.start_server(handler, address, place.port + self._shift, limit=MAX_LINE)
            self._servers.append(server)

    async def stop(self) -> None:
        """Closes every listener and connection."""
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def context(self, host: str) -> ssl.SSLContext:
        return self._pki.context(host, self.certificate_kinds.get(host, "genuine"))

    def _handler(self, place: Place) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            self.behaviour.counts["connection"] += 1
            try:
                async with asyncio.timeout(IDLE):
                    await self._serve(place, reader, writer)
            except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError, h11.ProtocolError):
                pass  # a client that left, or that isn't one
            finally:
                self._tasks.discard(task)
                writer.close()
                with contextlib.suppress(OSError, ssl.SSLError):
                    await writer.wait_closed()

        return handle

    async def _serve(self, place: Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if place.protocol is not Protocol.HTTP and not place.starttls:
            await writer.start_tls(self.context(place.host))
        match place.protocol:
            case Protocol.IMAP:
                await self._talk(place, ImapServer(self.behaviour, starttls=place.starttls), reader, writer)
            case Protocol.SMTP:
                await self._talk(place, SmtpServer(self.behaviour, starttls=place.starttls), reader, writer)
            case Protocol.POP:
                await self._talk(place, PopServer(self.behaviour, starttls=place.starttls), reader, writer)
            case _:
                await serve_http(self.pages.answer, reader, writer, self.behaviour.split)

    async def _talk(
        self, place: Place, server: MailServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        reply = server.greeting()
        while True:
            await self._write(reply, writer)
            if reply.then is Then.CLOSE:
                return
            if reply.then is Then.START_TLS:
                await writer.start_tls(self.context(place.host))
            line = await reader.readline()
            if not line:
                return
            reply = server.receive(line.decode("utf-8", "replace").rstrip("\r\n"))

    async def _write(self, reply: Reply, writer: asyncio.StreamWriter) -> None:
        if reply.delay:
            await asyncio.sleep(reply.delay)
        size = self.behaviour.split or len(reply.data)
        for start in range(0, len(reply.data), size):
            writer.write(reply.data[start : start + size])
            if reply.then is not Then.START_TLS:
                # Nothing may be awaited between the go-ahead and start_tls: the ClientHello would be read as plain.
                await writer.drain()
                if self.behaviour.split:
                    await asyncio.sleep(0.001)


async def serve_http(
    answer: Callable[[Request], Answer], reader: asyncio.StreamReader, writer: asyncio.StreamWriter, split: int = 0
) -> None:
    """HTTP/1.1 with keep-alive, by h11."""
    connection = h11.Connection(h11.SERVER)
    while True:
        request, body = None, b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65_536))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data) and len(body) < MAX_LINE:
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                return
        assert request is not None
        headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
        path = request.target.decode("latin-1")
        reply = answer(Request(request.method.decode(), headers.get("host", ""), path, headers, body))
        await asyncio.sleep(reply.delay)
        await _send(connection, reply, writer, split)
        if connection.our_state is not h11.DONE:
            return
        connection.start_next_cycle()


async def _send(connection: h11.Connection, reply: Answer, writer: asyncio.StreamWriter, split: int) -> None:
    headers = [*reply.headers, ("Content-Length", str(len(reply.body)))]
    data = connection.send(h11.Response(status_code=reply.status, headers=headers)) or b""
    if reply.body:
        data += connection.send(h11.Data(data=reply.body)) or b""
    data += connection.send(h11.EndOfMessage()) or b""
    size = split or len(data)
    for start in range(0, len(data), size):
        writer.write(data[start : start + size])
        await writer.drain()
        if split:
            await asyncio.sleep(0.001)
