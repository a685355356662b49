"""However the bytes are cut: the same records and messages; nothing kept that isn't asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.protocols.tls_records import (
    MAX_KEPT,
    MAX_LENGTH,
    begins_record,
    begins_sslv2_hello,
    sslv2_hello_length,
)
from tests.protocols.cutting import bytewise, cut_at, places
from tests.protocols.record_reader import HandshakeReader, NotARecord, Record, RecordReader


def record(content_type: int, body: bytes, version: int = 0x0303) -> bytes:
    return bytes([content_type]) + version.to_bytes(2) + len(body).to_bytes(2) + body


def records_of(pieces: list[bytes], *, bodies: bool = True) -> tuple[list[Record], bool]:
    """All records, and whether something else came behind them."""
    reader = RecordReader(bodies=bodies)
    found: list[Record] = []
    for piece in pieces:
        reader.feed(piece)
        try:
            while (item := reader.next_record()) is not None:
                found.append(item)
        except NotARecord:
            return found, True
    return found, False


FLIGHT = (
    record(22, b"hello", 0x0301) + record(20, b"\1") + record(23, b"") + record(21, b"\2\x30") + record(23, b"x" * 999)
)


def test_a_flight():
    assert records_of([FLIGHT])[0] == [
        Record(22, 0x0301, 5, b"hello"),
        Record(20, 0x0303, 1, b"\1"),
        Record(23, 0x0303, 0, b""),
        Record(21, 0x0303, 2, b"\2\x30"),
        Record(23, 0x0303, 999, b"x" * 999),
    ]


def test_headers_alone():
    """With `bodies` false a record comes with its first five bytes, and its body is passed over when it comes."""
    reader = RecordReader(bodies=False)
    reader.feed(FLIGHT[:5])
    assert reader.next_record() == Record(22, 0x0301, 5, b"")
    assert reader.next_record() is None
    reader.feed(FLIGHT[5:12])
    assert reader.next_record() is None
    reader.feed(FLIGHT[12:])
    assert [r.content_type for r in iter(reader.next_record, None)] == [20, 23, 21, 23]


@given(places, st.booleans())
def test_cut_anywhere_is_the_same(where: list[int], bodies: bool):
    whole = records_of([FLIGHT], bodies=bodies)
    assert records_of(cut_at(FLIGHT, where), bodies=bodies) == records_of(bytewise(FLIGHT), bodies=bodies) == whole


@given(st.binary(max_size=40), places)
def test_garbage_behind(garbage: bytes, where: list[int]):
    data = FLIGHT + garbage
    found, _ = records_of([data])
    assert found[:5] == records_of([FLIGHT])[0]
    assert records_of(cut_at(data, where)) == records_of(bytewise(data)) == records_of([data])


@pytest.mark.parametrize(
    "beginning",
    [
        b"\x13\x03\x03\0\0",
        b"\x19\x03\x03\0\0",
        b"GET / HTTP",
        b"\x16\x02\0\0\0",
        b"\x16\x03\x05\0\0",
        b"\x16\x03\x03\x48\x01",
    ],
)
def test_something_else_is_told_and_stays(beginning: bytes):
    reader = RecordReader()
    reader.feed(beginning)
    for _ in range(3):
        with pytest.raises(NotARecord):
            reader.next_record()
        reader.feed(FLIGHT)


@pytest.mark.parametrize("version", [0x0300, 0x0301, 0x0302, 0x0303, 0x0304])
@pytest.mark.parametrize("content_type", [20, 21, 22, 23, 24])
def test_what_a_record_can_begin_with(content_type: int, version: int):
    data = record(content_type, b"")[:3].replace(b"\3\3", version.to_bytes(2)) + MAX_LENGTH.to_bytes(2)
    assert all(begins_record(data[:length]) for length in range(6))


def test_a_long_body_is_kept_in_part():
    (one, other), _ = records_of([record(23, b"x" * MAX_LENGTH) + record(21, b"\1\0")])
    assert (one.length, len(one.body), other.content_type) == (MAX_LENGTH, MAX_KEPT, 21)


SSLV2_HELLO = bytes.fromhex(
    "802e0103010015000000100000 2f 000035 00000a 0000ff 0700c0 030080".replace(" ", "")
) + bytes(25)


def test_sslv2_form():
    assert all(begins_sslv2_hello(SSLV2_HELLO[:length]) for length in range(1, 6))
    assert sslv2_hello_length(SSLV2_HELLO) == 0x2E + 2
    assert sslv2_hello_length(SSLV2_HELLO[:4]) is None
    assert not begins_sslv2_hello(b"")
    assert not begins_sslv2_hello(FLIGHT)
    assert not begins_record(SSLV2_HELLO)


@pytest.mark.parametrize("data", [b"\x80\x2e\x02", b"\x80\x2e\x01\x02", b"\x80\x2e\x01\x03\x09", b"\x2e\x01\x03\x01"])
def test_not_sslv2_form(data: bytes):
    assert not begins_sslv2_hello(data)


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3) + body


MESSAGES = [message(2, b"s" * 70), message(11, b"c" * 3_000), message(14, b"")]


@given(places)
def test_messages_over_any_records(where: list[int]):
    reader = HandshakeReader()
    assert [found for piece in cut_at(b"".join(MESSAGES), where) for found in reader.feed(piece)] == MESSAGES
    assert reader.pending == b""


def test_the_beginning_of_a_message_is_pending():
    reader = HandshakeReader()
    assert reader.feed(MESSAGES[0] + b"\x0b\0\1") == [MESSAGES[0]]
    assert reader.pending == b"\x0b\0\1"


@given(places)
def test_an_endless_message_is_bounded(where: list[int]):
    reader = HandshakeReader()
    pieces = cut_at(b"\x0b\xff\xff\xff" + b"x" * 40_000, where)
    found = []
    for piece in pieces:
        found += reader.feed(piece)
        assert len(reader.pending) < MAX_KEPT + 4
    assert [len(each) for each in found] == [MAX_KEPT]


def test_behind_a_long_message_the_next_is_read():
    reader = HandshakeReader()
    assert [each[0] for each in reader.feed(message(11, bytes(20_000)) + MESSAGES[2])] == [11, 14]
    assert [each[0] for piece in bytewise(message(11, bytes(20_000)) + MESSAGES[2]) for each in reader.feed(piece)] == [
        11,
        14,
    ]
