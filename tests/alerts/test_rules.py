"""Each alert fires on its fault, says nothing of the others' faults, and ends with it; by promtool."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts.render import HERE, RULES, RUNBOOKS, filled, rendered, source
from exporter.metrics.catalogue import METRICS
from tests.alerts.cases import CASES, HALF, WAY, Case
from tests.conftest import require_program

CONTENT = source()
ALERTS = {alert["name"]: alert for alert in CONTENT["alerts"]}
#: Alerts about the past have a test of their own.
BASELINES = {"OutlookTokenSlow", "OutlookHandshakeSlow"}


def promtool(*words: str) -> subprocess.CompletedProcess[str]:
    program = require_program("promtool", "prometheus")
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=100, check=False)


def judged(tmp_path: Path, tests: list[dict[str, Any]]) -> str:
    """What promtool finds wrong; empty where all is well."""
    path = tmp_path / "tests.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    done = promtool("test", "rules", str(path))
    return "" if done.returncode == 0 else done.stdout + done.stderr


def series(name: str, bad: str, good: str) -> dict[str, str]:
    """An hour of health, HALF minutes of fault, HALF of health."""

    def part(value: str, minutes: int) -> str:
        if value == "stale":
            return f"stale _x{minutes - 1}"
        return f"{value}+0x{minutes - 1}"

    if bad.startswith("+") or good.startswith("+"):
        if good == "+60":
            return {"series": name, "values": _clock()}
        return {"series": name, "values": f"0+0x59 {_counter(bad, HALF)} {_counter(good, HALF)}"}
    healthy = "_x60" if good == "stale" else part(good, 60)
    return {"series": name, "values": f"{healthy} {part(bad, HALF)} {part(good, HALF)}"}


def _counter(step: str, minutes: int) -> str:
    """A counter's run; it starts again at 0, which Prometheus takes for a restart."""
    return f"0{step}x{minutes - 1}"


def _clock() -> str:
    """A time stamp that runs with the clock, stands still for HALF minutes, and runs with it again."""
    return f"0+60x59 3600+0x{HALF - 1} {3600 + HALF * 60}+60x{HALF}"


def silent(name: str, at: int) -> dict[str, Any]:
    """Expects that an alert doesn't fire at a minute."""
    return {"eval_time": f"{at}m", "alertname": name, "exp_alerts": []}


def states(tmp_path: Path, case: Case, at: list[int]) -> dict[int, set[str]]:
    """Which alerts fire at those minutes, asked of promtool by expecting none."""
    inputs = [series(*each) for each in case.series]
    found: dict[int, set[str]] = {minute: set() for minute in at}
    tests = [
        {
            "interval": "1m",
            "input_series": inputs,
            "alert_rule_test": [silent(name, minute) for name in ALERTS for minute in at],
        }
    ]
    for name, minute in re.findall(r"alertname: (\w+), time: (\w+),", judged(tmp_path, tests)):
        found[_minutes(minute)].add(name)
    return found


def _minutes(text: str) -> int:
    parts = {unit: int(number) for number, unit in re.findall(r"(\d+)([hms])", text)}
    return parts.get("h", 0) * 60 + parts.get("m", 0)


#: Alerts that are true whenever the test has no other series: the exporter's job isn't there.
ALWAYS = {"OutlookExporterDown"}
#: What follows from a fault by design, and is silenced by Alertmanager's inhibition.
FOLLOWS = {
    "OutlookCredentialExpiring": {"OutlookCredentialExpiresSoon"},
}


@pytest.mark.parametrize("name", CASES)
def test_it_fires_alone_and_ends(tmp_path: Path, name: str):
    """Silent in health before, firing in the fault, silent again behind it; and nothing else."""
    case = CASES[name]
    before, during, after = 55, 60 + case.at, 60 + 2 * HALF - 5
    found = states(tmp_path, case, [before, during, after])
    always = set() if name in ALWAYS else ALWAYS
    assert found[before] - always == set(), "in health, before"
    assert found[during] - always == {name} | FOLLOWS.get(name, set())
    assert found[after] - always == set(), "in health, afterwards"


def test_every_alert_has_a_case():
    assert set(CASES) | BASELINES == set(ALERTS)


