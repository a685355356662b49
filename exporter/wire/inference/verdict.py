"""What the readings to be reckoned with agree on, as observations."""

from collections.abc import Iterable

from exporter.observations import WireAuth
from exporter.vocabulary import AuthOutcome, Mechanism
from exporter.wire.inference.bursts import Turn
from exporter.wire.inference.readings import UNCLEAR, Attempt, Reading
from exporter.wire.trace import OPEN_ENDS, TraceEnd


def agreed(readings: Iterable[Reading], turns: tuple[Turn, ...], end: TraceEnd) -> tuple[WireAuth, ...]:
    """One observation for each attempt that all readings have, counted from the last; mechanism and outcome apart."""
    told = [_told(reading) for reading in readings]
    count = min((len(attempts) for attempts in told), default=0)
    if count:
        return tuple(_observation([attempts[-back] for attempts in told], turns, end) for back in range(count, 0, -1))
    tried = not told or any(not attempt.bare for attempts in told for attempt in attempts)
    outcome = AuthOutcome.UNKNOWN if tried or end in OPEN_ENDS else AuthOutcome.ABANDONED
    return (WireAuth(mechanism=Mechanism.UNKNOWN, outcome=outcome),)


def _told(reading: Reading) -> tuple[Attempt, ...]:
    """A mechanism that was named and never used is an attempt only where there is no other."""
    if reading.state == UNCLEAR and not reading.attempts:
        return (Attempt(0, Mechanism.UNKNOWN, AuthOutcome.UNKNOWN),)
    real = tuple(attempt for attempt in reading.attempts if not attempt.bare)
    return real or reading.attempts


def _observation(readings: list[Attempt], turns: tuple[Turn, ...], end: TraceEnd) -> WireAuth:
    mechanisms = {attempt.mechanism for attempt in readings}
    outcomes = {attempt.outcome or _without_answer(end) for attempt in readings}
    spans = {(attempt.sent, attempt.answered) for attempt in readings}
    outcome = outcomes.pop() if len(outcomes) == 1 else AuthOutcome.UNKNOWN
    seconds = _seconds(*spans.pop(), turns) if len(spans) == 1 and outcome is not AuthOutcome.ABANDONED else None
    return WireAuth(
        mechanism=mechanisms.pop() if len(mechanisms) == 1 else Mechanism.UNKNOWN, outcome=outcome, seconds=seconds
    )


def _seconds(sent: int, answered: int | None, turns: tuple[Turn, ...]) -> float | None:
    """From the credential's last byte to the first of the final answer."""
    if answered is None or (answered_at := turns[answered].answered_at) is None:
        return None
    return round(answered_at - turns[sent].sent_at, 9)


def _without_answer(end: TraceEnd) -> AuthOutcome:
    return AuthOutcome.UNKNOWN if end in OPEN_ENDS else AuthOutcome.ABANDONED
