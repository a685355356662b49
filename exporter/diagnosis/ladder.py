"""One connection as a ladder diagram: what each side of the gateway saw, packet by packet, and what is missing there.

Pure: packets (or, where there are none, what is known of the connection) in, rows out. Packets of the two sides are the
same where kind, direction and place in the stream agree, which NAT and rewritten sequence numbers leave alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final

from exporter.diagnosis.ladder_steps import Step, lacking, one_way, resets, rewritten
from exporter.wire.outcome import SECOND

#: Rows of one picture; what is between its beginning and its end is left out.
MAX_ROWS, LAST_ROWS = 30, 10
#: Kinds whose absence on the other side is worth a mark; a lone acknowledgment isn't.
_TELLING: Final = frozenset({"syn", "syn-ack", "data", "fin", "rst", "icmp"})
#: Segments on their way when a side's capture ends may be missing for that reason, nanoseconds.
_EDGE: Final = SECOND // 5


@dataclass(frozen=True, slots=True)
class Row:
    """One rung. `inside`, `outside`: what was seen there, None where nothing was. `missing`: the side, `inside` or
    `outside`, where it should have been seen and wasn't. `seconds`: since the first row, by the inside's clock."""

    seconds: float
    inside: Step | None
    outside: Step | None
    missing: str | None = None

    @property
    def step(self) -> Step:
        """The inside's view where there is one."""
        step = self.inside or self.outside
        assert step is not None
        return step


@dataclass(frozen=True, slots=True)
class Ladder:
    """`two_sided`: rows have an outside; `left_out`: rows between the beginning and the end; `notes`: what was
    rewritten on the way, and who else seems to have sent something."""

    rows: tuple[Row, ...]
    two_sided: bool
    left_out: int = 0
    notes: tuple[str, ...] = field(default=())
    of_packets: bool = True


def ladder(
    inside: Sequence[Step], outside: Sequence[Step] | None, *, same: bool = True, covered: bool = True,
    left_out: int = 0, notes: Sequence[str] = (), of_packets: bool = True,
) -> Ladder:  # fmt: skip
    """`outside`: None where there was one capture only. `same`: both sides are one stream of bytes, so that a packet
    seen on one is expected on the other. `covered`: the outside was captured at that time."""
    rows = list(_rows(inside, outside, same=same, covered=covered))
    merged = _merged(rows)
    if len(merged) > MAX_ROWS:
        left_out += len(merged) - MAX_ROWS
        merged = [*merged[: MAX_ROWS - LAST_ROWS], *merged[-LAST_ROWS:]]
    sides = (("inside", inside), ("outside", outside)) if outside is not None else ()
    told = (
        *notes,
        *one_way(sides),
        *resets(inside, "inside" if outside is not None else ""),
        *rewritten(inside, outside or ()),
    )
    return Ladder(tuple(merged), outside is not None, left_out, told, of_packets)


def _rows(inside: Sequence[Step], outside: Sequence[Step] | None, *, same: bool, covered: bool) -> Iterator[Row]:
    pairs, alone = _paired(inside, outside or ()) if same else ([(each, None) for each in inside], list(outside or ()))
    ahead = _ahead([(own, other) for own, other in pairs if other is not None])
    timed: list[tuple[int, Step | None, Step | None]] = [(own.time, own, other) for own, other in pairs]
    timed += [(other.time - ahead, None, other) for other in alone]
    timed.sort(key=lambda row: row[0])
    start = timed[0][0] if timed else 0
    ends = max((step.time for step in inside), default=0)
    absent = {"inside": lacking(inside), "outside": lacking(outside or ())}
    for time, own, other in timed:
        missing = None
        if same and covered and outside is not None:
            step = own or other
            assert step is not None
            if step.kind in _TELLING and (own is None or other is None):
                late = own is None and time > ends + _EDGE and step.kind != "rst"
                where = "outside" if other is None else "inside"
                missing = None if late or step.from_client in absent[where] else where
        yield Row((time - start) / SECOND, own, other, missing)


