"""The one look at a frame, both ways it is written, against the careful reader; and what is passed over."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.wire.capture_file import CaptureFile
from exporter.wire.decode import LinkType, decode
from exporter.wire.fast_path import Frame
from exporter.wire.segments import Segment
from exporter.wire.table import key_of
from exporter.wire.tracker import Tracker, TrackerConfig
from tests.wire.conversation import Conversation
from tests.wire.flights import Talk
from tests.wire.frames import ACK, FIN, PSH, TCP, UDP, ethernet, ip, pcap, pcapng, tcp, udp

FIELDS = ("key", "sequence", "acknowledgment", "flags", "begin", "end", "length")


def frames() -> list[bytes]:
    """Usual and unusual."""
    found = []
    for here, there in (("10.0.0.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::2")):
        for vlan in ((), (7,), (7, 8)):
            for segment in (
                tcp(40_000, 993, 4_294_967_290, 3_000_000_000, PSH | ACK, b"payload" * 9),
                tcp(40_000, 993, 1, 2, ACK, options=b"\1" * 12),
                tcp(993, 40_000, 1, 2, FIN | ACK, b"x", options=b"\1" * 40),
            ):
                found.append(ethernet(ip(here, there, TCP, segment), vlan=vlan))
                found.append(ethernet(ip(here, there, TCP, segment), vlan=vlan) + bytes(6))
        found.append(ethernet(ip(here, there, UDP, udp(1, 2, bytes(40)))))
        found.append(ethernet(ip(here, there, TCP, tcp(1, 2, 3, 4, ACK, bytes(40)), total=0)))
        found.append(ethernet(ip(here, there, 47, b"\0\0\x08\0" + ip(here, there, TCP, tcp(1, 2, 3, 4, ACK)))))
    found.append(ethernet(ip("10.0.0.1", "192.0.2.1", TCP, tcp(1, 2, 3, 4, ACK, bytes(40)), fragment=0x2000)))
    return found


def fields(frame: Frame) -> dict[str, object]:
    return {name: getattr(frame, name) for name in FIELDS}


def agree(data: bytes, start: int, end: int) -> bool:
    """Both ways say the same, and what the careful reader says; whether it was a usual frame."""
    one, other = Frame(), Frame()
    read = end - start >= 54 and one._read(data, start, end)
    assert (end - start >= 54 and other._read_bytes(data, start, end)) == read
    decoded = decode(LinkType.ETHERNET, data, start, end, end - start)
    if not read:
        return False
    assert fields(one) == fields(other)
    assert one.start == other.start == start
    assert isinstance(decoded, Segment)
    key = key_of(decoded.source, decoded.destination, decoded.source_port, decoded.destination_port)
    assert (one.key, one.sequence, one.acknowledgment, one.flags) == (
        key, decoded.sequence, decoded.acknowledgment, decoded.flags,
    )  # fmt: skip
    assert (one.begin, one.end, one.length) == (decoded.start, decoded.end, decoded.length)
    assert one.segment() == other.segment() == decoded._replace(window=0, ttl=0)
    return True


@pytest.mark.parametrize("data", frames())
def test_cut_anywhere_and_behind_other_bytes(data: bytes):
    for cut in range(len(data) + 1):
        agree(data[:cut], 0, cut)
        agree(b"\x08\x00" * 20 + data[:cut], 40, 40 + cut)


def test_the_usual_ones_are_read():
    usual = [data for data in frames() if agree(data, 0, len(data))]
    assert len(usual) == 2 * 2 * 6  # both families, without and with one tag


@settings(max_examples=500, deadline=None)
@given(
    data=st.sampled_from(frames()),
    places=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=5),
    cut=st.integers(0, 200),
)
def test_changed_bytes(data: bytes, places: list[tuple[int, int]], cut: int):
    changed = bytearray(data)
    for place, value in places:
        changed[place % len(changed)] = value
    agree(bytes(changed[:cut]), 0, min(cut, len(changed)))


# ---- passing over ------------------------------------------------------------------------------------------------------


def story() -> Conversation:
    """Mail, a long download, retransmissions and holes in it, and keep-alives."""
    talk = Talk().shake().says(False, b"* OK\r\n").says(True, b"a FETCH\r\n").says(False, bytes(40_000))
    made = Conversation(mss=1_000).opens().plays(talk.flights)
    download = [each for each in made.sent if not each.from_client and len(each.payload) == 1_000]
    for again in download[::7]:
        made.segment(False, PSH | ACK, again.payload, sequence=again.sequence)
    made.wait(60).segment(True, ACK, b"\0", sequence=made.next[True] - 1)
    made.next[False] += 500
    made.says(False, talk.says(False, bytes(10_000)).flights[-1][1])
    return made.plays(talk.closes(True).flights[-1:]).closes()


@pytest.mark.parametrize("ng", [False, True])
@pytest.mark.parametrize("port", [993, 443])
def test_the_same_is_told_with_and_without_passing_over(ng: bool, port: int, tmp_path):
    made = story()
    made.server = (made.server[0], port)
    file = tmp_path / "capture"
    file.write_bytes((pcapng if ng else pcap)(made.frames()))
    told = []
    for skimmed in (False, True):
        found: list[object] = []
        tracker = Tracker(TrackerConfig(everything=True), found.append)
        with file.open("rb") as stream:
            capture = CaptureFile(stream)
            if skimmed:
                capture.skim(tracker.skimmer)
            yielded = list(_counted(capture, tracker))
        tracker.finish()
        told.append((found, tracker.counts))
        assert tracker.counts.packets == len(made.sent)
        assert len(yielded) == len(made.sent) if not skimmed else len(yielded) < len(made.sent) / 2
    assert told[0] == told[1]
    assert len(told[0][0]) == 1


def _counted(capture: CaptureFile, tracker: Tracker):
    for packet in capture.packets():
        tracker.packet(*packet)
        yield packet
