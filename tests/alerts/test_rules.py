"""Each alert fires on its fault, says nothing of the others' faults, and ends with it; by promtool."""

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts.render import HERE, RULES, RUNBOOKS, RUNBOOKS_FR, filled, in_french, rendered, source
from exporter.metrics.catalogue import METRICS
from exporter.vocabulary import Responsible
from tests.alerts.cases import CASES, HALF, TARGET, WAY, Case
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
    parts = {unit: int(number) for number, unit in re.findall(r"(\d+)([wdhms])", text)}
    return sum(parts.get(unit, 0) * minutes for unit, minutes in (("w", 10_080), ("d", 1_440), ("h", 60), ("m", 1)))


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


def _expr(name: str) -> str:
    return next(str(rule["expr"]) for rule in alerting() if rule["alert"] == name)


def fires(
    tmp_path: Path, name: str, inputs: list[dict[str, str]], at: list[int], *, interval: str = "1m"
) -> list[bool]:
    """Whether it fires at those minutes. The rules of the baselines are evaluated as often as `interval`."""
    rules = tmp_path / "rules.yml"
    content = yaml.safe_load(RULES.read_text())
    for group in content["groups"]:  # the one alert, and what is recorded for it: a week has many minutes
        group["interval"] = interval
        group["rules"] = [
            rule for rule in group["rules"] if rule.get("alert") == name or rule.get("record", "-") in _expr(name)
        ]
    rules.write_text(yaml.safe_dump(content))
    tests = [{"interval": interval, "input_series": inputs, "alert_rule_test": [silent(name, minute) for minute in at]}]
    path = tmp_path / "tests.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": interval, "tests": tests}))
    done = promtool("test", "rules", str(path))
    firing = {_minutes(minute) for minute in re.findall(r"alertname: \w+, time: (\w+),", done.stdout + done.stderr)}
    assert (done.returncode == 0) == (not firing), done.stdout + done.stderr
    return [minute in firing for minute in at]


WEEK = 7 * 24 * 12


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("OutlookTokenSlow", 'outlook_token_request_seconds_bucket{instance="gw",account="box",vantage="clients"'),
        ("OutlookHandshakeSlow", f'outlook_probe_phase_seconds_bucket{{{WAY},phase="tls"'),
    ],
)
def test_slow_is_several_times_its_own_past(tmp_path: Path, name: str, metric: str):
    """A week of 0.3 s, then 4 s: slow. The same 4 s all along: its usual time. Half an hour of it that passes: nothing."""

    def histogram(quick: str, slow: str) -> list[dict[str, str]]:
        return [
            {"series": f'{metric},le="{bound}"}}', "values": values}
            for bound, values in (("0.5", quick), ("5.0", slow), ("+Inf", slow))
        ]

    now = (WEEK + 30) * 5
    usual = histogram(f"0+1x{WEEK} {WEEK}+0x36 {WEEK}+1x40", f"0+1x{WEEK + 77}")
    assert fires(tmp_path, name, usual, [now - 160, now, now + 150], interval="5m") == [False, True, False]
    always = histogram(f"0+0x{WEEK + 77}", f"0+1x{WEEK + 77}")
    assert fires(tmp_path, name, always, [now], interval="5m") == [False]


def test_a_flip_of_the_cause_begins_nothing_anew(tmp_path: Path):
    """Every other minute another cause: fires after `for:` all the same, once, and tells the cause of that minute."""
    flips = {"sni_reset": "_x9 " + "0.9 stale " * 10, "tls_reset": "_x9 " + "stale 0.8 " * 10}
    inputs = [
        {"series": f'outlook_diagnosis{{{WAY},account="",cause="{cause}",responsible="gateway"}}', "values": values}
        for cause, values in flips.items()
    ]
    assert fires(tmp_path, "OutlookGatewayFiltering", inputs, [11, 14, 20, 27]) == [False, True, True, True]
    (expected,) = [rule for rule in alerting() if rule["alert"] == "OutlookGatewayFiltering"]
    cause = "tls_reset (gateway has to act)"
    annotations = {
        **expected["annotations"],
        "cause": cause,
        "summary": "gw: The gateway stands in the way of imap from clients.",
        "description": re.sub(r"\{\{.*\}\}", cause, expected["annotations"]["description"], flags=re.S),
        "dashboard_url": "http://127.0.0.1:3000/d/outlook-gateway?var-instance=gw&var-target=imap&var-vantage=clients",
    }
    expecting = {
        "eval_time": "16m",
        "alertname": "OutlookGatewayFiltering",
        "exp_alerts": [{"exp_labels": {**expected["labels"], **TARGET}, "exp_annotations": annotations}],
    }
    tests = [{"interval": "1m", "input_series": inputs, "alert_rule_test": [expecting]}]
    # at minute 16 it is the other cause's turn: sixteen less the nine before is odd
    assert judged(tmp_path, tests) == ""


