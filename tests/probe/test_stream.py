"""When bytes arrived is the kernel's word: what keeps the event loop from reading them in time doesn't show in it."""

import asyncio
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from exporter.probe import stream
from exporter.probe.stream import PrefixedStream, TcpStream, arrived

#: How long the event loop is kept busy, seconds: far more than a loopback segment takes.
BUSY = 0.2


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Ours, non-blocking, and the peer's, over TCP on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
    with ours, peer:
        ours.setblocking(False)
        yield ours, peer


async def test_a_busy_event_loop_doesnt_show(pair: tuple[socket.socket, socket.socket]):
    ours, peer = pair
    tcp = TcpStream(ours)
    peer.sendall(b"the first line\r\n")
    sent = time.monotonic()
    time.sleep(BUSY)  # noqa: ASYNC251 - that is the point
    assert await tcp.receive() == b"the first line\r\n"
    assert tcp.arrived is not None
    assert time.monotonic() - tcp.arrived >= BUSY
    assert abs(tcp.arrived - sent) < BUSY / 2


async def test_the_last_segment_counts_where_several_are_read_at_once(pair: tuple[socket.socket, socket.socket]):
    ours, peer = pair
    tcp = TcpStream(ours)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer.sendall(b"one ")
    time.sleep(BUSY)  # noqa: ASYNC251
    second = time.monotonic()
    peer.sendall(b"two")
    while len(ours.recv(100, socket.MSG_PEEK)) < 7:  # noqa: ASYNC110 - the kernel tells nobody
        await asyncio.sleep(0)
    assert await tcp.receive() == b"one two"
    assert tcp.arrived is not None
    assert abs(tcp.arrived - second) < BUSY / 2


async def test_what_is_waited_for_is_stamped_too(pair: tuple[socket.socket, socket.socket]):
    ours, peer = pair
    tcp = TcpStream(ours)
    reading = asyncio.create_task(tcp.receive())
    await asyncio.sleep(0)
    before = time.monotonic()
    peer.sendall(b"x")
    assert await reading == b"x"
    assert tcp.arrived is not None
    assert before - 0.001 <= tcp.arrived <= time.monotonic()


async def test_the_end_of_the_stream_has_no_stamp(pair: tuple[socket.socket, socket.socket]):
    ours, peer = pair
    tcp = TcpStream(ours)
    peer.close()
    assert await tcp.receive() == b""
    assert tcp.arrived is None


async def test_a_stream_that_cant_tell_is_asked_in_vain(pair: tuple[socket.socket, socket.socket]):
    class Silent:
        async def send(self, data: bytes) -> float:
            return 0.0

        async def receive(self) -> bytes:
            return b""

        def close(self) -> None: ...

    assert arrived(Silent()) is None
    assert arrived(PrefixedStream(Silent(), b"x")) is None
    tcp = TcpStream(pair[0])
    pair[1].sendall(b"x")
    prefixed = PrefixedStream(tcp, b"")
    assert await prefixed.receive() == b"x"
    assert arrived(prefixed) == tcp.arrived


@pytest.mark.parametrize("off", [-1.0, 3_600.0], ids=["set back", "set ahead"])
def test_a_stamp_from_before_the_clock_was_set_isnt_believed(off: float):
    nanoseconds = time.time_ns() - round(off * 1e9)
    control = [(socket.SOL_SOCKET, 35, struct.pack("@qq", *divmod(nanoseconds, 10**9)))]
    assert stream._age(control) is None
    assert stream._age([(socket.SOL_SOCKET, 35, b"short")]) is None
    assert stream._age([]) is None
