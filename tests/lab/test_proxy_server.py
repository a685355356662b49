"""The lab's proxy: HTTP CONNECT and SOCKS5, with and without credentials, and never an open one."""

import asyncio
import base64
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from exporter.lab.lab import Lab
from tests.lab.clients import TIMEOUT, Clients

IMAP = "imap-mail.outlook.com"
GREETING = b"220 "


@pytest.fixture
async def sock(lab: Lab) -> AsyncIterator[socket.socket]:
    """Connected to the proxy."""
    with await asyncio.to_thread(socket.create_connection, (lab.proxy.address, lab.proxy.port), TIMEOUT) as sock:
        yield sock


def said(sock: socket.socket, *data: bytes) -> list[bytes]:
    """What comes back to each piece."""
    replies = []
    for piece in data:
        sock.sendall(piece)
        replies.append(sock.recv(4096))
    return replies


def connect(lab: Lab, host: str = "smtp-mail.outlook.com", port: int = 587, extra: str = "") -> bytes:
    return f"CONNECT {host}:{port + lab.shift} HTTP/1.1\r\nHost: {host}\r\n{extra}\r\n".encode()


def socks(lab: Lab, host: str = "smtp-mail.outlook.com", port: int = 587) -> bytes:
    return b"\x05\x01\x00\x03" + bytes([len(host)]) + host.encode() + struct.pack(">H", port + lab.shift)


async def test_connect(lab: Lab, sock: socket.socket) -> None:
    (reply,) = await asyncio.to_thread(said, sock, connect(lab))
    assert reply.startswith(b"HTTP/1.1 200 ")
    greeting = reply.partition(b"\r\n\r\n")[2] or await asyncio.to_thread(sock.recv, 4096)
    assert greeting.startswith(GREETING)
    assert lab.proxy.targets == [f"smtp-mail.outlook.com:{587 + lab.shift}"]


async def test_connect_with_credentials(lab: Lab, sock: socket.socket) -> None:
    lab.proxy.credentials = "someone:secret"
    (refusal,) = await asyncio.to_thread(said, sock, connect(lab))
    assert refusal.startswith(b"HTTP/1.1 407 ")
    assert b"Proxy-Authenticate: Basic" in refusal
    extra = f"Proxy-Authorization: Basic {base64.b64encode(b'someone:secret').decode()}\r\n"
    with await asyncio.to_thread(socket.create_connection, (lab.proxy.address, lab.proxy.port), TIMEOUT) as second:
        (reply,) = await asyncio.to_thread(said, second, connect(lab, extra=extra))
    assert reply.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [("CONNECT www.example.com:443", 403), ("GET http://www.example.com/", 405), ("CONNECT 192.0.2.1:25", 403)],
)
async def test_it_is_no_open_proxy(sock: socket.socket, request_line: str, status: int) -> None:
    (reply,) = await asyncio.to_thread(said, sock, f"{request_line} HTTP/1.1\r\n\r\n".encode())
    assert reply.startswith(f"HTTP/1.1 {status} ".encode())


async def test_a_dead_place_is_a_bad_gateway(lab: Lab, sock: socket.socket) -> None:
    await lab.outlook.stop()
    (reply,) = await asyncio.to_thread(said, sock, connect(lab))
    assert reply.startswith(b"HTTP/1.1 502 ")


async def test_socks(lab: Lab, sock: socket.socket) -> None:
    hello, reply = await asyncio.to_thread(said, sock, b"\x05\x01\x00", socks(lab))
    assert hello == b"\x05\x00"
    assert reply[:2] == b"\x05\x00"
    greeting = reply[10:] or await asyncio.to_thread(sock.recv, 4096)
    assert greeting.startswith(GREETING)


async def test_socks_by_address(lab: Lab, sock: socket.socket) -> None:
    address = socket.inet_aton(lab.outside["smtp-mail.outlook.com"][1])
    request = b"\x05\x01\x00\x01" + address + struct.pack(">H", 587 + lab.shift)
    assert (await asyncio.to_thread(said, sock, b"\x05\x01\x00", request))[1][:2] == b"\x05\x00"


async def test_socks_with_credentials(lab: Lab, sock: socket.socket) -> None:
    lab.proxy.credentials = "someone:secret"
    steps = (b"\x05\x02\x00\x02", b"\x01\x07someone\x06secret", socks(lab))
    hello, accepted, reply = await asyncio.to_thread(said, sock, *steps)
    assert (hello, accepted, reply[:2]) == (b"\x05\x02", b"\x01\x00", b"\x05\x00")


@pytest.mark.parametrize(
    ("steps", "refusal"),
    [([b"\x05\x01\x00"], b"\x05\xff"), ([b"\x05\x01\x02", b"\x01\x07someone\x05wrong"], b"\x01\x01")],
)
async def test_socks_refuses(lab: Lab, sock: socket.socket, steps: list[bytes], refusal: bytes) -> None:
    lab.proxy.credentials = "someone:secret"
    assert (await asyncio.to_thread(said, sock, *steps))[-1] == refusal


async def test_socks_is_no_open_proxy(lab: Lab, sock: socket.socket) -> None:
    request = socks(lab, "www.example.com", 443)
    assert (await asyncio.to_thread(said, sock, b"\x05\x01\x00", request))[1][:2] == b"\x05\x02"


async def test_the_gateway_has_no_part_in_it(lab: Lab, sock: socket.socket, clients: Clients) -> None:
    await lab.set_fault("tcp_reset")
    (reply,) = await asyncio.to_thread(said, sock, connect(lab))
    assert reply.startswith(b"HTTP/1.1 200 ")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(clients.connect, IMAP, 993)


async def test_the_configuration_has_a_vantage_for_each(lab: Lab) -> None:
    vantages = lab.configuration("http", "socks5")["vantages"]
    assert [vantage["name"] for vantage in vantages] == ["clients", "wan", "http", "socks5"]
    assert vantages[-1]["proxy"] == f"socks5://127.0.0.1:{lab.proxy.port}"
