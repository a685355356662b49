"""An account's token, from one vantage: out of its cache, or from the identity provider where the policy lets it.

One request an account at a time, across vantages and processes: a refresh token rotates, and the new one is on disk
before it is used. What doesn't reach the identity provider is the vantage's fault and makes only that vantage wait.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from exporter.accounts import refresh_policy as policy
from exporter.accounts.authority import Authority, grant_of
from exporter.accounts.belonging import Belonging
from exporter.accounts.errors import TokenError, explain
from exporter.accounts.msal_bridge import Carrier, Carry, Credentials, ask
from exporter.accounts.request import Gate, Reply, Request, send
from exporter.accounts.scrub import secrets_sent
from exporter.accounts.side_thread import Recall, on_thread
from exporter.accounts.token import Grant, Resource, Source, TokenResult
from exporter.accounts.token_file import AccessToken, Stored, TokenFile, TokenFileError
from exporter.accounts.withholding import why_withheld
from exporter.probe.clock import corrected
from exporter.probe.presenter import Link
from exporter.probe.walk import Tools, Vantage
from exporter.probe.way import PATIENT_TIMEOUT, Deadline
from exporter.protocols import http
from exporter.secret_files import Secret
from exporter.settings_account import AccountSettings
from exporter.vocabulary import Cause, Outcome, Phase

#: A whole token request may last so long, seconds: dns, connect and tls beside the patient `token`.
REQUEST_SECONDS = PATIENT_TIMEOUT + 15.0
#: A vantage whose way to the identity provider is broken tries again after so long, doubled up to the last, seconds.
FIRST_PATH_PAUSE, LAST_PATH_PAUSE = 60.0, 600.0
#: A token without a believable expires_in is taken to last so long, and none longer than a day and a bit, seconds.
ASSUMED_LIFE, LONGEST_LIFE = 3_600.0, 100_000.0
#: A longer token is none, characters.
MAX_TOKEN = 65_536


@dataclass(slots=True)
class _PathPause:
    """How long a vantage leaves an account's identity provider alone, by the monotonic clock."""

    until: float = 0.0
    failures: int = 0


