"""Conversations that a grammar can't tell apart are followed once, and remembered.

A grammar looks at an exact length in two ways only: which of its sizes hold it, under any length of the tag, and what
it leaves divided by four (base64). So a length may be replaced by the smallest that is alike in both, and nothing that
follows from it changes. A token's length differs from one to the next, a client's conversation hardly does.
"""

from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from exporter.wire.inference.bursts import MAX_TURNS, Turn
from exporter.wire.inference.grammar import Answer, Grammar, Size
from exporter.wire.inference.overhead import Length
from exporter.wire.inference.readings import Readings, at_end, follow
from exporter.wire.trace import TraceEnd

#: Conversations remembered, and grammars (SMTP has one for each length of a banner).
MAX_REMEMBERED, MAX_GRAMMARS = 4_096, 64
_FOURS = 4


class _Same:
    """A grammar as a key: by identity, for it holds mappings."""

    __slots__ = ("grammar",)

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.grammar is other.grammar

    def __hash__(self) -> int:
        return id(self.grammar)


class _Steps(NamedTuple):
    """Where lengths begin to mean something else: of what a client says, and of what a server answers."""

    sent: tuple[int, ...]
    answered: tuple[int, ...]


def readings_of(grammar: Grammar, turns: tuple[Turn, ...], end: TraceEnd, *, microsoft: bool) -> Readings:
    """Those to be reckoned with, as `at_end` gives them. They are shared: not to be changed."""
    same = _Same(grammar)
    steps = _steps(same)
    alike = tuple(
        Turn(
            _smallest(steps.sent, turn.sent),
            None if turn.answer is None else _smallest(steps.answered, turn.answer),
            0.0,
            None if turn.answered_at is None else 0.0,
            turn.may_be_close,
            turn.is_late,
            turn.in_parts,
            turn.repeats,
            turn.answered_as,
        )
        for turn in turns
    )
    return _followed(same, alike, end, microsoft)


@lru_cache(maxsize=MAX_REMEMBERED)
def _followed(same: _Same, turns: tuple[Turn, ...], end: TraceEnd, microsoft: bool) -> Readings:
    return at_end(follow(same.grammar, turns, end, microsoft=microsoft), end)


@lru_cache(maxsize=MAX_GRAMMARS)
def _steps(same: _Same) -> _Steps:
    grammar = same.grammar
    longest = max(grammar.tags) + MAX_TURNS  # tags grow
    sizes = (move.size for moves in grammar.moves.values() for move in moves)
    words = (grammar.generic, grammar.microsoft)
    answers = (answer for each in words for listed in each.values() for answer in listed)
    return _Steps(_bounds(sizes, longest), _bounds(answers, longest))


def _bounds(sizes: Iterable[Size | Answer], longest_tag: int) -> tuple[int, ...]:
    bounds = {0}
    for size in sizes:
        for tag in range(longest_tag + 1 if size.tagged else 1):
            bounds |= {size.low + tag, size.high + tag + 1}
    return tuple(sorted(bounds))


def _smallest(bounds: tuple[int, ...], length: Length) -> Length:
    """The first that is alike. A range that reaches over a bound stays as it is: how far it does counts."""
    low, high = length
    place = bisect_right(bounds, low)
    if high != low and bisect_right(bounds, high) != place:
        return length
    begin = bounds[place - 1]
    smallest = begin + (low - begin) % _FOURS if low == high else begin
    return Length(smallest, smallest + high - low)
