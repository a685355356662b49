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
    if bits is not None:
        return cost + max(0.0, bits - log2(seen.high - seen.low + 1))
    shared = min(high, seen.high) - max(low, seen.low) + 1
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
    """A protocol's: where a conversation begins, the moves of each state, and the words of servers nobody knows.

    `unsaid`: states in which a connection may end though something was to follow, and how surprising its end is by
    whoever ended it. `tags`: lengths that a tag may have, with their cost.
    """

    start: str
    moves: Mapping[str, tuple[Move, ...]]
    generic: Words
    microsoft: Words
    tags: Mapping[int, int] = field(default_factory=lambda: {0: 0})


#: States that every grammar has.
FRESH = "fresh"  # signed in, nothing said since
SESSION = "session"
REFUSED = "refused"
STUBBORN = "stubborn"  # refused, and talking on as if nothing had happened
CHALLENGED = "challenged"
LEFT = "left"  # the client said goodbye
TOGETHER = "together"  # behind commands that were sent together

#: How surprising it is that a connection ends in a state, closed by the client or by the server.
ENDS: Mapping[str, tuple[float, float]] = {
    FRESH: (7, 7),
    SESSION: (0, 1),
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


def together(*states: tuple[int, int, Mechanism]) -> tuple[Move, ...]:
    """A credential in one turn with other commands, from rows of (low, high, mechanism): who does so does it with all."""
    return tuple(
        Move(
            size=Size(low, high, tagged=False, bits=8),
            asks="together",
            then={Verdict.UNCLEAR: TOGETHER},
            mechanism=mechanism,
            cost=cost,
            last=last,
            not_last=not last,
        )
        for low, high, mechanism in states
        for last, cost in ((True, 6), (False, 12))
    )


#: To be put among the words of every server.
ANSWERS_TOGETHER = (Answer(20, 10_000_000, Verdict.UNCLEAR, tagged=False, bits=10),)


def done(low: int, high: int, cost: float = 0, *, tagged: bool = True) -> Answer:
    return Answer(low, high, Verdict.DONE, cost, tagged)


def mail(low: int, high: int, bits: float) -> Answer:
    """What is said in a session: anything."""
    return Answer(low, high, Verdict.DONE, tagged=False, bits=bits)


def goes_on(low: int, high: int, cost: float = 0) -> Answer:
    """A continuation: it never has a tag."""
    return Answer(low, high, Verdict.CONTINUE, cost, tagged=False)


def challenges(prefix: str) -> tuple[Answer, ...]:
    """JSON that announces a refusal, as base64: `{"status":"401"}` is the shortest."""
    base = len(prefix) + 2
    rows = ((24, 36, 9), (40, 160, 0), (164, 400, 3))
    return tuple(
        Answer(base + low, base + high, Verdict.CHALLENGE, cost, tagged=False, base64=True) for low, high, cost in rows
    )


def ranges(verdict: Verdict, *table: tuple[int, int, int], tagged: bool = True) -> tuple[Answer, ...]:
    """Answers from rows of (low, high, cost)."""
    return tuple(Answer(low, high, verdict, cost, tagged) for low, high, cost in table)
