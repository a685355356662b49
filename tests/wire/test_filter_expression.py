"""tcpdump with our expression lets the same packets pass as the kernel does with our program."""

import random
import struct
import subprocess
from ipaddress import ip_network

import pytest

from exporter.wire.filter_expression import expression
from exporter.wire.kernel_filter import FilterSpec, packet_filter
from tests.conftest import require_program
from tests.wire.bpf_machine import run
from tests.wire.packets_by_hand import ACK, FIN, PSH, RST, SYN, ethernet, icmp, ip, record, segment, udp, vlan

NETWORKS = tuple(map(ip_network, ("198.51.100.0/24", "2001:db8:ffff::/48")))
PAYLOADS = (
    b"", b"x", b"\x16\x03\x01", b"\r\n", b"220 mx\r\n", b"HTTP/1.1 403\r\n", record(20, b"\1"), record(21, b"\2\0"),
    record(22, bytes(500)), record(23, bytes(500)), record(23, bytes(53)), record(23, bytes(21)), record(24, bytes(500)), bytes(1_400), bytes(range(128, 256)) * 11,
)  # fmt: skip


def made(count: int, seed: int) -> list[bytes]:
    """Frames of every kind that the rules tell apart, some with bytes of the payload changed."""
    randomness = random.Random(seed)
    choose = randomness.choice
    found = []
    for _ in range(count):
        version = choose((4, 6))
        payload = bytearray(choose(PAYLOADS))
        if payload and randomness.random() < 0.3:
            payload[randomness.randrange(min(len(payload), 4))] = randomness.randrange(256)
        packet = segment(
            choose((SYN, ACK, ACK | PSH, FIN | ACK, RST)),
            bytes(payload),
            server_port=choose((25, 80, 443, 587, 993, 995, 2_222)),
            version=version,
            to_server=choose((True, False)),
            server=choose((None, "203.0.113.7")) if version == 4 else None,
            options=bytes(choose((0, 12, 40))),
            ip_options=bytes(choose((0, 8))) if version == 4 else b"",
        )
        addresses = ("192.0.2.1", "192.0.2.10") if version == 4 else ("2001:db8::1", "2001:db8::10")
        other = choose(
            (udp(53, 999, bytes(40)), udp(999, 443, b"\xc3" + bytes(99)), udp(999, 443, b"\x40"), udp(1, 2, b""))
        )
        error = icmp(choose((0, 1, 3, 8, 11, 128)), 0, packet[:48])
        packet = choose((packet,) * 8 + (ip(*addresses, protocol=17, payload=other),) + (
            ip(*addresses, protocol=1 if version == 4 else 58, payload=error),
        ))  # fmt: skip
        found.append(ethernet(packet, tags=choose((b"", b"", b"", vlan(9)))))
    return found


def capture(frames: list[bytes]) -> bytes:
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)
    return head + b"".join(struct.pack("<IIII", n, 0, len(f), len(f)) + f for n, f in enumerate(frames))


def numbers(written: bytes) -> list[int]:
    """Which frames a capture has, by the seconds of their time."""
    found, place = [], 24
    while place < len(written):
        second, _, length, _ = struct.unpack_from("<IIII", written, place)
        found.append(second)
        place += 16 + length
    return found


@pytest.mark.parametrize(
    "spec",
    [
        FilterSpec(plain=frozenset({80})),
        FilterSpec(known=NETWORKS, plain=frozenset({80})),
        FilterSpec(known=None, anywhere=True),
    ],
    ids=["nothing known", "known servers", "anywhere"],
)
def test_tcpdump_lets_the_same_packets_pass(spec, tmp_path):
    tcpdump = require_program("tcpdump")
    frames = made(4_000, seed=7)
    file = tmp_path / "all.pcap"
    file.write_bytes(capture(frames))
    done = subprocess.run(
        [tcpdump, "-r", file, "-w", "-", expression(spec, with_vlan=True)], capture_output=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    program = packet_filter(spec)
    ours = [number for number, frame in enumerate(frames) if run(program, frame)]
    theirs = numbers(done.stdout)
    differing = set(ours) ^ set(theirs)
    assert not differing, [frames[number].hex() for number in sorted(differing)[:3]]
    assert 500 < len(ours) < 3_500  # the frames are of both kinds
