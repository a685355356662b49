"""Accounts: a token's fault once, at the authority; no fault of an account's where the way to the authority is blocked."""

from dataclasses import replace
from typing import Any

import pytest

from exporter.diagnosis.judge import judge
from exporter.diagnosis.seen import Seen
from exporter.observations import AccountResult, Verdict
from exporter.vocabulary import AuthOutcome, Cause, Mechanism, Outcome, Phase, Responsible
from tests.diagnosis.made import broken, healthy, seen, walk


def account(cause: Cause | None = None, **more: Any) -> AccountResult:
    values: dict[str, Any] = {
        "name": "canary-work", "mechanism": Mechanism.TOKEN, "outcome": AuthOutcome.REFUSED, "cause": cause,
        "error": "AADSTS700082: signed in too long ago", "reply": "AADSTS700082",
    }  # fmt: skip
    return AccountResult(**{**values, **more})


def of_accounts(round_: Seen) -> list[Verdict]:
    return [each.verdict for each in judge(round_) if each.verdict.account is not None]


@pytest.mark.parametrize(
    "cause",
    [
        Cause.TOKEN_EXPIRED, Cause.TOKEN_REVOKED, Cause.TOKEN_MISSING, Cause.MFA_REQUIRED, Cause.CONSENT_MISSING,
        Cause.CONDITIONAL_ACCESS, Cause.ACCOUNT_DISABLED, Cause.CREDENTIALS_INVALID, Cause.APP_MISCONFIGURED,
    ],
)  # fmt: skip
def test_a_tokens_fault_is_one_verdict_at_the_authority(cause):
    refused = (account(cause),)
    probes = [walk(name, vantage, accounts=refused) for name in ("imap", "smtp") for vantage in ("clients", "wan")]
    (only,) = of_accounts(seen(*probes, healthy("sign_in_work", "clients")))
    assert (only.target, only.account, only.cause) == ("sign_in_work", "canary-work", cause)
    assert only.responsible is Responsible.ACCOUNT
    assert only.confidence >= 0.9
    paths = [each.verdict for each in judge(seen(*probes)) if each.verdict.account is None]
    assert {each.cause for each in paths} == {Cause.HEALTHY}


@pytest.mark.parametrize("cause", [Cause.PROTOCOL_DISABLED, Cause.MAILBOX_UNAVAILABLE])
def test_a_mailboxs_fault_is_where_it_shows(cause):
    probes = [walk(name, accounts=(account(cause),)) for name in ("imap", "smtp")]
    assert {(each.target, each.cause) for each in of_accounts(seen(*probes))} == {("imap", cause), ("smtp", cause)}


def test_a_password_is_the_clients_to_change():
    refused = account(None, name="printer", mechanism=Mechanism.PASSWORD, reply="535 5.7.139", error=None)
    (only,) = of_accounts(seen(walk("smtp", accounts=(refused,))))
    assert (only.target, only.cause, only.responsible) == ("smtp", Cause.PASSWORD_REFUSED, Responsible.CLIENT)
    assert only.journeys == ("imap_password",)


def test_a_token_that_cannot_be_renewed_is_the_blocked_ways_consequence():
    blocked = broken("sign_in_work", Phase.TLS, Outcome.RESET)
    expired = walk("imap", accounts=(account(Cause.TOKEN_EXPIRED),))
    assert of_accounts(seen(blocked, expired)) == []
    unexplained = walk("imap", accounts=(account(None),))
    assert of_accounts(seen(blocked, unexplained)) == []


def test_what_the_authority_said_in_words_stands_whatever_the_way_is_now():
    blocked = broken("sign_in_work", Phase.TLS, Outcome.RESET)
    (only,) = of_accounts(seen(blocked, walk("imap", accounts=(account(Cause.MFA_REQUIRED),))))
    assert only.cause is Cause.MFA_REQUIRED


