"""The service's verdicts, against the embedded lab: a fault comes, is confirmed, is held, and goes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from exporter.lab.lab import Lab
from exporter.metrics.exposition import Exposition
from exporter.observations import Verdict
from exporter.service import Service
from exporter.web.page import StatusPage


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with Lab.start(tmp_path) as lab:
        lab.outlook.behaviour.tarpit = 0.01
        yield lab


@pytest.fixture
async def service(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    content = lab.configuration()
    content["probe"] |= {"interval": "1s", "timeout": "2s", "targets": ["imap", "sign_in_work"]}
    content["probe"]["custom"] = [
        c for c in content["probe"]["custom"] if c["name"] in ("imap", "sign_in_work", "outlook_web")
    ]
    content["diagnosis"] = {"experiments_per_hour": 40}
    config = tmp_path / "service.yml"
    config.write_text(yaml.safe_dump(content))
    monkeypatch.setenv("SSL_CERT_FILE", str(lab.trust_store()))
    service = Service(config, {})
    yield service
    await service.diagnosis.stop()
    service.close()


async def round_of(service: Service) -> dict[tuple[str, str], Verdict]:
    """One round, and its experiments."""
    await service.round()
    if service.diagnosis._running is not None:
        await service.diagnosis._running
    return {(each.target, each.vantage): each for each in service.verdicts.current()}


async def test_a_fault_comes_and_goes(lab, service):
    assert {each.cause for each in (await round_of(service)).values()} == {"healthy"}
    await lab.set_fault("sni_reset")
    found = await round_of(service)
    assert found["sign_in_work", "clients"].cause == "sni_reset"  # at once, for an experiment confirms it
    assert found["sign_in_work", "clients"].responsible == "gateway"
    assert found["sign_in_work", "wan"].cause == "healthy"
    page = Exposition(service.state).page("").body.decode()
    assert 'outlook_diagnosis{target="sign_in_work",vantage="clients",account="",cause="sni_reset"' in page
    assert 'outlook_exporter_budget_remaining{budget="experiments"}' in page
    html = StatusPage(service.state, service, protected=False).html()
    assert "Every connection whose ClientHello names login.microsoftonline.com is reset." in html
    await lab.set_fault(None)
    assert (await round_of(service))["sign_in_work", "clients"].cause == "sni_reset"  # held
    assert (await round_of(service))["sign_in_work", "clients"].cause == "healthy"


async def test_experiments_are_made_once_while_the_trouble_stays_the_same(lab, service):
    await lab.set_fault("sni_reset")
    await round_of(service)
    spent = service.plan.experimenting.budget.remaining(service.plan.prober.tools.clock())
    for _ in range(3):
        assert (await round_of(service))["sign_in_work", "clients"].cause == "sni_reset"
    assert service.plan.experimenting.budget.remaining(service.plan.prober.tools.clock()) == spent < 40


async def test_without_budget_a_fault_needs_three_rounds(lab, service):
    now = service.plan.prober.tools.clock()
    service.plan.experimenting.budget._per_round = 1_000
    assert service.plan.experimenting.budget.take(40, now)
    await round_of(service)
    await lab.set_fault("tcp_reset")
    found = [(await round_of(service))["imap", "clients"].cause for _ in range(3)]
    assert found == ["healthy", "healthy", "tcp_reset"]


async def test_a_reload_keeps_verdicts_and_what_was_spent(lab, service):
    await lab.set_fault("sni_reset")
    await round_of(service)
    before = service.plan.experimenting.budget.remaining(service.plan.prober.tools.clock())
    assert await service.take_over_configuration() == []
    assert service.plan.experimenting.budget.remaining(service.plan.prober.tools.clock()) == before
    assert any(each.cause == "sni_reset" for each in service.verdicts.current())


async def test_an_experiment_under_way_ends_with_the_service(lab, service):
    await lab.set_fault("sni_dropped")
    await service.round()
    began = asyncio.get_running_loop().time()
    await service.diagnosis.stop()
    assert asyncio.get_running_loop().time() - began < 1
