"""Classic BPF: assembled from text, attached to a socket. No library is needed at run time.

The language is that of the kernel's bpf_asm (Documentation/networking/filter.rst), of which this is the part that our
two filters use: which packets the inspector is shown (`kernel_filter`), and which system calls it may make (`sandbox`).
A jump whose target is more than 255 instructions away goes by way of an unconditional one, which the assembler adds.
"""

import ctypes
import re
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

#: The kernel takes no longer program (linux/bpf_common.h, BPF_MAXINSNS).
MAX_INSTRUCTIONS = 4096
_FARTHEST = 255
_SO_ATTACH_FILTER = 26
#: What the kernel knows of a packet besides its bytes stands at these offsets (linux/filter.h, SKF_AD_OFF).
_EXTENSIONS = {"proto": 0xFFFFF000, "pkttype": 0xFFFFF004}

_LD, _LDX, _ST, _STX, _ALU, _JMP, _RET, _MISC = range(8)
_WORD, _HALF, _BYTE = 0x00, 0x08, 0x10
_IMM, _ABS, _IND, _MEM, _LEN = 0x00, 0x20, 0x40, 0x60, 0x80
_X, _RET_A, _TXA = 0x08, 0x10, 0x80
_LOADS = {"ld": _LD | _WORD, "ldh": _LD | _HALF, "ldb": _LD | _BYTE, "ldx": _LDX | _WORD}
_ARITHMETIC = {"add": 0x00, "sub": 0x10, "or": 0x40, "and": 0x50, "lsh": 0x60, "rsh": 0x70, "mod": 0x90, "xor": 0xA0}
_JUMPS = {"jeq": 0x10, "jgt": 0x20, "jge": 0x30, "jset": 0x40}

_NUMBER = r"(0x[0-9a-fA-F]+|[0-9]+)"
_LABEL = re.compile(r"([A-Za-z_]\w*):")
_ADDRESS = re.compile(rf"\[\s*(x\s*\+\s*)?{_NUMBER}\s*\]")
_MEMORY = re.compile(r"M\[(\d+)\]")
_CONSTANT = re.compile(rf"#{_NUMBER}")


class Instruction(NamedTuple):
    """struct sock_filter: where a jump goes is counted from the instruction behind it."""

    code: int
    jt: int
    jf: int
    k: int


class AssemblyError(ValueError):
    """A line that is none of the language's; the message quotes it."""


class _Line(NamedTuple):
    """An instruction whose jumps still have names; "" is the next one."""

    code: int
    k: int
    yes: str = ""
    no: str = ""


def assemble(text: str) -> tuple[Instruction, ...]:
    """The program: an instruction a line, `name:` in front of one or alone, comments behind `;`.

    Raises AssemblyError.
    """
    lines: list[_Line] = []
    labels: dict[str, int] = {}
    for raw in text.splitlines():
        words = raw.partition(";")[0].strip()
        while found := _LABEL.match(words):
            if labels.setdefault(found[1], len(lines)) != len(lines):
                raise AssemblyError(f"label twice: {raw.strip()}")
            words = words[found.end() :].strip()
        if words:
            lines.append(_line(words))
    program = _resolved(*_with_trampolines(lines, labels))
    if not 0 < len(program) <= MAX_INSTRUCTIONS:
        raise AssemblyError(f"a program of {len(program)} instructions")
    return program


def _line(words: str) -> _Line:
    name, _, rest = words.partition(" ")
    operands = [operand.strip() for operand in rest.split(",")]
    if name in _LOADS:
        return _load(_LOADS[name], operands[0], words)
    if name in _JUMPS:
        yes, no = (*operands[1:], "", "")[:2]
        return _Line(_JMP | _JUMPS[name], _constant(operands[0], words), yes, no)
    if name in _ARITHMETIC:
        if operands[0] == "x":
            return _Line(_ALU | _ARITHMETIC[name] | _X, 0)
        return _Line(_ALU | _ARITHMETIC[name], _constant(operands[0], words))
    match name:
        case "ja":
            return _Line(_JMP, 0, operands[0])
        case "st" | "stx":
            return _Line(_ST if name == "st" else _STX, _memory(operands[0], words))
        case "ret":
            return _Line(_RET | _RET_A, 0) if operands[0] == "a" else _Line(_RET, _constant(operands[0], words))
        case "tax" | "txa":
            return _Line(_MISC | (_TXA if name == "txa" else 0), 0)
    raise AssemblyError(f"no such instruction: {words}")


