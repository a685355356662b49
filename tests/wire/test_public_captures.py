"""Captures that others published, as many as a folder holds: read to their end, and as Wireshark reads them.

`CAPTURES=~/captures python -m pytest tests/wire/test_public_captures.py -s` prints each difference. Many are in the
sources of nDPI, Wireshark, tcpdump, Suricata, dpkt, gopacket, dnscap, tcpflow (`apt-get source --download-only`) and
pypacker (PyPI). None is kept here, for their licences aren't all clear.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.observations import Connection
from exporter.protocols.tls_names import cipher_name
from exporter.wire.byte_source import BrokenCompressionError
from exporter.wire.capture_file import CaptureDamagedError, CaptureEndsError, CaptureFile, NotACaptureError
from exporter.wire.tracker import Tracker, TrackerConfig
from tests.conftest import NOT_IN_CI
from tests.wire.oracle import Seen, dissect

FOLDER = os.environ.get("CAPTURES")
pytestmark = [
    pytest.mark.skipif(FOLDER is None, reason=f"{NOT_IN_CI}CAPTURES names no folder of captures"),
    pytest.mark.slow,
    pytest.mark.timeout(3_600),
]
#: Seconds of processor time that a file may take, and for each megabyte.
SECONDS, SECONDS_EACH = 1.0, 2.0
#: What Wireshark takes is a hundred times that.
LARGEST = 30_000_000
#: Of TLS 1.3: IETF's, Google's, Facebook's.
DRAFTS = ("0x7f", "0x7e", "0xfb")
#: Of the fields compared, as many may differ: no two dissectors agree on hellos that were damaged on purpose.
TOLERATED = 0.01


def captures() -> Iterator[Path]:
    for file in sorted(Path(FOLDER or ".").rglob("*")):
        if file.is_file() and file.stat().st_size <= LARGEST:
            yield file


def read(file: Path) -> list[Connection]:
    """Those before the damage, where there is some; nothing of what is no capture."""
    found: list[Connection] = []
    tracker = Tracker(TrackerConfig(everything=True, patience=60.0), found.append)
    with file.open("rb") as stream:
        try:
            tracker.packets(CaptureFile(stream).packets())
        except (NotACaptureError, CaptureDamagedError, CaptureEndsError, BrokenCompressionError):
            pass
    tracker.finish()
    return found


def test_read_to_the_end_and_in_time():
    late = []
    for file in captures():
        begun = time.process_time()
        read(file)
        if time.process_time() - begun > SECONDS + SECONDS_EACH * file.stat().st_size / 1e6:
            late.append(file)
    assert not late


def test_as_wireshark_reads_them():
    compared, differences = Counter[str](), list[str]()
    for file in captures():
        theirs = {seen.key: seen for seen in dissect(file, ())}
        for ours in read(file):
            key = (ours.client or "", ours.client_port or 0, ours.server, ours.server_port)
            if key not in theirs:
                continue
            for field, said, expected in fields(ours, theirs[key]):
                compared[field] += 1
                if said != expected:
                    differences.append(f"{file.name} {key}: {field} {said}, by Wireshark {expected}")
    print(f"\n{dict(compared)}", *differences, sep="\n")
    assert len(differences) <= TOLERATED * compared.total()


def fields(ours: Connection, theirs: Seen) -> Iterator[tuple[str, object, object]]:
    """What both tell. (Wireshark doesn't look into tunnels and at unusual ports as we do.)"""
    if theirs.name is not None:
        yield "sni", ours.sni, theirs.name
    if theirs.cipher is not None:
        yield "cipher", ours.cipher, cipher_name(theirs.cipher)
        draft = (theirs.version or "").startswith(DRAFTS)
        yield "version", ours.tls_version, "TLSv1.3" if draft else theirs.version
    if theirs.syn is not None and theirs.syn_ack is not None and ours.tcp_handshake_seconds is not None:
        yield "tcp handshake", ours.tcp_handshake_seconds, pytest.approx(theirs.syn_ack - theirs.syn, abs=3e-6)
    if not theirs.out_of_order:
        yield "retransmissions", ours.retransmissions, theirs.retransmissions
