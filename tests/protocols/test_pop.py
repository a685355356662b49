"""POP bytes become statuses and listings in order, or one violation; never another error."""

from collections.abc import Callable

import pytest
from hypothesis import given

from exporter.protocols import pop
from exporter.protocols.lines import MAX_REPLY, MAX_REPLY_LINES
from exporter.protocols.pop import PopReader, PopStatus
from exporter.vocabulary import OfferedMechanism
from tests.protocols.cutting import bytewise, cut_at, endless, garbage, places, read

GREETING = b"+OK The Microsoft Exchange POP3 service is ready. [QgBMADEAUAAyADIAMwBDAEEAMAAwADAANQA=]\r\n"
CAPA_2026 = b"+OK\r\nTOP\r\nUIDL\r\nSASL XOAUTH2\r\nUSER\r\n.\r\n"
STATUSES = GREETING + b"+ \r\n+\r\n-ERR Authentication failure: unknown user name or bad password.\r\n+OK\r\n"
LISTING = b"TOP\r\n..dotted\r\n...\r\n\r\nUIDL\r\n.\r\n"


def statuses_of(pieces: list[bytes]) -> tuple[list[PopStatus], str | None]:
    reader = PopReader()
    return read(reader, reader.next_status, pieces)


def listings_of(pieces: list[bytes]) -> tuple[list[tuple[str, ...]], str | None]:
    reader = PopReader()
    return read(reader, reader.next_listing, pieces)


READINGS = pytest.mark.parametrize(("read_all", "data"), [(statuses_of, STATUSES), (listings_of, LISTING * 2)])
Reading = Callable[[list[bytes]], tuple[list[object], str | None]]


def test_statuses():
    statuses, violation = statuses_of([STATUSES])
    assert violation is None
    assert [(status.ok, status.text[:22]) for status in statuses] == [
        (True, "The Microsoft Exchange"),
        (None, ""),
        (None, ""),
        (False, "Authentication failure"),
        (True, ""),
    ]
    assert statuses[3].line == "-ERR Authentication failure: unknown user name or bad password."


def test_a_listing_is_unstuffed():
    assert listings_of([LISTING]) == ([("TOP", ".dotted", "..", "", "UIDL")], None)


def test_a_listing_behind_its_status():
    reader = PopReader()
    reader.feed(CAPA_2026 + b"+OK bye\r\n")
    status = reader.next_status()
    assert status is not None
    assert status.ok
    listed = reader.next_listing()
    assert listed == ("TOP", "UIDL", "SASL XOAUTH2", "USER")
    assert pop.offered(listed) == (OfferedMechanism.XOAUTH2, OfferedMechanism.LOGIN_COMMAND)
    status = reader.next_status()
    assert status is not None
    assert status.text == "bye"


@READINGS
def test_byte_by_byte_is_the_same(read_all: Reading, data: bytes):
    assert read_all(bytewise(data)) == read_all([data])


@READINGS
@given(where=places)
def test_cut_anywhere_is_the_same(read_all: Reading, data: bytes, where: list[int]):
    assert read_all(cut_at(data, where)) == read_all([data])


@READINGS
@given(behind=garbage)
def test_garbage_behind_changes_nothing_before_it(read_all: Reading, data: bytes, behind: bytes):
    whole = read_all([data])[0]
    assert read_all([data + behind])[0][: len(whole)] == whole


@pytest.mark.parametrize("read_all", [statuses_of, listings_of])
@given(data=garbage, where=places)
def test_garbage_is_the_same_however_cut(read_all: Reading, data: bytes, where: list[int]):
    assert read_all(cut_at(data, where)) == read_all([data]) == read_all(bytewise(data))


def test_a_cut_listing_is_none_yet():
    reader = PopReader()
    reader.feed(b"TOP\r\nUI")
    assert reader.next_listing() is None
    assert reader.pending == b"TOP\r\nUI"


@pytest.mark.parametrize(
    "line", [b"* OK IMAP ready", b"220 smtp", b"HTTP/1.1 400 x", b"", b"+OKAY", b"-ERROR", b"OK", b"<html>", b"+x"]
)
def test_another_protocol_is_a_violation(line: bytes):
    statuses, violation = statuses_of([line + b"\r\n"])
    assert statuses == []
    assert violation == f"not a POP status: {line.decode()}"


def test_lower_case_is_understood():
    assert [status.ok for status in statuses_of([b"+ok x\r\n-err y\r\n"])[0]] == [True, False]


@pytest.mark.parametrize("line", [b"X\r\n", b"x" * 60_000 + b"\r\n"])
def test_an_endless_listing_is_bounded(line: bytes):
    reader = PopReader()
    most, violation = endless(reader, reader.next_listing, line)
    assert violation == f"a listing of more than {MAX_REPLY} bytes or {MAX_REPLY_LINES} lines"
    assert most <= MAX_REPLY
    assert reader.pending == b""


def test_offers():
    assert pop.offered(("SASL PLAIN XOAUTH2", "USER", "", "SASL")) == (
        OfferedMechanism.PLAIN,
        OfferedMechanism.XOAUTH2,
        OfferedMechanism.LOGIN_COMMAND,
    )
    assert pop.offered(("TOP", "STLS")) == ()


def test_commands():
    assert pop.capa() + pop.stls() + pop.auth_xoauth2() + pop.quit_() == b"CAPA\r\nSTLS\r\nAUTH XOAUTH2\r\nQUIT\r\n"


def test_commands_of_an_account():
    assert pop.user("me@x.example") + pop.pass_("pass word") == b"USER me@x.example\r\nPASS pass word\r\n"
    assert pop.auth_plain() == b"AUTH PLAIN\r\n"
    for secret in ("pässword", "a\r\nb", "\0"):
        with pytest.raises(ValueError, match="printable ASCII") as refused:
            pop.pass_(secret)
        assert secret not in str(refused.value)
