"""The accounts' job against the embedded Outlook.com: who is tried where, how often, and what is said of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exporter.accounts.job import AccountsJob, resource_of
from exporter.accounts.token import Resource
from exporter.catalogue import TARGETS
from exporter.lab.lab import Lab
from exporter.observations import AccountResult
from exporter.probe.walk import Tools
from exporter.vocabulary import AuthOutcome, Cause, Phase, Responsible
from tests.accounts.conftest import REFRESH
from tests.accounts.trying import (
    PERSONAL,
    PRINTER,
    job_of,
    personal,
    secret_file,
    settings_of,
    signed_in_before,
    work,
)


def at(job: AccountsJob, target: str, vantage: str = "wan") -> AccountResult:
    [result] = job.state.results_at(target, vantage)
    return result


async def test_every_account_at_each_of_its_targets_from_each_of_its_vantages(lab: Lab, tmp_path: Path):
    accounts = [personal(lab, tmp_path), work(lab, tmp_path, vantages=["wan"])]
    job = job_of(settings_of(lab, tmp_path, *accounts))
    signed_in_before(job.accounts[0], REFRESH)
    await job.run()
    for target in ("imap", "smtp", "pop"):
        assert {at(job, target, vantage).outcome for vantage in ("clients", "wan")} == {AuthOutcome.ACCEPTED}
    assert at(job, "imap_office365").outcome is AuthOutcome.ACCEPTED
    assert job.state.results_at("imap_office365", "clients") == ()
    assert lab.outlook.behaviour.traffic.counts["token_request"] == 2, "one for each account"
    [person, _] = job.state.standings()
    assert person.credential_expires is not None
    left = person.credential_expires - datetime.now(UTC)
    assert timedelta(days=89) < left < timedelta(days=90), "a sign-in that isn't used dies, and is told ahead"


async def test_a_refusal_by_the_identity_provider_is_the_accounts_at_all_its_targets(lab: Lab, tmp_path: Path):
    job = job_of(settings_of(lab, tmp_path, personal(lab, tmp_path)))
    signed_in_before(job.accounts[0], REFRESH)
    lab.outlook.behaviour.token_error = 50076
    await job.run()
    result = at(job, "imap", "clients")
    assert (result.outcome, result.cause, result.responsible) == (
        AuthOutcome.REFUSED, Cause.MFA_REQUIRED, Responsible.ACCOUNT,
    )  # fmt: skip
    assert result.failed_phase is Phase.TOKEN
    assert "50076" in (result.error or "")
    assert lab.outlook.behaviour.traffic.counts["token"] == 0, "nothing was presented"


async def test_what_was_refused_is_kept_while_nobody_is_asked_again(lab: Lab, tmp_path: Path):
    job = job_of(settings_of(lab, tmp_path, personal(lab, tmp_path), canary_interval="1ms"))
    signed_in_before(job.accounts[0], REFRESH)
    lab.outlook.behaviour.token_error = 50173
    await job.run()
    await job.run()
    assert at(job, "imap").cause is Cause.TOKEN_REVOKED
    assert lab.outlook.behaviour.traffic.counts["token_request"] == 1


async def test_a_token_that_still_works_does_not_hide_that_no_new_one_is_given(lab: Lab, tmp_path: Path):
    job = job_of(settings_of(lab, tmp_path, personal(lab, tmp_path), canary_interval="1ms"))
    signed_in_before(job.accounts[0], REFRESH)
    await job.run()
    lab.outlook.behaviour.token_error = 50173
    await job.try_from(job.accounts[0], job.vantages[0], force=True)
    for _ in range(2):
        result = at(job, "imap", job.vantages[0].name)
        assert (result.outcome, result.cause) == (AuthOutcome.ACCEPTED, Cause.TOKEN_REVOKED)
        assert "no new one is given: AADSTS50173" in (result.error or "")
        await job.run()
    assert lab.outlook.behaviour.traffic.counts["token_request"] == 2, "nobody asks again because of that"


async def test_a_way_to_sign_in_that_is_blocked_is_no_accounts_fault(lab: Lab, tmp_path: Path):
    job = job_of(settings_of(lab, tmp_path, personal(lab, tmp_path)))
    signed_in_before(job.accounts[0], REFRESH)
    await lab.set_fault("sni_reset")
    await job.run()
    blocked = at(job, "imap", "clients")
    assert (blocked.outcome, blocked.cause) == (AuthOutcome.UNKNOWN, None)
    assert (blocked.error or "").startswith("no token: tls: reset")
    assert at(job, "imap", "wan").outcome is AuthOutcome.ACCEPTED


async def test_a_password_goes_to_the_mail_protocols_alone_and_waits_after_a_refusal(lab: Lab, tmp_path: Path):
    printer = {
        "name": PRINTER, "kind": "app_password", "username": "printer@contoso.example",
        "password_file": secret_file(tmp_path / "password", "app-password"), "targets": ["smtp_office365", "activesync"],
    }  # fmt: skip
    settings = settings_of(lab, tmp_path, printer, canary_interval="1ms")
    job = job_of(settings)
    for account in job.accounts:
        assert account.guard is not None
        account.guard.file.path = tmp_path / "printer.token"
    await job.run()
    refused = at(job, "smtp_office365", "clients")
    assert refused.outcome is AuthOutcome.REFUSED
    assert (at(job, "activesync", "wan").withheld or "").startswith("withheld: a password is sent by IMAP")
    assert lab.outlook.behaviour.traffic.counts["password"] == 1, "not from the second vantage either"
    restarted = job_of(settings, say_waiting=True)
    assert restarted.accounts[0].guard is not None
    restarted.accounts[0].guard.file.path = tmp_path / "printer.token"
    await restarted.run()
    assert "isn't sent again" in (at(restarted, "smtp_office365").error or "")
    assert lab.outlook.behaviour.traffic.counts["password"] == 1


async def test_an_account_that_fails_unexpectedly_doesnt_keep_the_others_from_their_turn(lab: Lab, tmp_path: Path):
    job = job_of(settings_of(lab, tmp_path, personal(lab, tmp_path), work(lab, tmp_path)))

    class Broken:
        async def token(self, *_: Any, **__: Any) -> None:
            raise RuntimeError("unexpected")

    object.__setattr__(job.accounts[0], "tokens", Broken())
    with pytest.raises(RuntimeError, match="unexpected"):  # the schedule counts it
        await job.run()
    assert at(job, "imap_office365").outcome is AuthOutcome.ACCEPTED


async def test_a_day_of_a_healthy_account(lab: Lab, tmp_path: Path):
    clock = Clock(datetime(2026, 11, 25, tzinfo=UTC))
    job = job_of(settings_of(lab, tmp_path, personal(lab, tmp_path, targets=["imap"])))
    clock.drive(job)
    signed_in_before(job.accounts[0], REFRESH)
    lab.outlook.behaviour.clock_offset = (clock.now - datetime.now(UTC)).total_seconds()
    for _ in range(24 * 4):
        await job.run()
        clock.forward(900)
        lab.outlook.behaviour.clock_offset += 900
    counts = lab.outlook.behaviour.traffic.counts
    assert 24 <= counts["token_request"] <= 24 * 3, "a measurement an hour and vantage, and what that leaves to refresh"
    assert 24 * 4 <= counts["token imap-mail.outlook.com:993"] <= 24 * 4 * 2
    assert at(job, "imap").outcome is AuthOutcome.ACCEPTED
    [plan] = [account.plan() for account in job.accounts]
    assert plan.name == PERSONAL


def test_what_a_token_must_be_for():
    assert resource_of(TARGETS["graph"]) is Resource.GRAPH
    assert {resource_of(TARGETS[name]) for name in ("imap", "smtp", "activesync")} == {Resource.EXCHANGE}


class Clock:
    """Both clocks of a job, moved by hand but for what passes by itself."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._ahead = 0.0

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self._ahead += seconds

    def drive(self, job: AccountsJob) -> None:
        tools: Tools = job.tools
        real = tools.clock
        object.__setattr__(tools, "clock", lambda: real() + self._ahead)
        object.__setattr__(tools, "wall_clock", lambda: self.now)
