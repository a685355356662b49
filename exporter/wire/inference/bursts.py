"""Records as turns of a conversation: what the client said, what the server answered, in bytes of plain text.

A turn sums the records of one side until the other speaks, so that it doesn't matter how they were cut. Alerts,
session tickets and what comes before the client's first word are taken out here.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from exporter.wire.inference.overhead import TLS_1_3, Length, overheads
from exporter.wire.trace import OPEN_ENDS, Record, Trace

#: Turns looked at: sign-in is over long before.
MAX_TURNS = 24
_APPLICATION_DATA = 23
#: An alert's plain text (RFC 8446 6); in TLS 1.3 nothing else tells it from data.
_ALERT = 2
#: TLS 1.3 tickets may stand in front of the first reply behind STARTTLS: so many bytes at most.
_TICKETS = 1_600
#: A line of a reply has so many bytes at least.
_LINE = 12
#: What is shorter is said again for many reasons, and what is still shorter all the time.
_REPEATED, _SHORT, _A_LITTLE = 30, 14, 2
#: Words that say why: what is shorter ("+OK") is as long as many another.
_SHORTEST_WORDS = 16
#: Nothing but a credential (and mail itself) keeps a server busy for so long (seconds).
_LATE = 0.6
#: Turns among which tickets are looked for that weren't seen before the greeting.
_LATE_TICKETS_BEFORE = 2
#: What is said in several records follows so soon (seconds): later, a word is whole.
_GOES_ON = 1.0
#: A record so long, twice and nothing else, is a pair of tickets and no greeting.
_TICKET = 100
#: A padded record is one of sixteen lengths, or of seventeen with the byte that old CBC sends in front of it.
_ONE_PADDED = 17


class Turn(NamedTuple):
    """What the client sent, what the server answered to it (None: nothing), and when (seconds).

    `sent_at` is the client's last byte's time, `answered_at` the answer's first record's. `may_be_close`: the client's
    two bytes may be its farewell alert of TLS 1.3. `is_late`: the answer took much longer than others did. `in_parts`:
    it came in several records, as replies of several lines do from many servers. `repeats`: it is as long as one
    before, as a credential is that is sent again. `answered_as`: earlier turns whose answer was as long as this one's.
    """

    sent: Length
    answer: Length | None
    sent_at: float
    answered_at: float | None
    may_be_close: bool = False
    is_late: bool = False
    in_parts: bool = False
    repeats: bool = False
    answered_as: tuple[int, ...] = ()


class Conversation(NamedTuple):
    """The greeting (None behind STARTTLS, where it came in clear), and the turns.

    `blurred`: so much of what both sides said came in several padded records that hardly a length is known.
    """

    greeting: Length | None
    turns: tuple[Turn, ...]
    blurred: bool = False


class _Piece:
    """A record's plain text."""

    __slots__ = ("from_client", "length", "time")

    def __init__(self, time: float, from_client: bool, length: Length) -> None:
        self.time = time
        self.from_client = from_client
        self.length = length


def conversation(trace: Trace) -> Conversation | None:
    """None where no mail protocol was heard: no word of the client, or none of the server before it."""
    encrypted = trace.tls_version == TLS_1_3
    starttls = trace.starttls or trace.banner_length is not None
    pieces = _without_alerts(_pieces(trace), encrypted)
    pieces, tickets = _without_tickets(pieces) if encrypted and starttls else (pieces, False)
    first = next((index for index, piece in enumerate(pieces) if piece.from_client), None)
    if first is None:
        return None
    greeting = None
    if not starttls:
        greeting = _greeting(pieces[:first], encrypted)
        if greeting is None:
            return None
        if encrypted and first == 1:  # only a greeting was before it
            pieces = _without_late_tickets(pieces)
    late_tickets = _TICKETS if starttls and first == 0 and encrypted and not tickets else 0
    turns = _turns(pieces[first:], late_tickets)
    if trace.end in OPEN_ENDS and trace.quiet < _GOES_ON and len(turns) < MAX_TURNS:
        turns = _without_half_words(turns)
    return Conversation(greeting, _with_repetitions(_with_late_answers(turns)), _are_blurred(turns))


def _pieces(trace: Trace) -> list[_Piece]:
    client, server = overheads(trace)
    pieces = [
        _Piece(record.time, record.from_client, (client if record.from_client else server).plain(record.length))
        for record in sorted(trace.records, key=lambda record: record.time)  # a capture's order may be another
        if record.content_type == _APPLICATION_DATA
    ]
    if trace.tls_version in ("TLSv1", "TLSv1.0", "SSLv3") and "CBC" in trace.cipher:
        return _first_bytes(pieces, sorted(trace.records, key=lambda record: record.time))
    return pieces


def _first_bytes(pieces: list[_Piece], records: Sequence[Record]) -> list[_Piece]:
    """Old CBC is sent with a record of no or one byte in front (against BEAST): as small as a record can be."""
    smallest = min((record.length for record in records if record.content_type == _APPLICATION_DATA), default=0)
    lengths = [record.length for record in records if record.content_type == _APPLICATION_DATA]
    return [
        _Piece(piece.time, piece.from_client, Length(0, 1))
        if length == smallest and following is not None and following.from_client == piece.from_client
        else piece
        for piece, length, following in zip(pieces, lengths, (*pieces[1:], None), strict=False)
    ]


