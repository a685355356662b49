"""Captures as files: what is before a damage is given, and the damage names its packet."""

import gzip
import struct
import tracemalloc
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.wire.byte_source import PIECE
from exporter.wire.capture_file import MAX_TIME, CaptureDamagedError, CaptureFile, NotACaptureError
from tests.wire.frames import (
    ETHERNET,
    RAW,
    Frame,
    block,
    enhanced,
    interface,
    option,
    pcap,
    pcapng,
    section,
)

SECOND = 1_000_000_000
FRAMES: list[Frame] = [(1_790_000_000 * SECOND + n * 1_000_001_000, bytes([n]) * (60 + n), 1_500) for n in range(5)]


class Dribble:
    """A pipe that gives a byte at a time."""

    def __init__(self, data: bytes) -> None:
        self._stream = BytesIO(data)

    def read(self, count: int) -> bytes:
        return self._stream.read(min(count, 1))


def read(data: bytes, *, dribble: bool = False) -> tuple[list[Frame], int | None]:
    """Frames, and the number of the packet that is damaged."""
    capture = CaptureFile(Dribble(data) if dribble else BytesIO(data))
    found: list[Frame] = []
    try:
        for time, _, buffer, start, end, original, _, _ in capture.packets():
            found.append((time, bytes(buffer[start:end]), original))
    except CaptureDamagedError as error:
        return found, error.packet
    return found, None


# ---- pcap --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
@pytest.mark.parametrize("dribble", [False, True])
def test_pcap_of_both_byte_orders_and_resolutions(order: str, nano: bool, dribble: bool):
    assert read(pcap(FRAMES, order=order, nano=nano), dribble=dribble) == (FRAMES, None)


def test_an_empty_capture():
    assert read(pcap([])) == ([], None)
    assert read(section() + interface()) == ([], None)
    assert read(section()) == ([], None)


def test_kuznetzovs_patch_has_eight_bytes_more_a_packet():
    header = struct.pack("<IHHiIII", 0xA1B2CD34, 2, 4, 0, 0, 65_535, ETHERNET)
    packet = struct.pack("<IIII", 5, 7, 3, 60) + struct.pack("<IHBB", 2, 0x800, 0, 0) + b"abc"
    assert read(header + packet * 2) == ([(5 * SECOND + 7_000, b"abc", 60)] * 2, None)


def test_lengths_stood_the_other_way_round_before_version_2_4():
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 2, 0, 0, 68, ETHERNET)
    packet = struct.pack("<IIII", 5, 7, 1_500, 3) + b"abc"
    assert read(header + packet) == ([(5 * SECOND + 7_000, b"abc", 1_500)], None)


def test_the_length_of_a_check_sequence_is_no_part_of_the_link_type():
    data = bytearray(pcap(FRAMES))
    data[20:24] = struct.pack("<I", 0x5400_0000 | RAW)
    assert next(CaptureFile(BytesIO(bytes(data))).packets())[1] == RAW


def test_frames_larger_than_a_piece():
    big = [(SECOND, bytes(PIECE + 5)), (2 * SECOND, b"x" * 900_000), (3 * SECOND, b"end")]
    frames, damaged = read(pcap(big))
    assert ([frame[1] for frame in frames], damaged) == ([frame[1] for frame in big], None)


def test_frames_too_long_to_keep_are_passed_over():
    huge = 3_000_000
    data = pcap([(SECOND, b"before")]) + struct.pack("<IIII", 2, 0, huge, huge) + bytes(huge) + pcap(FRAMES)[24:]
    frames, damaged = read(data)
    assert damaged is None
    assert [frame[1] for frame in frames[:2]] == [b"before", b""]
    assert frames[2:] == FRAMES


@pytest.mark.parametrize("length", [1 << 31, (1 << 32) - 1, 200_000_000])
def test_an_absurd_length_is_damage_and_allocates_nothing(length: int):
    data = pcap(FRAMES) + struct.pack("<IIII", 1, 0, length, length) + b"rest"
    tracemalloc.start()
    try:
        assert read(data) == (FRAMES, 6)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@given(cut=st.integers(25, len(pcap(FRAMES)) - 1))
def test_a_pcap_cut_anywhere_gives_whole_packets_and_names_the_cut_one(cut: int):
    frames, damaged = read(pcap(FRAMES)[:cut])
    assert frames == FRAMES[: len(frames)]
    rest = cut - len(pcap(FRAMES[: len(frames)]))
    assert damaged == (len(frames) + 1 if rest else None)


