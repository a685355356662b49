"""Keeps a refused password from being sent again and again: some ten refusals lock an account (AADSTS50053).

What was refused is kept on disk beside the token caches, so that a restart, or a command run in a loop, doesn't forget.
"""

import random
from dataclasses import dataclass, field, replace

from exporter.accounts import refresh_policy as policy
from exporter.accounts.belonging import Belonging
from exporter.accounts.side_thread import Recall
from exporter.accounts.token_file import TokenFile
from exporter.vocabulary import AuthOutcome, Cause


@dataclass(slots=True)
class PasswordGuard:
    """One account's. Blocking, for a thread that `recall` ends; raises TokenFileError. `now`: Unix seconds."""

    file: TokenFile
    belonging: Belonging
    randomness: random.Random = field(default_factory=random.SystemRandom)

    def why_wait(self, now: float, recall: Recall) -> str | None:
        """Why the password isn't sent now; None: it may be."""
        with self.file.locked(recall.pause):
            history = policy.believable(self.belonging.kept(self.file.read()).history, now)
        if now >= history.not_before:
            return None
        return (
            f"the password was refused; it isn't sent again for {history.not_before - now:.0f} s, or it may be locked"
        )

    def ended(self, outcome: AuthOutcome, now: float, recall: Recall) -> None:
        """It was sent, and this was the answer. Only a refusal or its end is worth a write."""
        refused = outcome in (AuthOutcome.REFUSED, AuthOutcome.THROTTLED)
        if not refused and outcome is not AuthOutcome.ACCEPTED:
            return
        with self.file.locked(recall.pause):
            stored = self.belonging.kept(self.file.read())
            if refused:
                cause = Cause.CREDENTIALS_INVALID
                history = policy.failed(stored.history, now, cause, None, self.randomness)
            elif stored.history.failures:
                history = policy.succeeded(stored.history, now)
            else:
                return
            self.file.write(replace(stored, history=history))
