"""The service's end of a vantage process: sockets of another network namespace, without CAP_SYS_ADMIN.

The process lives in the namespace (`vantage_server`), and makes sockets there, nothing else. Sockets come unconnected:
connecting them, and timing that, is the service's. Asking takes some 100 µs, so it is synchronous.
"""

import array
import errno
import os
import re
import signal
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Self

from exporter.probe import vantage_server
from exporter.probe.vantage_protocol import GREETING, REPLY, Reply, Status, Step, read_greeting, read_reply, request

#: Where `ip netns` keeps its namespaces.
NETNS = Path("/run/netns")
#: How long an answer may take, seconds; the event loop waits for it. Making a socket takes microseconds.
TIMEOUT = 1.0
#: How long a new vantage process may take to greet, seconds.
START_TIMEOUT = 5.0

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_PEER_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED

#: The type, where a method is named `socket`.
Socket = socket.socket


class VantageError(OSError):
    """A vantage can't be used; the message is one line that says what is missing and how to grant it.

    Its errno is EIO for what went wrong on this machine, so that nobody takes it for an answer of the network.
    """

    def __str__(self) -> str:
        return self.strerror or ""


class NamespaceMissing(VantageError):
    """No network namespace of that name."""


class NamespaceForbidden(VantageError):
    """The right to enter the network namespace is missing."""


class VantageProcess:
    """Makes sockets of another network namespace. Safe to share between threads."""

    def __init__(self, channel: Socket | None, name: str, *, pid: int | None = None, path: Path | None = None) -> None:
        """`channel`: greeted already. `pid`: our child. `path`: where to connect again after a restart, or first."""
        self._channel = channel
        self._name = name
        self._pid = pid
        self._path = path
        self._number = 0
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Of the forked process; None for one that systemd started, or that was closed."""
        return self._pid

    def socket(self, family: int, kind: int) -> Socket:
        """A non-blocking, unconnected TCP or UDP socket of the namespace.

        Raises OSError: the kernel's own where it made no socket, VantageError where the process doesn't answer.
        """
        if not self._lock.acquire(timeout=TIMEOUT):
            raise VantageError(errno.EIO, f"{self._name} doesn't answer")
        try:
            reply, descriptors = self._ask(family, kind)
        finally:
            self._lock.release()
        return self._socket_of(reply, descriptors, family, kind)

    def problem(self) -> str | None:
        """Why it makes no sockets, or None: an end of ours, of which nothing on the way is the cause."""
        try:
            self.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
        except VantageError as error:
            return str(error)
        except OSError:  # the namespace has no IPv4
            pass
        return None

    def close(self) -> None:
        """Ends the vantage process, where it is our child. It has nothing to save. Idempotent."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._pid is not None:
            pid, self._pid = self._pid, None
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):  # ended; or we changed our uid, and its socket ends it
                pass
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:  # someone else has waited for it
                pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, family: int, kind: int) -> tuple[Reply, list[int]]:
        """One question; once more where systemd has restarted the process since the last one."""
        self._number = (self._number + 1) % 2**32
        message = request(family, kind, self._number)
        for last in (self._path is None, True):
            if self._channel is None and self._path is not None:
                self._channel = _connected(self._path)
            if self._channel is None:
                raise VantageError(errno.EIO, f"{self._name} was closed")
            try:
                return self._exchange(self._channel, message)
            except TimeoutError as error:
                raise VantageError(errno.EIO, f"{self._name} doesn't answer") from error
            except OSError as error:
                if last:
                    raise VantageError(errno.EIO, f"{self._name} has ended; restart it") from error
                self._channel.close()
                self._channel = None
        raise AssertionError("unreachable")

    def _exchange(self, channel: Socket, message: bytes) -> tuple[Reply, list[int]]:
        deadline = time.monotonic() + TIMEOUT
        channel.settimeout(TIMEOUT)
        channel.send(message)
        while True:
            channel.settimeout(max(deadline - time.monotonic(), 0.001))
            data, descriptors = _received(channel)
            reply = read_reply(data)
            if reply is not None and reply.number == self._number:
                return reply, descriptors
            _close_all(descriptors)
            if reply is None:  # the end, or another protocol
                raise ConnectionResetError(errno.ECONNRESET, "no reply")
            # else: the answer to a question that timed out

    def _socket_of(self, reply: Reply, descriptors: list[int], family: int, kind: int) -> Socket:
        if reply.status == Status.FAILED:
            _close_all(descriptors)
            raise OSError(reply.errno, os.strerror(reply.errno))
        if reply.status != Status.OK or len(descriptors) != 1:
            _close_all(descriptors)
            raise VantageError(errno.EIO, f"{self._name} refuses the request: is it of the same version?")
        made = socket.socket(fileno=descriptors[0])
        made.setblocking(False)
        if (made.family, made.type) != (family, kind & ~(socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)):
            made.close()
            raise VantageError(errno.EIO, f"{self._name} sent another socket than the one asked for")
        return made


