"""Transcripts with a sans-IO server: what the client sends, what comes back; whole, and byte by byte."""

from collections.abc import Callable, Iterator
from typing import Protocol

from exporter.lab.behaviour import Reply, Then


class Server(Protocol):
    def greeting(self) -> Reply: ...
    def receive(self, data: bytes) -> Iterator[Reply]: ...


def said(server: Server, *lines: str) -> list[str]:
    """Every line the server says to these lines, its greeting not included."""
    replies = [reply for line in lines for reply in server.receive(line.encode() + b"\r\n")]
    return b"".join(reply.data for reply in replies).decode().split("\r\n")[:-1]


def greeted(server: Server) -> str:
    return server.greeting().data.decode().removesuffix("\r\n")


def whole_and_by_bytes(make: Callable[[], Server], text: str) -> tuple[list[Reply], list[Reply]]:
    """The replies to a text fed at once, and fed a byte at a time."""
    data = text.replace("\n", "\r\n").encode()
    server = make()
    pieces = [reply for at in range(len(data)) for reply in server.receive(data[at : at + 1])]
    return list(make().receive(data)), pieces


def then(server: Server, line: str) -> Then:
    """What follows the last reply to a line."""
    return list(server.receive(line.encode() + b"\r\n"))[-1].then