def told(tmp_path: Path, name: str, inputs: list[dict[str, str]], at: str = "60m") -> str:
    """What promtool says that an alert which fires has: labels and annotations, filled in."""
    wanted = {"eval_time": at, "alertname": name, "exp_alerts": []}
    return judged(tmp_path, [{"interval": "1m", "input_series": inputs, "alert_rule_test": [wanted]}])


def test_an_accounts_alert_tells_the_cause_of_its_own_verdict(tmp_path: Path):
    """Which stands at the authority's target, and beside another account's and the path's."""
    refused = steady(f'outlook_account_auth_success{{{WAY},account="box",mechanism="token"}}', "0+0")
    verdicts = [
        steady(f'outlook_diagnosis{{instance="gw",target="{target}",vantage="wan",{labels}}}', f"{confidence}+0")
        for target, labels, confidence in (
            ("sign_in_work", 'account="box",cause="consent_missing",responsible="account"', 0.8),
            ("sign_in_work", 'account="other",cause="mfa_required",responsible="account"', 0.9),
            ("imap", 'account="",cause="sni_reset",responsible="gateway"', 0.95),
        )
    ]
    said = told(tmp_path, "OutlookTokenRefused", [refused, *verdicts])
    assert "Cause: consent_missing (account has to act)." in said
    assert "no verdict yet" in told(tmp_path, "OutlookTokenRefused", [refused, *verdicts[1:]])


def test_a_job_that_is_gone_leads_to_a_dashboard_of_all_sites(tmp_path: Path):
    """With an empty variable Grafana would show nothing."""
    gone = told(tmp_path, "OutlookExporterDown", [])
    assert '/d/outlook-exporter"' in gone
    assert "var-" not in gone
    down = told(tmp_path, "OutlookExporterDown", [steady('up{job="outlook_auth",instance="gw"}', "0+0")])
    assert '/d/outlook-exporter?var-instance=gw"' in down


def test_one_client_is_not_several(tmp_path: Path):
    inputs = [
        steady(f'outlook_wire_clients{{instance="gw",target="imap",state="{state}"}}', "1+0", 180)
        for state in ("retry_loop", "password_refused")
    ]
    for name in ("OutlookClientsRetrying", "OutlookClientsOnPasswords"):
        said = told(tmp_path, name, inputs, "170m")
        assert re.search(r"gw: Clients that .*imap.*: 1\.\"", said), said


def test_links_lead_to_the_grafana_of_the_first_deployment():
    """What is shipped together works together; another Grafana stands in the configuration at the top."""
    compose = yaml.safe_load((HERE.parent / "deploy" / "compose.yml").read_text())["services"]["grafana"]
    assert CONTENT["config"]["dashboards"] == f"http://{compose['environment']['GF_SERVER_HTTP_ADDR']}:3000/d"


def alerting() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def test_every_alert_has_the_labels_and_texts_that_routes_and_people_need():
    for rule in alerting():
        assert set(rule["labels"]) >= {"severity", "responsible"}
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["labels"]["responsible"] in set(Responsible)
        assert {"summary", "description", "runbook_url", "dashboard_url"} <= set(rule["annotations"])
        assert re.search(r"^What people notice: [A-Z]", rule["annotations"]["description"], re.MULTILINE), rule["alert"]
        assert "(1)" in rule["annotations"]["description"]
        assert "(3)" in rule["annotations"]["description"]
        assert "\n" not in rule["annotations"]["summary"]
        for label in ("instance", "target", "vantage", "account"):
            if re.search(rf"^[^(]*\bby \([^)]*\b{label}\b", rule["expr"]):
                assert f"var-{label}={{{{ $labels.{label} }}}}" in rule["annotations"]["dashboard_url"], rule["alert"]


#: One bad minute in ten isn't told; but a client that was seen in the last hour is, and what has no `for:`.
FLAPS = [
    name
    for name, case in CASES.items()
    if "for" in ALERTS[name]
    and not ALERTS[name].get("repeat")
    and not any("+" in value for each in case.series for value in each[1:])
]


