"""A bad line: packets forwarded here are held at random, and some are lost. `python -m tests.netlab.weather LOSS JITTER HOLD`.

Run in a namespace whose rules lead packets to queue 0 (`-j NFQUEUE --queue-num 0`): there is no tc netem here. Speaks
nfnetlink itself (linux/netfilter/nfnetlink_queue.h); it never sees a packet's contents. Ends with its stdin.
"""

import heapq
import random
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.netlab.topology import Network

READY = "weather"

_NETLINK_NETFILTER = 12
_QUEUE = 3 << 8  # NFNL_SUBSYS_QUEUE
_PACKET, _VERDICT, _CONFIG = _QUEUE, _QUEUE | 1, _QUEUE | 2
_REQUEST = 1
_CFG_CMD, _CFG_PARAMS, _CFG_MAXLEN = 1, 2, 3
_BIND, _COPY_META = 1, 1
_PACKET_HDR, _VERDICT_HDR = 1, 2
_DROP, _ACCEPT = 0, 1
#: Packets that may be held at once.
_MAX_HELD = 20_000


@contextmanager
def bad_line(net: Network, place: str, loss: float, jitter: float, hold: float = 0.0) -> Iterator[None]:
    """While the block runs, everything that is forwarded there. Rules that lead it here stay until all are forgotten."""
    command = [sys.executable, "-m", "tests.netlab.weather", str(loss), str(jitter), str(hold)]
    child = subprocess.Popen(net.command(place, *command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline().strip() == READY
    net.rules(place, "-A FORWARD -j NFQUEUE --queue-num 0 --queue-bypass")
    try:
        yield
    finally:
        child.communicate("")


def main(loss: float, jitter: float, hold: float) -> None:
    """`loss`: a share. `jitter`: each packet is held for up to so long, and for `hold` before, seconds."""
    chance = random.Random(20240916)
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_194_304)
    sock.bind((0, 0))
    sock.send(_message(_CONFIG, _attribute(_CFG_CMD, struct.pack(">BxH", _BIND, socket.AF_INET))))
    sock.send(_message(_CONFIG, _attribute(_CFG_PARAMS, struct.pack(">IB", 0, _COPY_META))))
    sock.send(_message(_CONFIG, _attribute(_CFG_MAXLEN, struct.pack(">I", _MAX_HELD))))
    print(READY, flush=True)
    held: list[tuple[float, int]] = []
    while True:
        now = time.monotonic()
        while held and held[0][0] <= now:
            sock.send(_verdict(heapq.heappop(held)[1], _ACCEPT))
        wait = max(held[0][0] - now, 0.0) if held else None
        ready, _, _ = select.select([sock, sys.stdin], [], [], wait)
        if sys.stdin in ready:
            return
        if sock in ready:
            for number in _packets(sock.recv(65_536)):
                if chance.random() < loss:
                    sock.send(_verdict(number, _DROP))
                else:
                    heapq.heappush(held, (time.monotonic() + hold + chance.random() * jitter, number))


def _message(kind: int, attributes: bytes) -> bytes:
    body = struct.pack(">BBH", socket.AF_UNSPEC, 0, 0) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, _REQUEST, 0, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _verdict(number: int, verdict: int) -> bytes:
    return _message(_VERDICT, _attribute(_VERDICT_HDR, struct.pack(">II", verdict, number)))


def _packets(data: bytes) -> list[int]:
    """The numbers of the packets that a datagram of the kernel tells of."""
    found = []
    while len(data) >= 20:
        length, kind = struct.unpack_from("=IH", data)
        if kind == _PACKET:
            found += _numbers(data[20:length])
        data = data[(length + 3) & ~3 :] if length >= 16 else b""
    return found


def _numbers(attributes: bytes) -> list[int]:
    found = []
    while len(attributes) >= 4:
        length, kind = struct.unpack_from("=HH", attributes)
        if kind == _PACKET_HDR:
            found.append(struct.unpack_from(">I", attributes, 4)[0])
        attributes = attributes[(length + 3) & ~3 :] if length >= 4 else b""
    return found


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
