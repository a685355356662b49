"""Classic BPF as eBPF, for what a classic program can't have: a memory (bpf(2); RFC 9669, the instruction set).

Translated as the kernel itself does it: A is R0, X is R7, the packet R6, and M[] lies on the stack's end. Chosen return
values jump to steps of the caller's instead, which may call the kernel's functions and look into maps.
"""

import ctypes
import errno
import os
import platform
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from exporter.wire.bpf import Instruction

R0, R1, R2, R3, R4, R6, R7, R8, FRAME = 0, 1, 2, 3, 4, 6, 7, 8, 10
#: What the translation leaves of the stack, counted from its end, to its caller's steps.
FREE = -64
_WORDS = 16
#: Offsets in struct __sk_buff (linux/bpf.h).
PACKET_LENGTH, PACKET_TYPE, INTERFACE_INDEX = 0, 4, 40
#: Functions of the kernel (linux/bpf.h, BPF_FUNC_).
LOOK_UP, UPDATE, LOAD_BYTES = 1, 2, 26
#: Types of maps, and a flag: userspace may have it in its memory.
ARRAY, LRU_HASH, MAPPABLE = 2, 9, 1 << 10

EXIT, CALL, ALWAYS = 0x95, 0x85, 0x05
MOV_K, MOV_X, MOV64_X, ADD_K, ADD_X, ADD64_K, ADD64_X = 0xB4, 0xBC, 0xBF, 0x04, 0x0C, 0x07, 0x0F
SUB_X, MUL_K, AND_K, RSH_K = 0x1C, 0x24, 0x54, 0x74
LOAD_BYTE, LOAD, STORE, STORE64_K = 0x71, 0x61, 0x63, 0x7A
EQUAL64, EQUAL, NOT_EQUAL, ABOVE_X, ANY_OF = 0x15, 0x16, 0x56, 0x2E, 0x46
_LOAD_MAP, _PSEUDO_MAP = 0x18, 1

_INDIRECT = 0x40
_JMP, _RET = 5, 6
_EXTENSION_PKTTYPE = 0xFFFF_F004

_SYSTEM_CALL = {"x86_64": 321, "aarch64": 280}
_MAP_CREATE, _PROG_LOAD = 0, 5
_SOCKET_FILTER = 1
_SO_ATTACH_BPF = 50
#: No function that is kept for GPL programs is called.
_LICENSE = b"Apache-2.0\0"


class Step(NamedTuple):
    """An instruction. `to`: the label that it jumps to; a number is that of a classic instruction."""

    code: int
    target: int = 0
    source: int = 0
    offset: int = 0
    constant: int = 0
    to: int | str | None = None


#: Steps by label.
Steps = Mapping[str, Sequence[Step]]


def word(number: int) -> int:
    """Where M[number] lies."""
    return -4 * (number + 1)


def load_map(register: int, descriptor: int) -> list[Step]:
    """The map, for a call."""
    return [Step(_LOAD_MAP, register, _PSEUDO_MAP, constant=descriptor), Step(0)]