def test_a_fault_that_flaps_wakes_nobody(tmp_path: Path):
    """One bad round of ten is a lost packet, whatever it is about."""

    def flapping(name: str, bad: str, good: str) -> dict[str, str]:
        well = "stale _x7" if good == "stale" else f"{good}+0x8"
        return {"series": name, "values": f"{well} {bad} " * 13}

    tests = [
        {
            "interval": "1m",
            "input_series": [flapping(*each) for each in CASES[name].series],
            "alert_rule_test": [silent(name, minute) for minute in range(60, 109, 7)],
        }
        for name in FLAPS
    ]
    assert len(FLAPS) > 10
    assert judged(tmp_path, tests) == ""


def steady(series: str, value: str, minutes: int = 120) -> dict[str, str]:
    return {"series": series, "values": f"{value}x{minutes}"}


class TestSites:
    """Each site is judged alone; what all have is Microsoft's."""

    def usable(self, site: str, *values: str) -> dict[str, str]:
        series = f'outlook_auth_method_usable{{instance="{site}",target="imap",vantage="local",mechanism="token"}}'
        return {"series": series, "values": " ".join(values)}

    def test_one_that_is_well_doesnt_hide_another(self, tmp_path: Path):
        inputs = [self.usable("a", "1+0x60", "0+0x60"), self.usable("b", "1+0x120")]
        assert fires(tmp_path, "OutlookAuthMethodFailing", inputs, [50, 100]) == [False, True]
        assert fires(tmp_path, "OutlookServiceOutage", inputs, [100]) == [False]

    def test_three_that_all_fail_are_an_outage(self, tmp_path: Path):
        inputs = [self.usable(site, "1+0x60", "0+0x60", "1+0x60") for site in "abc"]
        assert fires(tmp_path, "OutlookServiceOutage", inputs, [50, 100, 170]) == [False, True, False]

    def test_but_not_while_one_is_well(self, tmp_path: Path):
        inputs = [*(self.usable(site, "1+0x60", "0+0x60") for site in "abc"), self.usable("d", "1+0x120")]
        assert fires(tmp_path, "OutlookServiceOutage", inputs, [100]) == [False]

    def test_nor_where_a_gateway_was_found(self, tmp_path: Path):
        """Head office's filter, before every site."""
        labels = 'instance="a",target="imap",vantage="local",account="",cause="sni_reset",responsible="gateway"'
        found = steady(f"outlook_diagnosis{{{labels}}}", "0.9+0")
        inputs = [*(self.usable(site, "1+0x60", "0+0x60") for site in "abc"), found]
        assert fires(tmp_path, "OutlookServiceOutage", inputs, [100]) == [False]

    def test_nor_whom_an_interceptor_says_is_unavailable(self, tmp_path: Path):
        def ways(metric: str) -> list[dict[str, str]]:
            return [steady(metric % f'instance="gw",target="imap",vantage="{each}"', "1+0") for each in ("in", "out")]

        says = ways('outlook_probe_outcome{%s,phase="greeting",outcome="unavailable"}')
        assert fires(tmp_path, "OutlookServiceOutage", says, [60]) == [True]
        forged = ways("outlook_probe_tls_intercepted{%s}")
        assert fires(tmp_path, "OutlookServiceOutage", [*says, *forged], [60]) == [False]


def test_a_relay_of_ours_need_not_offer_what_microsoft_does(tmp_path: Path):
    relay = 'instance="gw",target="relay",vantage="local"'
    inputs = [
        steady(f'outlook_probe_auth_offered{{{relay},mechanism="XOAUTH2"}}', "0+0"),
        steady(f'outlook_probe_outcome{{{relay},phase="starttls",outcome="not_offered"}}', "1+0"),
    ]
    assert fires(tmp_path, "OutlookMechanismStripped", inputs, [60]) == [False]
    assert fires(tmp_path, "OutlookStarttlsStripped", inputs, [60]) == [False]


