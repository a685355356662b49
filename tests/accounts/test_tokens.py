"""Tokens through MSAL against the embedded sign-in: what reaches it, what is remembered, and what never leaves."""

import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from exporter.accounts import refresh_policy
from exporter.accounts.errors import explain
from exporter.accounts.job import AccountsJob
from exporter.accounts.token import Grant, Resource, Source, TokenResult
from exporter.accounts.tokens import TokenSource
from exporter.lab.lab import Lab
from exporter.lab.sign_in import App
from exporter.vocabulary import Cause, Outcome, Phase
from tests.accounts.conftest import REFRESH
from tests.accounts.made import app_certificate
from tests.accounts.trying import job_of, personal, secret_file, settings_of, signed_in_before, with_access_token, work


def token_requests(lab: Lab) -> int:
    return lab.outlook.behaviour.traffic.counts["token_request"]


@pytest.fixture
def person(lab: Lab, tmp_path: Path) -> AccountsJob:
    job = job_of(settings_of(lab, tmp_path, personal(lab, tmp_path)))
    signed_in_before(job.accounts[0], REFRESH)
    return job


async def ask(job: AccountsJob, vantage: str = "wan", *, force: bool = False) -> TokenResult:
    seen_from = next(each for each in job.vantages if each.name == vantage)
    source = job.accounts[0].tokens
    assert source is not None
    return await source.token(seen_from, force=force)


def source_of(job: AccountsJob) -> TokenSource:
    assert job.accounts[0].tokens is not None
    return job.accounts[0].tokens


async def test_a_refresh_token_gives_an_access_token_and_the_phases_of_its_way(lab: Lab, person: AccountsJob):
    token = await ask(person)
    assert token.secret is not None
    assert token.secret.reveal() in lab.outlook.behaviour.issued
    assert (token.source, token.grant, token.reached) == (Source.IDENTITY_PROVIDER, Grant.REFRESH_TOKEN, True)
    assert [phase.phase for phase in token.phases] == [Phase.DNS, Phase.CONNECT, Phase.TLS, Phase.TOKEN]
    assert token.seconds == token.phases[-1].seconds
    assert token.seconds is not None
    assert token_requests(lab) == 1


async def test_no_request_but_the_tokens_own_is_made(lab: Lab, person: AccountsJob):
    """Neither metadata nor instance discovery: where Microsoft's token endpoint is, is known."""
    await ask(person)
    assert lab.outlook.behaviour.traffic.counts["request"] == 1


async def test_the_second_comes_from_the_cache_for_every_vantage(lab: Lab, person: AccountsJob):
    first = await ask(person, "wan")
    for vantage in ("wan", "clients"):
        again = await ask(person, vantage)
        assert (again.source, again.seconds, again.reached) == (Source.CACHE, None, False)
        assert again.secret is not None
        assert first.secret is not None
        assert again.secret.reveal() == first.secret.reveal()
    assert token_requests(lab) == 1


async def test_a_forced_one_reaches_the_identity_provider(lab: Lab, person: AccountsJob):
    await ask(person)
    assert (await ask(person, "clients", force=True)).source is Source.IDENTITY_PROVIDER
    assert token_requests(lab) == 2


async def test_the_rotated_refresh_token_is_on_disk_before_it_is_used(lab: Lab, person: AccountsJob):
    await ask(person)
    stored = source_of(person).file.read()
    assert stored.refresh_token is not None
    assert stored.refresh_token.reveal() != REFRESH
    lab.outlook.sign_in.refresh_tokens.pop(REFRESH)  # the old one is worth nothing any more
    assert (await ask(person, force=True)).secret is not None


async def test_vantages_asking_at_once_refresh_one_after_another(lab: Lab, person: AccountsJob):
    lab.outlook.behaviour.token_delay = 0.05
    tokens = await asyncio.gather(*(ask(person, vantage) for vantage in ("wan", "clients", "wan", "clients")))
    assert [token.source for token in tokens].count(Source.IDENTITY_PROVIDER) == 1
    assert token_requests(lab) == 1


