"""A lab for each test: it starts within some 20 ms."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from exporter.lab.lab import Lab


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with Lab.start(tmp_path) as lab:
        lab.outlook.behaviour.tarpit = 0.01
        yield lab