def fork_vantage_process(namespace: str, netns: Path = NETNS) -> VantageProcess:
    """Forks a vantage process into a namespace of `ip netns`. Call as root, before threads and event loops start.

    Raises NamespaceMissing, NamespaceForbidden or VantageError, each with one line for the administrator.
    """
    what = f"network namespace {namespace}"
    if not _NAME.fullmatch(namespace):
        raise NamespaceMissing(errno.EIO, f"network namespace {namespace!r}: no name of one; `ip netns` names them")
    if threading.active_count() > 1:
        raise VantageError(errno.EIO, f"{what}: is entered when the program starts; restart it")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        vantage_server.live_in(netns / namespace, theirs, parent)
    theirs.close()
    process = VantageProcess(ours, f"the vantage process of {what}", pid=pid)
    try:
        _check_greeting(ours, namespace)
    except BaseException:
        process.close()
        raise
    return process


def _check_greeting(channel: socket.socket, namespace: str) -> None:
    what = f"network namespace {namespace}"
    step, number = _greeting(channel, f"the vantage process of {what}")
    if step == Step.OPEN and number in (errno.ENOENT, errno.ENOTDIR):
        raise NamespaceMissing(
            errno.EIO, f"{what}: doesn't exist; make it: outlook-auth-exporter vantage create {namespace} --inside IF"
        )
    if step == Step.ENTER and number == errno.EINVAL:
        raise NamespaceMissing(errno.EIO, f"{what}: {NETNS}/{namespace} is a left-over file; `ip netns del` removes it")
    if step != Step.READY and number in (errno.EPERM, errno.EACCES):
        raise NamespaceForbidden(
            errno.EIO,
            f"{what}: entering it needs CAP_SYS_ADMIN; start as root, or have systemd start a vantage process in it "
            "(NetworkNamespacePath=) and name its socket in vantage_socket",
        )
    if step != Step.READY:
        raise VantageError(errno.EIO, f"{what}: {os.strerror(number)}")


def _greeting(channel: socket.socket, who: str) -> tuple[int, int]:
    channel.settimeout(START_TIMEOUT)
    try:
        greeting = read_greeting(channel.recv(GREETING.size + 1))
    except OSError as error:
        raise VantageError(errno.EIO, f"{who} doesn't answer: {error.strerror or error}") from error
    if greeting is None:
        raise VantageError(errno.EIO, f"{who} speaks another protocol: is it of the same version?")
    return greeting


def connect_vantage_process(path: Path) -> VantageProcess:
    """A vantage process that systemd started inside its namespace; connected to again when it was restarted.

    Raises VantageError: nobody listens there, or it is neither root's nor ours.
    """
    return VantageProcess(_connected(path), f"the vantage process at {path}", path=path)


def awaited_vantage_process(path: Path) -> VantageProcess:
    """One that may come later: each socket that is asked of it until then is a VantageError with the reason."""
    return VantageProcess(None, f"the vantage process at {path}", path=path)


def _connected(path: Path) -> socket.socket:
    who = f"the vantage process at {path}"
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        channel.settimeout(TIMEOUT)
        channel.connect(str(path))
        _, uid, _ = _PEER_CREDENTIALS.unpack(
            channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
        )
        if uid not in (0, os.geteuid()):
            raise VantageError(errno.EIO, f"{who} belongs to user {uid}: neither root nor this service's user")
        if _greeting(channel, who)[0] != Step.READY:
            raise VantageError(errno.EIO, f"{who} isn't ready")
    except VantageError:
        channel.close()
        raise
    except OSError as error:
        channel.close()
        reason = f"{error.strerror or error}; is its unit started, and may this user reach the socket?"
        raise VantageError(errno.EIO, f"{who}: {reason}") from error
    return channel


def _received(channel: socket.socket) -> tuple[bytes, list[int]]:
    """A message and its descriptors, close-on-exec at once: socket.recv_fds drops its flags until Python 3.12."""
    data, ancillary, _, _ = channel.recvmsg(
        REPLY.size + 1, socket.CMSG_LEN(struct.calcsize("i")), socket.MSG_CMSG_CLOEXEC
    )
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    return data, list(descriptors)


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
