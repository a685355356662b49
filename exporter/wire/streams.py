"""Puts one direction's bytes in order: late, repeated, overlapping and missing segments.

* Of bytes that come twice the first win.
* A hole that the other side acknowledged was lost by the capture, not by the network: it will never be filled.
* Bytes inside a protected record don't matter, only where the next one begins: `Half.head` may lie ahead of what came.
"""

from typing import Final

from exporter.wire.flow import BEHIND, MAX_REASSEMBLY, SEQUENCE_MASK, Half, Waiting
from exporter.wire.reading import consume, missing

#: Segments kept of one direction while one before them is waited for.
MAX_WAITING: Final = 64
#: Holes in one direction that are remembered, to tell a late segment from a repeated one.
MAX_HOLES: Final = 16
#: A hole that was acknowledged this long ago isn't one of order within the capture, nanoseconds.
ACKNOWLEDGED_HOLE: Final = 100_000_000
#: A segment that comes so soon behind the one that overtook it was not sent again (as Wireshark counts), nanoseconds.
OVERTAKEN: Final = 3_000_000


def count_segment(half: Half, sequence: int, length: int, time: int) -> None:
    """Keeps `high` and the connection's retransmissions, by the rules of Wireshark's TCP analysis."""
    end = sequence + length & SEQUENCE_MASK
    ahead = sequence - half.high & SEQUENCE_MASK
    if ahead == 0:
        half.reaches(end, time)
    elif ahead < BEHIND:
        if len(half.holes) < MAX_HOLES:
            half.holes.append((half.high, sequence, time))
        half.reaches(end, time)
    else:
        _count_behind(half, sequence, end, length, time)


def _count_behind(half: Half, sequence: int, end: int, length: int, time: int) -> None:
    """A segment that begins where others were seen."""
    extends = (end - half.high & SEQUENCE_MASK) - 1 < BEHIND - 1
    if sequence == half.high - 1 & SEQUENCE_MASK:  # keep-alive, or what follows a probe of a closed window
        if length > 1 and extends:
            half.reaches(end, time)
        return
    opened = _fill_hole(half, sequence, end)
    if opened is None or time - opened >= OVERTAKEN:
        half.flow.retransmissions += 1
    if extends:
        half.reaches(end, time)


def _fill_hole(half: Half, sequence: int, end: int) -> int | None:
    """When the hole opened in which all of it lies, None where there is none; the hole shrinks."""
    for index, (begin, stop, opened) in enumerate(half.holes):
        if not sequence - begin & BEHIND and not stop - end & BEHIND:
            left = [(begin, sequence, opened)] if begin != sequence else []
            right = [(end, stop, opened)] if end != stop else []
            half.holes[index : index + 1] = left + right
            return opened
    return None


def receive(half: Half, sequence: int, data: bytes | bytearray, time: int) -> None:
    """A segment's payload, as much as was captured."""
    if half.waiting:
        _add_waiting(half, sequence, data, time)
        _drain(half)
        if half.waiting:
            _give_up_where_hopeless(half, time)
        return
    offset = (half.head - sequence & SEQUENCE_MASK) + len(half.part)  # bytes of it that came before
    if offset >= BEHIND:
        offset -= SEQUENCE_MASK + 1
    if offset == 0:
        consume(half, data, time)
    elif offset > 0:
        if offset <= len(data):
            consume(half, data[offset:], time)
    else:
        _add_waiting(half, sequence, data, time)
        _give_up_where_hopeless(half, time)


def _add_waiting(half: Half, sequence: int, data: bytes | bytearray, time: int) -> None:
    half.waiting.append(Waiting(sequence, data, time))
    half.held += len(data)
    half.together.added += len(data)


def _missing_before(half: Half, waiting: Waiting) -> int:
    """Bytes that are missing between what came and a segment; negative where it overlaps."""
    gap = (waiting.sequence - half.head & SEQUENCE_MASK) - len(half.part)
    return gap - (SEQUENCE_MASK + 1) if gap >= BEHIND else gap


def _drain(half: Half) -> None:
    """Consumes waiting segments as far as they reach; where two overlap, the one that came first."""
    while half.waiting:
        candidates = [(index, gap) for index, w in enumerate(half.waiting) if (gap := _missing_before(half, w)) <= 0]
        if not candidates:
            return
        index, gap = candidates[0]
        chosen = half.waiting[index]
        data = chosen.data[-gap:] if gap else chosen.data
        limit = min((ahead for w in half.waiting[:index] if (ahead := _missing_before(half, w)) > 0), default=len(data))
        if len(data) <= limit:
            del half.waiting[index]
            half.held -= len(chosen.data)
        if -gap <= len(chosen.data):  # it reaches to `head`, where a record may end with it
            consume(half, data[:limit], chosen.time)


def _give_up_where_hopeless(half: Half, time: int) -> None:
    while half.waiting and _hopeless(half, time):
        skip_hole(half)


def _hopeless(half: Half, time: int) -> bool:
    if half.held + len(half.part) > MAX_REASSEMBLY or len(half.waiting) > MAX_WAITING:
        return True
    first = min(half.waiting, key=lambda waiting: _missing_before(half, waiting))
    acked = half.peer.acked
    received = acked >= 0 and not acked - first.sequence & BEHIND
    return received and (half.flow.filtered or time - first.time > ACKNOWLEDGED_HOLE)


def skip_filtered(half: Half, time: int) -> None:
    """What the other side acknowledged and the filter took out is passed over before that side's bytes are read."""
    if half.waiting:
        _give_up_where_hopeless(half, time)


def skip_hole(half: Half) -> None:
    """The bytes before the first waiting segment will never come."""
    first = min(half.waiting, key=lambda waiting: _missing_before(half, waiting))
    flow, before = half.flow, half.flow.gap
    missing(half, first.sequence)
    if flow.filtered and flow.gap != before:
        flow.gap = first.time - 1  # whatever is missing passed before that
    _drain(half)