async def test_a_refusal_isnt_asked_for_again_at_once_by_anyone(lab: Lab, tmp_path: Path, person: AccountsJob):
    lab.outlook.behaviour.token_error = 50173
    refused = await ask(person)
    assert refused.error is not None
    assert refused.error.codes == (50173,)
    assert explain(refused.error).cause is Cause.TOKEN_REVOKED
    assert refused.reached
    restarted = job_of(settings_of(lab, tmp_path, personal(lab, tmp_path)))
    for job in (person, restarted):
        waiting = await ask(job, "clients", force=True)
        assert waiting.secret is None
        assert "so that the account isn't locked; the last one: " in (waiting.waiting or "")
    assert token_requests(lab) == 1


async def test_msal_replays_nothing_of_an_earlier_answer(
    lab: Lab, person: AccountsJob, monkeypatch: pytest.MonkeyPatch
):
    """Within MSAL's minute of replaying a refusal the next request goes out, and its success is seen."""
    monkeypatch.setattr(refresh_policy, "may_ask", lambda _history, _now: True)
    lab.outlook.behaviour.token_error = 70000
    assert (await ask(person)).error is not None
    lab.outlook.behaviour.token_error = None
    assert (await ask(person)).source is Source.IDENTITY_PROVIDER
    assert token_requests(lab) == 2


async def test_a_token_that_is_still_good_is_presented_while_its_refresh_fails(lab: Lab, person: AccountsJob):
    with_access_token(person.accounts[0], "EwB-still-good", seconds=3_600)
    lab.outlook.behaviour.token_error = 90033
    token = await ask(person, force=True)
    assert token.error is not None
    assert token.secret is not None
    assert token.secret.reveal() == "EwB-still-good"


async def test_throttling_is_waited_out(lab: Lab, person: AccountsJob):
    lab.outlook.behaviour.throttled, lab.outlook.behaviour.retry_after = True, 1_800
    token = await ask(person)
    assert token.phases[-1].outcome is Outcome.THROTTLED
    assert token.retry_after == 1_800
    history = source_of(person).file.read().history
    assert history.not_before - history.requests[-1] >= 1_800


async def test_an_outage_is_told_from_a_refusal(lab: Lab, person: AccountsJob):
    lab.outlook.behaviour.outage = True
    token = await ask(person)
    assert token.phases[-1].outcome is Outcome.UNAVAILABLE
    assert token.error is not None
    assert explain(token.error).cause is Cause.SERVICE_OUTAGE


async def test_a_way_that_is_broken_makes_only_that_vantage_wait(lab: Lab, person: AccountsJob):
    await lab.set_fault("sni_reset")
    broken = await ask(person, "clients")
    assert not broken.reached
    assert broken.error is None
    assert broken.phases[2].outcome is Outcome.RESET
    assert "broken from this vantage" in ((await ask(person, "clients")).waiting or "")
    assert (await ask(person, "wan")).secret is not None
    assert source_of(person).file.read().history.failures == 0


async def test_an_intercepted_way_gets_no_secret(lab: Lab, person: AccountsJob):
    """The intercepting CA is trusted by this machine, so that only its keys tell it from Microsoft."""
    await lab.set_fault("tls_intercepted.trusted")
    token = await ask(person, "clients")
    assert token.withheld is not None
    assert "isn't Microsoft's" in token.withheld
    assert token.secret is None
    assert token_requests(lab) == 0
    assert source_of(person).file.read().history.requests == (), "nothing was heard, so nothing is counted"


async def test_allow_intercepted_is_what_it_says(lab: Lab, tmp_path: Path):
    job = job_of(settings_of(lab, tmp_path, personal(lab, tmp_path, allow_intercepted=True)))
    signed_in_before(job.accounts[0], REFRESH)
    await lab.set_fault("tls_intercepted.trusted")
    assert (await ask(job, "clients")).secret is not None


