"""What is accumulated of one account: values, replaced by their successors through pure functions.

Token requests are counted by account, vantage and grant, sign-ins by account, target and vantage.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from exporter.accounts.errors import Explanation, TokenError, explain
from exporter.metrics.catalogue import SIGN_IN_BUCKETS
from exporter.metrics.tally import Histogram
from exporter.observations import AccountResult, PhaseResult
from exporter.vocabulary import AccountKind, AuthOutcome, Cause, Mechanism, Outcome, Phase, Responsible

#: Refusals of an account that are remembered; one that repeats is remembered once, with its count.
HISTORY = 20
#: Grants of an account that are counted apart; our own code names three.
MAX_GRANTS = 8

CACHE = "cache"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why something of an account failed. `target` None: its token. `last` and `count` grow while it repeats."""

    first: datetime
    last: datetime
    count: int
    target: str | None
    vantage: str
    label: str
    cause: Cause | None
    responsible: Responsible | None
    acts: str | None
    words: str

    def repeats(self, other: "Refusal") -> bool:
        """Whether it is the same again."""
        return (self.target, self.vantage, self.label, self.cause) == (
            other.target,
            other.vantage,
            other.label,
            other.cause,
        )


@dataclass(frozen=True, slots=True)
class SignIns:
    """Sign-ins of an account at one target from one vantage."""

    results: Mapping[AuthOutcome, int]
    seconds: Histogram
    latest: AccountResult | None = None

    @classmethod
    def empty(cls) -> "SignIns":
        """Counters that can be foreseen at 0, so that `rate()` sees the first event."""
        return cls({AuthOutcome.ACCEPTED: 0, AuthOutcome.REFUSED: 0}, Histogram.empty(SIGN_IN_BUCKETS))

    def counted(self, result: AccountResult) -> "SignIns":
        """With one more; without a token, or with a secret that was withheld, it is the latest but no sign-in."""
        if result.withheld is not None or result.failed_phase is Phase.TOKEN:
            return replace(self, latest=result)
        results = {**self.results, result.outcome: self.results.get(result.outcome, 0) + 1}
        seconds = self.seconds if result.seconds is None else self.seconds.observed(result.seconds)
        return SignIns(results, seconds, result)


@dataclass(frozen=True, slots=True)
class TokenRequests:
    """Token requests of an account by one grant from one vantage. `outcomes`: words of `token_outcome`."""

    outcomes: Mapping[Outcome, int]
    seconds: Histogram

    @classmethod
    def empty(cls) -> "TokenRequests":
        return cls({Outcome.OK: 0, Outcome.REJECTED: 0}, Histogram.empty(SIGN_IN_BUCKETS))

    def counted(self, result: TokenOutcome) -> "TokenRequests":
        """With one more; only what reached the identity provider is timed."""
        outcome = token_outcome(result)
        outcomes = {**self.outcomes, outcome: self.outcomes.get(outcome, 0) + 1}
        timed = result.reached and result.seconds is not None
        return TokenRequests(outcomes, self.seconds.observed(result.seconds or 0.0) if timed else self.seconds)


def token_outcome(result: TokenOutcome) -> Outcome:
    """How a token request ended, in the vocabulary of phases: refused is `rejected`, on the way its phase's outcome."""
    if result.error is not None:
        cause = explain(result.error).cause
        return {Cause.THROTTLED: Outcome.THROTTLED, Cause.SERVICE_OUTAGE: Outcome.UNAVAILABLE}.get(
            cause, Outcome.REJECTED
        )
    failed = next((each for each in result.phases if each.outcome not in (Outcome.OK, Outcome.SKIPPED)), None)
    if result.reached:
        return Outcome.OK
    return Outcome.UNRECOGNIZED if failed is None else failed.outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountTally:
    """All that is known of one account."""

    plan: AccountPlan
    sign_ins: Mapping[tuple[str, str], SignIns]  # by target and vantage
    requests: Mapping[tuple[str, str], TokenRequests]  # by vantage and grant
    errors: Mapping[tuple[str, str], int]  # by vantage and label
    token_expires: datetime | None = None
    token_last_success: datetime | None = None
    credential_expires: datetime | None = None
    #: What fails now, by target (None: the token) and vantage.
    failing: Mapping[tuple[str | None, str], Refusal] = field(default_factory=dict)
    history: tuple[Refusal, ...] = ()  # the newest first


def fresh(plan: AccountPlan) -> AccountTally:
    """A tally of nothing yet."""
    has_tokens = plan.mechanism is Mechanism.TOKEN
    return AccountTally(
        plan=plan,
        sign_ins={(target, vantage): SignIns.empty() for target in plan.targets for vantage in plan.vantages},
        requests={(vantage, grant): TokenRequests.empty() for vantage in plan.vantages for grant in plan.grants},
        errors={(vantage, "other"): 0 for vantage in plan.vantages if has_tokens},
    )