@pytest.mark.parametrize("data", [b"", b"\xd4\xc3", b"hello\n" * 9, b"PK\3\4 a zip file", b"\x1f\x8b", pcap([])[:23]])
def test_what_is_no_capture(data: bytes):
    with pytest.raises(NotACaptureError):
        CaptureFile(BytesIO(data))


def test_another_version_is_none():
    with pytest.raises(NotACaptureError, match="version 9"):
        CaptureFile(BytesIO(struct.pack("<IHHiIII", 0xA1B2C3D4, 9, 0, 0, 0, 68, 1)))


# ---- gzip --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dribble", [False, True])
def test_gzip_around_either(dribble: bool):
    assert read(gzip.compress(pcap(FRAMES)), dribble=dribble) == (FRAMES, None)
    assert read(gzip.compress(pcapng(FRAMES)), dribble=dribble)[0] == FRAMES


def test_gzip_in_several_members_with_padding():
    data = pcap(FRAMES)
    assert read(gzip.compress(data[:90]) + bytes(7) + gzip.compress(data[90:]) + bytes(3)) == (FRAMES, None)


@given(cut=st.integers(0, 10_000))
@settings(deadline=None)
def test_gzip_cut_anywhere(cut: int):
    frames = [(n * SECOND, bytes(n % 256 for n in range(n, n + 100)), 100) for n in range(200)]
    data = gzip.compress(pcap(frames))
    cut = cut % (len(data) - 300) + 300  # where something of the capture is there already
    found, damaged = read(data[:cut])
    assert found == frames[: len(found)]
    assert damaged == len(found) + 1


def test_damage_inside_gzip_comes_behind_what_was_good():
    frames = [(n * SECOND, bytes([n % 251]) * 500, 500) for n in range(3_000)]
    data = bytearray(gzip.compress(pcap(frames), 1))
    data[-9] ^= 0xFF  # the check sum
    found, damaged = read(bytes(data))
    assert damaged == len(found) + 1
    assert found == frames[: len(found)]
    assert len(found) > 2_000


# ---- pcapng ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dribble", [False, True])
def test_pcapng_of_both_byte_orders(order: str, dribble: bool):
    assert read(pcapng(FRAMES, order=order), dribble=dribble) == (FRAMES, None)


def packets(data: bytes) -> list[tuple[int, int, str | None]]:
    return [(packet[0], packet[1], packet[6]) for packet in CaptureFile(BytesIO(data)).packets()]


def test_several_interfaces_with_names_resolutions_and_offsets():
    frame = (1_790_000_000 * SECOND + 123_456_789, b"x" * 60)
    data = section()
    data += interface(RAW, options=option(2, b"eth0") + option(9, b"\x09") + option(0, b""))
    data += interface(ETHERNET, options=option(2, b"wlan0\0") + option(9, b"\x8a") + option(14, struct.pack("<q", -5)))
    data += enhanced(frame, units=SECOND) + enhanced(frame, number=1, units=1_024)
    coarse = frame[0] * 1_024 // SECOND * SECOND // 1_024 - 5 * SECOND
    assert packets(data) == [(frame[0], RAW, "eth0"), (coarse, ETHERNET, "wlan0")]


@pytest.mark.parametrize(
    ("offset", "time"), [(2**62, MAX_TIME), (10**10, MAX_TIME), (-(2**62), 0), (-1_790_000_001, 0)]
)
def test_times_beyond_what_is_counted_become_the_nearest(offset: int, time: int):
    data = section() + interface(options=option(9, b"\x09") + option(14, struct.pack("<q", offset)))
    assert packets(data + enhanced((1_790_000_000 * SECOND, b"x" * 60), units=SECOND)) == [(time, ETHERNET, None)]


def test_a_section_in_the_middle_begins_anew_in_its_own_byte_order():
    data = section("<") + interface(RAW, order="<") + enhanced(FRAMES[0], order="<")
    data += section(">") + interface(ETHERNET, order=">") + enhanced(FRAMES[1], order=">")
    assert packets(data) == [(FRAMES[0][0], RAW, None), (FRAMES[1][0], ETHERNET, None)]


