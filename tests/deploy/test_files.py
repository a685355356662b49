"""The example configuration, the compose file, and what Grafana and Prometheus are given."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from alerts.render import source
from dashboards.render import JSON
from exporter.cli import main
from tests.conftest import require_program
from tests.deploy.running import ROOT, done
from tests.deploy.test_units import INSPECTOR, settings

DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yml").read_text())


def test_check_config_takes_the_example():
    found = CliRunner().invoke(main, ["check-config", str(DEPLOY / "exporter.yml")])
    assert found.exit_code == 0, found.output
    assert "good" in found.output
    (inspect,) = settings(INSPECTOR)["RuntimeDirectory"]
    example = yaml.safe_load((DEPLOY / "exporter.yml").read_text())
    assert example["inspect"]["socket"] == f"/run/{inspect}/socket"  # the unit's, not only as a comment


def test_it_takes_what_is_commented_out_too(tmp_path: Path):
    """With a secret where the credential would be."""
    secret = tmp_path / "canary-work"
    secret.write_text("made-up")
    secret.chmod(0o600)
    lines = (DEPLOY / "exporter.yml").read_text().splitlines()
    text = "\n".join(line.removeprefix("# ") if line.startswith(("# accounts:", "#   ")) else line for line in lines)
    assert "\naccounts:" in text
    path = tmp_path / "exporter.yml"
    path.write_text(text)
    found = CliRunner().invoke(main, ["check-config", str(path)], env={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert found.exit_code == 0, found.output


def test_prometheus_takes_its_configuration_and_our_rules(tmp_path: Path):
    program = require_program("promtool", "prometheus")
    shutil.copy(DEPLOY / "prometheus.yml", tmp_path)
    shutil.copy(ROOT / "alerts" / "rules.yml", tmp_path / "outlook-auth.rules.yml")
    found = done(program, "check", "config", tmp_path / "prometheus.yml")
    assert found.status == 0, found.output
    jobs = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    assert [job["job_name"] for job in jobs] == [source()["config"]["job"]]


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_what_a_container_is_given_exists(name: str):
    for volume in COMPOSE["services"][name]["volumes"]:
        outside, _, mode = volume.partition(":")
        if outside.startswith("."):
            assert (DEPLOY / outside).exists(), volume
            assert mode.endswith(":ro"), volume
        else:
            assert outside in COMPOSE["volumes"]


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_containers_listen_on_loopback_and_have_no_rights(name: str):
    service = COMPOSE["services"][name]
    assert service["cap_drop"] == ["ALL"]
    assert "127.0.0.1" in str(service.get("command", "")) + str(service.get("environment", ""))
    assert service["image"].rpartition(":")[2] != "latest"


def test_grafana_finds_prometheus_and_the_dashboards():
    provisioned = DEPLOY / "grafana" / "provisioning"
    datasource = yaml.safe_load((provisioned / "datasources" / "outlook.yml").read_text())["datasources"][0]
    assert datasource["type"] == "prometheus"
    assert datasource["url"] == "http://127.0.0.1:9090"
    scraped = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["global"]["scrape_interval"]
    assert datasource["jsonData"]["timeInterval"] == scraped
    provider = yaml.safe_load((provisioned / "dashboards" / "outlook.yml").read_text())["providers"][0]
    inside = {volume.split(":")[1]: volume.split(":")[0] for volume in COMPOSE["services"]["grafana"]["volumes"]}
    assert (DEPLOY / inside[provider["options"]["path"]]).resolve() == JSON
    home = COMPOSE["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (JSON / Path(home).name).exists()
