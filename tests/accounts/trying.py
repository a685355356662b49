"""Accounts of the product against the embedded Outlook.com: the configuration, and the job that tries them."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from exporter.accounts.configured import Account, make_accounts
from exporter.accounts.job import AccountsJob
from exporter.accounts.sign_in_policy import SignInPolicy
from exporter.accounts.token import Resource
from exporter.accounts.token_file import AccessToken, Stored
from exporter.lab.lab import Lab
from exporter.metrics.accounts import AccountsState
from exporter.prepare import VantageProcesses, make_prober, make_vantages
from exporter.secret_files import Secret
from exporter.settings import Settings
from exporter.settings_file import load

WORK, PERSONAL, PRINTER = "canary-work", "canary-personal", "printer"
USER = "someone@outlook.com"
MAIL_SCOPES = tuple(
    f"https://outlook.office.com/{name}" for name in ("IMAP.AccessAsUser.All", "POP.AccessAsUser.All", "SMTP.Send")
)
#: The one application that the foreign identity provider knows, and its secret.
APPLICATION, APPLICATION_SECRET = "the-application", "the-applications-secret"


def secret_file(path: Path, text: str) -> str:
    """The text in a file that only we can read."""
    path.touch(mode=0o600)
    path.write_text(text)
    return str(path)


def personal(lab: Lab, tmp_path: Path, **more: Any) -> dict[str, Any]:
    """A person's account, signed in by device code."""
    return {
        "name": PERSONAL,
        "kind": "oauth_personal",
        "username": USER,
        "client_id": "client-of-a-person",
        "authority": authority(lab, "consumers"),
        "token_cache": str(tmp_path / "personal.token"),
        "targets": ["imap", "smtp", "pop"],
        **more,
    }


def work(lab: Lab, tmp_path: Path, **more: Any) -> dict[str, Any]:
    """An application's account, by client secret unless it says otherwise."""
    credential = {"client_secret_file": secret_file(tmp_path / "secret", "hunter2-of-the-app")}
    return {
        "name": WORK,
        "kind": "oauth_work",
        "username": "box@contoso.example",
        "client_id": "client-of-the-app",
        "authority": authority(lab, "contoso.example"),
        "token_cache": str(tmp_path / "work.token"),
        "targets": ["imap_office365", "smtp_office365", "pop_office365"],
        **({} if "certificate_file" in more else credential),
        **more,
    }


def authority(lab: Lab, tenant: str) -> str:
    """The lab's identity provider, at its port."""
    return f"https://login.microsoftonline.com:{443 + lab.shift}/{tenant}"


def settings_of(lab: Lab, tmp_path: Path, *accounts: Mapping[str, Any], **more: Any) -> Settings:
    """The lab's configuration with those accounts."""
    content = lab.configuration()
    content["accounts"] = [dict(account) for account in accounts]
    content["probe"] |= more
    path = tmp_path / "accounts.yml"
    path.write_text(yaml.safe_dump(content))
    return load(path, {})


def job_of(settings: Settings, **more: Any) -> AccountsJob:
    """The job as `run` makes it."""
    prober = make_prober(settings, once=True)
    vantages = make_vantages(settings, {}, VantageProcesses())
    accounts = make_accounts(settings, {}, prober.tools, [vantage.name for vantage in vantages])
    policy = SignInPolicy(settings.probe.canary_interval, random.Random(7))
    job = AccountsJob(accounts, vantages, prober.tools, AccountsState(), policy, **more)
    job.configure()
    return job


def signed_in_before(account: Account, refresh_token: str) -> None:
    """As if a person had run `login`."""
    assert account.tokens is not None
    now = account.tokens.tools.wall_clock().timestamp()
    with account.tokens.file.locked():
        account.tokens.file.write(Stored(refresh_token=Secret(refresh_token.encode()), refresh_obtained_at=now))


def with_access_token(account: Account, token: str, *, seconds: float) -> None:
    """As if that token had been given just now, for so many seconds."""
    assert account.tokens is not None
    now = account.tokens.tools.wall_clock().timestamp()
    access = AccessToken(token=Secret(token.encode()), obtained_at=now, expires_at=now + seconds)
    with account.tokens.file.locked():
        stored = account.tokens.file.read()
        account.tokens.file.write(stored.with_access(Resource.EXCHANGE, access))
