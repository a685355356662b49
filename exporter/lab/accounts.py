"""Accounts on the lab, for `demo`: an application that signs in, a printer, an application whose secret has expired.

None needs a person: tokens come by client credentials. Secrets are made anew each time, in files that only we can read.
"""

import os
import secrets
from pathlib import Path
from typing import Any

from exporter.lab.grants import App
from exporter.lab.lab import Lab

_TENANT = "contoso.example"
_MAIL = ("imap_office365", "smtp_office365", "pop_office365")
#: Secret expired (AADSTS7000222): who has to act, and what to do, is what the page is for.
_EXPIRED = 7000222


def accounts_on(lab: Lab, directory: Path) -> list[dict[str, Any]]:
    """Registers them with the lab; the configuration's `accounts`. Files go into `directory`."""
    works, expired = secrets.token_urlsafe(30), secrets.token_urlsafe(30)
    password = secrets.token_urlsafe(12)
    lab.outlook.sign_in.apps |= {"canary-app": App(secret=works), "old-app": App(secret=expired)}
    lab.outlook.behaviour.client_errors["old-app"] = _EXPIRED
    lab.outlook.behaviour.smtp_passwords[f"printer@{_TENANT}"] = password
    return [
        _application("canary-work", "canary-app", lab, directory, works),
        _application("newsletter", "old-app", lab, directory, expired),
        {
            "name": "printer",
            "kind": "app_password",
            "username": f"printer@{_TENANT}",
            "password_file": _secret_file(directory / "printer.secret", password),
            "targets": ["smtp_office365"],
        },
    ]


def _application(name: str, client: str, lab: Lab, directory: Path, secret: str) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "oauth_work",
        "username": f"{name}@{_TENANT}",
        "client_id": client,
        "authority": f"https://login.microsoftonline.com:{443 + lab.shift}/{_TENANT}",
        "client_secret_file": _secret_file(directory / f"{name}.secret", secret),
        "token_cache": str(directory / f"{name}.token"),
        "targets": list(_MAIL),
    }


def _secret_file(path: Path, secret: str) -> str:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(secret)
    return str(path)
