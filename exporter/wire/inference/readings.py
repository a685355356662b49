"""All readings of a conversation that are still possible, turn by turn.

A reading supposes how long the client's tags are, whether the server speaks Microsoft's known words or others, and
what each turn was. Every turn filters them: what can't be dies, what can but is surprising costs so many bits. None is
chosen on the way. At the end those within `MARGIN` of the least surprising one are what must be reckoned with, and an
answer is what all of them agree on (`verdict`).
"""

from collections.abc import Iterator
from typing import NamedTuple

from exporter.vocabulary import AuthOutcome, Mechanism
from exporter.wire.inference.bursts import Turn
from exporter.wire.inference.grammar import ENDS, ENDS_EARLY, START, STUBBORN, Grammar, Move, Size, Verdict, Words
from exporter.wire.inference.overhead import Length
from exporter.wire.trace import OPEN_ENDS, TraceEnd

#: Readings more surprising than the best by so many bits at the end are left out.
MARGIN = 6
#: On the way they are kept for longer: what comes later may make them likely again.
_KEPT = 26
#: Readings under way at once; the most surprising go first.
_MOST = 256
#: A numbered tag grows from 9 to 10, after so many commands.
_FIRST_GROWTH = 8
_GROWTH_COST = 2
#: A known Microsoft server that says none of its known words.
_CHANGED_WORDS = 10
_MICROSOFT, _OTHER = 0, 1
_NEVER = 1e9
#: Only a credential is pondered over: that another command is answered so late is surprising.
_PONDERED, _PONDERED_MAIL = 6, 4
#: What is answered at once is waited for.
_UNAWAITED = 4
#: These are a line, which comes in one record.
_ONE_LINE = frozenset({Verdict.REFUSED, Verdict.CONTINUE, Verdict.CHALLENGE})
_IN_PARTS = 4
#: What is as long as a credential before is rather that once more than a command of a session.
_SAID_AGAIN = 4
#: Who goes on without being signed in is told the same each time.
_REBUKED = 2
#: Servers hold back refusals; an acceptance may be late too, and is so less often.
_LATE_ACCEPTANCE = 2
#: A server's words don't change: what refused before doesn't accept.
_SAME_WORDS, _SAME_BLOCKS, _SAID_BEFORE = 6, 2, 5
#: Two bytes may be data where they may be a farewell alert.
_ALERT_COST = 1
#: A turn that is in no grammar: commands sent together, an extension. Nothing is known behind it.
UNCLEAR = "unclear"
#: Behind a state's name: the client's last word there had no answer.
UNANSWERED = ", unanswered"
_UNCLEAR_COST, _STILL_UNCLEAR = 42, 16

_OUTCOMES = {
    Verdict.ACCEPTED: AuthOutcome.ACCEPTED,
    Verdict.REFUSED: AuthOutcome.REFUSED,
    Verdict.CHALLENGE: AuthOutcome.REFUSED,
    Verdict.THROTTLED: AuthOutcome.THROTTLED,
    Verdict.UNAVAILABLE: AuthOutcome.UNKNOWN,
    Verdict.UNCLEAR: AuthOutcome.UNKNOWN,
}


class Attempt(NamedTuple):
    """A credential in turn `sent`, or only its announcement (`bare`), kept while nothing else follows.

    Answered in turn `answered`; outcome and that are None where it was not.
    """

    sent: int
    mechanism: Mechanism
    outcome: AuthOutcome | None = None
    answered: int | None = None
    bare: bool = False


class Reading(NamedTuple):
    """What is supposed: where the conversation stands, the tag's length, whose words, and the attempts so far."""

    state: str
    tag: int
    words: int
    attempts: tuple[Attempt, ...] = ()


Readings = dict[Reading, float]


