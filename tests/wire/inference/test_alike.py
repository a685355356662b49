"""What is remembered of a conversation that is alike is exactly what following it would have told."""

from hypothesis import given
from hypothesis import strategies as st

from exporter.wire.inference import alike
from exporter.wire.inference.alike import MAX_REMEMBERED, readings_of
from exporter.wire.inference.bursts import Turn
from exporter.wire.inference.grammar import Grammar
from exporter.wire.inference.imap import IMAP
from exporter.wire.inference.overhead import Length
from exporter.wire.inference.pop import POP
from exporter.wire.inference.readings import at_end, follow
from exporter.wire.inference.smtp import smtp
from exporter.wire.trace import TraceEnd

GRAMMARS = [IMAP, POP, smtp(None), smtp(112)]
exact = st.one_of(st.integers(0, 300), st.integers(0, 6_000), st.integers(0, 200_000)).map(lambda n: Length(n, n))
ranges = st.tuples(st.integers(0, 3_000), st.integers(1, 16)).map(lambda r: Length(r[0], r[0] + r[1]))
lengths = st.one_of(exact, exact, exact, ranges)
turns = st.builds(
    Turn,
    sent=lengths,
    answer=st.none() | lengths,
    sent_at=st.floats(0, 100),
    answered_at=st.none() | st.floats(0, 100),
    answered_as=st.lists(st.integers(0, 3), max_size=2).map(tuple),
    **{name: st.booleans() for name, default in Turn._field_defaults.items() if default is False},
)
#: Lengths that get far in each grammar: a capability, a token, its answer, a mailbox opened.
LIKELY = [
    Turn(Length(15, 15), Length(170, 170), 0.0, 0.1),
    Turn(Length(1_827, 1_827), Length(31, 31), 0.2, 0.5),
    Turn(Length(17, 17), Length(500, 500), 0.6, 0.7),
]


def told(grammar: Grammar, conversation: tuple[Turn, ...], end: TraceEnd, microsoft: bool):
    return readings_of(grammar, conversation, end, microsoft=microsoft)


def followed(grammar: Grammar, conversation: tuple[Turn, ...], end: TraceEnd, microsoft: bool):
    return at_end(follow(grammar, conversation, end, microsoft=microsoft), end)


@given(st.sampled_from(GRAMMARS), st.lists(turns, max_size=5), st.sampled_from(TraceEnd), st.booleans())
def test_any_conversation(grammar: Grammar, conversation: list[Turn], end: TraceEnd, microsoft: bool):
    said = tuple(conversation)
    assert told(grammar, said, end, microsoft) == followed(grammar, said, end, microsoft)


@given(st.sampled_from(GRAMMARS), st.data(), st.sampled_from(TraceEnd), st.booleans())
def test_conversations_that_get_far(grammar: Grammar, data: st.DataObject, end: TraceEnd, microsoft: bool):
    """A likely one with some lengths a little, or much, off."""
    conversation = []
    for turn in LIKELY:
        sent = max(0, turn.sent.low + data.draw(st.integers(-6, 6) | st.integers(0, 2_000)))
        answer = max(0, 0 if turn.answer is None else turn.answer.low + data.draw(st.integers(-20, 20)))
        conversation.append(turn._replace(sent=Length(sent, sent), answer=Length(answer, answer)))
    said = tuple(conversation)
    assert told(grammar, said, end, microsoft) == followed(grammar, said, end, microsoft)


def test_tokens_of_many_lengths_are_followed_few_times():
    alike._followed.cache_clear()
    for length in range(1_400, 2_800):
        said = (LIKELY[0], LIKELY[1]._replace(sent=Length(length, length)), LIKELY[2])
        told(IMAP, said, TraceEnd.CLIENT_CLOSED, True)
    assert alike._followed.cache_info().misses <= 8


def test_what_is_remembered_is_bounded():
    assert alike._followed.cache_info().maxsize == MAX_REMEMBERED
