"""Who presents what over a conversation, and what the answer means to it: here the canary; accounts have their own.

The conversations know how a credential is sent; a presenter knows whether one may be, which, and what became of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from exporter.observations import TlsResult
from exporter.probe.failures import PhaseFailure
from exporter.probe.identity import Identity
from exporter.probe.way import RunningPhase
from exporter.protocols.canary import CANARY_USER
from exporter.protocols.replies import IS_EXPECTED_REFUSAL, KnownReply, Meaning
from exporter.secret_files import Secret
from exporter.vocabulary import AuthOutcome, Mechanism, Outcome

if TYPE_CHECKING:
    from exporter.probe.exchange import Conversation

#: Given what distinguishes the path, the canary's token to present now, or None where none is due.
CanaryOffer = Callable[[tuple[object, ...]], str | None]


@dataclass(frozen=True, slots=True)
class Credential:
    """What is sent: a token by XOAUTH2 or Bearer, or a password."""

    user: str
    secret: Secret
    mechanism: Mechanism = Mechanism.TOKEN


@dataclass(frozen=True, slots=True)
class Link:
    """The completed handshake that a conversation runs over: to which host, and whose certificate it showed."""

    host: str
    tls: TlsResult
    identity: Identity


class Presenter(Protocol):
    """Decides what is presented. `real`: a real secret, after whose acceptance a session follows."""

    @property
    def mechanism(self) -> Mechanism: ...

    @property
    def real(self) -> bool: ...

    def credential(self, talk: "Conversation") -> Credential | None:
        """What to send over this very connection, now; None: nothing."""
        ...

    def authorization(self, credential: Credential) -> str:
        """The value of HTTP's Authorization header."""
        ...

    def accepted(self, talk: "Conversation", phase: RunningPhase, line: str) -> None:
        """The server said yes. May name the phase's outcome."""
        ...

    def refused(self, talk: "Conversation", phase: RunningPhase, line: str, known: KnownReply | None) -> None:
        """The server said no, in words that may be known. Names the phase's outcome, or raises PhaseFailure."""
        ...


@dataclass(frozen=True, slots=True)
class CanaryPresenter:
    """The worthless token: Microsoft's own refusal is what we want to see."""

    offer: CanaryOffer
    mechanism: Mechanism = Mechanism.TOKEN
    real: bool = False

    def credential(self, talk: "Conversation") -> Credential | None:
        """The canary, where one is due for a path that looks like this."""
        token = self.offer(tuple(talk.findings.marks))
        return None if token is None else Credential(CANARY_USER, Secret(token.encode()))

    def authorization(self, credential: Credential) -> str:
        """Empty, as iOS sends it: a challenge is all that is wanted."""
        return "Bearer"

    def accepted(self, talk: "Conversation", phase: RunningPhase, line: str) -> None:
        """A worthless token was accepted: whoever answers isn't Microsoft."""
        found = talk.findings
        found.mechanism, found.reply, found.measured_at = Mechanism.TOKEN, line, talk.wall_clock()
        found.auth_outcome = AuthOutcome.ACCEPTED
        phase.outcome, phase.detail = Outcome.UNRECOGNIZED, f"a worthless token was accepted: {line}"

    def refused(self, talk: "Conversation", phase: RunningPhase, line: str, known: KnownReply | None) -> None:
        """Its fate by the final line."""
        found = talk.findings
        found.mechanism, found.reply, found.measured_at = Mechanism.TOKEN, line, talk.wall_clock()
        if known is None:
            found.auth_outcome = AuthOutcome.REFUSED
            phase.outcome, phase.detail = Outcome.UNRECOGNIZED, line
            return
        found.meaning = known.meaning
        if known.meaning in IS_EXPECTED_REFUSAL:
            found.auth_outcome = AuthOutcome.EXPECTED_REFUSAL
        elif (outcome := BAD_NEWS.get(known.meaning)) is not None:
            found.auth_outcome = _AUTH_OUTCOMES.get(outcome, AuthOutcome.UNKNOWN)
            raise PhaseFailure(outcome, line)
        else:
            found.auth_outcome = AuthOutcome.REFUSED
            phase.outcome, phase.detail = Outcome.UNRECOGNIZED, line


#: Meanings that end a walk, wherever they are met.
BAD_NEWS: dict[Meaning, Outcome] = {
    Meaning.THROTTLED: Outcome.THROTTLED,
    Meaning.UNAVAILABLE: Outcome.UNAVAILABLE,
    Meaning.BUSY: Outcome.UNAVAILABLE,
    Meaning.TLS_TOO_OLD: Outcome.REJECTED,
    Meaning.TENANT_RESTRICTED: Outcome.REJECTED,
}

_AUTH_OUTCOMES = {Outcome.THROTTLED: AuthOutcome.THROTTLED, Outcome.REJECTED: AuthOutcome.REFUSED}
