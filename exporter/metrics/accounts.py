"""What is accumulated of accounts: tokens fetched, sign-ins tried; and the samples and page lines made of it."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from exporter.accounts.errors import TokenError
from exporter.metrics.samples import Sample
from exporter.observations import AccountResult, PhaseResult
from exporter.vocabulary import AccountKind, Mechanism


class TokenOutcome(Protocol):
    """What of a `TokenResult` matters here (exporter.accounts.token)."""

    @property
    def account(self) -> str: ...
    @property
    def vantage(self) -> str: ...
    @property
    def grant(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def expires_at(self) -> datetime | None: ...
    @property
    def seconds(self) -> float | None: ...
    @property
    def phases(self) -> tuple[PhaseResult, ...]: ...
    @property
    def error(self) -> TokenError | None: ...
    @property
    def withheld(self) -> str | None: ...
    @property
    def reached(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPlan:
    """What is configured of an account: where it signs in, from where, and how its tokens are asked for."""

    name: str
    kind: AccountKind
    mechanism: Mechanism
    targets: tuple[str, ...]
    vantages: tuple[str, ...]
    grants: tuple[str, ...] = ()


class AccountsState:
    """Thread-safe; a SampleSource for `State.sources["accounts"]`. What isn't configured leaves no trace."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def configure(self, plans: Iterable[AccountPlan]) -> None:
        """Say what is tried, at the start and at each reload; what isn't any more is forgotten."""
        raise NotImplementedError

    def record_token(self, result: TokenOutcome, now: datetime) -> None:
        """Counts a token request that ended; one answered from the cache is none, but its expiry is shown."""
        raise NotImplementedError

    def record_sign_in(self, target: str, vantage: str, result: AccountResult, now: datetime) -> None:
        """Counts a sign-in that was tried, and makes it the latest."""
        raise NotImplementedError

    def record_credential_expiry(self, account: str, expires: datetime | None) -> None:
        """When the account's secret or certificate expires."""
        raise NotImplementedError

    def results_at(self, target: str, vantage: str) -> tuple[AccountResult, ...]:
        """The latest sign-ins there, for a probe's `accounts`."""
        raise NotImplementedError

    def version(self) -> object:
        """See SampleSource."""
        raise NotImplementedError

    def samples(self) -> Iterable[Sample]:
        """See SampleSource."""
        raise NotImplementedError
