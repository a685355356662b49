"""Bytes to and from a peer: two methods, so that a conversation runs the same over TCP, TLS, a proxy, or a script."""

import asyncio
import atexit
import os
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Protocol

#: Read from the kernel at once, bytes.
READ_SIZE = 65_536

#: socket(7), asm-generic/socket.h: the kernel stamps what it receives, and recvmsg() tells of the last segment read.
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@qq")
_CONTROL_SIZE = socket.CMSG_SPACE(_TIMESPEC.size)
#: An older stamp isn't believed, seconds: the wall clock was set in between.
_OLDEST = 5.0


class Stream(Protocol):
    """A two-way byte stream. OSError where the connection breaks."""

    async def send(self, data: bytes) -> float:
        """Hands all of `data` to the kernel; returns when, in seconds of the monotonic clock."""
        ...

    async def receive(self) -> bytes:
        """The next bytes, or b"" at the end of the stream."""
        ...

    def close(self) -> None:
        """Ends the connection at once; safe to call twice."""
        ...


class TcpStream:
    """A connected non-blocking socket.

    `send` returns the time before the system call that carried the last bytes: on return the kernel has often
    already delivered them, so that the time after it would include the other side's work. `arrived` is the kernel's
    own stamp: our event loop, or another process, may have been busy since.
    """

    def __init__(self, sock: socket.socket, clock: Callable[[], float] = time.monotonic, *, error: int = 0) -> None:
        """`error`: what the kernel already told of this connection; the first use raises it."""
        self._socket = sock
        self._clock = clock
        self._error = error
        self.arrived: float | None = None
        _keep_stamping()
        _ask_for_stamps(sock)

    async def send(self, data: bytes) -> float:
        self._raise_error()
        loop = asyncio.get_running_loop()
        view = memoryview(data)
        while True:
            handed = self._clock()
            try:
                sent = self._socket.send(view)
            except (BlockingIOError, InterruptedError):
                await writable(loop, self._socket)
                continue
            view = view[sent:]
            if not view:
                return handed

    async def receive(self) -> bytes:
        self._raise_error()
        loop = asyncio.get_running_loop()
        while True:
            try:
                data, control, _, _ = self._socket.recvmsg(READ_SIZE, _CONTROL_SIZE)
            except (BlockingIOError, InterruptedError):
                await readable(loop, self._socket)
                continue
            age = _age(control)
            self.arrived = None if age is None else self._clock() - age
            return data

    def _raise_error(self) -> None:
        if self._error:
            raise OSError(self._error, os.strerror(self._error))

    def close(self) -> None:
        self._socket.close()


class PrefixedStream:
    """A stream some of whose bytes were read already: a server's greeting that came with the proxy's answer."""

    def __init__(self, stream: Stream, already: bytes) -> None:
        self._stream = stream
        self._already = already

    @property
    def arrived(self) -> float | None:
        return arrived(self._stream)

    async def send(self, data: bytes) -> float:
        return await self._stream.send(data)

    async def receive(self) -> bytes:
        already, self._already = self._already, b""
        return already or await self._stream.receive()

    def close(self) -> None:
        self._stream.close()


def _ask_for_stamps(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


@cache
def _keep_stamping() -> socket.socket | None:
    """A socket that wants stamps for as long as we run, and gets nothing to be stamped.

    The kernel patches its own code for the first and the last that wants them (net_enable_timestamp): 50 µs each.
    """
    try:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    except OSError:
        return None
    atexit.register(sock.close)
    _ask_for_stamps(sock)
    return sock


def arrived(stream: Stream) -> float | None:
    """When the last bytes received arrived at this machine, seconds of the monotonic clock; None: it can't tell."""
    return getattr(stream, "arrived", None)


def _age(control: list[tuple[int, int, bytes]]) -> float | None:
    """How long ago the kernel stamped what was read, seconds."""
    for level, kind, value in control:
        if (level, kind, len(value)) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS, _TIMESPEC.size):
            seconds, nanoseconds = _TIMESPEC.unpack(value)
            age = (time.time_ns() - seconds * 10**9 - nanoseconds) / 1e9
            return age if 0 <= age <= _OLDEST else None
    return None


async def readable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    """Waits until there are bytes, or the end of the stream."""
    ready: asyncio.Future[None] = loop.create_future()
    number = sock.fileno()  # for a socket, `selectors` would ask the kernel for its addresses, to name it in an error
    loop.add_reader(number, _wake, ready)
    try:
        await ready
    finally:
        loop.remove_reader(number)


async def writable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    """Waits until the kernel takes bytes, or has an answer to connect()."""
    ready: asyncio.Future[None] = loop.create_future()
    number = sock.fileno()
    loop.add_writer(number, _wake, ready)
    try:
        await ready
    finally:
        loop.remove_writer(number)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
