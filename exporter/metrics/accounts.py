"""The accounts' metrics, and what pages show of them: fed by the accounts' job, read by the web server's thread."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from exporter.metrics.account_tally import (
    AccountPlan,
    AccountTally,
    Refusal,
    SignIns,
    TokenOutcome,
    TokenRequests,
    fresh,
    succeeded,
    taken_over,
    with_sign_in,
    with_token,
)
from exporter.metrics.samples import Sample, histogram_samples
from exporter.observations import AccountResult
from exporter.vocabulary import AccountKind, Mechanism

__all__ = ["AccountPlan", "AccountStanding", "AccountsState", "Refusal", "TokenOutcome"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStanding:
    """One account as it stands, without its user's name. `signed_in` of `places`: where it was tried, and worked."""

    name: str
    kind: AccountKind
    mechanism: Mechanism
    token_expires: datetime | None
    token_last_success: datetime | None
    credential_expires: datetime | None
    signed_in: int
    places: int
    failing: tuple[Refusal, ...]
    history: tuple[Refusal, ...]


class AccountsState:
    """Thread-safe; a SampleSource for `State.sources["accounts"]`. What isn't configured leaves no trace."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tallies: Mapping[str, AccountTally] = MappingProxyType({})

    def configure(self, plans: Iterable[AccountPlan]) -> None:
        """Say what is tried, at the start and at each reload; what isn't any more is forgotten."""
        with self._lock:
            before = self._tallies
            self._tallies = MappingProxyType(
                {
                    plan.name: taken_over(before[plan.name], plan) if plan.name in before else fresh(plan)
                    for plan in plans
                }
            )

    def record_token(self, result: TokenOutcome, now: datetime) -> None:
        """Counts a token request that ended; one answered from the cache is none, but its expiry is shown."""
        with self._lock:
            tally = self._tallies.get(result.account)
            if tally is not None and result.vantage in tally.plan.vantages:
                self._replace(with_token(tally, result, now))

    def record_sign_in(self, target: str, vantage: str, result: AccountResult, now: datetime) -> None:
        """Counts a sign-in that was tried, and makes it the latest."""
        with self._lock:
            tally = self._tallies.get(result.name)
            if tally is not None:
                self._replace(with_sign_in(tally, target, vantage, result, now))

    def record_credential_expiry(self, account: str, expires: datetime | None) -> None:
        """When the account's secret, certificate or sign-in on file expires."""
        with self._lock:
            tally = self._tallies.get(account)
            if tally is not None:
                self._replace(replace(tally, credential_expires=expires))

    def _replace(self, tally: AccountTally) -> None:
        self._tallies = MappingProxyType({**self._tallies, tally.plan.name: tally})

    def results_at(self, target: str, vantage: str) -> tuple[AccountResult, ...]:
        """The latest sign-ins there, for a probe's `accounts`."""
        places = (tally.sign_ins.get((target, vantage)) for tally in self._tallies.values())
        return tuple(place.latest for place in places if place is not None and place.latest is not None)

    def standings(self) -> tuple[AccountStanding, ...]:
        """Every account as it stands now, in the order of the configuration."""
        return tuple(map(_standing, self._tallies.values()))

    def version(self) -> object:
        """See SampleSource."""
        return self._tallies

    def samples(self) -> Iterable[Sample]:
        """See SampleSource."""
        for tally in self._tallies.values():
            yield from _of_account(tally)


def _standing(tally: AccountTally) -> AccountStanding:
    tried = [place.latest for place in tally.sign_ins.values() if place.latest is not None]
    return AccountStanding(
        name=tally.plan.name,
        kind=tally.plan.kind,
        mechanism=tally.plan.mechanism,
        token_expires=tally.token_expires,
        token_last_success=tally.token_last_success,
        credential_expires=tally.credential_expires,
        signed_in=sum(map(succeeded, tried)),
        places=len(tried),
        failing=tuple(tally.failing.values()),
        history=tally.history,
    )


def _of_account(tally: AccountTally) -> Iterator[Sample]:
    own = (("account", tally.plan.name),)
    for (target, vantage), place in tally.sign_ins.items():
        yield from _sign_ins(tally.plan, target, vantage, place)
    for (vantage, grant), requests in tally.requests.items():
        yield from _requests((*own, ("vantage", vantage), ("grant", grant)), requests)
    for (vantage, label), count in tally.errors.items():
        yield Sample("outlook_token_errors_total", (*own, ("vantage", vantage), ("error", label)), count)
    for metric, moment in (
        ("outlook_token_expiry_timestamp_seconds", tally.token_expires),
        ("outlook_token_last_success_timestamp_seconds", tally.token_last_success),
        ("outlook_account_credential_expiry_timestamp_seconds", tally.credential_expires),
    ):
        if moment is not None:
            yield Sample(metric, own, moment.timestamp())


def _sign_ins(plan: AccountPlan, target: str, vantage: str, place: SignIns) -> Iterator[Sample]:
    way = (("account", plan.name), ("target", target), ("vantage", vantage))
    by_mechanism = (*way, ("mechanism", plan.mechanism))
    if place.latest is not None:
        yield Sample("outlook_account_auth_success", by_mechanism, float(succeeded(place.latest)))
    for outcome, count in place.results.items():
        yield Sample("outlook_account_auth_results_total", (*by_mechanism, ("outcome", outcome)), count)
    yield from histogram_samples("outlook_account_auth_seconds", way, place.seconds)


def _requests(way: tuple[tuple[str, str], ...], requests: TokenRequests) -> Iterator[Sample]:
    for outcome, count in requests.outcomes.items():
        yield Sample("outlook_token_requests_total", (*way, ("outcome", outcome)), count)
    yield from histogram_samples("outlook_token_request_seconds", way, requests.seconds)