def test_a_refresh_that_fails_is_told_until_it_works_again(tmp_path: Path):
    """Refusals are repeated ever more rarely: after one, two, four, six hours. The first alone is no news."""
    token = 'instance="gw",account="box"'
    refused = " ".join(["_x59", "1+0x59", "2+0x119", "3+0x239", "4+0x359"])
    inputs = [
        {
            "series": f'outlook_token_requests_total{{{token},vantage="a",grant="refresh_token",outcome="rejected"}}',
            "values": refused,
        },
        {
            "series": f"outlook_token_last_success_timestamp_seconds{{{token}}}",
            "values": f"0+60x55 {' '.join(['3300'] * 764)} 49200+60x60",
        },
    ]
    at = [55, 100, 140, 200, 300, 500, 800, 840]
    told = fires(tmp_path, "OutlookTokenRefreshFailing", inputs, at)
    assert told == [False, False, True, True, True, True, True, False]


def test_what_is_committed_is_what_the_source_says():
    files = rendered()
    assert {path for path in files if path.read_text(encoding="utf-8") != files[path]} == set()
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == set(ALERTS)


def test_every_alert_has_its_runbook_in_french_made_from_the_text_as_it_is():
    french = in_french()
    assert french.keys() == ALERTS.keys()
    for name, alert in ALERTS.items():
        said = french[name]
        own = json.dumps([alert["summary"], alert["users"], alert["first"]])
        digest = hashlib.sha256(own.encode()).hexdigest()[:12]
        assert str(said["of"]) == digest, f"{name}: the English text has changed; translate it, then of: {digest}"
        assert len(said["first"]) == len(alert["first"]), name
        for part in ("summary", "users", "first"):
            assert re.findall(r"{{.*?}}", str(said[part])) == re.findall(r"{{.*?}}", str(alert[part])), name
    assert {path.stem for path in RUNBOOKS_FR.glob("*.md")} == set(ALERTS)


def test_runbooks_name_a_person_and_how_bad_it_is_in_their_own_language():
    for folder, severity, acts in ((RUNBOOKS, "Severity", "Who acts"), (RUNBOOKS_FR, "Gravité", "Qui agit")):
        for name, alert in ALERTS.items():
            (line,) = [each for each in (folder / f"{name}.md").read_text().splitlines() if f"**{severity}**" in each]
            person = line.partition(f"**{acts}**")[2].lstrip(" \N{NO-BREAK SPACE}:").rstrip(".")
            assert person not in set(Responsible) - {Responsible.MICROSOFT}, name
            assert folder == RUNBOOKS or alert["severity"] not in line.replace("information", ""), name


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
        (["severity=critical", "responsible=unknown"], "network-on-call"),
        (["severity=critical", "responsible=account"], "mail-admins"),
        (["severity=critical", "responsible=appliance"], "network-on-call"),
        (["severity=warning", "responsible=appliance"], "admins"),
    ],
)
def test_who_is_told(labels: list[str], receiver: str):
    program = require_program("amtool", "prometheus-alertmanager")
    command = [program, "config", "routes", "test", f"--config.file={HERE / 'alertmanager.example.yml'}", *labels]
    assert subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip() == receiver


def test_an_account_that_is_refused_everywhere_is_one_message_and_none_once_it_gets_no_token():
    content = yaml.safe_load((HERE / "alertmanager.example.yml").read_text())
    (route,) = [each for each in content["route"]["routes"] if each["receiver"] == "mail-admins"]
    assert route["group_by"] == ["alertname", "instance", "account"]
    silenced = [
        rule["equal"] for rule in content["inhibit_rules"]
        if rule["source_matchers"] == ['alertname="OutlookTokenRefreshFailing"']
        and rule["target_matchers"] == ['alertname="OutlookTokenRefused"']
    ]  # fmt: skip
    assert silenced == [["instance", "account"]]


@pytest.mark.parametrize(("responsible", "said"), [("gateway", True), ("unknown", False)])
def test_messages_say_who_acts_only_where_somebody_does(tmp_path: Path, responsible: str, said: bool):
    """Where the label can't tell, the cause in the description says who, as the verdict has it."""
    program = require_program("amtool", "prometheus-alertmanager")
    alert = {
        "status": "firing",
        "labels": {"responsible": responsible},
        "annotations": {"summary": "No.", "description": "D."},
    }
    data = tmp_path / "data.json"
    data.write_text(json.dumps({"status": "firing", "alerts": [alert | {"startsAt": "2026-11-26T02:00:00Z"}]}))
    command = [
        program, "template", "render", f"--template.glob={HERE / 'templates' / '*.tmpl'}",
        '--template.text={{ template "outlook.mail.text" . }}', f"--template.data={data}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert "No.\n" in done.stdout, done.stderr
    assert (f"Who acts: {responsible}." in done.stdout) is said


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
