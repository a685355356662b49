"""Nothing is imported once a worker is in its sandbox: it could not be."""

import json
import subprocess
import sys
from pathlib import Path

#: Everything a worker does, on traffic of every kind, with what was imported by then and what was not before.
PROGRAM = """
import io, json, sys, time
from exporter.wire import messages
from exporter.wire.worker import Worker, warm_up
from benchmarks.traffic.generate import write
from exporter.wire.capture_file import CaptureFile
from exporter.wire.interface_state import Interface, InterfaceState
from exporter.wire.live import Inspection
from exporter.wire.watched import InspectorConfig
from tests.wire.conversation import Conversation
from tests.wire.packets_by_hand import ACK, PSH, SYN, ethernet, icmp, ip, segment, udp

capture = io.BytesIO()
write(capture, io.StringIO(), seed=5, connections=60, per_second=500, bulk=3_000)
capture.seek(0)
packets = list(CaptureFile(capture).packets())
for text in (b"220 mx\\r\\n", b"* OK x\\r\\n", b"+OK\\r\\n"):
    for flags, payload, to_server in ((SYN, b"", True), (SYN | ACK, b"", False), (PSH | ACK, text, False),
                                      (PSH | ACK, b"AUTH PLAIN AAAA\\r\\n", True), (PSH | ACK, b"535 no\\r\\n", False)):
        frame = ethernet(segment(flags, payload, server_port=587, to_server=to_server))
        packets.append((packets[-1][0] + 1, 1, frame, 0, len(frame), len(frame), None, None))
others = [icmp(3, 1, segment(SYN)[:28])], [udp(53, 9, bytes(40))], [udp(9, 443, bytes([0xC3]) * 200)]
for protocol, (payload,) in zip((1, 17, 17), others):
    frame = ethernet(ip("192.0.2.1", "192.0.2.9", protocol, payload))
    packets.append((packets[-1][0] + 1, 1, frame, 0, len(frame), len(frame), None, None))

warm_up()
before = set(sys.modules)
for everything in (True, False):
    for privacy in ("off", "hashed", "plain"):
        config = InspectorConfig(everything=everything, privacy=privacy)
        told = []
        inspection = Inspection(config, lambda seen: told.append(messages.connection(0, seen)))
        inspection.watch([Interface("none0", "inside"), Interface("none1", "outside")])
        for watched in inspection.watched.values():
            watched.tracker.packets(packets)
            watched.tracker.settle_quiet(0, 1 << 60)
        inspection.tick(time.monotonic(), packets[-1][0])
        inspection.finish()
        list(messages.samples(0, list(inspection.counted.samples())))
        messages.interface_states(0, inspection.states())
        messages.lost(0, 1)
        messages.hello(0, "x", "y", "z")
        messages.read_order(messages.order([Interface("eth0")]))
        assert told
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_nothing_is_imported_afterwards():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
