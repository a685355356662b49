"""Label values from the network stay printable, short and few."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.labels import MAX_LENGTH, MAX_VALUES, OTHER, UNKNOWN, FewValues, printable

DAY = date(2026, 11, 24)


@given(st.text())
def test_any_text_becomes_printable_and_short(text: str) -> None:
    value = printable(text)
    assert len(value) <= MAX_LENGTH
    assert value.isprintable()
    assert printable(value) == value


def test_the_twenty_first_value_is_other_and_the_known_ones_stay() -> None:
    few = FewValues()
    values = [few.value("issuer", f"CA {number}", DAY) for number in range(MAX_VALUES + 5)]
    assert values[:MAX_VALUES] == [f"CA {number}" for number in range(MAX_VALUES)]
    assert set(values[MAX_VALUES:]) == {OTHER}
    assert few.value("issuer", "CA 0", DAY) == "CA 0"


def test_each_label_and_each_day_has_its_own() -> None:
    few = FewValues()
    for number in range(MAX_VALUES + 1):
        few.value("issuer", f"CA {number}", DAY)
    assert few.value("cipher", "TLS_AES_128_GCM_SHA256", DAY) == "TLS_AES_128_GCM_SHA256"
    assert few.value("issuer", "new", DAY) == OTHER
    assert few.value("issuer", "new", DAY + timedelta(days=1)) == "new"
    assert few.value("issuer", "newer", DAY) == "newer"  # a probe from before midnight begins no new day


def test_nothing_known_has_a_word() -> None:
    few = FewValues()
    assert few.value("group", None, DAY) == few.value("group", "\x00\x1b", DAY) == UNKNOWN