def _load(code: int, operand: str, words: str) -> _Line:
    if operand == "len":
        return _Line(code | _LEN, 0)
    if operand.startswith("#"):
        if operand[1:] in _EXTENSIONS:
            return _Line(code | _ABS, _EXTENSIONS[operand[1:]])
        return _Line(code | _IMM, _constant(operand, words))
    if operand.startswith("M"):
        return _Line(code | _MEM, _memory(operand, words))
    found = _ADDRESS.fullmatch(operand)
    if found is None or code & 7 == _LDX:
        raise AssemblyError(f"no such operand: {words}")
    return _Line(code | (_IND if found[1] else _ABS), int(found[2], 0))


def _constant(operand: str, words: str) -> int:
    found = _CONSTANT.fullmatch(operand)
    if found is None or (value := int(found[1], 0)) > 0xFFFF_FFFF:
        raise AssemblyError(f"no such constant: {words}")
    return value


def _memory(operand: str, words: str) -> int:
    found = _MEMORY.fullmatch(operand)
    if found is None or (place := int(found[1])) > 15:
        raise AssemblyError(f"no such place in memory: {words}")
    return place


def _with_trampolines(lines: list[_Line], labels: dict[str, int]) -> tuple[list[_Line], dict[str, int]]:
    """Inserts `ja` behind conditional jumps that don't reach; each insertion may make others too far."""
    index = 0
    while index < len(lines):
        line = lines[index]
        far = [name for name in (line.yes, line.no) if _is_far(line, name, labels, index)]
        if not far:
            index += 1
            continue
        # The jump's other way, where it is the next instruction, must go around what is inserted.
        around = f"around {len(labels)}"
        labels = {name: place + (place > index) for name, place in labels.items()}
        labels |= {f"to {around}": index + 1, around: index + 2}
        lines[index] = line._replace(
            yes=f"to {around}" if line.yes == far[0] else line.yes or around,
            no=f"to {around}" if line.no == far[0] else line.no or around,
        )
        lines.insert(index + 1, _Line(_JMP, 0, far[0]))
        index = max(index - _FARTHEST, 0)
    return lines, labels


def _is_far(line: _Line, name: str, labels: dict[str, int], index: int) -> bool:
    conditional = line.code & 7 == _JMP and line.code != _JMP
    return conditional and name in labels and labels[name] - index - 1 > _FARTHEST


def _resolved(lines: list[_Line], labels: dict[str, int]) -> tuple[Instruction, ...]:
    def distance(name: str, index: int) -> int:
        if name == "":
            return 0
        if name not in labels or not index < labels[name] < len(lines):  # programs only go forward
            raise AssemblyError(f"no such label further on: {name}")
        return labels[name] - index - 1

    program = []
    for index, line in enumerate(lines):
        if line.code == _JMP:
            program.append(Instruction(line.code, 0, 0, distance(line.yes, index)))
        else:
            program.append(Instruction(line.code, distance(line.yes, index), distance(line.no, index), line.k))
    return tuple(program)


def packed(program: Sequence[Instruction]) -> bytes:
    """An array of struct sock_filter."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def as_decimal(program: Sequence[Instruction]) -> str:
    """As `tcpdump -ddd` prints programs, and xt_bpf, tc and others read them."""
    return "\n".join([str(len(program)), *(" ".join(map(str, instruction)) for instruction in program)]) + "\n"


class Fprog:
    """struct sock_fprog. It points to the program, which lives as long as this object."""

    def __init__(self, program: Sequence[Instruction]) -> None:
        self._array = ctypes.create_string_buffer(packed(program))
        self.content = struct.pack("@HP", len(program), ctypes.addressof(self._array))


def attach(sock: socket.socket, program: Sequence[Instruction]) -> None:
    """Filters what the socket receives from now on; what it had before is replaced at once. Raises OSError."""
    fprog = Fprog(program)
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog.content)