async def test_before_anyone_has_signed_in_nothing_is_asked(lab: Lab, tmp_path: Path):
    job = job_of(settings_of(lab, tmp_path, personal(lab, tmp_path)))
    assert (await ask(job)).unusable == "nobody has signed in yet: outlook-auth-exporter login canary-personal"
    assert lab.outlook.behaviour.traffic.counts["connection"] == 0


async def test_a_cache_that_others_can_read_is_said_and_not_used(lab: Lab, person: AccountsJob):
    source_of(person).file.path.chmod(0o644)
    assert "others can read it" in ((await ask(person)).unusable or "")
    assert token_requests(lab) == 0


async def test_an_application_by_its_secret(lab: Lab, tmp_path: Path):
    job = job_of(settings_of(lab, tmp_path, work(lab, tmp_path)))
    token = await ask(job)
    assert (token.grant, token.source) == (Grant.CLIENT_CREDENTIALS, Source.IDENTITY_PROVIDER)
    assert (await ask(job)).source is Source.CACHE
    assert (await ask(job, force=True)).source is Source.IDENTITY_PROVIDER, "MSAL's own cache isn't in the way"
    assert token_requests(lab) == 2


async def test_an_application_by_its_certificate(lab: Lab, tmp_path: Path):
    key, certificate = app_certificate()
    files = {
        "certificate_file": secret_file(tmp_path / "app.pem", certificate),
        "private_key_file": secret_file(tmp_path / "app.key", key),
    }
    loaded = serialization.load_pem_private_key(key.encode(), None)
    lab.outlook.sign_in.apps["client-of-the-app"] = App(key=loaded.public_key())  # type: ignore[arg-type]
    job = job_of(settings_of(lab, tmp_path, work(lab, tmp_path, **files)))
    assert (await ask(job)).secret is not None
    assert job.accounts[0].credential_expires is not None


async def test_a_wrong_secret_is_a_refusal_with_its_number(lab: Lab, tmp_path: Path):
    wrong = secret_file(tmp_path / "wrong", "not-the-secret")
    job = job_of(settings_of(lab, tmp_path, work(lab, tmp_path, client_secret_file=wrong)))
    token = await ask(job)
    assert token.error is not None
    assert explain(token.error).label == "7000215"
    assert explain(token.error).cause is Cause.CREDENTIALS_INVALID


async def test_a_key_that_is_none_ends_in_words_not_in_a_traceback(lab: Lab, tmp_path: Path):
    _, certificate = app_certificate()
    files = {
        "certificate_file": secret_file(tmp_path / "app.pem", certificate),
        "private_key_file": secret_file(tmp_path / "app.key", "-----BEGIN NOTHING-----"),
    }
    job = job_of(settings_of(lab, tmp_path, work(lab, tmp_path, **files)))
    assert "certificate or key is wrong" in ((await ask(job)).unusable or "")


async def test_graph_is_another_resource_and_has_a_token_of_its_own(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(refresh_policy, "FIRST_PAUSE", 0.0)
    job = job_of(settings_of(lab, tmp_path, work(lab, tmp_path)))
    mail = await source_of(job).token(job.vantages[1], Resource.EXCHANGE)
    graph = await source_of(job).token(job.vantages[1], Resource.GRAPH)
    assert {mail.source, graph.source} == {Source.IDENTITY_PROVIDER}
    assert set(source_of(job).file.read().access) == {Resource.EXCHANGE, Resource.GRAPH}


async def test_stopping_in_the_middle_of_a_request_ends_at_once(lab: Lab, person: AccountsJob):
    lab.outlook.behaviour.token_delay = 20
    asking = asyncio.create_task(ask(person))
    while not token_requests(lab):  # noqa: ASYNC110 - the lab counts, it tells nobody
        await asyncio.sleep(0.01)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.wait_for(asyncio.get_running_loop().shutdown_default_executor(), 10)
    assert len(source_of(person).file.read().history.requests) == 1, "it was heard: a restart in a loop counts it"
