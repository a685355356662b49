"""A gateway between the clients' side and the embedded Outlook.com: relays TCP, and misbehaves when told to.

Each host has an inside address; what comes to it is relayed to the outside one. Every fault is made by doing it: a reset
is an RST on the wire, a dropped SYN is a full backlog, an interception is a real handshake with the gateway's own CA.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass

import h11

from exporter.lab.faults import LARGE_HELLO, Act, Fault
from exporter.lab.outlook import Place, places, serve_http
from exporter.lab.pki import Pki
from exporter.lab.web_pages import Answer, Request

#: A relayed connection lives so long, seconds.
IDLE = 120.0
#: Client records longer than this, after the handshake, carry a token.
_LONG = 1_000
_CHUNK = 65_536

_INTERCEPTING = frozenset({Act.INTERCEPT, Act.STRIP_MECHANISM, Act.REWRITE, Act.PAGE})
_AT_HELLO = frozenset({Act.RESET_HELLO, Act.DROP_HELLO, Act.DROP_LARGE_HELLO, Act.ALERT_VERSION})

#: TLS alert protocol_version, fatal (RFC 8446 6).
_ALERT_PROTOCOL_VERSION = bytes.fromhex("15030100020246")

_REWRITES: dict[Act, tuple[tuple[bytes, bytes], ...]] = {
    Act.STRIP_STARTTLS: ((b"STARTTLS", b"XXXXXXXA"),),
    Act.STRIP_MECHANISM: ((b" AUTH=XOAUTH2", b""), (b"LOGIN XOAUTH2", b"LOGIN"), (b"SASL XOAUTH2", b"SASL PLAIN")),
    Act.REWRITE: (
        (b"The Microsoft Exchange IMAP4 service is ready.", b"ACME Mail Proxy ready."),
        (b"The Microsoft Exchange POP3 service is ready.", b"ACME Mail Proxy ready."),
        (b"Microsoft ESMTP MAIL Service ready", b"ESMTP ACME Mail Proxy ready"),
    ),
}


class Dropped(Exception):
    """The gateway says nothing more."""


@dataclass(slots=True)
class _Side:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Gateway:
    """Relays each inside address to its outside one. `fault` may change at any time; connections under way keep theirs."""

    def __init__(self, pki: Pki, inside: dict[str, str], outside: dict[str, str], port_shift: int) -> None:
        self._pki, self._inside, self._outside, self._shift = pki, inside, outside, port_shift
        self._fault: Fault | None = None
        self._listeners: dict[Place, asyncio.Server | _FullBacklog] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listens on every inside address."""
        for place in places():
            self._listeners[place] = await self._listen(place)

    async def stop(self) -> None:
        """Closes everything."""
        for listener in self._listeners.values():
            listener.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def set_fault(self, fault: Fault | None) -> None:
        """Misbehaves from now on, for new connections; None: behaves."""
        self._fault = fault
        for place, listener in self._listeners.items():
            listener.close()
            act = self._act(place)
            if act is Act.FULL_BACKLOG:
                self._listeners[place] = _FullBacklog(self._inside[place.host], place.port + self._shift)
            elif act is not Act.NO_LISTENER:
                self._listeners[place] = await self._listen(place)

    def _act(self, place: Place) -> Act | None:
        fault = self._fault
        return fault.act if fault is not None and (not fault.hosts or place.host in fault.hosts) else None

    async def _listen(self, place: Place) -> asyncio.Server:
        handler = self._handler(place)
        return await asyncio.start_server(handler, self._inside[place.host], place.port + self._shift)

    def _handler(self, place: Place) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], "asyncio.Future[None]"]:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            try:
                async with asyncio.timeout(IDLE):
                    await self._carry(place, _Side(reader, writer), self._act(place))
            except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError, h11.ProtocolError):
                pass  # one side left
            except Dropped:
                with contextlib.suppress(TimeoutError, OSError):
                    async with asyncio.timeout(IDLE):
                        await reader.read(-1)  # the client waits; the gateway doesn't answer
            finally:
                self._tasks.discard(task)
                writer.close()

        return handle  # type: ignore[return-value]

    async def _carry(self, place: Place, client: _Side, act: Act | None) -> None:
        detail = self._fault.detail if self._fault else ""
        intercepting = act in _INTERCEPTING and place.port != 80
        if intercepting and not place.starttls:
            # At once, before anything else is awaited: the ClientHello must not be read as plain text.
            await client.writer.start_tls(self._pki.context(place.host, "inspected"))
        if act is Act.PAGE:
            await serve_http(_page(detail), client.reader, client.writer)
            return
        reader, writer = await asyncio.open_connection(self._outside[place.host], place.port + self._shift)
        server = _Side(reader, writer)
        try:
            if intercepting:
                await self._intercept(place, client, server)
            await _relay(client, server, act)
        finally:
            writer.close()

    async def _intercept(self, place: Place, client: _Side, server: _Side) -> None:
        """TLS to the server, and behind STARTTLS to the client too."""
        outside = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        outside.check_hostname, outside.verify_mode = False, ssl.CERT_NONE
        if not place.starttls:
            await server.writer.start_tls(outside, server_hostname=place.host)
            return
        go_ahead = await _until_starttls(client, server)
        await server.writer.start_tls(outside, server_hostname=place.host)
        client.writer.write(go_ahead)
        await client.writer.start_tls(self._pki.context(place.host, "inspected"))


