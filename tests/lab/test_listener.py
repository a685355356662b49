"""A listener that is open, refuses or drops, and the connections it leaves alone or ends."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from exporter.lab.conduit import Conduit
from exporter.lab.listener import Listener, Reach

ADDRESS = "127.60.200.1"


async def echo(sock: socket.socket) -> None:
    conduit = Conduit(sock)
    while data := await conduit.receive():
        await conduit.send(data)


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    with socket.socket() as free:
        free.bind((ADDRESS, 0))
        port = free.getsockname()[1]
    listener = Listener(ADDRESS, port, echo)
    yield listener
    await listener.stop()


def connect(listener: Listener) -> socket.socket:
    return socket.create_connection((listener.address, listener.port), 0.3)


async def test_open_refusing_dropping_and_back(listener: Listener) -> None:
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(connect, listener)
    for _ in range(2):
        listener.switch(Reach.OPEN)
        (await asyncio.to_thread(connect, listener)).close()
        listener.switch(Reach.DROPS)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.to_thread(connect, listener)
        listener.switch(Reach.REFUSES)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.to_thread(connect, listener)


async def test_a_connection_outlives_the_switch_but_not_the_stop(listener: Listener) -> None:
    listener.switch(Reach.OPEN)
    with await asyncio.to_thread(connect, listener) as sock:
        sock.sendall(b"one")
        assert await asyncio.to_thread(sock.recv, 10) == b"one"
        listener.switch(Reach.DROPS)
        sock.sendall(b"two")
        assert await asyncio.to_thread(sock.recv, 10) == b"two"
        await listener.stop()
        assert await asyncio.to_thread(sock.recv, 10) == b""


async def test_connections_are_dropped_alone(listener: Listener) -> None:
    listener.switch(Reach.OPEN)
    with await asyncio.to_thread(connect, listener) as sock:
        sock.sendall(b"one")
        assert await asyncio.to_thread(sock.recv, 10) == b"one"
        listener.drop_connections()
        assert await asyncio.to_thread(sock.recv, 10) == b""
    (await asyncio.to_thread(connect, listener)).close()


async def test_one_accepted_and_stopped_at_once_is_closed(listener: Listener) -> None:
    listener.switch(Reach.OPEN)
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex((listener.address, listener.port))
        await asyncio.sleep(0)  # accepted perhaps, served never
        await listener.stop()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_taken_port_is_an_error(listener: Listener) -> None:
    listener.switch(Reach.OPEN)
    second = Listener(listener.address, listener.port, echo)
    with pytest.raises(OSError, match="in use"):
        second.switch(Reach.OPEN)
    await second.stop()
