"""Sign-ins over the wire: the embedded Outlook.com, its mailbox states, its gateway; what reached whom is counted there."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exporter.accounts.attempt import own_hosts_of, why_not_there, without_token
from exporter.accounts.errors import TokenError
from exporter.catalogue import TARGETS
from exporter.lab.behaviour import MailboxState
from exporter.observations import AccountResult, TokenUse, as_json, from_json
from exporter.vocabulary import AuthOutcome, Cause, Mechanism, Outcome, Phase, Responsible
from tests.accounts.made import account
from tests.accounts.worlds import EVERYWHERE, MAIL, ME, PASSWORD, TOKEN, World, world

USER = "someone@outlook.com"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def phases(result: AccountResult) -> list[str]:
    return [str(each.phase) for each in result.phases]


# --- signing in


@pytest.mark.parametrize("target", EVERYWHERE)
async def test_a_good_token_signs_in_everywhere(lab: World, target: str):
    use = TokenUse(source="cache", expires_in=3000.0)
    result = await lab.sign_in(target, token=use)
    assert (result.outcome, result.failed_phase, result.error) == (AuthOutcome.ACCEPTED, None, None)
    assert (result.name, result.mechanism, result.token) == ("me", Mechanism.TOKEN, use)
    assert result.seconds is not None
    assert result.seconds < 5
    assert all(each.outcome is Outcome.OK for each in result.phases)


async def test_phases_are_the_contracts(lab: World):
    mail = ["dns", "connect", "tls", "greeting", "capability", "auth"]
    assert phases(await lab.sign_in("imap")) == [*mail, "session"]
    assert phases(await lab.sign_in("pop")) == mail
    assert phases(await lab.sign_in("smtp")) == [
        "dns", "connect", "greeting", "starttls", "tls", "capability", "auth",
    ]  # fmt: skip
    assert phases(await lab.sign_in("activesync")) == ["dns", "connect", "tls", "auth"]


async def test_it_prints_as_one_line_and_is_read_again(lab: World):
    result = await lab.sign_in("imap")
    line = as_json(result)
    assert from_json(AccountResult, line) == result
    assert TOKEN not in line


@pytest.mark.parametrize("target", EVERYWHERE)
async def test_a_bad_token_is_refused_and_the_account_has_to_act(lab: World, target: str):
    result = await lab.sign_in(target, "EwBnot-a-good-token-at-all")
    assert (result.outcome, result.failed_phase) == (AuthOutcome.REFUSED, Phase.AUTH)
    assert (result.cause, result.responsible) == (Cause.CREDENTIALS_INVALID, Responsible.ACCOUNT)
    assert result.error is not None
    assert result.reply is not None
    assert "not-a-good-token" not in as_json(result)


async def test_an_expired_token_by_the_corrected_clock(lab: World):
    bad, now = "EwBout-of-date-by-now", datetime.now(UTC)
    late = await lab.sign_in("imap", bad, expires_at=now - timedelta(minutes=1))
    assert (late.cause, late.responsible) == (Cause.TOKEN_EXPIRED, Responsible.ACCOUNT)
    ahead = await lab.sign_in("imap", bad, expires_at=now - timedelta(minutes=1), skew=3600)
    assert ahead.cause is Cause.CREDENTIALS_INVALID


async def test_a_shared_mailbox_opens_by_its_name_and_the_delegates_token(tmp_path: Path):
    shared = {**ME, "name": "shared", "username": "info@contoso.example"}
    async with world(tmp_path, ME, shared) as lab:
        lab.lab.outlook.behaviour.valid_tokens.clear()
        lab.lab.outlook.behaviour.mailboxes[TOKEN] = frozenset({USER, "info@contoso.example"})
        for target in MAIL:
            assert (await lab.sign_in(target, account="shared")).outcome is AuthOutcome.ACCEPTED
        assert {seen.user for seen in lab.lab.outlook.behaviour.traffic.credentials} == {"info@contoso.example"}


# --- what a mailbox may answer


@pytest.mark.parametrize(
    ("state", "target", "outcome", "failed", "cause"),
    [
        ("not_connected", "imap", "accepted", "session", Cause.MAILBOX_UNAVAILABLE),
        ("imap_off", "imap", "accepted", "session", Cause.MAILBOX_UNAVAILABLE),
        ("smtp_off", "smtp", "refused", "auth", Cause.PROTOCOL_DISABLED),
        ("smtp_off_for_tenant", "smtp", "refused", "auth", Cause.PROTOCOL_DISABLED),
        ("criteria", "smtp", "refused", "auth", Cause.CONDITIONAL_ACCESS),
        ("account_issue", "smtp", "refused", "auth", Cause.ACCOUNT_DISABLED),
        ("pop_off", "pop", "refused", "auth", Cause.CREDENTIALS_INVALID),
        ("throttled", "imap", "throttled", "auth", Cause.THROTTLED),
        ("throttled", "smtp", "throttled", "auth", Cause.THROTTLED),
    ],
)
async def test_states_of_the_mailbox(lab: World, state: str, target: str, outcome: str, failed: str, cause: Cause):
    lab.lab.outlook.behaviour.mailbox_states[USER] = frozenset({MailboxState(state)})
    result = await lab.sign_in(target)
    assert (result.outcome, result.failed_phase, result.cause) == (outcome, failed, cause)


@pytest.mark.parametrize("target", EVERYWHERE)
async def test_throttling_and_outage_are_microsofts(lab: World, target: str):
    behaviour = lab.lab.outlook.behaviour
    behaviour.throttled = True
    result = await lab.sign_in(target)
    if target != "pop":  # has no words of its own for it (facts 2.3)
        assert (result.outcome, result.cause) == (AuthOutcome.THROTTLED, Cause.THROTTLED)
    behaviour.throttled, behaviour.outage = False, True
    result = await lab.sign_in(target)
    assert (result.cause, result.responsible) == (Cause.SERVICE_OUTAGE, Responsible.MICROSOFT)
    assert result.outcome is AuthOutcome.UNKNOWN


async def test_a_refusal_slower_than_a_phases_time_out_is_no_timeout(tmp_path: Path):
    async with world(tmp_path, probe={"timeout": "0.5s"}) as lab:
        lab.lab.outlook.behaviour.auth_delay = 1.0
        result = await lab.sign_in("smtp", "EwBbad-bad-bad-token")
        assert (result.outcome, result.failed_phase) == (AuthOutcome.REFUSED, Phase.AUTH)
        assert result.seconds is not None
        assert result.seconds > 0.9


# --- passwords


async def test_a_password_by_smtp_where_the_tenant_allows_it(lab: World):
    lab.lab.outlook.behaviour.smtp_passwords["printer@contoso.example"] = PASSWORD
    result = await lab.sign_in("smtp_office365", PASSWORD, account="printer")
    assert (result.outcome, result.mechanism) == (AuthOutcome.ACCEPTED, Mechanism.PASSWORD)


async def test_a_password_refused_is_the_clients(lab: World):
    for target in ("smtp_office365", "pop_office365"):
        result = await lab.sign_in(target, PASSWORD, account="printer")
        assert (result.outcome, result.cause) == (AuthOutcome.REFUSED, Cause.PASSWORD_REFUSED)
        assert result.responsible is Responsible.CLIENT


async def test_where_logindisabled_no_password_leaves(lab: World):
    result = await lab.sign_in("imap_office365", PASSWORD, account="printer")
    assert (result.outcome, result.failed_phase) == (AuthOutcome.ABANDONED, Phase.CAPABILITY)
    assert result.cause is Cause.PASSWORD_REFUSED
    assert lab.lab.counts["password"] == 0


async def test_no_password_by_http(lab: World):
    result = await lab.sign_in("activesync", PASSWORD, account="printer")
    assert result.withheld == "withheld: a password is sent by IMAP, POP and SMTP only"
    assert result.outcome is AuthOutcome.UNKNOWN
    assert lab.lab.counts["connection"] == 0


# --- what the gateway does


@pytest.mark.parametrize("fault", ["tls_intercepted", "tls_intercepted.trusted"])
@pytest.mark.parametrize("target", EVERYWHERE)
async def test_an_interceptor_gets_no_secret(lab: World, fault: str, target: str):
    await lab.lab.set_fault(fault)
    result = await lab.sign_in(target)
    assert result.outcome is AuthOutcome.UNKNOWN
    assert result.withheld is not None
    assert result.withheld == result.error
    seen = b"".join(data for _, data in lab.lab.gateway.seen)
    assert b"AUTH" not in seen.replace(b"AUTH=", b"")
    assert TOKEN.encode()[:40] not in seen
    assert not lab.lab.outlook.behaviour.traffic.credentials
    if fault.endswith("trusted"):
        assert (result.withheld, result.cause) == (
            "withheld: the certificate isn't Microsoft's (issued by Contoso Ltd)", Cause.TLS_INTERCEPTED,
        )  # fmt: skip


async def test_allow_intercepted_for_those_who_must(tmp_path: Path):
    async with world(tmp_path, {**ME, "allow_intercepted": True}) as lab:
        await lab.lab.set_fault("tls_intercepted.trusted")
        assert (await lab.sign_in("imap")).outcome is AuthOutcome.ACCEPTED
        await lab.lab.set_fault("tls_intercepted")  # whom this machine doesn't trust
        assert (await lab.sign_in("imap")).withheld is not None


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("certificate_expired", None),
        ("certificate_not_yet_valid", None),
        ("certificate_name_mismatch", None),
        ("certificate_chain_incomplete", None),
        ("root_not_trusted", Cause.ROOT_NOT_TRUSTED),
    ],
)
async def test_behind_a_certificate_failure_no_secret(lab: World, fault: str, cause: Cause | None):
    await lab.lab.set_fault(fault)
    for target in MAIL:
        result = await lab.sign_in(target)
        assert result.withheld is not None, target
        assert result.cause is cause
    assert not lab.lab.outlook.behaviour.traffic.credentials


async def test_starttls_stripped_keeps_it_here(lab: World):
    await lab.lab.set_fault("starttls_stripped")
    result = await lab.sign_in("smtp")
    assert (result.outcome, result.failed_phase) == (AuthOutcome.UNKNOWN, Phase.STARTTLS)
    assert lab.lab.counts["token"] == 0


async def test_cut_in_the_middle_is_abandoned(lab: World):
    await lab.lab.set_fault("auth_dropped")
    result = await lab.sign_in("imap")
    assert (result.outcome, result.failed_phase) == (AuthOutcome.ABANDONED, Phase.AUTH)
    assert result.error == "auth: reset (Connection reset by peer)"
    assert (await lab.sign_in("imap", vantage="wan")).outcome is AuthOutcome.ACCEPTED


async def test_what_fails_before_is_the_paths_and_said_so(lab: World):
    await lab.lab.set_fault("dns_failure")
    result = await lab.sign_in("imap")
    assert (result.outcome, result.failed_phase, result.cause) == (AuthOutcome.UNKNOWN, Phase.DNS, None)
    assert result.error is not None
    assert result.error.startswith("dns: name_not_found")


async def test_a_deadline_that_is_over_cuts_it_short(lab: World):
    result = await lab.sign_in("imap", seconds=0.5)
    assert result.outcome is AuthOutcome.UNKNOWN
    assert lab.lab.counts["connection"] == 0


# --- where it is never tried


def test_targets_where_nobody_signs_in():
    settings = account(targets=["imap", "sign_in_work", "revocation"])
    assert why_not_there(settings, TARGETS["imap"]) is None
    for target in ("sign_in_work", "sign_in_personal", "revocation"):
        assert why_not_there(settings, TARGETS[target]) is not None
    assert why_not_there(account(username=None), TARGETS["imap"]) is not None
    assert why_not_there(account(username=None), TARGETS["graph"]) is None


def test_a_custom_target_only_where_the_account_names_it():
    custom = replace(TARGETS["imap"], name="relay", hosts=("relay.example",), custom=True)
    assert why_not_there(account(), custom) is not None
    assert own_hosts_of(account(), custom) == ()
    named = account(targets=["relay"])
    assert why_not_there(named, custom) is None
    assert own_hosts_of(named, custom) == ("relay.example",)


def test_where_no_token_was_given_the_identity_providers_words_are_the_result():
    now = datetime(2026, 11, 24, tzinfo=UTC)
    error = TokenError.of_response(
        {"error": "invalid_grant", "error_description": "AADSTS50057: The user account is disabled."}
    )
    result = without_token(account(), error, now, TokenUse(source="identity_provider", seconds=0.3))
    assert (result.outcome, result.failed_phase, result.cause) == (
        AuthOutcome.REFUSED, Phase.TOKEN, Cause.ACCOUNT_DISABLED,
    )  # fmt: skip
    assert result.error == "AADSTS50057: The account is disabled. The administrator has to enable it in the directory."
    assert result.acts == "administrator"
