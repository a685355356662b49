"""A lab and what the product needs to sign in to it: settings, vantages, tools. The prober's own parts, nothing else."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from exporter.accounts.attempt import sign_in
from exporter.lab.lab import Lab
from exporter.observations import AccountResult, TokenUse
from exporter.prepare import VantageProcesses, make_prober, make_vantages
from exporter.probe.walk import Tools, Vantage
from exporter.probe.way import Deadline
from exporter.secret_files import Secret
from exporter.settings import Settings

MAIL = ("imap", "smtp", "pop")
EVERYWHERE = (*MAIL, "activesync", "graph")
TOKEN = "EwB" + "Hq7Zx9mK" * 150
PASSWORD = "corr3ct-h0rse-battery"
ME = {
    "name": "me", "kind": "oauth_personal", "client_id": "app", "username": "someone@outlook.com",
    "targets": list(EVERYWHERE),
}  # fmt: skip
PRINTER = {
    "name": "printer", "kind": "app_password", "username": "printer@contoso.example", "password_file": "/unread",
    "targets": ["imap_office365", "smtp_office365", "pop_office365", "activesync"],
}  # fmt: skip


@dataclass(slots=True)
class World:
    """Signs in to a lab."""

    lab: Lab
    settings: Settings
    tools: Tools
    vantages: dict[str, Vantage]

    async def sign_in(
        self, target: str, secret: str = TOKEN, *, account: str = "me", vantage: str = "clients",
        skew: float = 0.0, expires_at: datetime | None = None, token: TokenUse | None = None, seconds: float = 45.0,
    ) -> AccountResult:  # fmt: skip
        settings = next(each for each in self.settings.accounts if each.name == account)
        return await sign_in(
            settings, self.settings.all_targets()[target], self.vantages[vantage], self.tools, Secret(secret.encode()),
            deadline=Deadline(self.tools.clock() + seconds), skew=skew, expires_at=expires_at, token=token,
        )  # fmt: skip


@asynccontextmanager
async def world(directory: Path, *accounts: dict[str, Any], **changes: Any) -> AsyncIterator[World]:
    """A lab that takes TOKEN, behind its gateway. `changes`: of the configuration's parts."""
    async with Lab.start(directory, host_addresses=1) as lab:
        lab.outlook.behaviour.valid_tokens.add(TOKEN)
        content = lab.configuration()
        for part, change in changes.items():
            content[part] = {**content.get(part, {}), **change}
        content["accounts"] = [*(accounts or (ME, PRINTER))]
        settings = Settings(**content)
        with patch.dict(os.environ, lab.environment()):
            tools = make_prober(settings, once=True).tools
        vantages = make_vantages(settings, os.environ, VantageProcesses())
        yield World(lab, settings, tools, {vantage.name: vantage for vantage in vantages})