@dataclass(slots=True)
class TokenSource:
    """Tokens of one account. `skew()`: seconds this machine is ahead, as the prober found."""

    account: AccountSettings
    file: TokenFile
    credentials: Credentials
    tools: Tools
    skew: Callable[[], float] = lambda: 0.0
    randomness: random.Random = field(default_factory=random.SystemRandom)
    belonging: Belonging = field(init=False)
    _last_error: TokenError | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _paths: dict[str, _PathPause] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.belonging = Belonging.of(self.account, self.credentials)

    async def token(
        self, vantage: Vantage, resource: Resource = Resource.EXCHANGE, *, force: bool = False, ahead: bool = True
    ) -> TokenResult:
        """The token to present now. `force`: from the identity provider, where the policy allows, to measure it.

        `ahead` False: a token that is still good is not replaced before its time. Never raises but for cancellation.
        """
        loop = asyncio.get_running_loop()
        async with self._turn:
            try:
                return await on_thread(
                    lambda recall: self._token(
                        vantage, resource, self.carry(vantage, loop, recall), recall, force=force, ahead=ahead
                    )
                )
            except TokenFileError as problem:
                return replace(self._result(vantage), unusable=str(problem))

    def _token(
        self, vantage: Vantage, resource: Resource, carry: Carry, recall: Recall, *, force: bool, ahead: bool
    ) -> TokenResult:
        """On a thread of its own, with the cache held: nobody else uses the refresh token meanwhile."""
        with self.file.locked(recall.pause):
            stored = self.belonging.kept(self.file.read())
            known = stored.access.get(resource)
            now = self._now()
            good = known is not None and (policy.is_fresh(known, now) if ahead else policy.is_usable(known, now))
            refused = self._last_error if stored.history.failures else None  # the account's, from every vantage
            if good and not force:
                return _with_expiry(replace(self._cached(vantage, known), error=refused), stored)
            if grant_of(self.account) is Grant.REFRESH_TOKEN and stored.refresh_token is None:
                unusable = f"nobody has signed in yet: outlook-auth-exporter login {self.account.name}"
                return replace(self._cached(vantage, known), unusable=unusable)
            if (reason := self._why_wait(stored, vantage, now)) is not None:
                return _with_expiry(replace(self._cached(vantage, known), waiting=reason, error=refused), stored)
            return self._asked(vantage, resource, stored, carry)

    def _why_wait(self, stored: Stored, vantage: Vantage, now: float) -> str | None:
        if not policy.may_ask(stored.history, now):
            wait = max(stored.history.not_before - now, 0.0)
            last = f"; the last one: {stored.last_error}" if stored.history.failures and stored.last_error else ""
            return f"no request for {wait:.0f} s, so that the account isn't locked{last}"
        if self.tools.clock() < self._paths.setdefault(vantage.name, _PathPause()).until:
            return "the way to the identity provider is broken from this vantage; it is tried again soon"
        return None

    def _asked(self, vantage: Vantage, resource: Resource, stored: Stored, carry: Carry) -> TokenResult:
        before = stored.history
        stored = replace(stored, history=policy.asking(before, self._now()))
        self.file.write(stored)
        carrier = Carrier(Authority.of(self.account), carry)
        scopes = carrier.authority.scopes(self.account, resource)
        grant = grant_of(self.account)
        answer = ask(
            self.account, carrier, grant, scopes, credentials=self.credentials, refresh_token=stored.refresh_token
        )
        result, token = self.judged(vantage, carrier.reply, answer)
        now = self._now()
        self._last_error = result.error
        if token is not None:
            stored = _with_tokens(stored, resource, token, answer, now)
        elif result.reached:
            stored = self._refused(stored, result, now)
        elif carrier.reply is None or not _was_sent(carrier.reply):
            stored = replace(stored, history=before)  # the identity provider has heard nothing
        self.file.write(stored)
        result = _with_expiry(result, stored)
        self._note_path(vantage, reached=result.reached)
        usable = stored.access.get(resource)
        if token is None and usable is not None and policy.is_usable(usable, now):
            return replace(result, secret=usable.token, expires_at=_instant(usable.expires_at))
        return result

    def carry(self, vantage: Vantage, loop: asyncio.AbstractEventLoop, recall: Recall) -> Carry:
        """Carries a request from MSAL's thread over the event loop's walk."""

        def carried(request: Request) -> Reply:
            deadline = Deadline(self.tools.clock() + REQUEST_SECONDS)
            return recall.result(lambda: send(request, vantage, self.tools, deadline=deadline, gate=self._gate()), loop)

        return carried

    def _gate(self) -> Gate:
        own_hosts = (Authority.of(self.account).host,)

        def gate(link: Link | None) -> Any:
            now = corrected(self.tools.wall_clock(), self.skew())
            return why_withheld(link, own_hosts=own_hosts, now=now, allow_intercepted=self.account.allow_intercepted)

        return gate

    def judged(
        self, vantage: Vantage, reply: Reply | None, answer: Mapping[str, Any], grant: Grant | None = None
    ) -> tuple[TokenResult, AccessToken | None]:
        """What an acquisition came to: its result, and the token where there is one."""
        result = self._result(vantage, grant)
        if reply is None:
            return replace(result, unusable="no request could be made: client_id, certificate or key is wrong"), None
        result = replace(
            result,
            source=Source.IDENTITY_PROVIDER,
            phases=reply.phases,
            seconds=reply.seconds,
            reached=reply.answer is not None,
            retry_after=reply.retry_after,
            withheld=None if reply.withheld is None else reply.withheld.words,
        )
        if reply.answer is None:
            return result, None
        token = self.access_token(answer)
        if token is None:
            return replace(result, error=self._error(reply)), None
        return replace(result, secret=token.token, expires_at=_instant(token.expires_at)), token

    def access_token(self, answer: Mapping[str, Any]) -> AccessToken | None:
        """The token in an answer, with when it expires; None where there is none."""
        return _access_token(answer, self._now())

    def _error(self, reply: Reply) -> TokenError:
        """From the answer itself: MSAL makes exceptions of some."""
        assert reply.answer is not None
        answer, hide = reply.answer, [self.account.username or "", *secrets_sent(reply.sent)]
        body = http.json_object(answer.body)
        if body is None or not isinstance(body.get("error"), str):
            said = {"error": f"http_{answer.status}", "error_description": answer.line()}
            return TokenError.of_response(said, answer.status, hide=hide)
        return TokenError.of_response(body, answer.status, now=self.tools.wall_clock(), hide=hide)

    def _refused(self, stored: Stored, result: TokenResult, now: float) -> Stored:
        why = None if result.error is None else explain(result.error)
        cause = None if why is None else why.cause
        if result.phases and result.phases[-1].outcome is Outcome.THROTTLED:
            cause = Cause.THROTTLED
        history = policy.failed(
            stored.history,
            now,
            cause or Cause.UNKNOWN,
            result.retry_after,
            self.randomness,
            label=None if why is None else why.label,
        )
        return replace(stored, history=history, last_error=None if why is None else why.words, last_error_at=now)

    def _note_path(self, vantage: Vantage, *, reached: bool) -> None:
        pause = self._paths.setdefault(vantage.name, _PathPause())
        pause.failures = 0 if reached else pause.failures + 1
        length = 0.0 if reached else min(FIRST_PATH_PAUSE * 2 ** (pause.failures - 1), LAST_PATH_PAUSE)
        pause.until = self.tools.clock() + length

    def _result(self, vantage: Vantage, grant: Grant | None = None) -> TokenResult:
        grant = grant or grant_of(self.account)
        return TokenResult(account=self.account.name, vantage=vantage.name, grant=grant, source=Source.CACHE)

    def _cached(self, vantage: Vantage, known: AccessToken | None) -> TokenResult:
        if known is None or not policy.is_usable(known, self._now()):
            return self._result(vantage)
        return replace(self._result(vantage), secret=known.token, expires_at=_instant(known.expires_at))

    def _now(self) -> float:
        return self.tools.wall_clock().timestamp()


