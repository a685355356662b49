"""Captures of floods: SYNs from random addresses, and connections that say hello with a random name and no more."""

import random
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path

from benchmarks.traffic.generate import BEGINNING, FILE_HEADER, put
from benchmarks.traffic.packets import ACK, PSH, SYN, Ends, Framer

#: Between two of a flood, µs: 100,000 a second.
STEP = 10
_NAME = b"a" * 22 + b".example.com"
_SERVER = bytes([192, 0, 2, 1])


def syns(path: Path, count: int) -> int:
    """A capture of so many. Returns the number of packets."""
    return _write(path, _syns(count))


def hellos(path: Path, count: int) -> int:
    """A capture of so many connections. Returns the number of packets."""
    return _write(path, _hellos(count))


def _syns(count: int) -> Iterator[tuple[bytes, ...]]:
    chance = random.Random(1)
    for _ in range(count):
        yield (Framer(_ends(chance), from_client=True).frame(SYN, chance.getrandbits(32), 0),)


def _hellos(count: int) -> Iterator[tuple[bytes, ...]]:
    chance, hello = random.Random(2), _client_hello()
    for _ in range(count):
        name = "".join(chance.choices("abcdefgh", k=22)).encode()
        ends, own, other = _ends(chance), chance.getrandbits(32), chance.getrandbits(32)
        there, back = Framer(ends, from_client=True), Framer(ends, from_client=False)
        yield (
            there.frame(SYN, own, 0),
            back.frame(SYN | ACK, other, own + 1),
            there.frame(PSH | ACK, own + 1, other + 1, hello.replace(_NAME[:22], name)),
        )


def _ends(chance: random.Random) -> Ends:
    return Ends(struct.pack(">I", chance.getrandbits(32)), 1_024 + chance.getrandbits(15), _SERVER, 993)


def _client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=_NAME.decode())
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def _write(path: Path, groups: Iterator[tuple[bytes, ...]]) -> int:
    """Each group's packets at one time."""
    with path.open("wb") as file:
        file.write(FILE_HEADER)
        return sum(
            put(file, [(BEGINNING + number * STEP, frame) for frame in group]) for number, group in enumerate(groups)
        )
