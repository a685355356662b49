"""A unit's SystemCallFilter and RestrictAddressFamilies as the kernel would have them, without an init.

`python -m tests.deploy.system_calls NAME,… FAMILY,… -- PROGRAM …`. systemd itself tells what its groups contain; numbers
come from the kernel's header. What isn't named is refused with EPERM, as by SystemCallErrorNumber=; a socket of another
family with EAFNOSUPPORT, as systemd does (an empty list allows all).
"""

import ctypes
import errno
import os
import re
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import require_program
from tests.deploy.running import done

_HEADERS = ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h")
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _REFUSE, _NO_SUCH_FAMILY = 0x7FFF_0000, 0x0005_0001, 0x0005_0000 | errno.EAFNOSUPPORT
_NUMBER, _FIRST_ARGUMENT = 0, 16  # of struct seccomp_data
_INSTRUCTION = struct.Struct("HBBI")  # struct sock_filter
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
#: systemd 255 ends colours also where there are none.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class SystemCalls:
    """Names of those allowed, and of the address families that socket() may have."""

    names: frozenset[str]
    families: tuple[str, ...] = ()

    @classmethod
    def of(cls, lines: Iterable[str], families: Iterable[str] = ()) -> "SystemCalls":
        """From the lines of a unit. Skips where systemd or the kernel's header isn't there."""
        program = require_program("systemd-analyze", "systemd")
        if not any(Path(header).exists() for header in _HEADERS):
            pytest.skip("the kernel's header is not installed (Debian package linux-libc-dev)")
        groups = _groups(done(program, "syscall-filter", "--no-pager").output)
        always = set(_expanded("@default", groups)) | {"execve"}
        allowed: set[str] = set(always)
        for line in lines:
            names = {name for word in line.lstrip("~").split() for name in _expanded(word, groups)}
            allowed = allowed - names | always if line.startswith("~") else allowed | names
        return cls(frozenset(allowed), tuple(family for line in families for family in line.split()))

    @property
    def command(self) -> list[str]:
        """Runs what follows under the filter."""
        names = ",".join(sorted(self.names))
        return [sys.executable, "-m", "tests.deploy.system_calls", names, ",".join(self.families), "--"]


def _groups(text: str) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    current: list[str] = []
    for line in _COLOURS.sub("", text).splitlines():
        if line.startswith("@"):
            current = groups.setdefault(line.split()[0], [])
        elif (word := line.strip()) and not word.startswith("#"):
            current.append(word)
    return groups


def _expanded(word: str, groups: dict[str, list[str]]) -> Iterator[str]:
    if word.startswith("@"):
        for member in groups[word]:
            yield from _expanded(member, groups)
    else:
        yield word


def _program(names: Iterable[str], families: Iterable[str]) -> bytes:
    header = next(Path(path) for path in _HEADERS if Path(path).exists())
    numbers = dict(re.findall(r"#define __NR_(\w+)\s+(\d+)", header.read_text()))
    code = _INSTRUCTION.pack(_LOAD, 0, 0, _NUMBER)
    if allowed := [getattr(socket, family) for family in families]:
        only = _INSTRUCTION.pack(_LOAD, 0, 0, _FIRST_ARGUMENT)
        only += b"".join(_allowing(family) for family in allowed) + _INSTRUCTION.pack(_RETURN, 0, 0, _NO_SUCH_FAMILY)
        code += _INSTRUCTION.pack(_EQUAL, 0, len(only) // _INSTRUCTION.size, int(numbers["socket"])) + only
    code += b"".join(_allowing(int(numbers[name])) for name in names if name in numbers)
    return code + _INSTRUCTION.pack(_RETURN, 0, 0, _REFUSE)


def _allowing(value: int) -> bytes:
    """If it is this, all is well; else on."""
    return _INSTRUCTION.pack(_EQUAL, 0, 1, value) + _INSTRUCTION.pack(_RETURN, 0, 0, _ALLOW)


class _Fprog(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _put_in_force(code: bytes) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    kept = ctypes.create_string_buffer(code, len(code))
    program = _Fprog(len(code) // _INSTRUCTION.size, ctypes.addressof(kept))
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    for what, first, second in ((_PR_SET_NO_NEW_PRIVS, 1, 0), (_PR_SET_SECCOMP, _FILTER, ctypes.addressof(program))):
        if libc.prctl(what, first, second, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    _names, _families = (word.split(",") if word else [] for word in sys.argv[1:3])
    _put_in_force(_program(_names, _families))
    os.execv(sys.argv[4], sys.argv[4:])