def _with_expiry(result: TokenResult, stored: Stored) -> TokenResult:
    expires = stored.sign_in_expires
    return result if expires is None else replace(result, sign_in_expires=_instant(expires))


def _with_tokens(
    stored: Stored, resource: Resource, token: AccessToken, answer: Mapping[str, Any], now: float
) -> Stored:
    """With what the identity provider gave; a refresh token that it didn't replace stays good."""
    stored = replace(stored.with_access(resource, token), history=policy.succeeded(stored.history, now))
    refresh = answer.get("refresh_token")
    if isinstance(refresh, str) and 0 < len(refresh) <= MAX_TOKEN:
        return replace(stored, refresh_token=Secret(refresh.encode()), refresh_obtained_at=now)
    if stored.refresh_token is not None:
        return replace(stored, refresh_obtained_at=now)  # 90 days count from its last use (facts 4.4)
    return stored


def signed_in(stored: Stored, resource: Resource, token: AccessToken, answer: Mapping[str, Any], now: float) -> Stored:
    """After a person's own sign-in: whatever was refused before is over."""
    stored = _with_tokens(stored, resource, token, answer, now)
    history = policy.signed_in_anew(stored.history, now)
    return replace(stored, history=history, last_error=None, last_error_at=None)


def _access_token(answer: Mapping[str, Any], now: float) -> AccessToken | None:
    text = answer.get("access_token")
    if not isinstance(text, str) or not 0 < len(text) <= MAX_TOKEN:
        return None
    try:
        life = float(answer.get("expires_in", ASSUMED_LIFE))
    except (TypeError, ValueError):
        life = ASSUMED_LIFE
    life = life if 0 < life <= LONGEST_LIFE else ASSUMED_LIFE
    return AccessToken(token=Secret(text.encode()), obtained_at=now, expires_at=now + life)


def _was_sent(reply: Reply) -> bool:
    """Whether the request may have been heard: its phase began and wasn't withheld."""
    token = next((result for result in reply.phases if result.phase is Phase.TOKEN), None)
    return token is not None and token.outcome is not Outcome.SKIPPED


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
