"""Every change of an outcome, a verdict, an account's result: into the history, and a line in the log."""

import structlog

from exporter.diagnosis.keep import VerdictChange
from exporter.history.recorder import History
from exporter.observations import AccountResult
from exporter.state import Change
from exporter.vocabulary import AuthOutcome, Cause, Outcome


class ChangeLog:
    """What was healthy from the start is no news."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._log = structlog.get_logger()
        self._accounts: dict[tuple[str, str, str], AuthOutcome] = {}

    def outcome(self, change: Change) -> None:
        """Of a probe."""
        self._history.changed(change)
        self._tell(
            "outcome changed",
            healthy=change.after is Outcome.OK,
            target=change.target,
            vantage=change.vantage,
            before=change.before,
            after=change.after,
            phase=change.after_phase,
            detail=change.detail,
        )

    def verdict(self, change: VerdictChange) -> None:
        """Of a diagnosis."""
        self._history.verdict(change)
        verdict = change.verdict
        healthy = verdict.cause is Cause.HEALTHY
        self._tell(
            "verdict",
            healthy=healthy,
            target=verdict.target,
            vantage=verdict.vantage,
            account=verdict.account,
            before=", ".join(change.before) or None,
            cause=verdict.cause,
            responsible=verdict.responsible,
            confidence=verdict.confidence,
            remedy=None if healthy else verdict.remedy,
        )

    def account(self, target: str, vantage: str, result: AccountResult) -> None:
        """Of a sign-in that ended, whether it is another than the last or not."""
        before = self._accounts.get((result.name, target, vantage))
        self._accounts[result.name, target, vantage] = result.outcome
        if before is not result.outcome:
            self._tell(
                "account changed",
                healthy=result.outcome is AuthOutcome.ACCEPTED,
                account=result.name,
                target=target,
                vantage=vantage,
                before=before,
                after=result.outcome,
                cause=result.cause,
                error=result.error,
            )

    def _tell(self, event: str, *, healthy: bool, **fields: object) -> None:
        if healthy and fields["before"] is None:
            return
        level = self._log.info if healthy else self._log.warning
        level(event, **fields)
