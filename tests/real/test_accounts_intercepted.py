"""A real intercepting proxy whose authority this machine trusts: only the canary passes through it, by its own log."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.accounts.configured import Account
from exporter.accounts.job import AccountsJob
from exporter.demo import LabThread
from exporter.lab.lab import Lab
from exporter.lab.sign_in import App, Grant
from exporter.observations import AccountResult, Probe
from exporter.prepare import VantageProcesses, make_prober, make_vantages
from exporter.protocols.canary import CANARY_USER
from exporter.settings_file import load
from exporter.vocabulary import AuthOutcome, Cause
from tests.accounts.leaks import Leaks
from tests.accounts.trying import job_of, personal, secret_file, signed_in_before, with_access_token, work
from tests.real.mitmproxy import Mitmproxy, inspecting_proxy

TOKEN = "EwB" + "hV7sK2qX9rZ4" * 90
REFRESH, CLIENT_SECRET = "M.C5_" + "kQ7wZr3sN9fX2vB6" * 6, "Qz8~cl13ntS3cr3t_0f-the.App"
PASSWORD = "corr3ct-h0rse-battery"
SECRETS = {"access token": TOKEN, "refresh token": REFRESH, "client secret": CLIENT_SECRET, "password": PASSWORD}
INTERCEPTED, EXCEPTED = ("imap", "pop_office365", "activesync", "graph"), "pop"
USER, APP, PERSON = "someone@outlook.com", "client-of-the-app", "client-of-a-person"


@dataclass(slots=True)
class Intercepted:
    """The product's parts in front of the proxy, the embedded Outlook.com behind it."""

    lab: Lab
    proxy: Mitmproxy
    config: Path
    results: dict[tuple[str, str], AccountResult]

    def job(self, *, allowed: bool = False) -> AccountsJob:
        content = yaml.safe_load(self.config.read_text())
        for account in content["accounts"]:
            account["allow_intercepted"] = allowed
        self.config.write_text(yaml.safe_dump(content))
        job = job_of(load(self.config, {}), ended=self._ended)
        with_access_token(_named(job, "canary-personal"), TOKEN, seconds=3_000)
        return job

    def _ended(self, target: str, vantage: str, result: AccountResult) -> None:
        self.results[result.name, target] = result

    def read(self) -> bytes:
        """What the proxy has read so far."""
        return self.proxy.log.read_bytes()


def _named(job: AccountsJob, name: str) -> Account:
    return next(account for account in job.accounts if account.name == name)


@pytest.fixture
def way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Intercepted]:
    (tmp_path / "lab").mkdir()
    thread = LabThread(tmp_path / "lab")
    lab = thread.start()
    try:
        with inspecting_proxy(lab.proxy.port, "pop-mail.outlook.com") as proxy:
            store = tmp_path / "store.pem"
            store.write_bytes(lab.trust_store().read_bytes() + proxy.root_file.read_bytes())
            monkeypatch.setenv("SSL_CERT_FILE", str(store))
            yield Intercepted(lab, proxy, _configured(lab, tmp_path, proxy), {})
    finally:
        thread.stop()


def _configured(lab: Lab, tmp_path: Path, proxy: Mitmproxy) -> Path:
    behaviour, sign_in = lab.outlook.behaviour, lab.outlook.sign_in
    behaviour.valid_tokens.add(TOKEN)
    behaviour.smtp_passwords["printer@contoso.example"] = PASSWORD
    sign_in.apps[APP] = App(secret=CLIENT_SECRET)
    sign_in.refresh_tokens[REFRESH] = Grant(USER, PERSON, "", personal=True, issued=behaviour.now())
    printer = {
        "name": "printer", "kind": "app_password", "username": "printer@contoso.example",
        "password_file": secret_file(tmp_path / "password", PASSWORD), "targets": ["imap", "pop_office365"],
    }  # fmt: skip
    content: dict[str, Any] = lab.configuration()
    content["vantages"] = [{"name": "inside", "proxy": f"http://127.0.0.1:{proxy.port}"}]
    content["accounts"] = [
        personal(lab, tmp_path, targets=[*INTERCEPTED, EXCEPTED]), work(lab, tmp_path, targets=["imap_office365"]), printer,
    ]  # fmt: skip
    secret_file(tmp_path / "secret", CLIENT_SECRET)
    config = tmp_path / "exporter.yml"
    config.write_text(yaml.safe_dump(content))
    return config


@asynccontextmanager
async def a_round(way: Intercepted) -> AsyncIterator[dict[str, Probe]]:
    settings = load(way.config, {})
    vantages = make_vantages(settings, {}, VantageProcesses())
    wanted = [settings.all_targets()[name] for name in (*INTERCEPTED, EXCEPTED, "sign_in_work")]
    yield {
        walked.probe.target: walked.probe async for walked in make_prober(settings, once=True).round(wanted, vantages)
    }


@pytest.mark.slow
async def test_only_the_canary_passes_through_an_interceptor_that_this_machine_trusts(way: Intercepted):
    async with a_round(way) as probes:
        for target in (*INTERCEPTED, "sign_in_work"):
            tls = probes[target].tls
            assert tls is not None
            assert (tls.trusted, tls.genuine, tls.issuer_organization) == (True, False, "mitmproxy"), target
    job = way.job()
    signed_in_before(_named(job, "canary-personal"), REFRESH)
    with_access_token(_named(job, "canary-personal"), TOKEN, seconds=3_000)
    await job.run()
    read = await asyncio.to_thread(way.read)
    assert base64.b64encode(f"user={CANARY_USER}".encode())[:40] in read  # the canary did
    Leaks(SECRETS).check([("the proxy's log", read)])
    assert ("canary-personal", "graph") not in way.results  # no token for it: the refresh token stayed here
    for target in ("imap", "pop_office365", "activesync"):
        result = way.results["canary-personal", target]
        assert result.outcome is AuthOutcome.UNKNOWN
        assert result.withheld == "withheld: the certificate isn't Microsoft's (issued by mitmproxy)"
        assert result.cause is Cause.TLS_INTERCEPTED
    # One host it doesn't inspect: there the chain is genuine, and the token goes out.
    assert way.results["canary-personal", EXCEPTED].outcome is AuthOutcome.ACCEPTED
    work_result = way.results["canary-work", "imap_office365"]
    assert work_result.withheld is not None  # its secret didn't even leave for a token
    assert way.lab.counts["password"] == 0
    assert {seen.secret for seen in way.lab.outlook.behaviour.traffic.credentials if seen.user != CANARY_USER} <= {
        TOKEN, "",
    }  # fmt: skip


@pytest.mark.slow
async def test_the_log_would_show_it_where_it_is_allowed(way: Intercepted):
    """The control: with allow_intercepted the same secrets are in the same log."""
    job = way.job(allowed=True)
    await job.run()
    read = await asyncio.to_thread(way.read)
    assert Leaks(SECRETS).in_text(read) >= {"access token", "client secret"}
    assert way.results["canary-personal", "imap"].outcome is AuthOutcome.ACCEPTED
    assert way.results["canary-work", "imap_office365"].outcome is AuthOutcome.ACCEPTED
