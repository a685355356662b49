"""However the bytes are cut: the same lines, then None or one violation; never more than MAX_REPLY kept."""

import pytest
from hypothesis import given

from exporter.protocols.lines import MAX_LINE, MAX_QUOTED, MAX_REPLY, LineBuffer, ProtocolViolation, refusal, text_of
from tests.protocols.cutting import bytewise, cut_at, endless, garbage, places, read


def lines_of(pieces: list[bytes]) -> tuple[list[bytes], str | None]:
    buffer = LineBuffer()
    return read(buffer, buffer.next_line, pieces)


def test_lines_end_by_crlf_or_lf():
    assert lines_of([b"one\r\ntwo\n\r\nrest"]) == ([b"one", b"two", b""], None)


def test_pending_is_what_is_not_taken():
    buffer = LineBuffer()
    buffer.feed(b"one\r\ntw")
    assert buffer.next_line() == b"one"
    assert buffer.next_line() is None
    assert buffer.pending == b"tw"


@given(garbage, places)
def test_cut_anywhere_is_the_same(data: bytes, where: list[int]):
    assert lines_of(cut_at(data, where)) == lines_of([data]) == lines_of(bytewise(data))


def test_take_gives_exact_bytes():
    buffer = LineBuffer()
    buffer.feed(b"ab\r")
    assert buffer.take(4) is None
    buffer.feed(b"\nrest\r\n")
    assert buffer.take(4) == b"ab\r\n"
    assert buffer.next_line() == b"rest"


@pytest.mark.parametrize("record", [b"\x15\x03\x03\x00\x02\x02\x28", b"\x16\x03\x01\x02\x00\x01", b"\x17\x03\x03"])
def test_a_tls_record_is_told_at_once(record: bytes):
    assert lines_of([record]) == lines_of(bytewise(record)) == ([], "a TLS record instead of a line")


def test_binary_is_told_without_a_line_end():
    assert lines_of([b"fine\r\nab\0cd"]) == ([b"fine"], "binary data (a NUL byte) instead of a line")


def test_a_longest_line_passes_and_a_longer_one_does_not():
    assert lines_of([b"x" * (MAX_LINE - 1) + b"\n"]) == ([b"x" * (MAX_LINE - 1)], None)
    assert lines_of([b"x" * MAX_LINE + b"\n"]) == ([], f"a line of more than {MAX_LINE} bytes")


def test_an_endless_line_is_bounded():
    buffer = LineBuffer()
    most, violation = endless(buffer, buffer.next_line, b"x" * 16_384)
    assert violation == f"a line of more than {MAX_LINE} bytes"
    assert most <= MAX_LINE
    assert buffer.pending == b""


def test_nothing_beyond_the_bound_is_kept_when_nobody_reads():
    buffer = LineBuffer()
    for _ in range(100):
        buffer.feed(b"line\r\n" * 10_000)
    assert len(buffer.pending) == MAX_REPLY
    lines, violation = read(buffer, buffer.next_line, [b""])
    assert len(lines) == MAX_REPLY // 6
    assert violation == f"more than {MAX_REPLY} bytes"


def test_take_tells_a_violation_and_an_overflow():
    buffer = LineBuffer()
    buffer.feed(b"x" * (MAX_REPLY + 1))
    with pytest.raises(ProtocolViolation, match="more than"):
        buffer.take(MAX_REPLY + 1)
    with pytest.raises(ProtocolViolation, match="more than"):
        buffer.take(1)


def test_other_bytes_than_utf8_are_shown_as_escapes():
    assert text_of(b"caf\xc3\xa9 \xff") == "café \\xff"


def test_a_refusal_quotes_the_beginning():
    assert refusal("POP", b"x" * 10_000) == "not POP: " + "x" * MAX_QUOTED
