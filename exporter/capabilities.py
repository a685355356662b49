"""Linux capabilities by system call: given up for good, or looked at; and what else belongs to a harmless process.

Raw numbers are those of linux/capability.h, linux/prctl.h and linux/sched.h; a library for five calls would be one more
to trust. All of it is per thread in the kernel: call before threads start. Forked children inherit it.
"""

import ctypes
import os
import resource
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 1, 4, 24, 38, 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_CLONE_NEWNET = 0x40000000
#: The kernel's sets are 64 bits wide; numbers beyond its last one (40 in Linux 6.18) are refused and harmless.
_LAST_CAPABILITY = 63
#: Lines of /proc/PID/status that let a thread do something now, or after execve.
_HELD = ("CapInh:", "CapPrm:", "CapEff:", "CapAmb:")

_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Data(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def drop_capabilities() -> None:
    """Gives up every capability and the way to new ones (bounding set, no_new_privs); keeps the uid.

    Raises OSError: the kernel refuses (it never refuses to give up), or EBUSY where a thread that runs already still
    holds some, for which only that thread could give them up.
    """
    for number in range(_LAST_CAPABILITY + 1):
        _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)  # needs CAP_SETPCAP; without it no_new_privs does the same
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise _os_error("no_new_privs")
    header, nothing = _Header(_CAPABILITY_VERSION_3, 0), (_Data * 2)()
    if _libc.capset(ctypes.byref(header), nothing):
        raise _os_error("capset")
    if held_capabilities():
        raise OSError(16, "another thread still holds capabilities: they must be dropped before threads start")  # EBUSY


def held_capabilities(pid: int | None = None) -> int:
    """Inheritable, permitted, effective and ambient sets of all threads of a process, as one bit mask; 0: none.

    `pid` is this process by default. Raises OSError where it is gone.
    """
    held = 0
    for task in Path(f"/proc/{pid or os.getpid()}/task").iterdir():
        try:
            status = (task / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):  # this thread ended meanwhile
            continue
        held |= _held_in(status)
    return held


def _held_in(status: str) -> int:
    held = 0
    for line in status.splitlines():
        if line.startswith(_HELD):
            held |= int(line.split()[1], 16)
    return held


def forbid_core_dumps() -> None:
    """No core file, and no ptrace by processes of the same user: memory may hold secrets."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise _os_error("PR_SET_DUMPABLE")


def die_with_parent(signal_number: int, parent: int | None = None) -> None:
    """Has the kernel send this process that signal when its parent's forking thread ends.

    `parent`: its pid; where it has ended already (the fork's race), ProcessLookupError is raised.
    """
    if _libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0):
        raise _os_error("PR_SET_PDEATHSIG")
    if parent is not None and os.getppid() != parent:
        raise ProcessLookupError(3, "the parent has ended")  # ESRCH


def enter_network_namespace(descriptor: int) -> None:
    """setns(2) into an open network namespace; os.setns exists only since Python 3.12.

    Raises OSError: EPERM without CAP_SYS_ADMIN, EINVAL where the file is no network namespace.
    """
    if _libc.setns(descriptor, _CLONE_NEWNET):
        raise _os_error("setns")


def _os_error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
