"""Packets of an interface, live: AF_PACKET with a TPACKET_V3 ring, else by recvmsg (packet(7), Linux packet_mmap.rst).

Both give the tracker's packets out of memory that may be written to, so that a secret seen in clear can be overwritten
where it stands; the ring is wiped behind the reader as well. What a packet's bytes are is lost at the next one.
"""

import errno
import fcntl
import mmap
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from exporter.wire import ebpf
from exporter.wire.bpf import Instruction, assemble, attach
from exporter.wire.capture_file import PacketTuple
from exporter.wire.decode import LinkType
from exporter.wire.kernel_filter import Link
from exporter.wire.ring_block import packets_of, vlan_of

#: The ring: blocks of a mebibyte, 8 by default. A block is handed over when it is full, or this old in milliseconds:
#: fewer at once cost twice as much each, for every time the caches are cold.
BLOCK, BLOCKS, BLOCK_MILLISECONDS = 1 << 20, 8, 200
#: Without a ring: bytes that the kernel keeps for us (twice what is asked for), and packets read at once.
RECEIVE_BUFFER, BATCH = 4 << 20, 512
#: Bytes of the longest frame read without a ring.
_FRAME = 1 << 18

_SOL_PACKET = 263
_RX_RING, _STATISTICS, _AUXDATA, _VERSION = 5, 6, 8, 10
_TPACKET_V3 = 2
_USER = 1
_ETH_P_ALL = 3
_SIOCGIFINDEX, _SIOCGIFHWADDR = 0x8933, 0x8927
_ETHERNET, _LOOPBACK = 1, 772
_SO_TIMESTAMPNS = 35
_SECOND = 1_000_000_000

_ring_request = struct.Struct("@7I")
_block = struct.Struct("@8xIIII").unpack_from  # status, packets, offset of the first, bytes used
_status = struct.Struct("@I")
_auxdata = struct.Struct("@IIIHHHH")
_timestamp = struct.Struct("@qq")
_STATUS_OFFSET = 8
_ZEROS = memoryview(bytes(BLOCK))
_NOTHING_PASSES = assemble("ret #0")

#: Gives the filter for an interface, knowing its link and whether it is loopback: a program, or the descriptor of an
#: eBPF program that is loaded.
MakeFilter = Callable[[Link, bool], Sequence[Instruction] | int]


class CaptureError(OSError):
    """The interface can't be read; the message is one line for an administrator."""

    def __str__(self) -> str:
        return self.strerror or ""


class InterfaceMissing(CaptureError):
    """There is no such interface at the moment."""


class CaptureForbidden(CaptureError):
    """The right is missing."""


class Statistics(NamedTuple):
    """Packets that passed the filter since the last look, and how many of them were lost for want of room."""

    packets: int
    dropped: int


