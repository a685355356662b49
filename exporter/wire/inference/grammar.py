"""The form in which a protocol's grammar is written down: sizes, what a client may say, what a server may answer.

Everything is in bytes with CRLF. In IMAP each command and each final reply carries the client's tag, whose length is
not known at first: sizes are given without it, and a reading of the conversation supposes one.

Surprise is counted in bits, and a reading adds up what it has to suppose (`readings`). A size that allows many lengths
says little of the one that was seen: it costs the logarithm of how many it allows. `cost` comes on top, as a judgement
and not a count: 0 for what everybody does, 5 for what few do, 10 for what is nearly unheard of.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import log2
from typing import NamedTuple

from exporter.vocabulary import Mechanism
from exporter.wire.inference.overhead import Length


class Verdict(StrEnum):
    """What a reply means for the command before it."""

    DONE = "done"  # of a command that signs nobody in
    CONTINUE = "continue"  # the server wants the next part of a credential
    CHALLENGE = "challenge"  # a token's refusal, announced (RFC 7628 3.2.2, Google's XOAUTH2)
    ACCEPTED = "accepted"
    REFUSED = "refused"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"  # neither: the server couldn't say
    UNCLEAR = "unclear"  # among answers to other commands: it can't be told which


class Answer(NamedTuple):
    """A reply of `low` to `high` bytes, the tag not counted where it is `tagged`; `bits` instead of their logarithm.

    `base64` as of a command's size.
    """

    low: int
    high: int
    verdict: Verdict
    cost: float = 0
    tagged: bool = True
    bits: float | None = None
    base64: bool = False

    def surprise(self, length: Length, tag: int) -> float | None:
        """How surprising the reply is under a tag of that length; None where it can't be this one."""
        shift = tag if self.tagged else 0
        return _surprise(self.low + shift, self.high + shift, length, 4 if self.base64 else 1, self.bits, self.cost)


#: What a server says, by what it is asked; see `Move.asks`.
Words = Mapping[str, tuple[Answer, ...]]


class Size(NamedTuple):
    """A command of `low` to `high` bytes; `base64`: what is over `low` comes in fours (RFC 4648 4)."""

    low: int
    high: int
    base64: bool = False
    tagged: bool = True
    bits: float | None = None

    def surprise(self, length: Length, tag: int) -> float | None:
        """As of an answer."""
        shift = tag if self.tagged else 0
        return _surprise(self.low + shift, self.high + shift, length, 4 if self.base64 else 1, self.bits, 0)