def _paired(inside: Sequence[Step], outside: Sequence[Step]) -> tuple[list[tuple[Step, Step | None]], list[Step]]:
    """Each of the inside with its counterpart; segments that were cut otherwise count as seen where all bytes were."""
    left: dict[tuple[object, ...], list[Step]] = {}
    for other in outside:
        left.setdefault(_identity(other), []).append(other)
    pairs: list[tuple[Step, Step | None]] = []
    for own in inside:
        same = left.get(_identity(own))
        pairs.append((own, same.pop(0) if same else None))
    alone = [each for each in outside if each in left[_identity(each)]]
    there, here = _covered(outside), _covered(inside)
    pairs = [(own, other or _within(own, there, outside)) for own, other in pairs]
    return pairs, [each for each in alone if each.again or _within(each, here, inside) is None]


def _identity(step: Step) -> tuple[object, ...]:
    place = (step.position, step.length) if step.kind == "data" else ()
    return step.from_client, step.kind, *place


def _covered(steps: Sequence[Step]) -> dict[bool, list[tuple[int, int]]]:
    """Of each direction's bytes what was seen, as ranges that don't touch."""
    found: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
    known = [step for step in steps if step.kind == "data" and step.position is not None]
    for step in sorted(known, key=lambda step: step.position or 0):
        ranges, begin, end = found[step.from_client], step.position or 0, (step.position or 0) + step.length
        if ranges and begin <= ranges[-1][1]:
            ranges[-1] = ranges[-1][0], max(ranges[-1][1], end)
        else:
            ranges.append((begin, end))
    return found


def _within(step: Step, ranges: dict[bool, list[tuple[int, int]]], others: Sequence[Step]) -> Step | None:
    """The other side's segment with its first byte, where all its bytes were seen there."""
    if step.kind != "data" or step.position is None or step.again:
        return None
    end = step.position + step.length
    if not any(begin <= step.position and end <= stop for begin, stop in ranges[step.from_client]):
        return None
    return next(
        (
            other for other in others
            if other.kind == "data" and other.from_client is step.from_client and other.position is not None
            and other.position <= step.position < other.position + other.length
        ),
        None,
    )  # fmt: skip


def _ahead(pairs: Sequence[tuple[Step, Step]]) -> int:
    """By how much the outside's clock is ahead: half of what the two directions' differences leave."""
    by_direction = [[other.time - own.time for own, other in pairs if own.from_client is way] for way in (True, False)]
    medians = [median(each) for each in by_direction if each]
    return round(sum(medians) / len(medians)) if medians else 0


def _merged(rows: Sequence[Row]) -> list[Row]:
    """Rows of the same kind, seen in the same places, as one."""
    merged: list[Row] = []
    for row in rows:
        before = merged[-1] if merged else None
        if before is not None and _alike(before, row):
            merged[-1] = Row(
                before.seconds, _joined(before.inside, row.inside), _joined(before.outside, row.outside), before.missing
            )
        else:
            merged.append(row)
    return merged


def _alike(before: Row, row: Row) -> bool:
    one, two = before.step, row.step
    places = (before.inside is None, before.outside is None, before.missing)
    return (
        one.kind == two.kind and one.kind in ("data", "syn") and one.from_client is two.from_client
        and one.again is two.again and places == (row.inside is None, row.outside is None, row.missing)
        and (one.again or one.kind == "data")
    )  # fmt: skip


def _joined(one: Step | None, two: Step | None) -> Step | None:
    if one is None or two is None:
        return one or two
    names = tuple(dict.fromkeys((*one.names, *two.names)))
    label = one.label
    more = [name for name in two.names if name not in one.names]
    if more:
        label = f"{label}, {', '.join(more)}"
    return replace(
        one, until=two.until, label=label, length=one.length + two.length, count=one.count + two.count,
        numbers=(*one.numbers, *two.numbers), names=names,
    )  # fmt: skip
