"""The accounts' job: a token for each account and vantage, presented at each target, at the pace of its policies.

Accounts go side by side, an account's vantages and targets one after another, so that nothing is asked twice at once.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from exporter.accounts import refresh_policy
from exporter.accounts.attempt import mechanism_of, sign_in, why_not_there, with_old_token, without_token
from exporter.accounts.configured import Account
from exporter.accounts.side_thread import on_thread
from exporter.accounts.sign_in_policy import SignInPolicy
from exporter.accounts.token import Resource, Source, TokenResult
from exporter.accounts.token_file import TokenFileError
from exporter.catalogue import Target
from exporter.metrics.accounts import AccountsState
from exporter.observations import AccountResult, PhaseResult, TokenUse
from exporter.probe.walk import Tools, Vantage
from exporter.probe.way import Deadline
from exporter.secret_files import Secret
from exporter.vocabulary import AuthOutcome, Outcome

#: One sign-in ends within so many seconds: Microsoft delays refusals by up to 18.
SIGN_IN_SECONDS = 60.0
#: Token requests to measure are this much apart between vantages, as a share of the interval.
_STAGGER = 0.5

#: Told of each sign-in: target, vantage, result.
Ended = Callable[[str, str, AccountResult], None]


@dataclass(slots=True)
class AccountsJob:
    """Tries the accounts that are due. `skew()`: seconds this machine is ahead, as the prober found.

    `say_waiting`: a token request that waits its time is a result too, for commands; the service keeps the last one.
    """

    accounts: Sequence[Account]
    vantages: Sequence[Vantage]
    tools: Tools
    state: AccountsState
    policy: SignInPolicy
    skew: Callable[[], float] = lambda: 0.0
    ended: Ended = lambda _target, _vantage, _result: None
    say_waiting: bool = False
    _measured: dict[tuple[str, str], float] = field(default_factory=dict)
    _starts: int = 0

    def configure(self) -> None:
        """Prepares the metrics: what isn't configured any more is forgotten."""
        self.state.configure(account.plan() for account in self.accounts)
        for account in self.accounts:
            self.state.record_credential_expiry(account.name, account.credential_expires)

    def continue_from(self, earlier: "AccountsJob") -> None:
        """Takes over when what was tried, at a reload. An account that has changed is tried at once."""
        known = {account.name: account for account in earlier.accounts}
        same = {own.name for own in self.accounts if own.name in known and own.same_as(known[own.name])}
        self.policy.continue_from(earlier.policy, same)
        self._measured, self._starts = earlier._measured, earlier._starts

    async def run(self) -> None:
        """Once over all accounts; one that fails unexpectedly doesn't keep the others from their turn."""
        self._starts += 1
        ended = await asyncio.gather(*(self._account(account) for account in self.accounts), return_exceptions=True)
        failures = [each for each in ended if isinstance(each, BaseException)]
        if failures:
            raise failures[0]

    async def _account(self, account: Account) -> None:
        for vantage in self.vantages:
            if vantage.name in account.vantages:
                await self.try_from(account, vantage)

    async def try_from(
        self,
        account: Account,
        vantage: Vantage,
        targets: Sequence[Target] | None = None,
        *,
        force: bool = False,
        ahead: bool = True,
    ) -> None:
        """One account from one vantage: token, then each target that is due. `force`: a token request in any case."""
        wanted = list(account.targets.values() if targets is None else targets)
        if account.password is not None:
            for target in wanted:
                await self._try_password(account, vantage, target, account.password)
            return
        measure = force or self._is_measured_now(account, vantage)
        for resource in Resource:
            these = [target for target in wanted if resource_of(target) is resource]
            if not these and not (measure and resource is Resource.EXCHANGE):
                continue
            token = await self._token(account, vantage, resource, force=measure, ahead=ahead)
            measure = False
            for target in these:
                await self._try(account, vantage, target, self._given(token))

    async def _try_password(self, account: Account, vantage: Vantage, target: Target, password: Secret) -> None:
        """Only where it wasn't refused a short while ago, by anyone of this machine."""
        guard = account.guard
        assert guard is not None
        if not self.policy.is_due((account.name, target.name, vantage.name), self.tools.clock()):
            return
        if why_not_there(account.settings, target) is not None:
            await self._try(account, vantage, target, _Given(password))
            return
        try:
            waiting = await on_thread(partial(guard.why_wait, self._now()))
        except TokenFileError as problem:
            waiting = str(problem)
        if waiting is not None:
            await self._try(account, vantage, target, _Given(None, waiting=waiting))
            return
        result = await self._try(account, vantage, target, _Given(password))
        if result is not None:
            with suppress(TokenFileError):
                await on_thread(partial(guard.ended, result.outcome, self._now()))

    def _now(self) -> float:
        return self.tools.wall_clock().timestamp()

    def _is_measured_now(self, account: Account, vantage: Vantage) -> bool:
        """Whether this vantage's token request is to be timed again; the first time vantages are spread out."""
        key, now = (account.name, vantage.name), self.tools.clock()
        if key not in self._measured:
            place = account.vantages.index(vantage.name)
            spread = refresh_policy.MEASURE_EVERY * _STAGGER * place / max(len(account.vantages), 1)
            self._measured[key] = now + spread - (refresh_policy.MEASURE_EVERY if place == 0 else 0)
        return now >= self._measured[key] + refresh_policy.MEASURE_EVERY

    async def _token(
        self, account: Account, vantage: Vantage, resource: Resource, *, force: bool, ahead: bool
    ) -> TokenResult:
        assert account.tokens is not None
        token = await account.tokens.token(vantage, resource, force=force, ahead=ahead)
        if token.source is Source.IDENTITY_PROVIDER:
            self._measured[account.name, vantage.name] = self.tools.clock()
        self.state.record_token(token, self.tools.wall_clock())
        ends = [each for each in (account.credential_expires, token.sign_in_expires) if each is not None]
        self.state.record_credential_expiry(account.name, min(ends, default=None))
        return token

    def _given(self, token: TokenResult) -> "_Given":
        left = None
        if token.expires_at is not None:
            left = round((token.expires_at - self.tools.wall_clock()).total_seconds(), 3)
        use = TokenUse(source=token.source, seconds=token.seconds, expires_in=left)
        return _Given(token.secret, use, token)

    async def _try(self, account: Account, vantage: Vantage, target: Target, given: "_Given") -> AccountResult | None:
        place, presents = (account.name, target.name, vantage.name), given.secret is not None
        if not self.policy.is_due(place, self.tools.clock(), presents=presents):
            return None
        result = await self._signed_in(account, vantage, target, given)
        if result is None:
            return None
        mechanism = mechanism_of(account.settings)
        self.policy.ended(place, mechanism, result.outcome, self.tools.clock(), presented=presents)
        self.state.record_sign_in(target.name, vantage.name, result, self.tools.wall_clock())
        self.ended(target.name, vantage.name, result)
        return result

    async def _signed_in(
        self, account: Account, vantage: Vantage, target: Target, given: "_Given"
    ) -> AccountResult | None:
        """The sign-in's result; None where there is nothing to say: no token, and none was to be asked for."""
        if given.secret is None:
            return _without(account, given, self.tools.wall_clock(), say_waiting=self.say_waiting)
        result = await sign_in(
            account.settings,
            target,
            vantage,
            self.tools,
            given.secret,
            deadline=Deadline(self.tools.clock() + SIGN_IN_SECONDS),
            skew=self.skew(),
            expires_at=None if given.token is None else given.token.expires_at,
            token=given.use,
            start=self._starts,
        )
        refused = None if given.token is None else given.token.error
        return result if refused is None else with_old_token(result, refused)


