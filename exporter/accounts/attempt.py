"""One sign-in of one account at one target: walked to as a probe does, one real secret presented, explained.

IMAP signs in and asks for the hierarchy's delimiter (phase `session`), POP stops at the mailbox' greeting, SMTP before
MAIL FROM; ActiveSync and Graph get one request with a Bearer token. A password goes by the mail protocols alone.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from exporter.accounts.errors import OTHER, Explanation, TokenError, explain, explain_meaning, responsible_for
from exporter.accounts.presenting import AccountPresenter
from exporter.accounts.withholding import Withheld, why_withheld
from exporter.catalogue import Target
from exporter.clean import clean
from exporter.observations import AccountResult, PhaseResult, TokenUse
from exporter.probe.clock import corrected
from exporter.probe.presenter import Credential, Link
from exporter.probe.walk import HostWalk, Tools, Vantage, walk
from exporter.probe.way import Deadline
from exporter.protocols.replies import Meaning
from exporter.secret_files import Secret
from exporter.settings_account import AccountSettings
from exporter.vocabulary import CONVERSATION_GOES_ON, AccountKind, AuthOutcome, Mechanism, Outcome, Phase, Protocol

_MAIL = frozenset({Protocol.IMAP, Protocol.POP, Protocol.SMTP})
_BEARER = frozenset({Protocol.ACTIVESYNC, Protocol.HTTPS})
#: What is said where the walk ended by one of these before or behind the sign-in itself.
_MEANINGS = {Outcome.THROTTLED: Meaning.THROTTLED, Outcome.UNAVAILABLE: Meaning.UNAVAILABLE}


def mechanism_of(account: AccountSettings) -> Mechanism:
    """What an account presents."""
    return Mechanism.PASSWORD if account.kind is AccountKind.APP_PASSWORD else Mechanism.TOKEN


async def sign_in(
    account: AccountSettings,
    target: Target,
    vantage: Vantage,
    tools: Tools,
    secret: Secret,
    *,
    deadline: Deadline,
    skew: float = 0.0,
    expires_at: datetime | None = None,
    token: TokenUse | None = None,
    start: int = 0,
) -> AccountResult:
    """Signs in once. Never raises but for cancellation; what can't be done is said in the result.

    `secret`: the access token, or an app password. `skew`: seconds this machine is ahead, as the prober found.
    `expires_at`: of the token; `token`: where it came from, for the result. `start`: which of the target's addresses
    to begin with.
    """
    began = tools.wall_clock()
    if (reason := why_not_there(account, target)) is not None:
        return _not_tried(account, token, began, reason)
    own_hosts = own_hosts_of(account, target)

    def gate(link: Link | None) -> Withheld | None:
        now = corrected(tools.wall_clock(), skew)
        allowed = account.allow_intercepted
        return why_withheld(link, own_hosts=own_hosts, now=now, allow_intercepted=allowed)

    expired = None if expires_at is None else expires_at <= corrected(began, skew)
    owned = Credential(account.username or "", secret, mechanism_of(account))
    presenter = AccountPresenter(owned, gate, token_expired=expired)
    found = await walk(target, target.host, vantage, tools, deadline=deadline, presenter=presenter, start=start)
    return _result(account, found, presenter, token, began)


def without_token(account: AccountSettings, error: TokenError, now: datetime, token: TokenUse) -> AccountResult:
    """The result where the identity provider refused a token, so that there was nothing to present."""
    why = explain(error)
    return replace(
        _explained(AccountResult(name=account.name, mechanism=Mechanism.TOKEN, outcome=AuthOutcome.REFUSED), why),
        error=_numbered(why),
        reply=error.description or error.error,
        token=token,
        failed_phase=Phase.TOKEN,
        time=now,
    )


def with_old_token(result: AccountResult, error: TokenError) -> AccountResult:
    """The result where the identity provider refuses to renew the token that was presented: that it is still taken
    hides for an hour what the account's owner has to mend."""
    if result.outcome is not AuthOutcome.ACCEPTED or result.failed_phase is not None:
        return result
    why = explain(error)
    return replace(
        _explained(result, why), error=f"the token on hand is still taken, no new one is given: {_numbered(why)}"
    )


def _numbered(why: Explanation) -> str:
    return why.words if why.label == OTHER else f"AADSTS{why.label}: {why.words}"


