"""Accounts: a token's fault is one verdict, on the authority's target; what follows from a blocked path is none."""

from collections.abc import Iterator

from exporter.diagnosis.rules.common import quoted
from exporter.diagnosis.seen import Seen
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
#: What a token that can't be renewed ends in: only a consequence where the way to the authority is blocked.
_FROM_A_BLOCKED_WAY = frozenset({Cause.TOKEN_EXPIRED, Cause.TOKEN_MISSING, Cause.UNKNOWN})


def account_faults(seen: Seen) -> Iterator[tuple[str, str, Claim]]:
    """Target, vantage and claim of each account's fault, once each."""
    told: set[tuple[str, Cause, str]] = set()
    for probe in seen.probes:
        for account in probe.accounts:
            cause = cause_of(account)
            if cause is None or account.withheld is not None or not _speaks_for_itself(probe, cause):
                continue
            if cause in _FROM_A_BLOCKED_WAY and _way_is_blocked(seen, probe.vantage):
                continue
            target = AUTHORITY if cause in OF_THE_TOKEN else probe.target
            key = (account.name, cause, "" if cause in OF_THE_TOKEN else target)
            if key not in told:
                told.add(key)
                yield target, probe.vantage, _claim(probe, account, cause)


def _speaks_for_itself(probe: Probe, cause: Cause) -> bool:
    """Whether it is the account's own trouble, or one that only the account met."""
    if cause in OF_THE_SERVICE:
        return probe.outcome is Outcome.OK
    return cause in OF_THE_TOKEN | OF_THE_MAILBOX | {Cause.UNKNOWN}


def cause_of(account: AccountResult) -> Cause | None:
    """Why it was refused, as the accounts' part explained it; a bare refusal by what was presented."""
    if account.cause is not None:
        return account.cause
    if account.outcome is not AuthOutcome.REFUSED:
        return None
    if account.mechanism is Mechanism.PASSWORD:
        return Cause.PASSWORD_REFUSED
    return Cause.UNKNOWN


def _claim(probe: Probe, account: AccountResult, cause: Cause) -> Claim:
    scales = Scales(cause)
    said = account.error or account.reply
    scales.add(0.9 if cause is not Cause.UNKNOWN else 0.3, f"account {account.name} at {probe.target}: {quoted(said)}")
    if account.reply and account.reply != said:
        scales.add(0.3, f"the server says: {quoted(account.reply)}")
    phase = Phase.TOKEN if cause in OF_THE_TOKEN else Phase.AUTH
    hint = "sign in by hand in a browser with this account, and read its sign-in log"
    return scales.claim(f"account {account.name}", phase, confirmed=True, hint=hint, account=account.name)


def _way_is_blocked(seen: Seen, vantage: str) -> bool:
    """Whether the authority can't be reached from there."""
    for probe in seen.at(vantage):
        if probe.target == AUTHORITY and probe.outcome not in (Outcome.OK, Outcome.SKIPPED, Outcome.UNRECOGNIZED):
            return True
    return False