def test_accepted_waiting_and_withheld_accounts_are_no_fault():
    fine = account(None, outcome=AuthOutcome.ACCEPTED, error=None)
    waiting = account(None, outcome=AuthOutcome.UNKNOWN, error="no token: waits")
    withheld = account(Cause.TLS_INTERCEPTED, outcome=AuthOutcome.UNKNOWN, withheld="not genuine")
    assert of_accounts(seen(walk("imap", accounts=(fine, waiting, withheld)))) == []


def test_throttling_that_only_the_account_met():
    (only,) = of_accounts(seen(walk("imap", accounts=(account(Cause.THROTTLED),))))
    assert (only.target, only.responsible) == ("imap", Responsible.MICROSOFT)


def test_a_refusal_without_a_reason_is_unknown():
    (only,) = of_accounts(seen(walk("imap", accounts=(account(None),))))
    assert (only.cause, only.responsible) == (Cause.UNKNOWN, Responsible.UNKNOWN)
    assert only.next_experiment


def test_names_of_accounts_are_labels_and_nothing_else_is_shown():
    said = replace(account(Cause.TOKEN_EXPIRED), error="Sign in again.", reply="AADSTS700082 <user>")
    (only,) = of_accounts(seen(walk("imap", accounts=(said,))))
    assert "canary-work" in only.evidence[0].observation


def test_a_refused_renewal_is_a_fault_while_the_old_token_is_still_taken():
    old = account(Cause.TOKEN_REVOKED, outcome=AuthOutcome.ACCEPTED, reply="a2 OK AUTHENTICATE completed.")
    (only,) = of_accounts(seen(walk("imap", accounts=(old,)), walk("smtp", accounts=(old,))))
    assert (only.target, only.cause) == ("sign_in_work", Cause.TOKEN_REVOKED)
    assert not any("completed" in each.observation for each in only.evidence)


@pytest.mark.parametrize("cause", [Cause.THROTTLED, Cause.SERVICE_OUTAGE, Cause.UNKNOWN, Cause.TENANT_RESTRICTED])
def test_what_the_identity_provider_said_is_one_verdict_whatever_it_was(cause):
    refused = (account(cause, failed_phase=Phase.TOKEN),)
    (only,) = of_accounts(seen(walk("imap", accounts=refused), walk("smtp", accounts=refused)))
    assert (only.target, only.cause) == ("sign_in_work", cause)


def test_what_one_server_refuses_and_another_takes_is_no_fault_of_the_token():
    """SMTP's sentence of security defaults, while IMAP takes the very token."""
    taken = account(None, outcome=AuthOutcome.ACCEPTED, error=None)
    refused = account(Cause.CONDITIONAL_ACCESS, failed_phase=Phase.AUTH, error="Security defaults refuse this.")
    (only,) = of_accounts(seen(walk("imap", accounts=(taken,)), walk("smtp", accounts=(refused,))))
    assert (only.target, only.cause, only.responsible) == ("smtp", Cause.CONDITIONAL_ACCESS, Responsible.ACCOUNT)


@pytest.mark.parametrize("cause", [Cause.TLS_INTERCEPTED, Cause.TLS_VERSION_BLOCKED])
def test_a_way_that_only_the_sign_in_goes_is_told_by_its_refusal(cause):
    """AADSTS50192: a client certificate taken out on the way to a host that no target names."""
    (only,) = of_accounts(seen(walk("imap", accounts=(account(cause, failed_phase=Phase.TOKEN),))))
    assert (only.cause, only.responsible) == (cause, Responsible.UNKNOWN)


@pytest.mark.parametrize(
    ("outcome", "phase"), [(AuthOutcome.ABANDONED, Phase.AUTH), (AuthOutcome.ACCEPTED, Phase.SESSION)]
)
def test_a_sign_in_cut_without_a_word_where_the_canary_is_answered_is_unknown(outcome, phase):
    cut = account(None, outcome=outcome, failed_phase=phase, error=f"{phase}: closed", reply=None)
    (only,) = of_accounts(seen(walk("imap", accounts=(cut,))))
    assert (only.target, only.cause) == ("imap", Cause.UNKNOWN)
    dead = broken("imap", Phase.AUTH, Outcome.CLOSED)
    assert of_accounts(seen(replace(dead, accounts=(cut,)))) == []
