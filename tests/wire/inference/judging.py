"""What inference says of a recorded session, held against the server's own word."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from exporter.vocabulary import AuthOutcome, Mechanism
from exporter.wire.inference.infer import infer
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


#: Runs that sign in and leave, or hang up, and do nothing in between: by client, the words of `flavour` that make it more.
_LEAVES_AT_ONCE: dict[str, frozenset[str]] = {
    "imaplib": frozenset({"select", "noop"}),
    "poplib": frozenset({"list"}),
    "smtplib": frozenset({"send"}),
    **dict.fromkeys(("pop_checks", "smtp_checks", "gives_up", "pop_gives_up", "smtp_gives_up"), frozenset[str]()),
}


def is_decidable(session: Session) -> bool:
    """Whether anything in the conversation decides.

    On words that aren't known, who is let in and leaves at once looks like who is refused and leaves, and so does what
    was sent together with other commands.
    """
    if not session.decidable:
        return False
    more = _LEAVES_AT_ONCE.get(session.client)
    leaves_at_once = (more is not None and not more & set(session.flavour.split())) or "--quit-after" in session.flavour
    return session.trace.microsoft or not leaves_at_once or truth(session).outcome is not AuthOutcome.ACCEPTED


def is_exact(session: Session) -> bool:
    """Whether lengths are; CBC gives them in steps of 16, so that sizes decide little."""
    return "CBC" not in session.trace.cipher


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
