"""802.11 by scapy: what is in clear is read, and no more often than the budget lets it."""

import ast
import struct
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exporter
from exporter.vocabulary import ConnectionOutcome
from exporter.wire.slow_path import BURST, LINK_TYPES, RATE, SlowPath
from exporter.wire.tracker import Tracker, TrackerConfig
from tests.wire.conversation import SECOND, Conversation, inspect_file
from tests.wire.flights import healthy
from tests.wire.frames import pcap

needs_scapy = pytest.mark.skipif(find_spec("scapy") is None, reason="scapy is not installed (extra packets)")

_DATA = b"\x08\x02\0\0" + bytes(18) + b"\0\0"  # a frame from the access point
_SNAP = b"\xaa\xaa\x03\0\0\0\x08\0"
#: In front of an 802.11 frame, by link type.
HEADERS = {
    105: b"",
    127: b"\0\0\x08\0\0\0\0\0",
    163: struct.pack(">II", 0x80211001, 64) + bytes(56),
    192: struct.pack("<BBHI", 0, 0, 8, 105),
}


def wireless(packet: bytes, link_type: int = 105) -> bytes:
    return HEADERS[link_type] + _DATA + _SNAP + packet


@needs_scapy
@pytest.mark.parametrize("link_type", HEADERS)
def test_connections_over_wireless(link_type: int):
    conversation = Conversation().opens().plays(healthy()).closes()
    frames = [(frame[0], wireless(frame[1][14:], link_type)) for frame in conversation.frames()]
    (connection,) = inspect_file(pcap(frames, link_type=link_type))
    assert connection.outcome is ConnectionOutcome.ESTABLISHED
    assert connection.sni == "imap-mail.outlook.com"


def counts_of(frames: list[bytes], link_type: int) -> Tracker:
    tracker = Tracker(TrackerConfig(everything=True), lambda connection: None)
    for number, data in enumerate(frames):
        tracker.packet(number, link_type, data, 0, len(data), len(data))
    return tracker


@needs_scapy
def test_what_is_encrypted_or_no_data_is_counted_as_not_decoded():
    beacon = b"\x80\0\0\0" + bytes(32)
    protected = b"\x08\x42" + _DATA[2:] + bytes(60)
    tracker = counts_of([beacon, protected], 105)
    assert (tracker.counts.undecoded, tracker.counts.slow) == (2, 0)


def test_links_nobody_reads_cost_no_budget():
    tracker = counts_of([bytes(60)] * 5, 220)
    assert tracker.counts.undecoded == 5
    assert tracker._slow_path._left == BURST


def test_the_budget_is_refilled_by_the_captures_clock():
    slow = SlowPath()
    assert sum(slow._spend(0) for _ in range(BURST + 5)) == BURST
    assert not slow._spend(SECOND // RATE - 1)
    assert slow._spend(SECOND // RATE)
    assert sum(slow._spend(3 * SECOND) for _ in range(10_000)) == pytest.approx(3 * RATE, abs=2)


def test_without_scapy_frames_are_counted_and_nothing_breaks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("exporter.wire.slow_path.find_spec", lambda name: None)
    tracker = counts_of([wireless(bytes(40))], 105)
    assert (tracker.counts.undecoded, tracker.counts.slow) == (1, 0)
    assert tracker._slow_path._dissect is None


@needs_scapy
@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=120), link_type=st.sampled_from(sorted(LINK_TYPES)), data_frame=st.booleans())
def test_any_bytes(data: bytes, link_type: int, data_frame: bool):
    frame = HEADERS.get(link_type, b"") + (_DATA + _SNAP if data_frame else b"") + data
    found = SlowPath().unwrap(0, link_type, frame)
    assert found is None or found in frame


def test_nothing_else_imports_scapy():
    """It is GPL-2.0: the service never loads it, and of the inspector only this file."""
    importing = set()
    for source in Path(exporter.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "scapy" for name in names):
                importing.add(source.name)
    assert importing == {"slow_path.py"}