def test_blocks_of_other_kinds_are_passed_over():
    others = b"".join(
        block(kind, content)
        for kind, content in [
            (4, b"\0\0\0\0"),  # names of addresses
            (10, struct.pack("<II", 0x544C534B, 5) + b"SECRET keys of somebody"),  # to decrypt: never looked at
            (0xBAD, b"\1\2\3\4custom"), (0x40000BAD, b"\1\2\3\4custom"), (9, b"journal"), (0x0BADF00D, b""),
        ]
    )  # fmt: skip
    data = section() + others + interface() + others + enhanced(FRAMES[0]) + others
    assert read(data) == (FRAMES[:1], None)


def test_simple_packets_have_no_time_but_that_of_the_one_before():
    data = section() + interface(snap_length=4) + enhanced(FRAMES[0]) + block(3, struct.pack("<I", 9) + b"cut!")
    assert read(data) == ([FRAMES[0], (FRAMES[0][0], b"cut!", 9)], None)


def test_obsolete_packet_blocks():
    ticks = FRAMES[0][0] // 1_000
    head = struct.pack("<HHIIII", 0, 3, ticks >> 32, ticks & 0xFFFF_FFFF, 4, 1_500)
    assert read(section() + interface() + block(2, head + b"abcd")) == ([(FRAMES[0][0], b"abcd", 1_500)], None)


def test_losses_are_what_the_capturing_program_wrote_down_last():
    def statistics(number: int, lost: int) -> bytes:
        options = option(4, bytes(8)) + option(5, struct.pack("<Q", lost)) + option(7, struct.pack("<Q", 1))
        return block(5, struct.pack("<III", number, 0, 0) + options)

    data = section() + interface() + interface() + statistics(0, 4) + statistics(0, 10) + statistics(1, 7)
    capture = CaptureFile(BytesIO(data + section() + interface() + statistics(0, 100)))
    assert list(capture.packets()) == []
    assert capture.dropped == 10 + 1 + 7 + 1 + 100 + 1


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (struct.pack("<II", 6, 8) + bytes(20), "8 bytes"),
        (struct.pack("<II", 6, 1 << 31), "bytes"),
        (block(6, struct.pack("<IIIII", 7, 0, 0, 0, 0)), "interface 7"),
        (block(6, struct.pack("<IIIII", 0, 0, 0, 99, 99)), "length of 99"),
        (block(3, struct.pack("<I", 99)), "length of 99"),
        (block(1, struct.pack("<HHI", 1, 0, 0))[:-4] + b"\0\0\0\7", "lengths differ"),
        (block(0x0A0D0D0A, bytes(16)), "byte order"),
    ],
)
def test_damage_in_pcapng_names_the_packet(damage: bytes, why: str):
    data = pcapng(FRAMES) + damage + pcapng(FRAMES)
    with pytest.raises(CaptureDamagedError, match=f"packet 6.*{why}"):
        list(CaptureFile(BytesIO(data)).packets())
    assert read(data) == (FRAMES, 6)


@given(cut=st.integers(28, len(pcapng(FRAMES)) - 1))
def test_a_pcapng_cut_anywhere(cut: int):
    frames, damaged = read(pcapng(FRAMES)[:cut])
    assert frames == FRAMES[: len(frames)]
    whole = section() + interface() + b"".join(map(enhanced, FRAMES[: len(frames)]))
    assert damaged == (None if cut in (len(whole), 28) else len(frames) + 1)


# ---- anything ----------------------------------------------------------------------------------------------------------

_MAGICS = [b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\xcd\x34", b"\n\r\r\n", b"\x1f\x8b"]


@settings(max_examples=300, deadline=None)
@given(magic=st.sampled_from(_MAGICS), rest=st.binary(max_size=300))
def test_any_bytes_end(magic: bytes, rest: bytes):
    try:
        read(magic + rest)
    except NotACaptureError:
        pass


@settings(max_examples=300, deadline=None)
@given(places=st.lists(st.tuples(st.integers(4, 10_000), st.integers(0, 255)), max_size=8), ng=st.booleans())
def test_changed_bytes_anywhere(places: list[tuple[int, int]], ng: bool):
    data = bytearray(pcapng(FRAMES) if ng else pcap(FRAMES))
    for place, value in places:
        data[place % len(data)] = value
    try:
        frames, _ = read(bytes(data))
    except NotACaptureError:
        return
    assert len(frames) <= 40
