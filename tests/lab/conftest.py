"""A lab for each test: it starts within some 20 ms."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.lab.lab import Lab
from tests.lab.clients import Clients


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with Lab.start(tmp_path) as lab:
        lab.outlook.behaviour.tarpit = 0.01
        yield lab


@pytest.fixture
async def clients(lab: Lab) -> AsyncIterator[Clients]:
    clients = Clients(lab)
    yield clients
    await asyncio.to_thread(clients.close)