def taken_over(tally: AccountTally, plan: AccountPlan) -> AccountTally:
    """The tally under a new plan: what is configured still stays; another kind of account begins anew."""
    new = fresh(plan)
    if tally.plan.kind is not plan.kind:
        return new
    vantages, places = set(plan.vantages), set(new.sign_ins)
    failing = {
        (target, vantage): refusal
        for (target, vantage), refusal in tally.failing.items()
        if vantage in vantages and (target is None or (target, vantage) in places)
    }
    return replace(
        tally,
        plan=plan,
        sign_ins={place: tally.sign_ins.get(place, empty) for place, empty in new.sign_ins.items()},
        requests={**new.requests, **{key: value for key, value in tally.requests.items() if key[0] in vantages}},
        errors={**new.errors, **{key: value for key, value in tally.errors.items() if key[0] in vantages}},
        failing=failing,
        history=tuple(each for each in tally.history if each.vantage in vantages),
    )


def with_token(tally: AccountTally, result: TokenOutcome, now: datetime) -> AccountTally:
    """After a token was asked for. One from the cache was no request; one that was withheld never left."""
    place = (None, result.vantage)
    if result.withheld is not None:
        return _failed(tally, place, _refusal(place, now, "withheld", None, result.withheld))
    if result.error is None and result.expires_at is not None:
        tally = replace(tally, token_expires=result.expires_at)
    if result.source == CACHE:
        return tally
    key = (result.vantage, result.grant)
    if key in tally.requests or len(tally.requests) < MAX_GRANTS * len(tally.plan.vantages):
        requests = tally.requests.get(key, TokenRequests.empty()).counted(result)
        tally = replace(tally, requests={**tally.requests, key: requests})
    if result.error is not None:
        why = explain(result.error)
        error = (result.vantage, why.label)
        tally = replace(tally, errors={**tally.errors, error: tally.errors.get(error, 0) + 1})
        return _failed(tally, place, _refusal(place, now, why.label, why, why.words))
    outcome = token_outcome(result)
    if outcome is not Outcome.OK:
        return _failed(tally, place, _refusal(place, now, outcome, None, _on_the_way(result, outcome)))
    return _works(replace(tally, token_last_success=now), place)


def with_sign_in(tally: AccountTally, target: str, vantage: str, result: AccountResult, now: datetime) -> AccountTally:
    """After a sign-in."""
    place = (target, vantage)
    if place not in tally.sign_ins:
        return tally
    tally = replace(tally, sign_ins={**tally.sign_ins, place: tally.sign_ins[place].counted(result)})
    if succeeded(result) or result.failed_phase is Phase.TOKEN:  # a token's fault is told once, not at each target
        return _works(tally, place)
    label = "withheld" if result.withheld is not None else result.cause or result.outcome
    refusal = _refusal(place, now, label, None, result.error or f"{result.outcome}")
    described = replace(refusal, cause=result.cause, responsible=result.responsible, acts=result.acts)
    return _failed(tally, place, described)


def succeeded(result: AccountResult) -> bool:
    """Accepted, and where the mailbox was asked for something, it answered."""
    return result.outcome is AuthOutcome.ACCEPTED and result.failed_phase is None


def _on_the_way(result: TokenOutcome, outcome: Outcome) -> str:
    failed = next((each for each in result.phases if each.outcome is outcome), None)
    if failed is None:
        return f"the token request failed: {outcome}"
    return f"the token request failed: {failed.phase}: {outcome}" + (f" ({failed.detail})" if failed.detail else "")


def _refusal(place: tuple[str | None, str], now: datetime, label: str, why: Explanation | None, words: str) -> Refusal:
    return Refusal(
        first=now,
        last=now,
        count=1,
        target=place[0],
        vantage=place[1],
        label=label,
        cause=why.cause if why else None,
        responsible=why.responsible if why else None,
        acts=why.acts if why else None,
        words=words,
    )


def _failed(tally: AccountTally, place: tuple[str | None, str], refusal: Refusal) -> AccountTally:
    before = tally.failing.get(place)
    history = tally.history
    if before is not None and before.repeats(refusal):
        refusal = replace(refusal, first=before.first, count=before.count + 1)
        history = tuple(each for each in history if each is not before)
    failing = {**tally.failing, place: refusal}
    return replace(tally, failing=failing, history=(refusal, *history)[:HISTORY])


def _works(tally: AccountTally, place: tuple[str | None, str]) -> AccountTally:
    if place not in tally.failing:
        return tally
    return replace(tally, failing={key: value for key, value in tally.failing.items() if key != place})