async def _until_starttls(client: _Side, server: _Side) -> bytes:
    """Relays line by line until the server's go-ahead for TLS, which is returned and not yet passed on."""
    client.writer.write(await server.reader.readline())
    while True:
        line = await client.reader.readline()
        if not line:
            raise ConnectionResetError
        server.writer.write(line)
        upgrade = b"STARTTLS" in line.upper() or b"STLS" in line.upper()
        reply = await server.reader.readline()
        while not upgrade and reply[3:4] == b"-":
            client.writer.write(reply)
            reply = await server.reader.readline()
        if upgrade:
            return reply
        client.writer.write(reply)


async def _relay(client: _Side, server: _Side, act: Act | None) -> None:
    """Both directions until one ends. What the act does, it does to the bytes that go by."""
    up = asyncio.create_task(_upwards(client, server, act))
    down = asyncio.create_task(_downwards(client, server, act))
    try:
        await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        for task in (up, down):
            if task.done():
                task.result()
    finally:
        for task in (up, down):
            task.cancel()
        await asyncio.gather(up, down, return_exceptions=True)


async def _upwards(client: _Side, server: _Side, act: Act | None) -> None:
    while data := await client.reader.read(_CHUNK):
        if data[:2] == b"\x16\x03" and data[5:6] == b"\x01" and act in _AT_HELLO:
            _at_hello(client, data, act)
        if act is Act.DROP_LONG and data[:2] == b"\x17\x03" and struct.unpack(">H", data[3:5])[0] > _LONG:
            _reset(client.writer)
            return
        server.writer.write(data)
        await server.writer.drain()


def _at_hello(client: _Side, hello: bytes, act: Act | None) -> None:
    """Raises or ends the connection at a ClientHello, as the act says; else lets it pass."""
    if act is Act.RESET_HELLO:
        _reset(client.writer)
        raise ConnectionResetError
    if act is Act.DROP_HELLO or (act is Act.DROP_LARGE_HELLO and len(hello) > LARGE_HELLO):
        raise Dropped
    if act is Act.ALERT_VERSION:
        client.writer.write(_ALERT_PROTOCOL_VERSION)
        raise ConnectionResetError


async def _downwards(client: _Side, server: _Side, act: Act | None) -> None:
    rewrites = _REWRITES.get(act, ()) if act is not None else ()
    while data := await server.reader.read(_CHUNK):
        for old, new in rewrites:
            data = data.replace(old, new)
        client.writer.write(data)
        await client.writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes with RST instead of FIN (SO_LINGER 0)."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _page(detail: str) -> Callable[[Request], Answer]:
    status, _, location = detail.partition(" ")

    def answer(_request: Request) -> Answer:
        if location:
            return Answer(int(status), [("Location", location)])
        body = b"<html><title>Access denied</title><body>Web Page Blocked by your organization's policy.</body></html>"
        return Answer(int(status or 403), [("Content-Type", "text/html"), ("Server", "ACME-Gateway")], body)

    return answer


class _FullBacklog:
    """A listener that accepts nobody and whose queue is full: the kernel drops further SYNs."""

    def __init__(self, address: str, port: int) -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((address, port))
        self._listener.listen(0)
        self._fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((address, port))
            self._fillers.append(filler)

    def close(self) -> None:
        for sock in [*self._fillers, self._listener]:
            sock.close()
