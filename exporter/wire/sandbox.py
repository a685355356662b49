"""What the inspector gives up before it looks at the first packet: rights, identity, files, most system calls.

A parser's mistake must not become more than a wrong number. Left is: reading packets, opening a packet socket again
when an interface comes back (where CAP_NET_RAW is kept), talking on sockets that are open already, time and memory.
Nothing in the list opens a file, so what is imported later fails: import first.

Numbers are those of asm/unistd.h, linux/seccomp.h, linux/audit.h and linux/capability.h.
"""

import ctypes
import os
import platform
import resource
import socket
from collections.abc import Iterable, Sequence
from enum import Enum

from exporter.capabilities import forbid_core_dumps
from exporter.wire.bpf import Fprog, Instruction, assemble

#: `nobody` and `nogroup`: who the inspector is where it began as root. They own nothing.
NOBODY = 65_534
#: Bytes of memory of its own (its ring is not), and open descriptors.
MAX_MEMORY, MAX_DESCRIPTORS = 512 << 20, 64
CAP_NET_RAW = 13

_PR_SET_KEEPCAPS, _PR_SET_NAME, _PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = (
    8,
    15,
    22,
    24,
    38,
    47,
)
_PR_CAP_AMBIENT_CLEAR_ALL, _SECCOMP_MODE_FILTER = 4, 2
_CAPABILITY_VERSION_3, _LAST_CAPABILITY = 0x2008_0522, 63
_ALLOW, _REFUSE, _KILL = 0x7FFF_0000, 0x0005_0001, 0x8000_0000  # refused is EPERM
#: struct seccomp_data: system call's number, architecture, first argument's lower half (both are little endian).
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16


class Seccomp(Enum):
    """Whether system calls are filtered."""

    IN_FORCE = "in force"
    UNKNOWN_ARCHITECTURE = "this machine's system calls aren't known to us"
    NOT_IN_KERNEL = "the kernel has no seccomp filters"


#: AUDIT_ARCH_ value, and numbers of what the interpreter and we need: on sockets that exist, memory, time, signals.
_X86_64 = (
    0xC000003E,
    {
        "read": 0, "write": 1, "close": 3, "fstat": 5, "poll": 7, "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11,
        "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "ioctl": 16, "select": 23,
        "sched_yield": 24, "mremap": 25, "madvise": 28, "nanosleep": 35, "getpid": 39, "sendto": 44, "recvfrom": 45,
        "sendmsg": 46, "recvmsg": 47, "shutdown": 48, "bind": 49, "getsockname": 51, "setsockopt": 54,
        "getsockopt": 55, "exit": 60, "fcntl": 72, "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108,
        "getppid": 110, "sigaltstack": 131, "gettid": 186, "futex": 202, "restart_syscall": 219, "clock_gettime": 228,
        "clock_nanosleep": 230, "exit_group": 231, "epoll_wait": 232, "epoll_ctl": 233, "pselect6": 270, "ppoll": 271,
        "epoll_create1": 291, "getrandom": 318, "getrusage": 98, "times": 100, "gettimeofday": 96, "rseq": 334,
    },
    41,
)  # fmt: skip
_AARCH64 = (
    0xC00000B7,
    {
        "read": 63, "write": 64, "close": 57, "fstat": 80, "lseek": 62, "mmap": 222, "mprotect": 226, "munmap": 215,
        "brk": 214, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "ioctl": 29, "sched_yield": 124,
        "mremap": 216, "madvise": 233, "nanosleep": 101, "getpid": 172, "sendto": 206, "recvfrom": 207, "sendmsg": 211,
        "recvmsg": 212, "shutdown": 210, "bind": 200, "getsockname": 204, "setsockopt": 208, "getsockopt": 209,
        "exit": 93, "fcntl": 25, "getuid": 174, "getgid": 176, "geteuid": 175, "getegid": 177, "getppid": 173,
        "sigaltstack": 132, "gettid": 178, "futex": 98, "restart_syscall": 128, "clock_gettime": 113,
        "clock_nanosleep": 115, "exit_group": 94, "epoll_pwait": 22, "epoll_ctl": 21, "pselect6": 72, "ppoll": 73,
        "epoll_create1": 20, "getrandom": 278, "getrusage": 165, "times": 153, "gettimeofday": 169, "rseq": 293,
    },
    198,
)  # fmt: skip
_ARCHITECTURES = {"x86_64": _X86_64, "aarch64": _AARCH64}
#: Only numbers from here on are x32's on x86_64, another way to the same calls.
_X32 = 0x4000_0000

