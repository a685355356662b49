"""Token requests through MSAL at an identity provider that nobody here wrote, for the flows that it knows."""

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

from exporter.accounts.errors import explain
from exporter.accounts.job import AccountsJob
from exporter.accounts.token import Source, TokenResult
from exporter.settings_file import load
from exporter.vocabulary import Cause, Phase
from tests.accounts.trying import MAIL_SCOPES, job_of, secret_file, signed_in_before
from tests.real.certificates import make_authority
from tests.real.process import free_ports, running, server_directory


class Provider:
    """Where it is, and what a browser does there."""

    def __init__(self, port: int, root: Path) -> None:
        self.url, self.root = f"https://localhost:{port}/tenant", root
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
        command = [sys.executable, "-m", "tests.accounts.foreign_provider", port, files.chain, files.key]
        with running(command, directory, ports=[port], cwd=Path(__file__).parents[2]):
            yield Provider(port, authority.root_file)


@pytest.fixture
def job(provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AccountsJob:
    monkeypatch.setenv("SSL_CERT_FILE", str(provider.root))
    account = {
        "name": "box", "kind": "oauth_personal", "username": "somebody", "client_id": "the-client",
        "authority": provider.url, "token_cache": str(tmp_path / "box.token"),
    }  # fmt: skip
    path = tmp_path / "c.yml"
    path.write_text(yaml.safe_dump({"accounts": [account], "identity": {"roots_file": str(provider.root)}}))
    return job_of(load(path, {}))


async def ask(job: AccountsJob) -> TokenResult:
    assert job.accounts[0].tokens is not None
    return await job.accounts[0].tokens.token(job.vantages[0])


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


async def test_its_refusal_of_a_grant_that_it_doesnt_know(provider: Provider, tmp_path: Path, job: AccountsJob):
    account = {
        "name": "app", "kind": "oauth_work", "client_id": "the-client", "authority": provider.url,
        "client_secret_file": secret_file(tmp_path / "secret", "any"), "token_cache": str(tmp_path / "app.token"),
    }  # fmt: skip
    content = yaml.safe_load((tmp_path / "c.yml").read_text()) | {"accounts": [account]}
    (tmp_path / "c.yml").write_text(yaml.safe_dump(content))
    token = await ask(job_of(load(tmp_path / "c.yml", {})))
    assert token.error is not None
    assert token.error.error == "unsupported_grant_type"
    assert explain(token.error).cause in (Cause.APP_MISCONFIGURED, Cause.UNKNOWN)


async def test_where_its_root_isnt_in_the_set_it_gets_no_secret(provider: Provider, job: AccountsJob, tmp_path: Path):
    """Trusted by this machine, and still not one of those that `identity.roots_file` names."""
    text = (tmp_path / "c.yml").read_text()
    (tmp_path / "c.yml").write_text(re.sub(r"identity:\n  roots_file: .*\n", "", text))
    job = job_of(load(tmp_path / "c.yml", {}))
    signed_in_before(job.accounts[0], provider.refresh_token())
    token = await ask(job)
    assert token.secret is None
    assert token.withheld is not None or not token.reached
