"""What a person has mended is tried at once: after a sign-in, with a new secret or password, at another provider."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exporter.accounts.job import AccountsJob
from exporter.accounts.token import Resource
from exporter.accounts.token_file import AccessToken, TokenFile
from exporter.accounts.tokens import signed_in
from exporter.lab.lab import Lab
from exporter.lab.sign_in import Grant
from exporter.secret_files import Secret
from exporter.vocabulary import AuthOutcome, Cause
from tests.accounts.conftest import REFRESH, SCOPE
from tests.accounts.test_job import Clock, at
from tests.accounts.trying import PRINTER, USER, job_of, personal, secret_file, settings_of, signed_in_before, work

HOUR = 3_600.0
ANEW = "M.C5_the-refresh-token-of-a-new-sign-in"


@pytest.fixture
def clock(lab: Lab) -> Clock:
    clock = Clock(datetime(2026, 11, 25, tzinfo=UTC))
    lab.outlook.behaviour.clock_offset = (clock.now - datetime.now(UTC)).total_seconds()
    return clock


async def hours(job: AccountsJob, clock: Clock, lab: Lab, count: int) -> None:
    """The job each quarter of an hour."""
    for _ in range(4 * count):
        await job.run()
        clock.forward(HOUR / 4)
        lab.outlook.behaviour.clock_offset += HOUR / 4


def token_requests(lab: Lab) -> int:
    return lab.outlook.behaviour.traffic.counts["token_request"]


async def test_a_new_sign_in(lab: Lab, tmp_path: Path, clock: Clock):
    job = job_of(settings_of(lab, tmp_path, personal(lab, tmp_path, targets=["imap"])))
    clock.drive(job)
    signed_in_before(job.accounts[0], REFRESH)
    lab.outlook.behaviour.token_error = 50173
    await hours(job, clock, lab, 12)
    assert at(job, "imap").cause is Cause.TOKEN_REVOKED
    lab.outlook.behaviour.token_error = None
    login(job, lab)
    await job.run()
    assert at(job, "imap").outcome is AuthOutcome.ACCEPTED


def login(job: AccountsJob, lab: Lab) -> None:
    """As the command leaves the cache: another process, the same file."""
    source = job.accounts[0].tokens
    assert source is not None
    lab.outlook.sign_in.refresh_tokens[ANEW] = Grant(
        USER, "client-of-a-person", SCOPE, personal=True, issued=lab.outlook.behaviour.now()
    )
    now = source.tools.wall_clock().timestamp()
    expired = AccessToken(token=Secret(b"EwB-short"), obtained_at=now - 2, expires_at=now - 1)
    with source.file.locked():
        answer = {"refresh_token": ANEW}
        source.file.write(signed_in(source.file.read(), Resource.EXCHANGE, expired, answer, now))


@pytest.mark.parametrize("reloaded", [True, False], ids=["reload", "restart"])
async def test_a_new_client_secret(lab: Lab, tmp_path: Path, clock: Clock, reloaded: bool):
    secret = secret_file(tmp_path / "app-secret", "not-the-secret")
    one = {"client_secret_file": secret, "targets": ["imap_office365"], "vantages": ["wan"]}
    settings = settings_of(lab, tmp_path, work(lab, tmp_path, **one))
    job = job_of(settings)
    clock.drive(job)
    await hours(job, clock, lab, 12)
    assert at(job, "imap_office365").cause is Cause.CREDENTIALS_INVALID
    before = token_requests(lab)
    same = after(job, settings, clock, reloaded=reloaded)
    await same.run()
    assert token_requests(lab) == before, "the same secret waits"
    secret_file(tmp_path / "app-secret", "hunter2-of-the-app")
    mended = after(same, settings, clock, reloaded=reloaded)
    await mended.run()
    assert token_requests(lab) == before + 1
    assert at(mended, "imap_office365").outcome is AuthOutcome.ACCEPTED


@pytest.mark.parametrize("reloaded", [True, False], ids=["reload", "restart"])
async def test_a_new_password(lab: Lab, tmp_path: Path, clock: Clock, reloaded: bool):
    printer = {
        "name": PRINTER, "kind": "app_password", "username": "printer@contoso.example", "vantages": ["wan"],
        "password_file": secret_file(tmp_path / "password", "mistyped"), "targets": ["smtp_office365"],
    }  # fmt: skip
    settings, counts = settings_of(lab, tmp_path, printer), lab.outlook.behaviour.traffic.counts

    def at_its_place(job: AccountsJob) -> AccountsJob:
        assert job.accounts[0].guard is not None
        job.accounts[0].guard.file = TokenFile(tmp_path / "printer.token", PRINTER)
        return job

    job = at_its_place(job_of(settings))
    clock.drive(job)
    await hours(job, clock, lab, 12)
    before = counts["password"]
    assert at(job, "smtp_office365").outcome is AuthOutcome.REFUSED
    same = at_its_place(after(job, settings, clock, reloaded=reloaded))
    await same.run()
    assert counts["password"] == before, "the same password waits"
    secret_file(tmp_path / "password", "typed-well")
    await at_its_place(after(same, settings, clock, reloaded=reloaded)).run()
    assert counts["password"] == before + 1


async def test_tokens_of_another_application_or_provider_are_nobodys(lab: Lab, tmp_path: Path):
    """A refresh token goes to the provider that gave it, for the application that it was given to."""

    def configured(**more: Any) -> AccountsJob:
        return job_of(settings_of(lab, tmp_path, personal(lab, tmp_path, targets=["imap"], **more)))

    job = configured()
    signed_in_before(job.accounts[0], REFRESH)
    await job.run()
    assert at(job, "imap").outcome is AuthOutcome.ACCEPTED
    before = token_requests(lab)
    elsewhere = f"https://login.microsoftonline.com:{443 + lab.shift}/contoso.example"
    for changed in ({"client_id": "another"}, {"authority": elsewhere}):
        job = configured(**changed)
        await job.run()
        assert "nobody has signed in yet" in (at(job, "imap").error or "")
    assert token_requests(lab) == before
    job = configured()
    await job.run()
    assert at(job, "imap").outcome is AuthOutcome.ACCEPTED, "nothing was thrown away meanwhile"


def after(job: AccountsJob, settings: Any, clock: Clock, *, reloaded: bool) -> AccountsJob:
    """The job behind a reload or a restart."""
    later = job_of(settings)
    clock.drive(later)
    if reloaded:
        later.continue_from(job)
    return later
