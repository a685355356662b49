"""Token requests through MSAL at an identity provider that nobody here wrote, for the flows that it knows."""

import asyncio
import json
import re
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.accounts.authority import Authority
from exporter.accounts.errors import explain
from exporter.accounts.job import AccountsJob
from exporter.accounts.msal_bridge import Carrier, begin_device_flow, poll_device_flow
from exporter.accounts.side_thread import Recall, on_thread
from exporter.accounts.token import Grant, Source, TokenResult
from exporter.settings_file import load
from exporter.vocabulary import Cause, Phase
from tests.accounts.made import app_certificate
from tests.accounts.test_login import command, instructions, said
from tests.accounts.trying import APPLICATION, APPLICATION_SECRET, MAIL_SCOPES, job_of, secret_file, signed_in_before
from tests.real.certificates import make_authority
from tests.real.process import free_ports, running, server_directory


class Provider:
    """Where it is, and what a browser does there."""

    def __init__(self, port: int, root: Path, app: tuple[str, str]) -> None:
        self.url, self.root = f"https://localhost:{port}/tenant", root
        self.app_key, self.app_certificate = app
        context = ssl.create_default_context(cafile=str(root))
        self._open = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), NoRedirects()).open

    def refresh_token(self) -> str:
        """What a person's sign-in in a browser leaves the client with (RFC 6749 4.1)."""
        query = {
            "client_id": "the-client", "redirect_uri": "https://client.example/back", "response_type": "code",
            "scope": f"openid profile offline_access {' '.join(MAIL_SCOPES)}",
        }  # fmt: skip
        place = self._post(f"/oauth2/authorize?{urllib.parse.urlencode(query)}", {"sub": "somebody"})
        [code] = re.findall(r"[?&]code=([^&]+)", place)
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": "https://client.example/back",
            "client_id": "the-client",
        }  # fmt: skip
        return str(json.loads(self._post("/oauth2/token", form))["refresh_token"])

    def decide(self, instructions: str, *, approved: bool) -> None:
        """The person enters the code, in a browser anywhere, and decides."""
        [code] = re.findall(r"enter the code ([A-Z]{4}-[A-Z]{4})$", instructions.strip())
        self._post("/device/decide", {"user_code": code, "approved": "yes" if approved else "no"})

    def _post(self, path: str, form: dict[str, str]) -> str:
        """The Location where it redirects, else the body."""
        request = urllib.request.Request(self.url + path, urllib.parse.urlencode(form).encode())
        try:
            with self._open(request, timeout=10) as reply:
                return str(reply.read().decode())
        except urllib.error.HTTPError as redirect:
            with redirect:
                return str(redirect.headers["Location"])


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with server_directory("oidc") as directory:
        authority = make_authority(directory)
        files = authority.leaf("localhost")
        [port] = free_ports(1)
        key, certificate = app_certificate()
        (directory / "app.pem").write_text(certificate)
        arguments = [port, files.chain, files.key, directory / "app.pem"]
        command = [sys.executable, "-m", "tests.accounts.foreign_provider", *arguments]
        with running(command, directory, ports=[port], cwd=Path(__file__).parents[2]):
            yield Provider(port, authority.root_file, (key, certificate))


