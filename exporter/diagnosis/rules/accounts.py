"""Accounts: a token's fault is one verdict, on the authority's target; what follows from a blocked path is none.

What the identity provider said is the token's; what a mail server said too, unless another one takes the same token.
"""

from collections.abc import Iterator

from exporter.diagnosis.rules.common import quoted
from exporter.diagnosis.seen import Seen, canary_answered
from exporter.diagnosis.weigh import Claim, Scales
from exporter.observations import AccountResult, Probe
from exporter.vocabulary import AuthOutcome, Cause, Mechanism, Outcome, Phase

#: The authority's target: login.microsoftonline.com serves consumers too.
AUTHORITY = "sign_in_work"

#: Faults of the token or the account, which show wherever the token is used.
OF_THE_TOKEN = frozenset(
    {
        Cause.TOKEN_EXPIRED, Cause.TOKEN_REVOKED, Cause.TOKEN_MISSING, Cause.MFA_REQUIRED, Cause.CONSENT_MISSING,
        Cause.CONDITIONAL_ACCESS, Cause.ACCOUNT_DISABLED, Cause.CREDENTIALS_INVALID, Cause.APP_MISCONFIGURED,
        Cause.CLOCK_SKEW,
    }
)  # fmt: skip
#: Faults that belong to the mailbox, and so to the target where they show.
OF_THE_MAILBOX = frozenset({Cause.PROTOCOL_DISABLED, Cause.MAILBOX_UNAVAILABLE, Cause.PASSWORD_REFUSED})
#: Faults of the service, said to the account alone: the path's own rules speak of them where the canary met them too.
OF_THE_SERVICE = frozenset({Cause.THROTTLED, Cause.SERVICE_OUTAGE, Cause.TENANT_RESTRICTED})
#: Faults of a way that no target goes, as a sign-in's client certificate does: told by the refusal alone.
OF_ANOTHER_WAY = frozenset({Cause.TLS_INTERCEPTED, Cause.TLS_VERSION_BLOCKED})
#: What a token that can't be renewed ends in: only a consequence where the way to the authority is blocked.
_FROM_A_BLOCKED_WAY = frozenset({Cause.TOKEN_EXPIRED, Cause.TOKEN_MISSING, Cause.UNKNOWN})


def account_faults(seen: Seen) -> Iterator[tuple[str, str, Claim]]:
    """Target, vantage and claim of each account's fault, once each."""
    told: set[tuple[str, Cause, str]] = set()
    for probe in seen.probes:
        for account in probe.accounts:
            cause = cause_of(probe, account)
            if cause is None or account.withheld is not None or not _speaks_for_itself(probe, cause):
                continue
            if cause in _FROM_A_BLOCKED_WAY and _way_is_blocked(seen, probe.vantage):
                continue
            target = AUTHORITY if _is_of_the_token(seen, account, cause) else probe.target
            key = (account.name, cause, target)
            if key not in told:
                told.add(key)
                yield target, probe.vantage, _claim(probe, account, cause)


def _speaks_for_itself(probe: Probe, cause: Cause) -> bool:
    """Whether it is the account's own trouble, or one that only the account met."""
    if cause in OF_THE_SERVICE | OF_ANOTHER_WAY:
        return probe.outcome is Outcome.OK
    return cause in OF_THE_TOKEN | OF_THE_MAILBOX | {Cause.UNKNOWN}


def _is_of_the_token(seen: Seen, account: AccountResult, cause: Cause) -> bool:
    """Whether it would show wherever the token is used: not where one server refuses what another one takes."""
    if account.failed_phase is Phase.TOKEN:
        return True
    by_a_server = account.outcome is AuthOutcome.REFUSED
    return cause in OF_THE_TOKEN and not (by_a_server and _is_taken_somewhere(seen, account.name))


def _is_taken_somewhere(seen: Seen, name: str) -> bool:
    results = (account for probe in seen.probes for account in probe.accounts)
    return any(each.name == name and each.outcome is AuthOutcome.ACCEPTED for each in results)


def cause_of(probe: Probe, account: AccountResult) -> Cause | None:
    """Why it was refused, as the accounts' part explained it; a bare refusal by what was presented.

    `unknown` too where nothing was said at all, and the canary over the same way got its answer.
    """
    if account.cause is not None:
        return account.cause
    if account.outcome is not AuthOutcome.REFUSED:
        is_cut = account.failed_phase in (Phase.AUTH, Phase.SESSION)
        return Cause.UNKNOWN if is_cut and canary_answered(probe) else None
    if account.mechanism is Mechanism.PASSWORD:
        return Cause.PASSWORD_REFUSED
    return Cause.UNKNOWN


def _claim(probe: Probe, account: AccountResult, cause: Cause) -> Claim:
    scales = Scales(cause)
    said = account.error or account.reply
    scales.add(0.9 if cause is not Cause.UNKNOWN else 0.3, f"account {account.name} at {probe.target}: {quoted(said)}")
    if account.reply and account.reply != said and account.outcome is not AuthOutcome.ACCEPTED:
        scales.add(0.3, f"the server says: {quoted(account.reply)}")
    phase = Phase.TOKEN if cause in OF_THE_TOKEN else Phase.AUTH
    hint = "sign in by hand in a browser with this account, and read its sign-in log"
    confirmed = account.cause is not None or account.outcome is AuthOutcome.REFUSED  # once cut may be bad luck
    return scales.claim(f"account {account.name}", phase, confirmed=confirmed, hint=hint, account=account.name)


def _way_is_blocked(seen: Seen, vantage: str) -> bool:
    """Whether the authority can't be reached from there."""
    for probe in seen.at(vantage):
        if probe.target == AUTHORITY and probe.outcome not in (Outcome.OK, Outcome.SKIPPED, Outcome.UNRECOGNIZED):
            return True
    return False