def why_not_there(account: AccountSettings, target: Target) -> str | None:
    """Why this account is never tried at this target, whatever the connection."""
    if account.kind is AccountKind.APP_PASSWORD and target.protocol not in _MAIL:
        return "withheld: a password is sent by IMAP, POP and SMTP only"
    if target.protocol not in _MAIL | _BEARER:
        return f"withheld: nobody signs in with a token at {target.name}"
    if target.custom and target.name not in (account.targets or ()):
        return "withheld: the account doesn't name this target of your own"
    if target.protocol in _MAIL and not account.username:
        return "withheld: username is missing, so no mailbox can be named"
    return None


def own_hosts_of(account: AccountSettings, target: Target) -> Collection[str]:
    """Hosts beyond the catalogue's that the secret may go to: those of a target that the account names itself."""
    return target.hosts if target.name in (account.targets or ()) else ()


def _not_tried(account: AccountSettings, token: TokenUse | None, began: datetime, reason: str) -> AccountResult:
    return AccountResult(
        name=account.name,
        mechanism=mechanism_of(account),
        outcome=AuthOutcome.UNKNOWN,
        error=reason,
        token=token,
        withheld=reason,
        time=began,
    )


def _result(
    account: AccountSettings, found: HostWalk, presenter: AccountPresenter, token: TokenUse | None, began: datetime
) -> AccountResult:
    phases = tuple(_scrubbed(result, presenter) for result in found.phases)
    failed = _failed(phases, presented=presenter.presented)
    told = found.findings
    auth = next((result for result in phases if result.phase is Phase.AUTH), None)
    result = AccountResult(
        name=account.name,
        mechanism=presenter.mechanism,
        outcome=_outcome(told.auth_outcome, presenter, failed),
        reply=None if told.reply is None else clean(told.reply, keep=[found.address or ""]),
        seconds=auth.seconds if auth is not None and presenter.presented else None,
        token=token,
        time=began,
        phases=phases,
    )
    if presenter.withheld is not None:
        return _withheld(result, presenter.withheld)
    if failed is None:
        return result
    result = replace(result, failed_phase=failed.phase, error=_in_words(failed))
    why = presenter.explanation or _by_outcome(failed, presenter.mechanism)
    return result if why is None else _explained(result, why)


def _scrubbed(result: PhaseResult, presenter: AccountPresenter) -> PhaseResult:
    return replace(result, detail=presenter.scrubber.scrub(result.detail)) if result.detail else result


def _failed(phases: Sequence[PhaseResult], *, presented: bool) -> PhaseResult | None:
    """Where the sign-in failed. What let the conversation go on only counts where nothing else kept it from the end."""
    ended = [each for each in phases if each.outcome not in CONVERSATION_GOES_ON | {Outcome.SKIPPED}]
    if ended or presented:
        return ended[0] if ended else None
    return next((each for each in phases if each.outcome not in (Outcome.OK, Outcome.SKIPPED)), None)


def _outcome(told: AuthOutcome | None, presenter: AccountPresenter, failed: PhaseResult | None) -> AuthOutcome:
    if told is not None:
        return told
    if presenter.presented and failed is not None and failed.phase is Phase.AUTH:
        return AuthOutcome.ABANDONED  # the conversation stopped in the middle
    if failed is not None and (failed.phase, failed.outcome) == (Phase.CAPABILITY, Outcome.NOT_OFFERED):
        return AuthOutcome.ABANDONED  # we read what is offered, and left
    return AuthOutcome.UNKNOWN


def _withheld(result: AccountResult, why: Withheld) -> AccountResult:
    return replace(
        result,
        outcome=AuthOutcome.UNKNOWN,
        error=why.words,
        withheld=why.words,
        failed_phase=Phase.TLS,
        cause=why.cause,
        responsible=None if why.cause is None else responsible_for(why.cause),
    )


def _by_outcome(failed: PhaseResult, mechanism: Mechanism) -> Explanation | None:
    """Throttling and outage may be said anywhere on the way, and a password may find no way to be sent."""
    if failed.phase is Phase.CAPABILITY and failed.outcome is Outcome.NOT_OFFERED and mechanism is Mechanism.PASSWORD:
        return explain_meaning(Meaning.BASIC_AUTH_DISABLED, failed.detail or "", mechanism)
    meaning = _MEANINGS.get(failed.outcome)
    return None if meaning is None else explain_meaning(meaning, failed.detail or "", mechanism)


def _explained(result: AccountResult, why: Explanation) -> AccountResult:
    return replace(result, error=why.words, cause=why.cause, responsible=why.responsible, acts=why.acts)


def _in_words(failed: PhaseResult) -> str:
    return f"{failed.phase}: {failed.outcome}" + (f" ({failed.detail})" if failed.detail else "")