@pytest.fixture
def job(provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AccountsJob:
    """A person's account, configured in accounts.yml."""
    monkeypatch.setenv("SSL_CERT_FILE", str(provider.root))
    return configured(provider, tmp_path, kind="oauth_personal", username="somebody", client_id="the-client")


def configured(provider: Provider, tmp_path: Path, **account: Any) -> AccountsJob:
    account = {
        "name": "box", "authority": provider.url, "token_cache": str(tmp_path / "box.token"), **account
    }  # fmt: skip
    path = tmp_path / "accounts.yml"
    path.write_text(yaml.safe_dump({"accounts": [account], "identity": {"roots_file": str(provider.root)}}))
    return job_of(load(path, {}))


def by_secret(provider: Provider, tmp_path: Path, secret: str = APPLICATION_SECRET, **account: Any) -> AccountsJob:
    file = secret_file(tmp_path / "secret", secret)
    return configured(provider, tmp_path, kind="oauth_work", client_id=APPLICATION, client_secret_file=file, **account)


def by_certificate(provider: Provider, tmp_path: Path, key: str, certificate: str) -> AccountsJob:
    files = {
        "certificate_file": secret_file(tmp_path / "app.pem", certificate),
        "private_key_file": secret_file(tmp_path / "app.key", key),
    }
    return configured(provider, tmp_path, kind="oauth_work", client_id=APPLICATION, **files)


async def ask(job: AccountsJob, *, force: bool = False) -> TokenResult:
    assert job.accounts[0].tokens is not None
    return await job.accounts[0].tokens.token(job.vantages[0], force=force)


async def test_a_refresh_token_is_exchanged(provider: Provider, job: AccountsJob):
    signed_in_before(job.accounts[0], provider.refresh_token())
    token = await ask(job)
    assert token.error is None
    assert (token.source, token.reached) == (Source.IDENTITY_PROVIDER, True)
    assert token.secret is not None
    assert [phase.phase for phase in token.phases][-1] is Phase.TOKEN


async def test_its_refusal_of_a_refresh_token_is_understood_by_the_standards_words(job: AccountsJob):
    """RFC 6749 5.2's invalid_grant, without any of Microsoft's numbers."""
    signed_in_before(job.accounts[0], "nobody-gave-this")
    token = await ask(job)
    assert token.secret is None
    assert token.error is not None
    assert (token.error.error, token.error.codes) == ("invalid_grant", ())
    assert explain(token.error).cause in (Cause.TOKEN_REVOKED, Cause.TOKEN_EXPIRED)
    assert explain(token.error).label == "other"


async def test_its_refusal_of_a_grant_that_it_doesnt_know(provider: Provider, job: AccountsJob, tmp_path: Path):
    plain = provider.url.replace("/tenant", "/plain")
    token = await ask(by_secret(provider, tmp_path, authority=plain))
    assert token.error is not None
    assert token.error.error == "unsupported_grant_type"
    assert explain(token.error).cause in (Cause.APP_MISCONFIGURED, Cause.UNKNOWN)


async def test_an_application_by_its_secret(provider: Provider, job: AccountsJob, tmp_path: Path):
    token = await ask(by_secret(provider, tmp_path))
    assert token.error is None
    assert (token.source, token.grant) == (Source.IDENTITY_PROVIDER, Grant.CLIENT_CREDENTIALS)
    assert token.secret is not None


async def test_its_refusal_of_an_applications_secret(provider: Provider, job: AccountsJob, tmp_path: Path):
    token = await ask(by_secret(provider, tmp_path, "not-the-secret"))
    assert token.error is not None
    assert (token.error.error, token.secret) == ("invalid_client", None)
    assert explain(token.error).cause is Cause.CREDENTIALS_INVALID


async def test_an_application_by_its_certificate(provider: Provider, job: AccountsJob, tmp_path: Path):
    """The provider verifies the assertion's signature, audience and times, and that none comes twice."""
    job = by_certificate(provider, tmp_path, provider.app_key, provider.app_certificate)
    first, second = await ask(job), await ask(job, force=True)
    assert (first.error, second.error) == (None, None)
    assert {first.source, second.source} == {Source.IDENTITY_PROVIDER}


async def test_its_refusal_of_another_certificate(provider: Provider, job: AccountsJob, tmp_path: Path):
    token = await ask(by_certificate(provider, tmp_path, *app_certificate()))
    assert token.error is not None
    assert (token.error.error, token.secret) == ("invalid_client", None)
    assert explain(token.error).cause is Cause.CREDENTIALS_INVALID


async def test_a_person_signs_in_by_device_code(provider: Provider, job: AccountsJob, tmp_path: Path):
    process = await command(tmp_path, "login", "box")
    line = await instructions(process)
    assert "open https://provider.example/device in any browser" in line
    provider.decide(line, approved=True)
    status, out, err = await said(process)
    assert (status, "Signed in." in out) == (0, True), err
    refreshed = await ask(job, force=True)
    assert (refreshed.error, refreshed.source) == (None, Source.IDENTITY_PROVIDER)
    assert refreshed.secret is not None


async def test_a_person_declines(provider: Provider, job: AccountsJob, tmp_path: Path):
    process = await command(tmp_path, "login", "box")
    provider.decide(await instructions(process), approved=False)
    status, out, err = await said(process)
    assert (status, "Signed in" in out) == (1, False)
    assert err.splitlines()[-1].startswith("Not signed in: ")


async def test_polled_too_early_it_is_polled_more_rarely(job: AccountsJob):
    """RFC 8628 3.5: behind each slow_down five seconds more."""
    source, loop = job.accounts[0].tokens, asyncio.get_running_loop()
    assert source is not None
    authority = Authority.of(source.account)

    def steps(recall: Recall) -> list[Any]:
        def carrier() -> Carrier:
            return Carrier(authority, source.carry(job.vantages[0], loop, recall))

        flow = begin_device_flow(source.account, carrier(), MAIL_SCOPES)
        seen = []
        for _ in range(2):
            answer = poll_device_flow(source.account, carrier(), flow)
            seen.append((answer["error"], flow["interval"]))
        return seen

    assert await on_thread(steps) == [("authorization_pending", 1), ("slow_down", 6)]


async def test_where_its_root_isnt_in_the_set_it_gets_no_secret(provider: Provider, job: AccountsJob, tmp_path: Path):
    """Trusted by this machine, and still not one of those that `identity.roots_file` names."""
    text = (tmp_path / "accounts.yml").read_text()
    (tmp_path / "accounts.yml").write_text(re.sub(r"identity:\n  roots_file: .*\n", "", text))
    job = job_of(load(tmp_path / "accounts.yml", {}))
    signed_in_before(job.accounts[0], provider.refresh_token())
    token = await ask(job)
    assert token.secret is None
    assert token.withheld is not None or not token.reached