_libc = ctypes.CDLL(None, use_errno=True)


def enter(*, keep_raw: bool) -> Seccomp:
    """Gives everything up, for good. `keep_raw`: but CAP_NET_RAW, so that interfaces may come back.

    Call in a process without threads, with everything imported. Raises OSError where the kernel doesn't let us.
    """
    keep_only_raw(keep_raw=keep_raw)
    _limit()
    return _filter_system_calls([socket.AF_PACKET] if keep_raw else [])


def keep_only_raw(*, keep_raw: bool = True) -> None:
    """The first half: environment, identity, every other right. Enough for who only starts and relays."""
    _forget_environment()
    _become_nobody()
    _keep_capabilities([CAP_NET_RAW] if keep_raw else [])
    forbid_core_dumps()


def call_process(name: str) -> None:
    """What ps and top show of it, 15 characters; /proc/self/comm isn't ours to write any more by then."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def may_read_packets() -> bool:
    """Whether CAP_NET_RAW is in force here; in a container it may still not be the right one."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        effective = next((line.split()[1] for line in file if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) & 1 << CAP_NET_RAW)


def _forget_environment() -> None:
    """Also where the kernel laid it down, which /proc/self/environ and a parser's mistake could show."""
    os.environ.clear()
    try:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        begin, end = int(fields[47]), int(fields[48])  # env_start, env_end; the list begins at the third field
    except (OSError, ValueError, IndexError):
        return
    if 0 < begin < end:
        ctypes.memset(begin, 0, end - begin)


def _become_nobody() -> None:
    """Root owns files and the token caches; nobody doesn't. Capabilities are kept until they are chosen from."""
    for number in range(_LAST_CAPABILITY + 1):
        _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)  # needs CAP_SETPCAP; without it no_new_privs does the same
    if os.geteuid() != 0:
        return
    _checked(_libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0), "PR_SET_KEEPCAPS")
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except PermissionError:  # root of a container that may not be anybody else
        pass


def _limit() -> None:
    nothing, memory, descriptors = (0, 0), (MAX_MEMORY, MAX_MEMORY), (MAX_DESCRIPTORS, MAX_DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_FSIZE, nothing)
    resource.setrlimit(resource.RLIMIT_NPROC, nothing)
    resource.setrlimit(resource.RLIMIT_DATA, memory)
    resource.setrlimit(resource.RLIMIT_NOFILE, descriptors)


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Data(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def _keep_capabilities(kept: Iterable[int]) -> None:
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    header, sets = _Header(_CAPABILITY_VERSION_3, 0), (_Data * 2)()
    _checked(_libc.capget(ctypes.byref(header), sets), "capget")
    mask = sum(1 << number for number in kept) & sets[0].permitted
    for index, data in enumerate(sets):
        data.effective = data.permitted = mask if index == 0 else 0
        data.inheritable = 0
    _checked(_libc.capset(ctypes.byref(header), sets), "capset")


def _filter_system_calls(families: Sequence[int]) -> Seccomp:
    program = system_call_filter(platform.machine(), families)
    if program is None:
        return Seccomp.UNKNOWN_ARCHITECTURE
    fprog = Fprog(program)
    pointer = ctypes.create_string_buffer(fprog.content)
    if _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(pointer), 0, 0):
        return Seccomp.NOT_IN_KERNEL
    return Seccomp.IN_FORCE


def system_call_filter(machine: str, families: Sequence[int]) -> tuple[Instruction, ...] | None:
    """What isn't named is refused with EPERM; sockets only of these families. None for another machine."""
    if machine not in _ARCHITECTURES:
        return None
    audit, allowed, socket_number = _ARCHITECTURES[machine]
    named = "".join(f" jeq #{number}, allow\n" for number in sorted(allowed.values()))
    sockets = "".join(f" jeq #{family}, allow\n" for family in families)
    return assemble(f"""
        ld [{_ARCHITECTURE}]
        jeq #{audit}, , kill
        ld [{_NUMBER}]
        jge #{_X32}, kill
{named}
        jeq #{socket_number}, , refuse
        ld [{_FIRST_ARGUMENT}]
{sockets}
refuse: ret #{_REFUSE}
allow:  ret #{_ALLOW}
kill:   ret #{_KILL}
""")


def _checked(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
