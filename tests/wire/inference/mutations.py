"""What middleboxes and captures do to a conversation's records: split, join, swap, cut."""

import dataclasses
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random

from exporter.vocabulary import AuthOutcome, Mechanism
from exporter.wire.inference.overhead import overheads
from exporter.wire.trace import Record, Trace, TraceEnd

_APPLICATION_DATA = 23


def _with(trace: Trace, records: Sequence[Record], end: TraceEnd | None = None) -> Trace:
    return dataclasses.replace(trace, records=tuple(records), end=end or trace.end)


def _overhead(trace: Trace, record: Record) -> int:
    """Of an AEAD; a CBC record is cut as if its padding were the smallest."""
    client, server = overheads(trace)
    return (client if record.from_client else server).least


def _is_data(trace: Trace, record: Record) -> bool:
    return record.content_type == _APPLICATION_DATA and record.length - _overhead(trace, record) > 2


def split(trace: Trace, random: Random, *, largest: int = 10_000) -> Trace:
    """Records cut anywhere, into pieces of at most `largest` bytes; alerts stay whole."""
    found: list[Record] = []
    for record in trace.records:
        overhead = _overhead(trace, record)
        left = record.length - overhead
        if not _is_data(trace, record):
            found.append(record)
            continue
        while left > 0:
            piece = min(left, random.randint(1, min(left, largest)))
            found.append(record._replace(length=piece + overhead))
            left -= piece
    return _with(trace, found)


def single_bytes(trace: Trace, random: Random) -> Trace:
    """Every byte a record of its own."""
    return split(trace, random, largest=1)


def join(trace: Trace, random: Random) -> Trace:
    """Neighbours of one side in one record, here and there: such as were neighbours on the wire, too."""
    found: list[Record] = []
    sent = sorted(range(len(trace.records)), key=lambda at: trace.records[at].time)
    follows = set(pairwise(sent))
    for at, record in enumerate(trace.records):
        before = found[-1] if found else None
        joinable = before is not None and before.from_client == record.from_client and random.random() < 0.7
        joinable = joinable and (at - 1, at) in follows
        if before is not None and joinable and _is_data(trace, before) and _is_data(trace, record):
            found[-1] = before._replace(length=before.length + record.length - _overhead(trace, record))
        else:
            found.append(record)
    return _with(trace, found)


def swap(trace: Trace, random: Random) -> Trace:
    """Neighbours in the other order, each with its own time, as captures on two queues have them."""
    records = list(trace.records)
    for at in range(len(records) - 1):
        if records[at].time < records[at + 1].time and random.random() < 0.3:
            records[at], records[at + 1] = records[at + 1], records[at]
    return _with(trace, records)


def cut_tail(trace: Trace, random: Random) -> Trace:
    """The capture ends, or segments are missing from here on: of what was sent, in whatever order it was captured."""
    end = random.choice([TraceEnd.CAPTURE_ENDED, TraceEnd.GAP])
    sent = sorted(range(len(trace.records)), key=lambda at: trace.records[at].time)
    kept = set(sent[: random.randrange(len(sent) + 1)])
    return _with(trace, [record for at, record in enumerate(trace.records) if at in kept], end)


def delay(trace: Trace, random: Random) -> Trace:
    """Every record later by the same factor, and some: slow networks, slow servers."""
    factor, waited, found = random.choice([0.5, 2.0, 10.0]), 0.0, []
    for record in sorted(trace.records, key=lambda record: record.time):
        waited += random.choice([0, 0, 0, 0.4])
        found.append(record._replace(time=record.time * factor + waited))
    return _with(trace, found)


MUTATIONS: dict[str, Callable[[Trace, Random], Trace]] = {
    each.__name__: each for each in (split, single_bytes, join, swap, cut_tail, delay)
}


def agrees(said: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether nothing that is said is contradicted; `unknown` says nothing."""
    unknown = (Mechanism.UNKNOWN, AuthOutcome.UNKNOWN)
    return all(
        mine in (theirs, nothing) or theirs == nothing
        for mine, theirs, nothing in zip(said, other, unknown, strict=True)
    )


def without_open_ends(said: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """What a cut leaves unfinished isn't told."""
    return [each for each in said if each[1] != AuthOutcome.UNKNOWN]


def is_within(said: Sequence[tuple[str, str]], whole: Sequence[tuple[str, str]]) -> bool:
    """Whether what is said of attempts can be found in order among `whole`."""
    places = iter(whole)
    return all(any(agrees(each, other) for other in places) for each in said)
