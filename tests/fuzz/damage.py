"""Damages bytes as a fuzzer without feedback does, the same way for the same seed."""

import random
from collections.abc import Sequence

#: Values that lengths and types go wrong at.
_EDGES = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF)


def damaged(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds after one to eight changes."""
    data = bytearray(generator.choice(seeds))
    for _ in range(generator.randint(1, 8)):
        generator.choice(_CHANGES)(generator, data, seeds)
    return bytes(data)


def _byte(generator: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    if data:
        data[generator.randrange(len(data))] = generator.choice((*_EDGES, generator.randrange(256)))


def _bit(generator: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    if data:
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)


def _cut(generator: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    at = generator.randint(0, len(data))
    del data[at : at + generator.randint(0, 40)]


def _end(generator: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    del data[generator.randint(0, len(data)) :]


def _insert(generator: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    at = generator.randint(0, len(data))
    data[at:at] = generator.randbytes(generator.randint(1, 8))


def _repeat(generator: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    at = generator.randint(0, len(data))
    data[at:at] = data[at : at + generator.randint(1, 60)]


def _splice(generator: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    """Goes on as another seed."""
    other = generator.choice(seeds)
    del data[generator.randint(0, len(data)) :]
    data += other[generator.randint(0, len(other)) :]


#: Single bytes more often: whatever is cut or spliced doesn't get far.
_CHANGES = (_byte, _byte, _byte, _bit, _bit, _cut, _insert, _repeat, _end, _splice)
