"""The vantage process: lives in a network namespace, holds no capability, makes unconnected sockets, nothing else.

Either forked into the namespace before the service gives up its rights (`live_in`), or started there by systemd
(`NetworkNamespacePath=`, `python -m exporter.probe.vantage_server PATH`), listening on a Unix socket (`serve`).
It ends with its parent, or when the other end closes.
"""

import errno
import os
import selectors
import signal
import socket
import struct
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from exporter.capabilities import die_with_parent, drop_capabilities, enter_network_namespace, forbid_core_dumps
from exporter.probe.vantage_protocol import REQUEST, Step, answer, greeting
from exporter.unix_socket import listening, tell_systemd

#: Connections `serve` keeps at once; the service has one, a command another.
MAX_CONNECTIONS = 16

_PEER_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED
_OWN_DESCRIPTOR = 3


class _Stop(BaseException):
    """SIGTERM or SIGINT."""


def live_in(namespace: Path, channel: socket.socket, parent: int) -> NoReturn:
    """The forked child's whole life: enters, gives everything up, answers until the other end closes."""
    try:
        channel = _alone_with(channel)
        error = _enter(namespace, parent)
        channel.send(greeting(*error))
        if error[0] == Step.READY:
            while answer_one(channel):
                pass
    except BaseException:  # a traceback would go to the parent's stderr, and its cleaning up must not run here
        os._exit(1)
    os._exit(0)


def _alone_with(channel: socket.socket) -> socket.socket:
    """Leaves the parent's signals, terminal and files behind; keeps the channel."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent still finishes its work
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    own = channel.detach()
    os.dup2(own, _OWN_DESCRIPTOR, inheritable=False)
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for descriptor in [int(name) for name in os.listdir("/proc/self/fd")]:
        if descriptor > _OWN_DESCRIPTOR:
            try:
                os.close(descriptor)
            except OSError:  # the listing's own
                pass
    Path("/proc/self/comm").write_text("oae-vantage")
    return socket.socket(fileno=_OWN_DESCRIPTOR)


def _enter(namespace: Path, parent: int) -> tuple[Step, int]:
    step = Step.OPEN
    try:
        descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        step = Step.ENTER
        enter_network_namespace(descriptor)
        os.close(descriptor)
        step = Step.DROP
        drop_capabilities()
        forbid_core_dumps()
        die_with_parent(signal.SIGKILL, parent)  # after the drop: changed credentials may clear it
    except OSError as error:
        return step, error.errno or errno.EIO
    return Step.READY, 0


def answer_one(channel: socket.socket) -> bool:
    """Answers one message; False at the end of the conversation. Raises OSError where the reply can't be sent.

    No room for descriptors is given to the kernel, which closes those that a message brings.
    """
    message = channel.recvmsg(REQUEST.size + 1)[0]
    if not message:
        return False
    reply, made = answer(message)
    if made is None:
        channel.send(reply)
    else:
        with made:
            socket.send_fds(channel, [reply], [made.fileno()])
    return True


def serve(path: Path, allowed_users: Collection[int] = ()) -> None:
    """Answers on a Unix socket at `path` until SIGTERM or SIGINT; root, our own user and `allowed_users` may ask.

    Raises OSError with one line: the path can't be used, or another process listens there.
    """
    drop_capabilities()
    forbid_core_dumps()
    may_ask = frozenset({0, os.geteuid(), *allowed_users})
    with listening(path, 0o666 if allowed_users else 0o600) as listener, _stopped_by_signals():
        tell_systemd()
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    _serve_one(selector, listener, key.fileobj, may_ask)


def _serve_one(
    selector: selectors.BaseSelector, listener: socket.socket, ready: object, may_ask: Collection[int]
) -> None:
    assert isinstance(ready, socket.socket)
    if ready is not listener:
        if not _answered(ready):
            selector.unregister(ready)
            ready.close()
        return
    channel, _ = listener.accept()
    channel.setblocking(False)
    full = len(selector.get_map()) > MAX_CONNECTIONS
    if full or _user_of(channel) not in may_ask:
        channel.close()
        return
    channel.send(greeting(Step.READY))
    selector.register(channel, selectors.EVENT_READ)


def _answered(channel: socket.socket) -> bool:
    try:
        return answer_one(channel)
    except OSError:  # it went away, or doesn't read its replies
        return False


def _user_of(channel: socket.socket) -> int:
    credentials = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
    return int(_PEER_CREDENTIALS.unpack(credentials)[1])


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    def stop(*_: object) -> NoReturn:
        raise _Stop

    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        yield
    except _Stop:
        pass
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)


def main(arguments: list[str]) -> int:
    """`python -m exporter.probe.vantage_server PATH [UID…]`; exit status 2 with one line on stderr for an error."""
    if not arguments or not all(uid.isdigit() for uid in arguments[1:]):
        sys.stderr.write("usage: python -m exporter.probe.vantage_server PATH [UID…]\n")
        return 2
    try:
        serve(Path(arguments[0]), [int(uid) for uid in arguments[1:]])
    except OSError as error:
        sys.stderr.write(f"{error.strerror or error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