def _surprise(low: int, high: int, seen: Length, step: int, bits: float | None, cost: float) -> float | None:
    if seen.high < low or seen.low > high:
        return None
    if step > 1 and seen.low == seen.high and (seen.low - low) % step:
        return None
    shared = min(high, seen.high) - max(low, seen.low) + 1
    if bits is not None:
        return cost + max(0.0, bits - log2(shared))
    return cost + max(0.0, log2((high - low + 1) / max(shared, step)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A command in a state: its size, the question that it puts, and where each verdict leads.

    `mechanism`: with it the credential is complete. `names`: it names a mechanism whose credential comes next.
    `last` and `not_last`: it can only be the client's last word, or never is.
    """

    size: Size
    asks: str
    then: Mapping[Verdict, str] = field(default_factory=dict)
    mechanism: Mechanism | None = None
    names: Mechanism | None = None
    cost: float = 0
    last: bool = False
    not_last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """A protocol's: the moves of each state, the words of servers nobody knows, and Microsoft's.

    `tags`: lengths that a tag may have, with their cost.
    """

    moves: Mapping[str, tuple[Move, ...]]
    generic: Words
    microsoft: Words
    tags: Mapping[int, float] = field(default_factory=lambda: {0: 0})


#: States that every grammar has.
START = "start"
LISTED = "listed"  # what the server offers was read
IDENTIFIED = "identified"  # the client said who it is (RFC 2971), which it does to go on
FRESH = "fresh"  # signed in, nothing said since
SESSION = "session"
REFUSED = "refused"
STUBBORN = "stubborn"  # refused, and talking on as if nothing had happened
CHALLENGED = "challenged"
TOGETHER = "together"  # behind commands that were sent together
LEFT = "left"  # the client said goodbye

#: How surprising it is that a connection ends in a state, closed by the client or by the server.
ENDS: Mapping[str, tuple[float, float]] = {
    FRESH: (8, 8),
    SESSION: (0, 1),
    IDENTIFIED: (9, 9),
    REFUSED: (0, 1),
    STUBBORN: (0, 0),
    CHALLENGED: (1, 2),
    LEFT: (0, 0),
    TOGETHER: (0, 0),
    "begun": (4, 4),
    "addressed": (1, 1),
    "unanswered": (3, 5),
    "unclear": (0, 0),
}
#: In all others: nothing was tried, or a sign-in had begun.
ENDS_EARLY = (3.0, 4.0)

#: Where the answer to a complete credential leads.
SIGNED_IN: Mapping[Verdict, str] = {
    Verdict.ACCEPTED: FRESH,
    Verdict.REFUSED: REFUSED,
    Verdict.CHALLENGE: CHALLENGED,
    Verdict.THROTTLED: REFUSED,
    Verdict.UNAVAILABLE: REFUSED,
}


def line(low: int, high: int) -> Size:
    """Without a tag."""
    return Size(low, high, tagged=False)


def stays(
    state: str, size: Size, question: str, *, cost: float = 0, last: bool = False, not_last: bool = False
) -> Move:
    """A command that signs nobody in: `state` is where its answer leads."""
    return Move(size=size, asks=question, then={Verdict.DONE: state}, cost=cost, last=last, not_last=not_last)


def farewell(size: Size) -> Move:
    return stays(LEFT, size, "logout", last=True)


def together(*rows: tuple[int, int, Mechanism], late: float = 0) -> tuple[Move, ...]:
    """A credential in one turn with other commands, from rows of (low, high, mechanism).

    Who does so does it with all of them: that more comes behind is surprising, and so is that something came before
    (`late`); scripts that do have a password.
    """
    return tuple(
        Move(
            size=Size(low, high, tagged=False, bits=6),
            asks="together",
            then={Verdict.UNCLEAR: TOGETHER},
            mechanism=mechanism,
            cost=cost + late + (3 if mechanism is Mechanism.TOKEN else 0),
            last=last,
            not_last=not last,
        )
        for low, high, mechanism in rows
        for last, cost in ((True, 5), (False, 12))
    )


def done(low: int, high: int, cost: float = 0, *, tagged: bool = True) -> Answer:
    return Answer(low, high, Verdict.DONE, cost, tagged)


def mail(low: int, high: int, bits: float) -> Answer:
    """What is said in a session: anything."""
    return Answer(low, high, Verdict.DONE, tagged=False, bits=bits)


def goes_on(low: int, high: int, cost: float = 0) -> Answer:
    """A continuation: it never has a tag."""
    return Answer(low, high, Verdict.CONTINUE, cost, tagged=False)


def ranges(verdict: Verdict, *rows: tuple[int, int, float], tagged: bool = True) -> tuple[Answer, ...]:
    """Answers from rows of (low, high, cost)."""
    return tuple(Answer(low, high, verdict, cost, tagged) for low, high, cost in rows)


def answers_together(shortest: int, cost: float = 0) -> tuple[Answer, ...]:
    """Behind commands that were sent together: which answer is whose can't be told from their sum.

    `shortest`: what two answers have at least, or the first of them where a trace is cut. Where the words are known a
    single one would have fitted (`cost`).
    """
    return (
        Answer(shortest, 200, Verdict.UNCLEAR, cost, tagged=False, bits=7),
        Answer(201, 10_000_000, Verdict.UNCLEAR, cost, tagged=False, bits=10),
    )
