"""A date is understood in full or not at all."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.protocols.dates import parse_date


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Thu, 10 Oct 2024 22:49:55 +0000", datetime(2024, 10, 10, 22, 49, 55, tzinfo=UTC)),
        ("Wed, 9 Nov 2022 01:02:03 +0000", datetime(2022, 11, 9, 1, 2, 3, tzinfo=UTC)),
        ("Tue, 24 Nov 2026 00:00:00 GMT", datetime(2026, 11, 24, tzinfo=UTC)),
        ("Tue, 24 Nov 2026 01:30:00 +0130", datetime(2026, 11, 24, tzinfo=UTC)),
        ("Mon, 23 Nov 2026 19:00:00 -0500", datetime(2026, 11, 24, tzinfo=UTC)),
        ("Sat, 31 Dec 2016 23:59:60 GMT", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_dates_as_servers_write_them(text: str, expected: datetime):
    assert parse_date(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-11-24T00:00:00Z", "Tue, 32 Nov 2026 00:00:00 GMT", "Tue, 24 Nox 2026 00:00:00 GMT",
     "Tue, 24 Nov 2026 25:00:00 GMT", "Mon, 1 Jan 0001 00:00:00 +9900", "Tue, 24 Nov 2026 00:00:00", "٢٤ Nov"],
)  # fmt: skip
def test_anything_else_is_none(text: str):
    assert parse_date(text) is None


@given(st.integers(-30_000_000_000, 250_000_000_000))
def test_every_second_is_read_back(seconds: int):
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    assert parse_date(format_datetime(moment, usegmt=True)) == moment


@given(st.text())
def test_garbage_never_raises(text: str):
    parse_date(text)
