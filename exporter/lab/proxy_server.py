"""A proxy on loopback for vantages that need one: HTTP CONNECT and SOCKS5 on one port, with or without credentials.

Names are resolved as from outside; only the lab's places are reached, so that it is no open proxy.
"""

import asyncio
import base64
import contextlib
import ipaddress
import socket
import struct
from collections.abc import Callable

from exporter.lab.conduit import Conduit
from exporter.lab.listener import Listener, Reach

_MAX_HEAD = 8_192
#: A client that doesn't say what it wants is left after so many seconds.
_PATIENCE = 10.0

#: RFC 1928 and 1929.
_VERSION, _CONNECT, _NO_AUTHENTICATION, _PASSWORD, _NONE_ACCEPTABLE = 5, 1, 0, 2, 0xFF
_SUCCEEDED, _NOT_ALLOWED, _REFUSED = 0, 2, 5

Resolve = Callable[[str, int], str | None]


class Refused(Exception):
    """The proxy won't; what it says is in the argument."""


class ProxyServer:
    """`resolve`: the address of a host and port that may be reached, None for any other. Credentials: "user:password".

    `targets`: what was asked for, as `HOST:PORT`.
    """

    def __init__(self, resolve: Resolve, credentials: str | None = None, address: str = "127.0.0.1") -> None:
        self.credentials = credentials
        self.targets: list[str] = []
        self.address, self.port = address, 0
        self._resolve = resolve
        self._listener: Listener | None = None

    async def start(self) -> None:
        """Listens on a free port."""
        with socket.socket() as free:
            free.bind((self.address, 0))
            self.port = free.getsockname()[1]
        self._listener = Listener(self.address, self.port, self._serve)
        self._listener.switch(Reach.OPEN)

    async def stop(self) -> None:
        if self._listener is not None:
            await self._listener.stop()

    async def _serve(self, sock: socket.socket) -> None:
        client = Conduit(sock)
        server: Conduit | None = None
        try:
            async with asyncio.timeout(_PATIENCE):
                server = await self._open(client)
            if server is not None:
                await _join(client, server)
        except (OSError, EOFError, ValueError):  # TimeoutError is an OSError
            pass
        finally:
            if server is not None:
                server.close()

    async def _open(self, client: Conduit) -> Conduit | None:
        reader = _Reader(client)
        first = await reader.exactly(1)
        try:
            if first[0] == _VERSION:
                return await self._socks(client, reader)
            return await self._http(client, first + await reader.head())
        except Refused as refused:
            await client.send(refused.args[0])
            await client.end()
            return None

    async def _reach(self, host: str, port: int, refusal: bytes) -> Conduit:
        if len(self.targets) < _MAX_HEAD:
            self.targets.append(f"{host}:{port}")
        address = self._resolve(host, port)
        if address is None:
            raise Refused(refusal)
        return await Conduit.connect(address, port)

    # --- HTTP CONNECT (RFC 9110 9.3.6)

    async def _http(self, client: Conduit, head: bytes) -> Conduit:
        lines = head.decode("latin-1").split("\r\n")
        method, _, rest = lines[0].partition(" ")
        if method != "CONNECT":
            raise Refused(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if not self._knows(headers.get("proxy-authorization", "")):
            challenge = b'Proxy-Authenticate: Basic realm="lab proxy"\r\nContent-Length: 0\r\n\r\n'
            raise Refused(b"HTTP/1.1 407 Proxy Authentication Required\r\n" + challenge)
        host, _, port = rest.partition(" ")[0].rpartition(":")
        forbidden = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
        try:
            server = await self._reach(host.strip("[]"), int(port), forbidden)
        except OSError as error:
            raise Refused(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n") from error
        await client.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        return server

    def _knows(self, authorization: str) -> bool:
        if self.credentials is None:
            return True
        return authorization == "Basic " + base64.b64encode(self.credentials.encode()).decode()

    # --- SOCKS5 (RFC 1928)

    async def _socks(self, client: Conduit, reader: "_Reader") -> Conduit:
        methods = await reader.exactly((await reader.exactly(1))[0])
        wanted = _NO_AUTHENTICATION if self.credentials is None else _PASSWORD
        if wanted not in methods:
            raise Refused(bytes([_VERSION, _NONE_ACCEPTABLE]))
        await client.send(bytes([_VERSION, wanted]))
        if wanted == _PASSWORD:
            await self._socks_password(client, reader)
        _, command, _, kind = await reader.exactly(4)
        host = await _socks_host(reader, kind)
        (port,) = struct.unpack(">H", await reader.exactly(2))
        if command != _CONNECT:
            raise Refused(_socks_reply(7))
        try:
            server = await self._reach(host, port, _socks_reply(_NOT_ALLOWED))
        except OSError as error:
            raise Refused(_socks_reply(_REFUSED)) from error
        await client.send(_socks_reply(_SUCCEEDED))
        return server

    async def _socks_password(self, client: Conduit, reader: "_Reader") -> None:
        await reader.exactly(1)
        user = await reader.exactly((await reader.exactly(1))[0])
        password = await reader.exactly((await reader.exactly(1))[0])
        if f"{user.decode('latin-1')}:{password.decode('latin-1')}" != self.credentials:
            raise Refused(b"\x01\x01")
        await client.send(b"\x01\x00")


async def _socks_host(reader: "_Reader", kind: int) -> str:
    if kind == 3:
        return (await reader.exactly((await reader.exactly(1))[0])).decode("ascii")
    length = {1: 4, 4: 16}.get(kind)
    if length is None:
        raise Refused(_socks_reply(8))
    return str(ipaddress.ip_address(await reader.exactly(length)))


def _socks_reply(code: int) -> bytes:
    return bytes([_VERSION, code, 0, 1, 0, 0, 0, 0, 0, 0])


class _Reader:
    """Reads exactly what a handshake needs, never a byte of what comes behind it. Raises EOFError, ValueError."""

    def __init__(self, conduit: Conduit) -> None:
        self._conduit = conduit

    async def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = await self._conduit.receive(count - len(data))
            if not chunk:
                raise EOFError
            data += chunk
        return data

    async def head(self) -> bytes:
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            if len(data) > _MAX_HEAD:
                raise ValueError("endless head")
            data += await self.exactly(1)
        return data


async def _join(client: Conduit, server: Conduit) -> None:
    """Both directions until one side resets or both have finished."""

    async def pump(source: Conduit, sink: Conduit) -> None:
        while data := await source.receive():
            await sink.send(data)
        await sink.finish()

    tasks = [asyncio.create_task(pump(client, server)), asyncio.create_task(pump(server, client))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(OSError):
            await asyncio.gather(*tasks, return_exceptions=True)
