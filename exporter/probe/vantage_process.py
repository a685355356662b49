"""The vantage process: lives in a network namespace and makes sockets there, nothing else.

It is forked before privileges are given up (or started by systemd with NetworkNamespacePath=), holds no capability once
inside, and answers each two-byte request (family, kind) with one byte and, where it is 0, a socket by SCM_RIGHTS
(unix(7)). Sockets are unconnected: connecting them, and timing that, is the service's. So the service needs no
CAP_SYS_ADMIN.
"""

import array
import contextlib
import errno
import os
import signal
import socket
import struct
import threading
from pathlib import Path

from exporter.capabilities import die_with_parent, drop_capabilities, enter_network_namespace, forbid_core_dumps

#: Where `ip netns` keeps its namespaces.
NETNS = Path("/run/netns")
#: How long an answer may take, seconds; making a socket takes microseconds.
TIMEOUT = 2.0

_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_KINDS = {1: socket.SOCK_STREAM, 2: socket.SOCK_DGRAM}


class VantageError(OSError):
    """A vantage can't be used; the message says what is missing and how to grant it."""


class VantageProcess:
    """The service's end: sockets of another network namespace."""

    def __init__(self, channel: socket.socket, pid: int | None = None) -> None:
        self._channel = channel
        self._pid = pid
        self._lock = threading.Lock()
        channel.settimeout(TIMEOUT)

    def socket(self, family: int, kind: int) -> socket.socket:
        """A non-blocking, unconnected socket of the namespace. Raises OSError."""
        request = bytes([6 if family == socket.AF_INET6 else 4, 2 if kind == socket.SOCK_DGRAM else 1])
        with self._lock:
            self._channel.send(request)
            answer, descriptors, _, _ = socket.recv_fds(self._channel, 4, 1)
        if not answer:
            raise VantageError(errno.EPIPE, "the vantage process has ended")
        (number,) = struct.unpack("=i", answer.ljust(4, b"\0"))
        if number or not descriptors:
            raise OSError(number or errno.EPROTO, os.strerror(number or errno.EPROTO))
        sock = socket.socket(fileno=descriptors[0])
        sock.setblocking(False)
        return sock

    def close(self) -> None:
        """Ends the vantage process, where it is our child."""
        self._channel.close()
        if self._pid is not None:
            with contextlib.suppress(ChildProcessError, ProcessLookupError):
                os.kill(self._pid, signal.SIGTERM)
                os.waitpid(self._pid, 0)
            self._pid = None


def fork_vantage_process(namespace: str, netns: Path = NETNS) -> VantageProcess:
    """Forks a vantage process into a namespace under /run/netns. Call before threads and event loops start.

    Raises VantageError: no such namespace, or no right to enter it.
    """
    try:
        descriptor = os.open(netns / namespace, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        what = f"network namespace {namespace}: {error.strerror}; make it with: outlook-auth-exporter vantage create"
        raise VantageError(error.errno or 0, f"{what} {namespace} --inside IF") from error
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        _live(descriptor, theirs)
    theirs.close()
    os.close(descriptor)
    process = VantageProcess(ours, pid)
    answer = ours.recv(4)
    (number,) = struct.unpack("=i", answer) if answer else (errno.EPIPE,)
    if number:
        process.close()
        what = f"network namespace {namespace}: {os.strerror(number)}; entering it needs CAP_SYS_ADMIN:"
        raise VantageError(number, f"{what} start as root, or let systemd run the vantage process (deploy/)")
    return process


def _live(namespace: int, channel: socket.socket) -> None:
    """The child: enters, gives everything up, answers until the other end closes. Never returns."""
    try:
        die_with_parent(signal.SIGKILL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        forbid_core_dumps()
        try:
            enter_network_namespace(namespace)
            drop_capabilities()
        except OSError as error:
            channel.send(struct.pack("=i", error.errno or errno.EPERM))
            os._exit(1)
        keep = channel.detach()
        os.dup2(keep, 3)
        os.closerange(4, 4096)
        channel = socket.socket(fileno=3)
        channel.send(struct.pack("=i", 0))
        answer_requests(channel)
    finally:
        os._exit(0)


def answer_requests(channel: socket.socket) -> None:
    """Answers requests for sockets until the other end closes; anything else is refused."""
    while request := channel.recv(16):
        try:
            if len(request) != 2:
                raise OSError(errno.EINVAL, "not a request")
            family, kind = _FAMILIES.get(request[0]), _KINDS.get(request[1])
            if family is None or kind is None:
                raise OSError(errno.EINVAL, "not a request")
            with socket.socket(family, kind) as sock:
                _send_socket(channel, sock)
        except OSError as error:
            channel.send(struct.pack("=i", error.errno or errno.EINVAL))


def _send_socket(channel: socket.socket, sock: socket.socket) -> None:
    rights = array.array("i", [sock.fileno()])
    channel.sendmsg([struct.pack("=i", 0)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


def serve(path: Path) -> None:
    """A vantage process that systemd started inside the namespace: answers one service at a time on a Unix socket.

    Who may connect is a matter of the socket's mode and directory; it hands out nothing but plain sockets.
    """
    drop_capabilities()
    forbid_core_dumps()
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        path.chmod(0o660)
        listener.listen(4)
        while True:
            channel, _ = listener.accept()
            threading.Thread(target=_answer_and_close, args=(channel,), daemon=True).start()


def _answer_and_close(channel: socket.socket) -> None:
    with channel, contextlib.suppress(OSError):
        answer_requests(channel)


def connect_vantage_process(path: Path) -> VantageProcess:
    """Connects to a vantage process that systemd started. Raises VantageError."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        channel.settimeout(TIMEOUT)
        channel.connect(str(path))
    except OSError as error:
        channel.close()
        raise VantageError(error.errno or 0, f"vantage process at {path}: {error.strerror}") from error
    return VantageProcess(channel)
