"""Linux capabilities by system call: given up for good, or looked at.

Raw numbers are those of linux/capability.h and linux/prctl.h; a library for two calls would be one more to trust.
"""

import ctypes
import os
from pathlib import Path

_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 4, 24, 38, 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Data(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def drop_capabilities() -> None:
    """Gives up every capability of this thread and its future children, and the way to new ones; keeps the uid.

    Call before threads start. Raises OSError where the kernel refuses (it never refuses to give up).
    """
    for number in range(_LAST_CAPABILITY + 1):
        _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)  # needs CAP_SETPCAP: without it there is nothing to drop
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    header, nothing = _Header(_CAPABILITY_VERSION_3, 0), (_Data * 2)()
    if _libc.capset(ctypes.byref(header), nothing):
        raise OSError(ctypes.get_errno(), "capset")


def forbid_core_dumps() -> None:
    """No core file and no ptrace by others: memory may hold secrets."""
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def die_with_parent(signal_number: int) -> None:
    """Has the kernel send this process that signal when its parent ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def held_capabilities() -> int:
    """The permitted set of this process as a bit mask; 0: none."""
    for line in Path(f"/proc/{os.getpid()}/status").read_text().splitlines():
        if line.startswith("CapPrm:"):
            return int(line.split()[1], 16)
    return 0


def enter_network_namespace(descriptor: int) -> None:
    """setns(2) into an open network namespace. Raises OSError (EPERM without CAP_SYS_ADMIN)."""
    clone_newnet = 0x40000000
    if _libc.setns(descriptor, clone_newnet):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
