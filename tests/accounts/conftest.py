"""A lab for each test, its authority trusted by the product as this machine's."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.lab.lab import Lab
from exporter.lab.sign_in import App, Grant
from tests.accounts.trying import MAIL_SCOPES, USER

#: A refresh token that the lab knows as the person's.
REFRESH = "M.C5_the-refresh-token-of-a-person"
SCOPE = " ".join(MAIL_SCOPES)


@pytest.fixture
async def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lab]:
    async with Lab.start(tmp_path) as lab:
        monkeypatch.setenv("SSL_CERT_FILE", str(lab.trust_store()))
        lab.outlook.behaviour.tarpit = 0.01
        sign_in = lab.outlook.sign_in
        sign_in.apps["client-of-the-app"] = App(secret="hunter2-of-the-app")
        sign_in.refresh_tokens[REFRESH] = Grant(
            USER, "client-of-a-person", SCOPE, personal=True, issued=lab.outlook.behaviour.now()
        )
        yield lab
