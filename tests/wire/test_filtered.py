"""What passes the kernel's filter is enough: connections read from it say the same as those read from every packet."""

import io
from dataclasses import replace

import pytest

from benchmarks.traffic.generate import write
from exporter.observations import Connection
from exporter.wire.capture_file import CaptureFile, PacketTuple
from exporter.wire.kernel_filter import FilterSpec, packet_filter
from exporter.wire.tracker import Tracker, TrackerConfig
from tests.wire.bpf_machine import run

#: Fields that speak of packets which tell nothing else: the last acknowledgment, a long record's end.
UNSEEN = ("end", "first_reply_seconds", "reply_seconds", "auth", "bytes_received")


def read(packets: list[PacketTuple], *, filtered: bool) -> list[Connection]:
    found: list[Connection] = []
    tracker = Tracker(TrackerConfig(everything=True, filtered=filtered, patience=60.0), found.append)
    tracker.packets(packets)
    tracker.finish()
    return sorted(found, key=lambda each: (each.client or "", each.client_port or 0, each.start))


@pytest.fixture(scope="module")
def packets():
    """Real handshakes of OpenSSL, split, reordered, lost, with VLAN and IPv6, each followed by 6 kB."""
    capture = io.BytesIO()
    write(capture, io.StringIO(), seed=3, connections=250, per_second=500, bulk=6_000)
    capture.seek(0)
    return list(CaptureFile(capture).packets())


@pytest.mark.parametrize("known", [None, ()], ids=["of any server", "unknown servers"])
def test_connections_are_the_same(packets, known):
    program = packet_filter(FilterSpec(known=known))
    passed = [
        (time, link, buffer, start, min(end, start + kept), original, interface, vlan)
        for time, link, buffer, start, end, original, interface, vlan in packets
        if (kept := run(program, buffer[start:end]))
    ]
    assert len(passed) < 0.5 * len(packets)
    full, few = read(packets, filtered=False), read(passed, filtered=True)
    assert len(full) == len(few) == 250
    for whole, part in zip(full, few, strict=True):
        same = {name: getattr(part, name) for name in UNSEEN}
        # A TLS 1.2 server's key share stands behind its certificate, in segments that look like bulk.
        group = part.group if whole.tls_version != "TLSv1.3" else whole.group
        assert replace(whole, group=group, **same) == part
        if known is None and whole.first_reply_seconds is not None:
            assert part.first_reply_seconds == pytest.approx(whole.first_reply_seconds, abs=0.002)