def test_a_flapping_fault_doesnt_wake_anybody(tmp_path: Path):
    """One bad round of ten is a lost packet."""
    flapping = " ".join(["1+0x8 0+0x0"] * 30)
    name = f'outlook_auth_method_usable{{{WAY},mechanism="token"}}'
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": flapping}],
            "alert_rule_test": [silent("OutlookAuthMethodFailing", minute) for minute in range(100, 300, 7)],
        }
    ]
    assert judged(tmp_path, tests) == ""


def test_slow_is_several_times_its_own_past(tmp_path: Path):
    """A week of 0.3 s, then 4 s: slow. The same 4 s all along: its usual time."""

    def histogram(quick: str, slow: str) -> list[dict[str, str]]:
        labels = 'account="box",vantage="clients",grant="refresh_token"'
        return [
            {"series": f'outlook_token_request_seconds_bucket{{{labels},le="0.5"}}', "values": quick},
            {"series": f'outlook_token_request_seconds_bucket{{{labels},le="5.0"}}', "values": slow},
            {"series": f'outlook_token_request_seconds_bucket{{{labels},le="+Inf"}}', "values": slow},
        ]

    week = 7 * 24 * 12
    usual = histogram(f"0+1x{week} {week}+0x36", f"0+1x{week + 37}")
    always = histogram(f"0+0x{week + 37}", f"0+1x{week + 37}")
    end = (week + 30) * 5
    for inputs, firing in ((usual, True), (always, False)):
        tests = [
            {
                "interval": "5m",
                "input_series": inputs,
                "alert_rule_test": [{"eval_time": f"{end}m", "alertname": "OutlookTokenSlow", "exp_alerts": []}],
            }
        ]
        path = tmp_path / "tests.yml"
        path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "5m", "tests": tests}))
        done = promtool("test", "rules", str(path))
        assert (done.returncode != 0) is firing, done.stdout + done.stderr


def test_what_is_committed_is_what_the_source_says():
    files = rendered()
    assert {path for path in files if path.read_text(encoding="utf-8") != files[path]} == set()
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == set(ALERTS)


def test_the_rules_are_sound():
    done = promtool("check", "rules", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_metrics_of_the_catalogue_are_asked_for():
    suffixes = re.compile(r"_(bucket|sum|count)$")
    for each in [*CONTENT["rules"], *CONTENT["alerts"]]:
        for name in re.findall(r"\b(outlook_[a-z_]+)\b(?![a-z_:]*:)", re.sub(r"\w+:outlook\w+:\w+", "", each["expr"])):
            assert suffixes.sub("", name) in METRICS, f"{each}: {name}"


def test_alertmanager_takes_the_example():
    program = require_program("amtool", "prometheus-alertmanager")
    path = HERE / "alertmanager.example.yml"
    done = subprocess.run([program, "check-config", str(path)], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (["severity=critical", "responsible=gateway"], "network-on-call"),
        (["severity=critical", "responsible=microsoft"], "admins"),
        (["severity=warning", "responsible=account"], "mail-admins"),
        (["severity=warning", "responsible=client", "repeat=daily"], "admins"),
        (["severity=info"], "nobody"),
    ],
)
def test_who_is_told(labels: list[str], receiver: str):
    program = require_program("amtool", "prometheus-alertmanager")
    command = [program, "config", "routes", "test", f"--config.file={HERE / 'alertmanager.example.yml'}", *labels]
    assert subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip() == receiver


def test_inhibitions_name_alerts_that_exist():
    content = yaml.safe_load((HERE / "alertmanager.example.yml").read_text())
    for rule in content["inhibit_rules"]:
        for matcher in [*rule["source_matchers"], *rule["target_matchers"]]:
            for name in re.findall(r"Outlook\w+", matcher):
                assert name in ALERTS


def test_selectors_leave_no_trace_where_there_are_none():
    config = {**CONTENT["config"], "selector": ""}
    assert filled('m{selector,a="b"} + n{selector}', config) == 'm{a="b"} + n'
    assert filled("m{selector}", {**config, "selector": 'site="x"'}) == 'm{site="x"}'


def test_texts_say_what_to_do():
    for alert in CONTENT["alerts"]:
        assert len(alert["first"]) == 3
        assert alert["summary"].rstrip().endswith("."), alert["name"]
        assert "app password" not in str(alert).lower()
