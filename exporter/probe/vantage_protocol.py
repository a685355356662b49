"""What a vantage process and its service say to each other: fixed messages over a SOCK_SEQPACKET Unix socket.

The process greets first; then each request for a socket has one reply, and where it is OK the socket comes with it by
SCM_RIGHTS (unix(7)). The number ties a reply to its request, so that one that comes after its time-out is thrown away.

    message   bytes (network order)
    greeting  version, step, errno (2 bytes)          step: READY, or the one that failed
    request   version, family, kind, 0, number (4 bytes)
    reply     version, status, errno (2 bytes), number (4 bytes)
"""

import errno
import os
import socket
import struct
from enum import IntEnum
from typing import NamedTuple

VERSION = 1
GREETING = struct.Struct("!BBH")
REQUEST = struct.Struct("!BBBBI")
REPLY = struct.Struct("!BBHI")

#: The only sockets that are made, by their number in a request.
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
KINDS = {1: socket.SOCK_STREAM, 2: socket.SOCK_DGRAM}

_FAMILY_NUMBERS = {family: number for number, family in FAMILIES.items()}
_KIND_NUMBERS = {kind: number for number, kind in KINDS.items()}
#: Flags that socket(2) takes in its kind; every socket of ours has them anyway.
_FLAGS = socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC


class Step(IntEnum):
    """How far a vantage process came."""

    READY, OPEN, ENTER, DROP = range(4)


class Status(IntEnum):
    """OK: the socket is attached. REFUSED: not a request of this protocol. FAILED: the kernel refused, see errno."""

    OK, REFUSED, FAILED = range(3)


class Reply(NamedTuple):
    status: int
    errno: int
    number: int


def request(family: int, kind: int, number: int) -> bytes:
    """Raises OSError (EAFNOSUPPORT, EPROTONOSUPPORT) for what a vantage process doesn't make."""
    if family not in _FAMILY_NUMBERS:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
    if kind & ~_FLAGS not in _KIND_NUMBERS:
        raise OSError(errno.EPROTONOSUPPORT, os.strerror(errno.EPROTONOSUPPORT))
    codes = _FAMILY_NUMBERS[socket.AddressFamily(family)], _KIND_NUMBERS[socket.SocketKind(kind & ~_FLAGS)]
    return REQUEST.pack(VERSION, *codes, 0, number)


def answer(message: bytes) -> tuple[bytes, socket.socket | None]:
    """The reply to any message, and the socket that goes with it. Invariant: never raises, whatever the message."""
    if len(message) != REQUEST.size:
        return REPLY.pack(VERSION, Status.REFUSED, errno.EPROTO, 0), None
    version, family, kind, zero, number = REQUEST.unpack(message)
    if (version, zero) != (VERSION, 0) or family not in FAMILIES or kind not in KINDS:
        return REPLY.pack(VERSION, Status.REFUSED, errno.EPROTO, number), None
    try:
        made = socket.socket(FAMILIES[family], KINDS[kind] | _FLAGS)
    except OSError as error:
        return REPLY.pack(VERSION, Status.FAILED, error.errno or errno.EIO, number), None
    return REPLY.pack(VERSION, Status.OK, 0, number), made


def read_reply(message: bytes) -> Reply | None:
    """None for what is no reply of this version."""
    if len(message) != REPLY.size:
        return None
    version, status, error, number = REPLY.unpack(message)
    return Reply(status, error, number) if version == VERSION else None


def read_greeting(message: bytes) -> tuple[int, int] | None:
    """(step, errno); None for what is no greeting of this version."""
    if len(message) != GREETING.size:
        return None
    version, step, error = GREETING.unpack(message)
    return (step, error) if version == VERSION else None


def greeting(step: Step, error: int = 0) -> bytes:
    """The first message of a vantage process."""
    return GREETING.pack(VERSION, step, error)
