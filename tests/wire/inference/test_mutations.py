"""However records are cut, joined, delayed or swapped: an answer may become unknown, it never becomes another.

Tried on recorded conversations of real clients and servers.
"""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.vocabulary import Protocol
from exporter.wire.inference.infer import infer
from exporter.wire.trace import Record, Trace, TraceEnd
from tests.clients import corpus
from tests.clients.session import Session
from tests.wire.inference.mutations import (
    MUTATIONS,
    cut_tail,
    is_within,
    join,
    single_bytes,
    split,
    swap,
    without_open_ends,
)

SESSIONS = list(corpus.read_all())
EXACT = [each for each in SESSIONS if "CBC" not in each.trace.cipher]
PADDED = [each for each in SESSIONS if "CBC" in each.trace.cipher]


def told(trace: Trace) -> list[tuple[str, str]]:
    return [(each.mechanism, each.outcome) for each in infer(trace)]


def never_another(mutated: list[tuple[str, str]], session: Session) -> bool:
    """Of several attempts the whole conversation may leave open which there were; the server's log doesn't."""
    finished = without_open_ends(mutated)
    return is_within(finished, told(session.trace)) or is_within(finished, session.truth)


@pytest.mark.parametrize("name", MUTATIONS)
@settings(deadline=None, derandomize=True, max_examples=150)
@given(session=st.sampled_from(SESSIONS), seed=st.integers(0, 2**32))
def test_an_answer_never_becomes_another(name: str, session, seed: int):
    mutated = told(MUTATIONS[name](session.trace, Random(seed)))

    assert never_another(mutated, session)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(
    session=st.sampled_from(SESSIONS),
    seed=st.integers(0, 2**32),
    names=st.lists(st.sampled_from(sorted(MUTATIONS)), max_size=4),
)
def test_nor_does_it_under_several_at_once(session, seed: int, names: list[str]):
    random, mutated = Random(seed), session.trace
    for name in names:
        mutated = MUTATIONS[name](mutated, random)

    assert never_another(told(mutated), session)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(session=st.sampled_from(EXACT), seed=st.integers(0, 2**32))
def test_how_records_are_cut_hardly_matters_where_lengths_are_exact(session, seed: int):
    """Only a reply in several records says a little more than one in a single record."""
    random = Random(seed)
    joined = told(join(session.trace, random))
    assert told(join(split(session.trace, random), random)) == told(split(session.trace, random)) or joined


@settings(deadline=None, derandomize=True, max_examples=60)
@given(session=st.sampled_from(EXACT), seed=st.integers(0, 2**32))
def test_single_bytes_and_swaps_keep_the_order_of_things(session, seed: int):
    assert told(swap(session.trace, Random(seed))) == told(session.trace)
    assert is_within(told(single_bytes(session.trace, Random(seed))), told(session.trace))


@settings(deadline=None, derandomize=True, max_examples=60)
@given(session=st.sampled_from(SESSIONS), seed=st.integers(0, 2**32))
def test_a_capture_that_ends_early_never_says_abandoned(session, seed: int):
    assert "abandoned" not in [outcome for _, outcome in told(cut_tail(session.trace, Random(seed)))]


@pytest.mark.parametrize("session", [each for each in PADDED if each.trace.protocol is Protocol.SMTP])
def test_where_every_word_is_cut_into_padded_records_no_length_is_known(session: Session):
    for seed in range(12):
        assert never_another(told(split(session.trace, Random(seed))), session)


record = st.builds(
    Record,
    time=st.floats(0, 100),
    from_client=st.booleans(),
    content_type=st.sampled_from([20, 21, 22, 23, 23, 23, 99]),
    length=st.integers(0, 20_000),
)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    session=st.sampled_from(SESSIONS), records=st.lists(record, max_size=64), end=st.sampled_from(TraceEnd),
    version=st.sampled_from(["TLSv1.3", "TLSv1.2", "TLSv1", "", "SSLv2"]),
    cipher=st.sampled_from(["TLS_AES_256_GCM_SHA384", "TLS_RSA_WITH_AES_128_CBC_SHA", "", "0x1234"]),
    numbers=st.tuples(*[st.none() | st.integers(0, 30_000)] * 3),
)  # fmt: skip
def test_any_records_at_all_give_an_answer(session, records, end, version, cipher, numbers):
    import dataclasses

    trace = dataclasses.replace(
        session.trace, records=records, end=end, tls_version=version, cipher=cipher, finished_length=numbers[0],
        banner_length=numbers[1], ehlo_reply_length=numbers[2],
    )  # fmt: skip
    for each in infer(trace):
        assert each.seconds is None or each.seconds >= 0