def _without_alerts(pieces: list[_Piece], encrypted: bool) -> list[_Piece]:
    """In TLS 1.3 a side's last record may be its farewell alert where it has an alert's size, or two bytes of data.

    Alone in its turn it is an alert, unless the server answers it in words. Behind other records of its side both must
    be reckoned with: it then counts for two bytes or none.
    """
    if not encrypted:
        return pieces
    for from_client in (False, True):
        last = max((i for i, piece in enumerate(pieces) if piece.from_client is from_client), default=None)
        if last is None or pieces[last].length != (_ALERT, _ALERT):
            continue
        if last > 0 and pieces[last - 1].from_client is from_client:
            pieces = [*pieces[:last], _Piece(pieces[last].time, from_client, Length(0, _ALERT)), *pieces[last + 1 :]]
        elif not from_client or last == len(pieces) - 1:
            pieces = pieces[:last] + pieces[last + 1 :]
    return pieces


def _without_tickets(pieces: list[_Piece]) -> tuple[list[_Piece], bool]:
    """Behind STARTTLS the client speaks first: the server's first records, if twice the same, are tickets."""
    first = [index for index, piece in enumerate(pieces) if not piece.from_client][:2]
    if len(first) < 2 or pieces[first[0]].length != pieces[first[1]].length or pieces[first[0]].length.low < _TICKET:
        return pieces, False
    return [piece for index, piece in enumerate(pieces) if index not in first], True


def _without_late_tickets(pieces: list[_Piece]) -> list[_Piece]:
    """A server may send tickets behind the client's first words; among its answers to them a pair of records is one."""
    turns = 0
    for index, (before, piece) in enumerate(pairwise(pieces)):
        turns += piece.from_client and not before.from_client
        if turns > _LATE_TICKETS_BEFORE:
            break
        same = not before.from_client and not piece.from_client and before.length == piece.length
        if same and piece.length.low >= _TICKET:
            return [*pieces[:index], *pieces[index + 2 :]]
    return pieces


def _greeting(preamble: list[_Piece], tickets: bool) -> Length | None:
    """The server's words before the client's first: the last record where tickets may stand before it."""
    if not preamble:
        return None
    lengths = [piece.length for piece in preamble]
    if tickets and len(lengths) > 1 and len(set(lengths)) == 1 and lengths[0].low >= _TICKET:
        return None
    return lengths[-1] if tickets else _sum(lengths)


def _turns(pieces: list[_Piece], late_tickets: int) -> list[Turn]:
    turns: list[Turn] = []
    at = 0
    while at < len(pieces) and len(turns) < MAX_TURNS:
        middle = _end_of_side(pieces, at)
        end = _end_of_side(pieces, middle)
        sent, answers = pieces[at:middle], pieces[middle:end]
        answer = _sum([piece.length for piece in answers]) if answers else None
        if answer is not None and late_tickets and not turns:
            answer = Length(max(0, answer.low - late_tickets), answer.high)
        length = _sum([piece.length for piece in sent])
        turns.append(
            Turn(
                length,
                answer,
                sent[-1].time,
                answers[0].time if answers else None,
                length == (_ALERT, _ALERT) and end == len(pieces),
                in_parts=sum(piece.length.high >= _LINE for piece in answers) > 1,
            )
        )
        at = end
    return turns


def _without_half_words(turns: list[Turn]) -> list[Turn]:
    """Where what was seen ends, the last word may be half a word, and its length another's."""
    *before, last = turns
    if last.answer is None:
        return before
    return [*before, Turn(last.sent, None, last.sent_at, None, last.may_be_close)]


def _are_blurred(turns: list[Turn]) -> bool:
    """Where both sides' words are cut into records; only one's may be its habit, and the other side's lengths help."""
    sent = sum(_is_blurred(turn.sent) for turn in turns)
    answered = sum(turn.answer is not None and _is_blurred(turn.answer) for turn in turns)
    return sent > 0 and 2 * answered > len(turns)


def _is_blurred(length: Length) -> bool:
    return length.high - length.low >= _ONE_PADDED


def _with_late_answers(turns: list[Turn]) -> tuple[Turn, ...]:
    """An answer is late, measured against the quickest of this connection: that one shows the way's own delay."""
    waits = [turn.answered_at - turn.sent_at for turn in turns if turn.answered_at is not None]
    limit = _LATE + 2 * min(waits, default=0.0)
    return tuple(
        turn._replace(is_late=True)
        if turn.answered_at is not None and turn.answered_at - turn.sent_at > limit
        else turn
        for turn in turns
    )


def _with_repetitions(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    found = []
    for number, turn in enumerate(turns):
        repeats = any(_repeats(turn, before) for before in turns[:number])
        answered_as = tuple(earlier for earlier in range(number) if _is_answered_as(turn, turns[earlier]))
        found.append(turn._replace(repeats=repeats, answered_as=answered_as) if repeats or answered_as else turn)
    return tuple(found)


def _repeats(turn: Turn, before: Turn) -> bool:
    """Tags and quotes may make a difference of two bytes; what is short is the same only if its answer is, too."""
    alike = abs(turn.sent.low - before.sent.low) <= _A_LITTLE
    if turn.sent.low >= _REPEATED:
        return alike
    if turn.answer is None or before.answer is None or turn.sent.low < _SHORT or turn.sent != before.sent:
        return False
    return abs(turn.answer.low - before.answer.low) <= _A_LITTLE


def _is_answered_as(turn: Turn, before: Turn) -> bool:
    return turn.answer is not None and turn.answer.low >= _SHORTEST_WORDS and turn.answer == before.answer


def _end_of_side(pieces: list[_Piece], start: int) -> int:
    end = start
    while end < len(pieces) and pieces[end].from_client == pieces[start].from_client:
        end += 1
    return end


def _sum(lengths: Sequence[Length]) -> Length:
    if len(lengths) == 1:
        return lengths[0]
    return Length(sum(length.low for length in lengths), sum(length.high for length in lengths))
