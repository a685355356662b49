"""What reaches Microsoft in simulated days, counted at the embedded server: the real service, only its clock is moved."""

import os
import time
from dataclasses import replace
from functools import partial

import pytest
import yaml

from exporter.lab.lab import Lab
from exporter.probe.tls import TlsClient
from exporter.service import Service

#: Simulated seconds between rounds; a day is 144 of them.
STEP = 600.0
DAY = 86_400
INTERVAL = 1_800


def _moved(seconds: float) -> float:
    return time.monotonic() + seconds


async def simulate(lab, tmp_path, days, *, meanwhile=None, reload=False, **probe):
    """Rounds over simulated days; how many canaries reached the server."""
    content = lab.configuration()
    wanted = {"imap", "sign_in_work"}
    content["probe"] |= {"targets": sorted(wanted), "canary_interval": INTERVAL, "timeout": 2} | probe
    content["probe"]["custom"] = [custom for custom in content["probe"]["custom"] if custom["name"] in wanted]
    content["vantages"] = content["vantages"][:1]
    path = tmp_path / "polite.yml"
    path.write_text(yaml.safe_dump(content))
    service = Service(path, os.environ)
    passed = 0.0
    tls = TlsClient(lab.trust_store())
    before = lab.counts["token"] + lab.counts["token_request"]
    while passed < days * DAY:
        if meanwhile is not None:
            await meanwhile(passed)
        prober = service.plan.prober
        prober.tools = replace(prober.tools, tls=tls, clock=partial(_moved, passed))
        await service.round()
        if reload:
            assert await service.take_over_configuration() == []
        passed += STEP
    service.close()
    return lab.counts["token"] + lab.counts["token_request"] - before


@pytest.fixture
async def lab(tmp_path):
    async with Lab.start(tmp_path, host_addresses=1) as started:
        yield started


async def test_a_healthy_day_is_one_canary_an_interval(lab, tmp_path):
    presented = await simulate(lab, tmp_path, 1)
    expected = 2 * DAY / INTERVAL
    assert 0.6 * expected <= presented <= 1.1 * expected


async def test_throttled_it_backs_off(lab, tmp_path):
    await lab.set_fault("throttled")
    assert await simulate(lab, tmp_path, 1) <= 2 * 10


async def test_never_more_than_the_budget_even_when_the_path_flaps(lab, tmp_path):
    async def flap(passed: float) -> None:
        await lab.set_fault("tls_intercepted.trusted" if int(passed / STEP) % 2 else None)

    assert await simulate(lab, tmp_path, 1, meanwhile=flap, canaries_per_hour=3) <= 24 * 3


async def test_reloading_all_the_time_gives_no_new_budget(lab, tmp_path):
    assert await simulate(lab, tmp_path, 0.5, reload=True) <= 1.1 * DAY / INTERVAL


async def test_no_password_ever(lab, tmp_path):
    await simulate(lab, tmp_path, 0.1)
    assert lab.counts["password"] == 0
    assert {seen.kind for seen in lab.outlook.behaviour.traffic.credentials} <= {"token", "bearer"}
