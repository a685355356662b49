"""Phase connect on loopback: what each address ends with, and which one is talked over."""

import asyncio
import socket
import time

from hypothesis import given
from hypothesis import strategies as st

from exporter.lab.listener import Listener, Reach
from exporter.probe.connect import Connecting, in_order
from exporter.probe.failures import PhaseFailure
from exporter.probe.vantage import LocalSockets
from exporter.vocabulary import Outcome


def listener(address: str, port: int = 0) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    sock.listen()
    return sock


async def nobody(_sock: socket.socket) -> None:
    raise AssertionError("a dropped SYN is not accepted")


def full_backlog(address: str, port: int) -> Listener:
    dead = Listener(address, port, nobody)
    dead.switch(Reach.DROPS)
    return dead


async def connect(addresses: list[str], port: int, timeout: float = 0.5, sockets: LocalSockets | None = None):
    connecting = Connecting(addresses, port, sockets or LocalSockets(), time.monotonic, timeout)
    try:
        stream, address, seconds = await connecting.first()
        stream.close()
        first: object = (address, seconds)
    except PhaseFailure as failure:
        first = failure
    results = {result.address: result for result in await connecting.results()}
    connecting.close()
    return first, results


async def test_connects_and_times_in_microseconds():
    with listener("127.0.0.1") as server:
        (address, seconds), results = await connect(["127.0.0.1"], server.getsockname()[1])
    assert address == "127.0.0.1"
    assert 0 < seconds < 0.1
    assert results["127.0.0.1"].outcome is Outcome.OK


async def test_a_closed_port_is_refused():
    with listener("127.0.0.1") as server:
        port = server.getsockname()[1]
    failure, results = await connect(["127.0.0.1"], port)
    assert failure.outcome is Outcome.REFUSED
    assert results["127.0.0.1"].detail == "RST"


async def test_a_dropped_syn_times_out_and_the_other_address_is_talked_over():
    with listener("127.9.0.2") as server:
        port = server.getsockname()[1]
        dead = full_backlog("127.9.0.1", port)
        try:
            (address, _), results = await connect(["127.9.0.1", "127.9.0.2"], port)
        finally:
            await dead.stop()
    assert address == "127.9.0.2"
    assert (
        results["127.9.0.1"].outcome is Outcome.TIMEOUT
    )  # seen all the same: intermittent faults aren't averaged away


async def test_what_was_said_outweighs_as_much_silence_whichever_came_first():
    with listener("127.9.0.2") as server:
        port = server.getsockname()[1]
    dead = full_backlog("127.9.0.1", port)
    try:
        for addresses in (["127.9.0.1", "127.9.0.2"], ["127.9.0.2", "127.9.0.1"]):
            failure, _ = await connect(addresses, port)
            assert failure.outcome is Outcome.REFUSED
        failure, _ = await connect(["127.9.0.1"], port)
        assert failure.outcome is Outcome.TIMEOUT
    finally:
        await dead.stop()


async def test_a_family_without_a_route_is_skipped():
    with listener("127.0.0.1") as server:
        only_v4 = LocalSockets(source_address="127.0.0.1")
        (address, _), results = await connect(["::1", "127.0.0.1"], server.getsockname()[1], sockets=only_v4)
    assert address == "127.0.0.1"
    assert results["::1"].outcome is Outcome.SKIPPED


async def test_nothing_left_open_when_cancelled():
    with listener("127.9.0.3") as server:
        port = server.getsockname()[1]
    dead = full_backlog("127.9.0.3", port)
    try:
        connecting = Connecting(["127.9.0.3"], port, LocalSockets(), time.monotonic, 5)
        task = asyncio.create_task(connecting.first())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        connecting.close()
        await connecting.results()
    finally:
        await dead.stop()


def test_ipv6_first_and_the_start_rotates():
    addresses = ["1.0.0.1", "2001::1", "1.0.0.2", "2001::2"]
    assert in_order(addresses, 0) == ["2001::1", "2001::2", "1.0.0.1", "1.0.0.2"]
    assert in_order(addresses, 1) == ["2001::2", "2001::1", "1.0.0.2", "1.0.0.1"]


@given(st.lists(st.ip_addresses().map(str), max_size=8, unique=True), st.integers(0, 10**6))
def test_no_address_is_lost(addresses, start):
    assert sorted(in_order(addresses, start)) == sorted(addresses)
