"""The truth: when the packets of each connection passed the client's interface, by the kernel's clock.

Reads pcap files with nanoseconds, Ethernet, IPv4 (draft-ietf-opsawg-pcap; RFC 791, 9293, 8446 5.1).
"""

import signal
import struct
import time
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
_SYN = 0x02
_APPLICATION_DATA = 23


#: tcpdump hands over a batch of packets at the latest after a second.
_BATCH_SECONDS = 1.3


@dataclass(frozen=True, slots=True)
class Wire:
    """One connection: client's port, Unix time of its SYN; seconds of SYN → SYN-ACK and ClientHello → Finished.

    `own`: the client's share of the latter, from the server's last segment before Finished.
    """

    port: int
    began: float
    connect: float
    tls: float
    own: float


@dataclass(slots=True)
class _Connection:
    """Times in nanoseconds. `first`: the SYN's sequence number; `sent`: the client's segments, by offset from it."""

    syn: int
    first: int
    syn_ack: int = 0
    sent: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    received: list[int] = field(default_factory=list)

    def wire(self, port: int) -> Wire | None:
        """None where the handshake wasn't seen whole."""
        finished = self._finished()
        if not self.syn_ack or finished is None:
            return None
        hello = self.sent[1][1]
        answered = max((when for when in self.received if when <= finished), default=hello)
        nanoseconds = (self.syn_ack - self.syn, finished - hello, finished - answered)
        return Wire(port, self.syn / 1e9, *(count / 1e9 for count in nanoseconds))

    def _finished(self) -> int | None:
        """When the client's Finished left: in TLS 1.3 its first record of type application_data."""
        ends: list[tuple[int, int]] = []
        data = b""
        while (segment := self.sent.get(len(data) + 1)) is not None:
            data += segment[0]
            ends.append((len(data), segment[1]))
        place = 0
        while place + 5 <= len(data):
            kind, _, length = struct.unpack_from(">BHH", data, place)
            place += 5 + length
            if kind == _APPLICATION_DATA:
                return next((time for reached, time in ends if reached >= place), None)
        return None


@contextmanager
def captured(spaces: Namespaces, port: int, directory: Path) -> Iterator[list[Wire]]:
    """tcpdump on the client's interface while the block runs; behind it, the connections to `port` seen whole."""
    found: list[Wire] = []
    file, log = directory / f"wire-{port}.pcap", directory / f"tcpdump-{port}.log"
    tcpdump = [program("tcpdump", "tcpdump"), "-i", spaces.device, "-n", "-p", "-U", "-Z", "root", "-B", "16384"]
    tcpdump += ["-s", str(_SNAPLEN), "--time-stamp-precision=nano", "-w", str(file), "tcp", "port", str(port)]
    with running([*spaces.command(spaces.client), *tcpdump], log) as child:
        await_words(child, log, "listening on")
        yield found
        time.sleep(_BATCH_SECONDS)
        end(child, signal.SIGINT)
    if " 0 packets dropped by kernel" not in f" {log.read_text()}".replace("\n", " "):
        raise NotPossible(f"tcpdump lost packets: {log.read_text()[-300:]}")
    found.extend(read(file, port))


def read(file: Path, port: int) -> list[Wire]:
    """Connections to `port` seen whole, in order. Raises NotPossible for another kind of file."""
    current: dict[int, _Connection] = {}
    connections: list[tuple[int, _Connection]] = []
    for when, frame in frames(file):
        begun = _take(frame, when, port, current)
        if begun is not None:
            connections.append((begun, current[begun]))
    return [wire for number, connection in connections if (wire := connection.wire(number)) is not None]


def frames(file: Path) -> Iterator[tuple[int, bytes]]:
    """Each frame with its time, nanoseconds. Raises NotPossible for another kind of file."""
    data = file.read_bytes()
    if len(data) < 24 or struct.unpack_from("=I", data)[0] != _MAGIC:
        raise NotPossible("tcpdump wrote no pcap file with nanoseconds")
    place = 24
    while place + 16 <= len(data):
        seconds, nanoseconds, length, _ = struct.unpack_from("=IIII", data, place)
        yield seconds * 10**9 + nanoseconds, data[place + 16 : place + 16 + length]
        place += 16 + length


def _take(frame: bytes, when: int, port: int, current: dict[int, _Connection]) -> int | None:
    """Adds a frame to its port's connection; the port, where the frame begins one."""
    head = 14 + (frame[14] & 0x0F) * 4
    source, target, number = struct.unpack_from(">HHI", frame, head)
    flags = frame[head + 13]
    if target == port and flags & _SYN:
        if source in current and current[source].first == number:  # sent again: the client's wait goes on
            return None
        current[source] = _Connection(when, number)
        return int(source)
    (total,) = struct.unpack_from(">H", frame, 16)
    payload = frame[head + (frame[head + 12] >> 4) * 4 : 14 + total]
    if target == port and source in current and payload:
        offset = (number - current[source].first) & 0xFFFFFFFF
        current[source].sent.setdefault(offset, (payload, when))
    elif source == port and target in current:
        if flags & _SYN:
            current[target].syn_ack = current[target].syn_ack or when
        elif payload:
            current[target].received.append(when)
    return None
