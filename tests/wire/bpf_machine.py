"""The kernel's classic BPF machine, in Python: what linux/bpf_common.h and net/core/filter.c say, and nothing of ours.

Used to run filters on packets that no test could send; tests also hold it against the kernel's own.
"""

from collections.abc import Callable, Mapping, Sequence

WORD_MASK = 0xFFFF_FFFF
_ALU: dict[int, Callable[[int, int], int]] = {
    0x00: lambda a, b: a + b,
    0x10: lambda a, b: a - b,
    0x20: lambda a, b: a * b,
    0x30: lambda a, b: a // b,
    0x40: lambda a, b: a | b,
    0x50: lambda a, b: a & b,
    0x60: lambda a, b: a << (b & 31),
    0x70: lambda a, b: a >> (b & 31),
    0x90: lambda a, b: a % b,
    0xA0: lambda a, b: a ^ b,
}
_TESTS: dict[int, Callable[[int, int], bool]] = {
    0x10: lambda a, b: a == b,
    0x20: lambda a, b: a > b,
    0x30: lambda a, b: a >= b,
    0x40: lambda a, b: bool(a & b),
}
_SIZES = {0x00: 4, 0x08: 2, 0x10: 1}
EXTENSIONS = 0xFFFF_F000


def run(
    program: Sequence[tuple[int, int, int, int]],
    packet: bytes,
    extensions: Mapping[int, int] | None = None,
    memory: list[int] | None = None,
) -> int:
    """Bytes of the packet that pass, 0 for none. `extensions`: by SKF_AD_ number, as pkttype is 4.

    `memory`: M[], 16 words, to be read afterwards.
    """
    a = x = at = 0
    memory = [0] * 16 if memory is None else memory
    while True:
        code, jt, jf, k = program[at]
        at += 1
        kind = code & 7
        if kind in (0, 1):
            value = _load(code, k, x, memory, packet, extensions or {})
            if value is None:
                return 0
            a, x = (value, x) if kind == 0 else (a, value)
        elif kind in (2, 3):
            memory[k] = a if kind == 2 else x
        elif kind == 4:
            operand = x if code & 8 else k
            if code & 0xF0 in (0x30, 0x90) and operand == 0:
                return 0
            a = _ALU[code & 0xF0](a, operand) & WORD_MASK
        elif kind == 5:
            if code & 0xF0 == 0:
                at += k
            else:
                at += jt if _TESTS[code & 0xF0](a, x if code & 8 else k) else jf
        elif kind == 6:
            return a if code & 0x18 == 0x10 else k
        elif code & 0xF8 == 0x80:
            a = x
        else:
            x = a


def _load(code: int, k: int, x: int, memory: list[int], packet: bytes, extensions: Mapping[int, int]) -> int | None:
    mode, size = code & 0xE0, _SIZES[code & 0x18]
    if mode == 0x00:
        return k
    if mode == 0x60:
        return memory[k]
    if mode == 0x80:
        return len(packet)
    if mode == 0x20 and k >= EXTENSIONS:
        return extensions[k - EXTENSIONS]
    begin = (k + x if mode == 0x40 else k) & WORD_MASK
    if begin + size > len(packet):
        return None
    return int.from_bytes(packet[begin : begin + size])
