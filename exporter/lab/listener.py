"""A listening address that can be open, refuse by RST, or drop SYNs, and is switched within a millisecond."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from enum import StrEnum

#: Connections waiting to be accepted by an open listener.
_BACKLOG = 128
#: A listener with backlog 0 takes one connection; the kernel drops the SYNs that come after it.
_FILLERS = 2


class Reach(StrEnum):
    """What a SYN to an address meets."""

    OPEN = "open"
    REFUSES = "refuses"
    DROPS = "drops"


Handler = Callable[[socket.socket], Awaitable[None]]


class Listener:
    """Serves each accepted socket by `handler` in a task of its own; the handler closes it."""

    def __init__(self, address: str, port: int, handler: Handler) -> None:
        self.address, self.port = address, port
        self.reach = Reach.REFUSES
        self._handler = handler
        self._sock: socket.socket | None = None
        self._fillers: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def switch(self, reach: Reach) -> None:
        """Takes effect for the next SYN; connections under way go on. Raises OSError where the port is taken."""
        if reach is self.reach:
            return
        self._shut()
        self.reach = reach
        if reach is Reach.OPEN:
            self._sock = self._listening(_BACKLOG)
            asyncio.get_running_loop().add_reader(self._sock, self._accept)
        elif reach is Reach.DROPS:
            self._sock = self._listening(0)
            for _ in range(_FILLERS):
                self._fill()

    def drop_connections(self) -> None:
        """Ends every connection under way."""
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        """Closes the listener and every connection; returns when all are gone."""
        self._shut()
        self.reach = Reach.REFUSES
        tasks = list(self._tasks)
        self.drop_connections()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _listening(self, backlog: int) -> socket.socket:
        sock = socket.socket()
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((self.address, self.port))
            sock.listen(backlog)
            sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
        return sock

    def _fill(self) -> None:
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex((self.address, self.port))
        self._fillers.append(filler)

    def _shut(self) -> None:
        if self._sock is not None:
            asyncio.get_running_loop().remove_reader(self._sock)
            self._sock.close()
            self._sock = None
        for filler in self._fillers:
            filler.close()
        self._fillers = []

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            while self._sock is not None:
                accepted, _ = self._sock.accept()
                self._serve(accepted)

    def _serve(self, accepted: socket.socket) -> None:
        async def serve() -> None:
            await self._handler(accepted)

        def done(task: asyncio.Task[None]) -> None:
            accepted.close()  # here, for a task cancelled before its first step runs no `finally`
            self._tasks.discard(task)

        task = asyncio.get_running_loop().create_task(serve())
        self._tasks.add(task)
        task.add_done_callback(done)
