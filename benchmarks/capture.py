"""The truth: when the packets of each connection passed the client's interface, by the kernel's clock.

Reads pcap files with nanoseconds, Ethernet, IPv4 (draft-ietf-opsawg-pcap; RFC 791, 9293, 8446 5.1).
"""

import signal
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.children import await_words, end, program, running
from benchmarks.machine import NotPossible
from benchmarks.network import Namespaces

#: Nanosecond pcap in this machine's byte order.
_MAGIC = 0xA1B23C4D
_SNAPLEN = 2048
_SYN, _ACK = 0x02, 0x10
_APPLICATION_DATA = 23


@dataclass(frozen=True, slots=True)
class Wire:
    """Seconds of one connection on the wire: SYN → SYN-ACK; ClientHello's first byte → client's Finished flight."""

    connect: float
    tls: float


@dataclass(slots=True)
class _Connection:
    """Times in nanoseconds. `sent`: the client's segments as (sequence number, payload, time)."""

    syn: int = 0
    syn_ack: int = 0
    first: int = 0
    sent: list[tuple[int, bytes, int]] = field(default_factory=list)

    def wire(self) -> Wire | None:
        """None where the handshake wasn't seen whole."""
        finished = self._finished()
        if not (self.syn and self.syn_ack and self.sent and finished):
            return None
        return Wire((self.syn_ack - self.syn) / 1e9, (finished - self.sent[0][2]) / 1e9)

    def _finished(self) -> int | None:
        """When the client's Finished left: in TLS 1.3 its first record of type application_data."""
        ends: list[tuple[int, int]] = []
        data = b""
        for number, payload, time in sorted(self.sent):
            offset = (number - self.first - 1) & 0xFFFFFFFF
            if offset == len(data):  # neither sent again nor lost to the capture
                data += payload
                ends.append((len(data), time))
        place = 0
        while place + 5 <= len(data):
            kind, _, length = struct.unpack_from(">BHH", data, place)
            place += 5 + length
            if kind == _APPLICATION_DATA:
                return next((time for end_, time in ends if end_ >= place), None)
        return None


@contextmanager
def captured(spaces: Namespaces, port: int, directory: Path) -> Iterator[dict[int, Wire]]:
    """tcpdump on the client's interface while the block runs; then connections to `port`, by the client's port."""
    found: dict[int, Wire] = {}
    file, log = directory / "wire.pcap", directory / "tcpdump.log"
    file.unlink(missing_ok=True)
    tcpdump = [program("tcpdump", "tcpdump"), "-i", spaces.device, "-n", "-p", "-U", "-Z", "root", "-B", "16384"]
    tcpdump += ["-s", str(_SNAPLEN), "--time-stamp-precision=nano", "-w", str(file), "tcp", "port", str(port)]
    with running([*spaces.command(spaces.client), *tcpdump], log) as child:
        await_words(child, log, "listening on")
        yield found
        _drain(child, file)
    found.update(read(file, port))


def _drain(child: subprocess.Popen[bytes], file: Path) -> None:
    """Until nothing more is written: tcpdump reads its ring in batches."""
    size = -1
    while file.stat().st_size != size:
        size = file.stat().st_size
        try:
            child.wait(0.3)
        except subprocess.TimeoutExpired:
            continue
        raise NotPossible("tcpdump ended by itself")
    end(child, signal.SIGINT)


def read(file: Path, port: int) -> dict[int, Wire]:
    """Connections to `port` seen whole, by the client's port. Raises NotPossible for another kind of file."""
    connections: dict[int, _Connection] = {}
    for time, frame in _frames(file.read_bytes()):
        _take(frame, time, port, connections)
    return {number: wire for number, connection in connections.items() if (wire := connection.wire()) is not None}


def _frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    if len(data) < 24 or struct.unpack_from("=I", data)[0] != _MAGIC:
        raise NotPossible("tcpdump wrote no pcap file with nanoseconds")
    place = 24
    while place + 16 <= len(data):
        seconds, nanoseconds, length, _ = struct.unpack_from("=IIII", data, place)
        yield seconds * 10**9 + nanoseconds, data[place + 16 : place + 16 + length]
        place += 16 + length


def _take(frame: bytes, time: int, port: int, connections: dict[int, _Connection]) -> None:
    head = 14 + (frame[14] & 0x0F) * 4
    source, target, number = struct.unpack_from(">HHI", frame, head)
    flags = frame[head + 13]
    total = struct.unpack_from(">H", frame, 16)[0]
    payload = frame[head + (frame[head + 12] >> 4) * 4 : 14 + total]
    if target == port:
        connection = connections.setdefault(source, _Connection())
        if flags & _SYN and not connection.syn:
            connection.syn, connection.first = time, number
        elif payload:
            connection.sent.append((number, payload, time))
    elif flags & (_SYN | _ACK) == _SYN | _ACK and target in connections and not connections[target].syn_ack:
        connections[target].syn_ack = time
