"""Listening on a Unix socket, as processes of ours do that systemd starts apart from the service."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Connections that wait to be accepted.
BACKLOG = 16


@contextmanager
def listening(path: Path, mode: int) -> Iterator[socket.socket]:
    """A non-blocking SOCK_SEQPACKET listener; its file is removed at the end, and one that a crash left is replaced.

    Raises OSError with one line: the path can't be used, or another process listens there.
    """
    _remove_left_over(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        before = os.umask(0o777 & ~mode)
        try:
            listener.bind(str(path))
        except OSError as error:
            raise OSError(error.errno or errno.EINVAL, f"{path}: {error.strerror or error}") from error
        finally:
            os.umask(before)
        try:
            listener.listen(BACKLOG)
            listener.setblocking(False)
            yield listener
        finally:
            try:
                path.unlink(missing_ok=True)
            except OSError:  # whoever became another user meanwhile leaves it to the next start
                pass


def _remove_left_over(path: Path) -> None:
    if not path.exists():
        return
    if not path.is_socket():
        raise OSError(errno.EEXIST, f"{path}: is there and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError as error:
            raise OSError(error.errno, f"{path}: {error.strerror}") from error
    raise OSError(errno.EADDRINUSE, f"{path}: another process listens there")


def tell_systemd() -> None:
    """READY=1 for Type=notify (sd_notify(3)), so that the service starts once it can ask."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address.startswith(("/", "@")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(b"READY=1", address.replace("@", "\0", 1) if address[0] == "@" else address)