class Capture:
    """One interface, opened. `index`: which one it was then, for its name may become another's."""

    def __init__(
        self, name: str, make_filter: MakeFilter, *, ring: bool = True, blocks: int = BLOCKS, promiscuous: bool = False,
        join: Callable[[socket.socket], None] | None = None,
    ) -> None:  # fmt: skip
        """`blocks`: of the ring, where there is one. `join`: called once it is bound, before anything is received
        (PACKET_FANOUT).

        Raises InterfaceMissing, CaptureForbidden or CaptureError.
        """
        self.name = name
        self._make_filter = make_filter
        probe = _packet_socket(socket.SOCK_DGRAM, name)
        with probe:
            self.index = _index(probe, name)
            kind = _hardware(probe, name)
        self._loopback = kind == _LOOPBACK
        self.link = Link.ETHERNET if kind in (_ETHERNET, _LOOPBACK) else Link.RAW
        self._link_type = LinkType.ETHERNET if self.link is Link.ETHERNET else LinkType.RAW
        self.socket = _packet_socket(socket.SOCK_RAW if self.link is Link.ETHERNET else socket.SOCK_DGRAM, name)
        self._ring: mmap.mmap | None = None
        self._blocks = blocks
        self._next_block = 0
        try:
            attach(self.socket, _NOTHING_PASSES)
            if ring:
                self._ring = _made_ring(self.socket, blocks)
            if self._ring is None:
                _without_ring(self.socket)
                self._frame = mmap.mmap(-1, _FRAME)
            self.socket.bind((name, _ETH_P_ALL))
            if promiscuous:
                _be_promiscuous(self.socket, self.index)
            if join is not None:
                join(self.socket)
            self.refilter()
            self.statistics()  # what the kernel counted so far is none of ours
        except OSError as error:
            self.close()
            raise _named(error, name) from error

    @property
    def has_ring(self) -> bool:
        return self._ring is not None

    def fileno(self) -> int:
        return self.socket.fileno()

    def refilter(self) -> None:
        """Asks for the filter anew and puts it in force. Raises OSError."""
        chosen = self._make_filter(self.link, self._loopback)
        if isinstance(chosen, int):
            ebpf.attach(self.socket, chosen)
        else:
            attach(self.socket, chosen)

    def packets(self) -> Iterator[PacketTuple]:
        """What has come so far. Each packet's bytes are good until the next is asked for."""
        return self._received() if self._ring is None else self._in_ring(self._ring)

    def statistics(self) -> Statistics:
        """The kernel's counts; it begins anew with each call."""
        content = self.socket.getsockopt(_SOL_PACKET, _STATISTICS, 12)
        return Statistics(*struct.unpack_from("@II", content))

    def is_there(self) -> bool:
        """Whether the name still is that of the interface that was opened. A pending error is taken notice of."""
        self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # ENETDOWN: it may come up again
        try:
            return _index(self.socket, self.name) == self.index
        except InterfaceMissing:
            return False

    def close(self) -> None:
        """Idempotent. No packet of it may be in use."""
        self.socket.close()
        if self._ring is not None:
            self._ring.close()
            self._ring = None

    def _in_ring(self, ring: mmap.mmap) -> Iterator[PacketTuple]:
        for _ in range(self._blocks):
            block = self._next_block * BLOCK
            status, count, first, used = _block(ring, block)
            if not status & _USER:
                return
            try:
                yield from packets_of(ring, block + first, count, self._link_type, self.name)
            finally:  # wiped, and given back to the kernel
                ring[block + first : block + used] = _ZEROS[: max(used - first, 0)]
                _status.pack_into(ring, block + _STATUS_OFFSET, 0)
                self._next_block = (self._next_block + 1) % self._blocks

    def _received(self) -> Iterator[PacketTuple]:
        """Without a ring: one system call a packet."""
        frame, name, link_type = self._frame, self.name, self._link_type
        for _ in range(BATCH):
            try:
                captured, ancillary, _, _ = self.socket.recvmsg_into([frame], 256)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # ENETDOWN: `is_there` looks into it
                return
            time, length, vlan = 0, captured, None
            for _, kind, data in ancillary:
                if kind == _AUXDATA and len(data) >= _auxdata.size:
                    status, length, _, _, _, tag, _ = _auxdata.unpack_from(data)
                    vlan = vlan_of(status, tag)
                elif kind == _SO_TIMESTAMPNS:
                    seconds, nanoseconds = _timestamp.unpack_from(data)
                    time = seconds * _SECOND + nanoseconds
            yield time, link_type, frame, 0, captured, length, name, vlan
            frame[:captured] = _ZEROS[:captured]


def _packet_socket(kind: int, name: str) -> socket.socket:
    """Receives nothing until it is bound."""
    try:
        made = socket.socket(socket.AF_PACKET, kind | socket.SOCK_NONBLOCK, 0)
    except OSError as error:
        raise _named(error, name) from error
    return made


def _named(error: OSError, name: str) -> CaptureError:
    if isinstance(error, CaptureError):
        return error
    if error.errno in (errno.EPERM, errno.EACCES):
        return CaptureForbidden(error.errno, f"{name}: reading packets needs CAP_NET_RAW")
    if error.errno in (errno.ENODEV, errno.ENXIO):
        return InterfaceMissing(error.errno, f"{name}: no such interface")
    return CaptureError(error.errno or errno.EIO, f"{name}: {error.strerror or error}")


def _request(sock: socket.socket, number: int, name: str) -> bytes:
    """A struct ifreq, answered. Raises InterfaceMissing."""
    content = name.encode(errors="surrogateescape")
    if not 0 < len(content) < 16:
        raise InterfaceMissing(errno.ENODEV, f"{name}: no such interface")
    try:
        return fcntl.ioctl(sock, number, struct.pack("@16s24x", content))
    except OSError as error:
        raise _named(error, name) from error


def _index(sock: socket.socket, name: str) -> int:
    return int(struct.unpack_from("@i", _request(sock, _SIOCGIFINDEX, name), 16)[0])


def _hardware(sock: socket.socket, name: str) -> int:
    """ARPHRD_ number of what the interface is."""
    return int(struct.unpack_from("@H", _request(sock, _SIOCGIFHWADDR, name), 16)[0])


def _made_ring(sock: socket.socket, blocks: int) -> mmap.mmap | None:
    """None where the kernel has no such ring, or no room for it."""
    frame = 2_048
    request = _ring_request.pack(BLOCK, blocks, frame, BLOCK * blocks // frame, BLOCK_MILLISECONDS, 0, 0)
    try:
        sock.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V3)
        sock.setsockopt(_SOL_PACKET, _RX_RING, request)
        return mmap.mmap(sock.fileno(), BLOCK * blocks)
    except OSError:
        return None


def _without_ring(sock: socket.socket) -> None:
    sock.setsockopt(_SOL_PACKET, _AUXDATA, 1)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)


def _be_promiscuous(sock: socket.socket, index: int) -> None:
    add_membership, promiscuous = 1, 1
    sock.setsockopt(_SOL_PACKET, add_membership, struct.pack("@iHH8s", index, promiscuous, 0, b""))