def begin(grammar: Grammar, *, microsoft: bool) -> Readings:
    """Everything is possible yet."""
    whose = {_MICROSOFT: 0, _OTHER: _CHANGED_WORDS} if microsoft else {_OTHER: 0}
    return {
        Reading(START, tag, words): cost + tag_cost
        for tag, tag_cost in grammar.tags.items()
        for words, cost in whose.items()
    }


def follow(grammar: Grammar, turns: tuple[Turn, ...], end: TraceEnd, *, microsoft: bool) -> Readings:
    """The readings behind the last turn, with what each had to suppose."""
    readings = begin(grammar, microsoft=microsoft)
    for number, turn in enumerate(turns):
        last = number == len(turns) - 1 or (number == len(turns) - 2 and turns[-1].may_be_close)
        not_last = not last or end in OPEN_ENDS
        readings = _kept(_step(grammar, readings, number, turn, last=last, not_last=not_last))
    return readings


def at_end(readings: Readings, end: TraceEnd) -> Readings:
    """Those to be reckoned with, once it is known how the connection ended."""
    column = {TraceEnd.CLIENT_CLOSED: 0, TraceEnd.SERVER_CLOSED: 1}.get(end)
    if column is not None:
        readings = {each: cost + _end(each)[column] for each, cost in readings.items()}
    best = min(readings.values(), default=0)
    return {each: cost for each, cost in readings.items() if cost <= best + MARGIN}


def _end(reading: Reading) -> tuple[float, float]:
    """Who reads that Microsoft takes no password leaves without having tried: there it is what many do."""
    if reading.words == _MICROSOFT and not reading.attempts:
        return 0, 1
    return ENDS.get(reading.state.removesuffix(UNANSWERED), ENDS_EARLY)


def _kept(readings: Readings) -> Readings:
    best = min(readings.values(), default=0)
    likely = {each: cost for each, cost in readings.items() if cost <= best + _KEPT}
    if len(likely) <= _MOST:
        return likely
    return dict(sorted(likely.items(), key=lambda item: item[1])[:_MOST])


def _step(grammar: Grammar, readings: Readings, number: int, turn: Turn, *, last: bool, not_last: bool) -> Readings:
    """`last`, `not_last`: whether the turn may be the client's last, or another; where a trace is cut, both."""
    found: Readings = {}

    def note(reading: Reading, cost: float) -> None:
        if cost < found.get(reading, _NEVER):
            found[reading] = cost

    for reading, cost in readings.items():
        if turn.may_be_close:
            note(reading, cost + _ALERT_COST)
        unclear = Reading(UNCLEAR, reading.tag, reading.words, reading.attempts)
        note(unclear, cost + (_STILL_UNCLEAR if reading.state == UNCLEAR else _UNCLEAR_COST))
        words = grammar.microsoft if reading.words == _MICROSOFT else grammar.generic
        for move in grammar.moves.get(reading.state, ()):
            if (move.last and not last) or (move.not_last and not not_last):
                continue
            besides = _pondered(turn, move) + _repeated(turn, move) + _rebuked(reading, turn, move)
            for tag, more in _tags(reading, move.size, turn.sent, number):
                begun = reading if tag == reading.tag else reading._replace(tag=tag)
                for after, surprise in _answers(begun, move, words, turn, number):
                    note(after, cost + move.cost + more + surprise + besides)
    return found


def _pondered(turn: Turn, move: Move) -> float:
    if not turn.is_late or move.mechanism is not None or move.asks == "after challenge":
        return 0
    return _PONDERED_MAIL if move.asks == "session" else _PONDERED


def _repeated(turn: Turn, move: Move) -> float:
    return _SAID_AGAIN if turn.repeats and move.asks == "session" else 0


def _rebuked(reading: Reading, turn: Turn, move: Move) -> float:
    """What it costs that a command out of place is told something new, or what a credential was told."""
    if move.asks != "illegal" or not _is_exact(turn):
        return 0
    if _was_refused(reading, turn.answered_as):
        return _SAID_BEFORE
    return _REBUKED if reading.state == STUBBORN and not turn.answered_as else 0


