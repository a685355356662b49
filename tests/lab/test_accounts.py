"""The demo's accounts: the configuration is good, its secrets are files of ours alone, and each is answered as it says."""

import json
import stat
from pathlib import Path
from urllib.parse import urlencode

import yaml

from exporter.lab.accounts import accounts_on
from exporter.lab.http_server import Request
from exporter.lab.lab import Lab
from exporter.settings_file import load


def ask(lab: Lab, **form: str) -> dict[str, object]:
    request = Request(
        "POST", "login.microsoftonline.com", "/contoso.example/oauth2/v2.0/token", {}, urlencode(form).encode()
    )
    answer = lab.outlook.sign_in.answer(request, lab.outlook.behaviour)
    loaded = json.loads(answer.body)
    assert isinstance(loaded, dict)
    return loaded


def read(reference: str | None) -> str:
    assert reference is not None
    return Path(reference).read_text()


async def test_the_configuration_is_good_and_the_lab_knows_its_accounts(lab: Lab, tmp_path: Path):
    check(lab, tmp_path)


def check(lab: Lab, tmp_path: Path) -> None:
    config = tmp_path / "demo.yml"
    config.write_text(yaml.safe_dump({**lab.configuration(), "accounts": accounts_on(lab, tmp_path)}))
    works, expired, printer = load(config, {}).accounts
    for account in (works, expired, printer):
        reference = account.client_secret_file or account.password_file
        assert stat.S_IMODE(Path(str(reference)).stat().st_mode) == 0o600
        assert read(reference) not in config.read_text()
    scope = "https://outlook.office365.com/.default"
    tokens = [
        ask(lab, grant_type="client_credentials", scope=scope, client_id=account.client_id or "",
            client_secret=read(account.client_secret_file))
        for account in (works, expired)
    ]  # fmt: skip
    assert lab.outlook.behaviour.opens(str(tokens[0]["access_token"]), works.username or "")
    assert tokens[1]["error_codes"] == [7000222]
    assert lab.outlook.behaviour.smtp_passwords[printer.username or ""] == read(printer.password_file)
