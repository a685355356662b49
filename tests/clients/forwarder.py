"""A TCP forwarder on loopback that notes the TLS records which pass: it decrypts nothing and changes nothing."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from exporter.vocabulary import Protocol
from tests.clients.recording import Recording

_CHUNK = 65_536
#: Each connection reaches the server from a loopback address of its own, so that the server's log tells it apart.
_SOURCES = (
    f"127.{100 + high}.{middle}.{low}" for high, middle, low in itertools.product(range(100), range(250), range(1, 250))
)


class Forwarder:
    """Listens on `port`, passes everything to the server's port, and keeps a recording of each connection."""

    def __init__(self, protocol: Protocol, server_port: int) -> None:
        self.recordings: list[Recording] = []
        self.port = 0
        self._protocol, self._server_port = protocol, server_port
        self._tasks: set[asyncio.Task[None]] = set()

    async def idle(self) -> None:
        """Returns when every connection is over."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        recording = Recording(self._protocol, next(_SOURCES))
        self.recordings.append(recording)
        try:
            await self._pass(recording, reader, writer)
        except OSError:
            pass
        finally:
            await _closed(writer)
            self._tasks.discard(task)

    async def _pass(self, recording: Recording, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection(
            "127.0.0.1", self._server_port, local_addr=(recording.source, 0)
        )
        try:
            await asyncio.gather(
                self._pump(recording, True, reader, to_server), self._pump(recording, False, server, writer)
            )
        finally:
            await _closed(to_server)

    async def _pump(
        self, recording: Recording, from_client: bool, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while data := await reader.read(_CHUNK):
                recording.feed(time.monotonic(), from_client, data)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        recording.close(from_client)
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@asynccontextmanager
async def forwarder(protocol: Protocol, server_port: int) -> AsyncIterator[Forwarder]:
    """A forwarder while the block runs; connections still open at its end are cut."""
    self = Forwarder(protocol, server_port)
    server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
    self.port = server.sockets[0].getsockname()[1]
    try:
        yield self
    finally:
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