@dataclass(frozen=True, slots=True)
class _Given:
    """What there is to present, or why there is nothing."""

    secret: Secret | None
    use: TokenUse | None = None
    token: TokenResult | None = None
    waiting: str | None = None


def resource_of(target: Target) -> Resource:
    """What a token must be for, to be taken there."""
    return Resource.GRAPH if target.host.startswith(("graph.", "microsoftgraph.")) else Resource.EXCHANGE


def _without(account: Account, given: _Given, now: datetime, *, say_waiting: bool) -> AccountResult | None:
    token, mechanism = given.token, mechanism_of(account.settings)
    result = AccountResult(
        name=account.name, mechanism=mechanism, outcome=AuthOutcome.UNKNOWN, token=given.use, time=now
    )
    if token is None:
        return replace(result, error=given.waiting) if say_waiting else None
    if token.error is not None and given.use is not None:
        return without_token(account.settings, token.error, now, given.use)
    result = replace(result, phases=token.phases)
    if token.withheld is not None:
        return replace(result, error=token.withheld, withheld=token.withheld)
    failed = _failed(token.phases)
    if failed is not None:
        words = f"no token: {failed.phase}: {failed.outcome}" + (f" ({failed.detail})" if failed.detail else "")
        return replace(result, error=words, failed_phase=failed.phase)
    reason = token.unusable or (token.waiting if say_waiting else None)
    return replace(result, error=f"no token: {reason}") if reason else None


def _failed(phases: Sequence[PhaseResult]) -> PhaseResult | None:
    return next((result for result in phases if result.outcome not in (Outcome.OK, Outcome.SKIPPED)), None)
