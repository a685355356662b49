"""Suites that pad: a length is one of sixteen, and what is likely among them decides."""

from math import log2

import pytest

from exporter.wire.inference.grammar import Size, Verdict, mail, ranges
from exporter.wire.inference.overhead import Length

# ---- how much a range says -----------------------------------------------------------------------------------------------


def test_only_what_a_row_and_a_range_share_counts_for_the_row():
    """Six of the sixteen, whether the row tells its weight or leaves it to be counted."""
    seen = Length(64, 79)
    assert mail(0, 69, bits=9).surprise(seen, 0) == pytest.approx(9 - log2(6))
    assert Size(0, 69, tagged=False, bits=9).surprise(seen, 0) == pytest.approx(9 - log2(6))
    (row,) = ranges(Verdict.REFUSED, (0, 69, 0), tagged=False)
    assert row.surprise(seen, 0) == pytest.approx(log2(70 / 6))


def test_a_row_that_a_range_hardly_touches_is_hardly_believed():
    """SELECT and a name may be as long as the shortest commands that are sent together, and hardly is."""
    together = Size(30, 436, tagged=False, bits=6)
    assert together.surprise(Length(16, 31), 0) == pytest.approx(5)