def translated(program: Sequence[Instruction], returns: Mapping[int, str], steps: Steps) -> bytes:
    """An array of struct bpf_insn. `returns`: to which of the `steps` what would be returned jumps instead."""
    labels: dict[int | str, int] = {}
    listed = [Step(MOV64_X, R6, R1), Step(MOV_K, R0), Step(MOV_K, R7)]
    listed += [Step(STORE64_K, FRAME, offset=-8 * number) for number in range(1, _WORDS // 2 + 1)]
    reached = _reached(program)
    for index, instruction in enumerate(program):
        if index in reached:
            labels[index] = len(listed)
            listed += _steps(index, instruction, returns)
    for label, more in steps.items():
        labels[label] = len(listed)
        listed += more
    return b"".join(_packed(number, step, labels) for number, step in enumerate(listed))


def _packed(number: int, step: Step, labels: Mapping[int | str, int]) -> bytes:
    offset = step.offset if step.to is None else labels[step.to] - number - 1
    return struct.pack("=BBhI", step.code, step.source << 4 | step.target, offset, step.constant & 0xFFFF_FFFF)


def _reached(program: Sequence[Instruction]) -> set[int]:
    """Instructions that something leads to: the verifier takes no others. Programs only go forward."""
    reached = {0}
    for index, (code, jt, jf, k) in enumerate(program):
        if index not in reached or code & 7 == _RET:
            continue
        if code & 7 != _JMP:
            reached.add(index + 1)
        else:
            reached |= {index + 1 + k} if code == _JMP else {index + 1 + jt, index + 1 + jf}
    return reached


def _steps(index: int, instruction: Instruction, returns: Mapping[int, str]) -> Iterator[Step]:
    """One classic instruction."""
    code, jt, jf, k = instruction
    kind = code & 7
    if kind in (0, 1):
        yield _load(code, k)
    elif kind in (2, 3):
        yield Step(STORE, FRAME, R0 if kind == 2 else R7, word(k))
    elif kind == 4:
        yield Step(code, R0, R7 if code & 8 else 0, constant=0 if code & 8 else k)
    elif code == _JMP:
        yield Step(ALWAYS, to=index + 1 + k)
    elif kind == _JMP:
        yield Step(code & 0xF0 | 6, R0, constant=k, to=index + 1 + jt)  # of 32 bits, as classic comparisons are
        yield Step(ALWAYS, to=index + 1 + jf)
    elif kind == _RET and k in returns:
        yield Step(ALWAYS, to=returns[k])
    elif kind == _RET:
        if code & 0x18 == 0:
            yield Step(MOV_K, R0, constant=k)
        yield Step(EXIT)
    else:
        yield Step(MOV_X, R0, R7) if code & 0x80 else Step(MOV_X, R7, R0)


def _load(code: int, k: int) -> Step:
    into, mode = (R0 if code & 7 == 0 else R7), code & 0xE0
    if mode == 0x00:
        return Step(MOV_K, into, constant=k)
    if mode == 0x60:
        return Step(LOAD, into, FRAME, word(k))
    if mode == 0x80:
        return Step(LOAD, into, R6, PACKET_LENGTH)
    if k == _EXTENSION_PKTTYPE:
        return Step(LOAD, into, R6, PACKET_TYPE)
    return Step(code & 0xF8, 0, R7 if mode == _INDIRECT else 0, constant=k)


def made_map(kind: int, key: int, value: int, entries: int, flags: int = 0) -> int:
    """Its descriptor. `key`, `value`: bytes. Raises OSError."""
    return _bpf(_MAP_CREATE, struct.pack("=5I", kind, key, value, entries, flags))


def loaded(code: bytes) -> int:
    """The descriptor of a program that the kernel has verified. Raises OSError."""
    instructions, license_ = ctypes.create_string_buffer(code), ctypes.create_string_buffer(_LICENSE)
    addresses = ctypes.addressof(instructions), ctypes.addressof(license_)
    return _bpf(_PROG_LOAD, struct.pack("=2I2Q2IQ2I", _SOCKET_FILTER, len(code) // 8, *addresses, 0, 0, 0, 0, 0))


def attach(sock: socket.socket, program: int) -> None:
    """In the place of what the socket had. Needs no right. Raises OSError."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_BPF, struct.pack("@i", program))


def close_all(descriptors: Iterable[int]) -> None:
    """Sockets keep what they have."""
    for each in descriptors:
        os.close(each)


def _bpf(command: int, attributes: bytes) -> int:
    """bpf(2)."""
    number = _SYSTEM_CALL.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"bpf(2) has no known number on {platform.machine()}")
    libc = ctypes.CDLL(None, use_errno=True)
    content = ctypes.create_string_buffer(attributes, len(attributes))
    result = int(libc.syscall(ctypes.c_long(number), ctypes.c_int(command), content, ctypes.c_uint(len(attributes))))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
