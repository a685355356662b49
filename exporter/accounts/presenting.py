"""Presents an account's secret over a conversation, and makes its answer an explanation."""

from collections.abc import Callable
from dataclasses import dataclass, field

from exporter.accounts.errors import Explanation, explain_meaning, explain_reply
from exporter.accounts.scrub import Scrubber
from exporter.accounts.withholding import Withheld
from exporter.probe.exchange import Conversation
from exporter.probe.failures import PhaseFailure
from exporter.probe.presenter import BAD_NEWS, Credential, Link
from exporter.probe.way import RunningPhase
from exporter.protocols import response_codes
from exporter.protocols.replies import KnownReply, Meaning
from exporter.vocabulary import AuthOutcome, Mechanism, Outcome, Phase

#: Given the handshake that the conversation runs over, why the secret stays here; None: it may go.
Gate = Callable[[Link | None], Withheld | None]


@dataclass(slots=True)
class AccountPresenter:
    """One account's secret, presented once. What became of it is left here and in the conversation's findings.

    `token_expired`: whether the token is out of date already, by the corrected clock.
    """

    owned: Credential
    gate: Gate
    token_expired: bool | None = None
    real: bool = True
    presented: bool = False
    withheld: Withheld | None = None
    explanation: Explanation | None = None
    scrubber: Scrubber = field(init=False)

    def __post_init__(self) -> None:
        self.scrubber = Scrubber(self.owned.secret.reveal(), self.owned.user)

    @property
    def mechanism(self) -> Mechanism:
        """Token or password."""
        return self.owned.mechanism

    def credential(self, talk: Conversation) -> Credential | None:
        """The secret, if it may go out over what the conversation runs over at this moment."""
        self.withheld = self.gate(talk.link())
        self.presented = self.withheld is None
        return self.owned if self.presented else None

    def authorization(self, credential: Credential) -> str:
        """RFC 6750 2.1."""
        return f"Bearer {credential.secret.reveal()}"

    def accepted(self, talk: Conversation, phase: RunningPhase, line: str) -> None:
        """Signed in."""
        self._note(talk, line, AuthOutcome.ACCEPTED)

    def refused(self, talk: Conversation, phase: RunningPhase, line: str, known: KnownReply | None) -> None:
        """Refused, or signed in and then refused the mailbox: what it means, and the phase's outcome by it."""
        line = self.scrubber.scrub(line)
        meaning = known.meaning if known is not None else response_codes.meaning(talk.protocol, line)
        if known is not None:
            self.explanation = explain_reply(known, self.mechanism, token_expired=self.token_expired)
        else:
            self.explanation = explain_meaning(meaning, line, self.mechanism, token_expired=self.token_expired)
        outcome = BAD_NEWS.get(meaning, Outcome.REJECTED) if meaning is not None else Outcome.REJECTED
        talk.findings.meaning = meaning
        if phase.phase is Phase.SESSION:
            talk.findings.reply = line
        else:
            self._note(talk, line, _auth_outcome(outcome, meaning))
        raise PhaseFailure(outcome, line)

    def _note(self, talk: Conversation, line: str, outcome: AuthOutcome) -> None:
        found = talk.findings
        found.mechanism, found.auth_outcome = self.mechanism, outcome
        found.reply, found.measured_at = self.scrubber.scrub(line), talk.wall_clock()


def _auth_outcome(outcome: Outcome, meaning: Meaning | None) -> AuthOutcome:
    if outcome is Outcome.THROTTLED:
        return AuthOutcome.THROTTLED
    return AuthOutcome.UNKNOWN if outcome is Outcome.UNAVAILABLE else AuthOutcome.REFUSED
