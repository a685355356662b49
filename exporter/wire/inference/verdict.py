"""What the readings to be reckoned with agree on, as observations."""

from collections.abc import Iterable

from exporter.observations import WireAuth
from exporter.vocabulary import AuthOutcome, Mechanism
from exporter.wire.inference.bursts import Turn
from exporter.wire.inference.readings import Attempt, Reading
from exporter.wire.trace import TraceEnd

#: Ends behind which more may have been said: what is missing then was not seen, which isn't to say that it wasn't there.
_OPEN_ENDS = frozenset({TraceEnd.CAPTURE_ENDED, TraceEnd.GAP, TraceEnd.FULL})


def agreed(readings: Iterable[Reading], turns: tuple[Turn, ...], end: TraceEnd) -> tuple[WireAuth, ...]:
    """One observation for each attempt that all readings have; mechanism and outcome apart."""
    all_attempts = [reading.attempts for reading in readings]
    unclear = any(reading.state == "unclear" for reading in readings)
    if not all_attempts:
        return (WireAuth(mechanism=Mechanism.UNKNOWN, outcome=AuthOutcome.UNKNOWN),)
    if not any(all_attempts):
        cut = unclear or end in _OPEN_ENDS
        return (WireAuth(mechanism=Mechanism.UNKNOWN, outcome=AuthOutcome.UNKNOWN if cut else AuthOutcome.ABANDONED),)
    shared = set.intersection(*({attempt.sent for attempt in attempts} for attempts in all_attempts))
    found = tuple(
        _observation([attempt for attempts in all_attempts for attempt in attempts if attempt.sent == sent], turns, end)
        for sent in sorted(shared)
    )
    return found or (WireAuth(mechanism=Mechanism.UNKNOWN, outcome=AuthOutcome.UNKNOWN),)


def _observation(readings: list[Attempt], turns: tuple[Turn, ...], end: TraceEnd) -> WireAuth:
    mechanisms = {attempt.mechanism for attempt in readings}
    outcomes = {attempt.outcome or _without_answer(end) for attempt in readings}
    answered = {attempt.answered for attempt in readings}
    outcome = outcomes.pop() if len(outcomes) == 1 else AuthOutcome.UNKNOWN
    seconds = None
    if len(answered) == 1 and (turn := answered.pop()) is not None and outcome is not AuthOutcome.ABANDONED:
        answered_at = turns[turn].answered_at
        seconds = None if answered_at is None else answered_at - turns[readings[0].sent].sent_at
    return WireAuth(
        mechanism=mechanisms.pop() if len(mechanisms) == 1 else Mechanism.UNKNOWN, outcome=outcome, seconds=seconds
    )


def _without_answer(end: TraceEnd) -> AuthOutcome:
    return AuthOutcome.UNKNOWN if end in _OPEN_ENDS else AuthOutcome.ABANDONED