def _tags(reading: Reading, size: Size, sent: Length, number: int) -> Iterator[tuple[int, float]]:
    """Under which lengths of the tag a command may be what was sent, and how surprising that is."""
    surprise = size.surprise(sent, reading.tag)
    if surprise is not None:
        yield reading.tag, surprise
    if size.tagged and reading.tag and number >= _FIRST_GROWTH:
        surprise = size.surprise(sent, reading.tag + 1)
        if surprise is not None:
            yield reading.tag + 1, surprise + _GROWTH_COST


def _answers(reading: Reading, move: Move, words: Words, turn: Turn, number: int) -> Iterator[tuple[Reading, float]]:
    """Where a move leads under each answer that the server's bytes may be."""
    if turn.answer is None:
        awaited = move.mechanism is not None or move.last or move.asks == "session"
        yield _unanswered(reading, move, number), 0 if awaited else _UNAWAITED
        return
    cheapest: dict[Verdict, float] = {}
    for answer in words[move.asks]:
        if answer.verdict not in move.then:
            continue
        surprise = answer.surprise(turn.answer, reading.tag)
        if surprise is not None and turn.in_parts and answer.verdict in _ONE_LINE:
            surprise += _IN_PARTS
        if surprise is not None and turn.is_late and answer.verdict is Verdict.ACCEPTED:
            surprise += _LATE_ACCEPTANCE
        if surprise is not None and turn.answered_as:
            surprise += _same_words(reading, move, answer.verdict, turn)
        if surprise is not None and surprise < cheapest.get(answer.verdict, _NEVER):
            cheapest[answer.verdict] = surprise
    for verdict, surprise in cheapest.items():
        yield _answered(reading, move, verdict, number), surprise


def _same_words(reading: Reading, move: Move, verdict: Verdict, turn: Turn) -> float:
    """What it costs that the answer is as long as one that meant something else. What lets in is said once.

    Where the words are known, so are their lengths, and that another answer has the same is chance.
    """
    if move.mechanism is None or verdict is not Verdict.ACCEPTED or reading.words == _MICROSOFT:
        return 0
    refused = _was_refused(reading, turn.answered_as)
    if _is_exact(turn):
        return _SAME_WORDS if refused else _SAID_BEFORE
    return _SAME_BLOCKS if refused else 0


def _was_refused(reading: Reading, turns: tuple[int, ...]) -> bool:
    """Whether a credential was, in one of these turns."""
    return any(each.outcome is AuthOutcome.REFUSED and each.answered in turns for each in reading.attempts)


def _is_exact(turn: Turn) -> bool:
    return turn.answer is not None and turn.answer.low == turn.answer.high


def _unanswered(reading: Reading, move: Move, number: int) -> Reading:
    mechanism = move.mechanism or move.names
    if mechanism is None:
        return reading._replace(state=reading.state + UNANSWERED)
    attempt = Attempt(number, mechanism, bare=move.mechanism is None)
    return reading._replace(state="unanswered", attempts=(*_complete(reading.attempts), attempt))


def _answered(reading: Reading, move: Move, verdict: Verdict, number: int) -> Reading:
    attempts = reading.attempts
    if move.mechanism is not None:
        attempts = (*_complete(attempts), Attempt(number, move.mechanism, _OUTCOMES.get(verdict), number))
    elif move.names is not None:
        attempts = (*_complete(attempts), Attempt(number, move.names, bare=True))
    elif verdict is Verdict.REFUSED and attempts:  # behind a challenge: only now is the attempt's answer whole
        attempts = (*attempts[:-1], attempts[-1]._replace(answered=number))
    return Reading(move.then[verdict], reading.tag, reading.words, attempts)


def _complete(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """Without the announcement that is now followed by its credential, or by another."""
    return attempts[:-1] if attempts and attempts[-1].bare else attempts
