"""What inference says of a recorded session, held against the server's own word."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.vocabulary import AuthOutcome, Mechanism
from exporter.wire.inference import infer
from tests.clients.session import Session
from tests.clients.truth import Attempt

_UNKNOWN = "unknown"
#: What a client that read and left, or that was not seen to try anything, looks like.
ABANDONED = Attempt(Mechanism.UNKNOWN, AuthOutcome.ABANDONED)


class Mark(StrEnum):
    RIGHT = "right"
    UNKNOWN = "unknown"
    WRONG = "wrong"


def truth(session: Session) -> Attempt:
    """The last attempt's, as `auth` of a connection shows it."""
    return session.truth[-1] if session.truth else ABANDONED


def told(session: Session) -> Attempt:
    """Where the client said nothing there is nothing to judge: that is as good as to say that it tried nothing."""
    found = infer(session.trace)
    return Attempt(found[-1].mechanism, found[-1].outcome) if found else ABANDONED


def mark(said: Attempt, true: Attempt) -> Mark:
    """Wrong if either half is; right only where both are."""
    if true == ABANDONED:  # nobody asks which mechanism was not used
        return Mark.RIGHT if said.outcome is AuthOutcome.ABANDONED else Mark(_half(said.outcome, true.outcome))
    halves = {_half(said.mechanism, true.mechanism), _half(said.outcome, true.outcome)}
    return Mark.WRONG if Mark.WRONG in halves else Mark.UNKNOWN if Mark.UNKNOWN in halves else Mark.RIGHT


def _half(said: str, true: str) -> Mark:
    if said == true:
        return Mark.RIGHT
    return Mark.UNKNOWN if said == _UNKNOWN else Mark.WRONG


@dataclass(slots=True)
class Tally:
    """Marks of many sessions, whole and by cell of true mechanism and outcome."""

    marks: Counter[Mark] = field(default_factory=Counter)
    cells: Counter[tuple[Attempt, Attempt]] = field(default_factory=Counter)

    def add(self, session: Session) -> Mark:
        said, true = told(session), truth(session)
        found = mark(said, true)
        self.marks[found] += 1
        self.cells[true, said] += 1
        return found

    @property
    def total(self) -> int:
        return sum(self.marks.values())

    def share(self, which: Mark) -> float:
        return self.marks[which] / self.total if self.total else 0.0


def tally(sessions: Iterable[Session]) -> Tally:
    found = Tally()
    for session in sessions:
        found.add(session)
    return found
