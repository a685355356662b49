"""`diagnose` as a user runs it: exit statuses, JSON Lines, files, and one clear line for mistakes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from exporter.demo import LabThread
from exporter.observations import Verdict, as_json, from_json
from exporter.vocabulary import Outcome, Phase
from tests.accounts.trying import work
from tests.diagnosis.made import broken, walk

ROOT = Path(__file__).parent.parent.parent


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error::RuntimeWarning", "-m", "exporter", "diagnose", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=100, cwd=ROOT, env=os.environ | env, check=False
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    directory = tmp_path_factory.mktemp("lab")
    thread = LabThread(directory)
    started = thread.start()
    (directory / "lab.yml").write_text(yaml.safe_dump(started.configuration()))
    yield thread
    thread.stop()


def diagnose(lab: LabThread, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    assert lab.lab is not None
    config = lab.lab.pki.roots_file.with_name("lab.yml")
    return run("--config", str(config), *arguments, SSL_CERT_FILE=str(lab.lab.trust_store()), **env)


@pytest.fixture
def reset_by_name(lab):
    lab.set_fault("sni_reset")
    yield lab
    lab.set_fault(None)


def test_all_is_well(lab):
    done = diagnose(lab, "--json")
    lines = [from_json(Verdict, line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(lines) == 30
    assert {line.cause for line in lines} == {"healthy"}


def test_an_accounts_fault_is_told_once(lab, tmp_path):
    assert lab.lab is not None
    settings = lab.lab.configuration() | {"accounts": [work(lab.lab, tmp_path)]}
    config = tmp_path / "with-account.yml"
    config.write_text(yaml.safe_dump(settings))
    lab.lab.outlook.behaviour.token_error = 7000222
    try:
        trust = str(lab.lab.trust_store())
        done = run("--config", str(config), "--json", "sign_in_work", "imap_office365", SSL_CERT_FILE=trust)
    finally:
        lab.lab.outlook.behaviour.token_error = None
    of_accounts = [line for line in map(json.loads, done.stdout.splitlines()) if line["account"]]
    assert [line["target"] for line in of_accounts] == ["sign_in_work"]
    assert done.returncode == 1


def test_a_fault_for_machines_people_vendors_and_filters(reset_by_name, tmp_path):
    report, record = tmp_path / "report.html", tmp_path / "round.jsonl"
    done = diagnose(reset_by_name, "sign_in_work", "imap", "--json", "--report", str(report), "--record", str(record))
    assert (done.returncode, done.stderr) == (1, "")
    found = {(v["target"], v["vantage"]): v for v in map(json.loads, done.stdout.splitlines())}
    assert found["sign_in_work", "clients"]["cause"] == "sni_reset"
    assert found["sign_in_work", "clients"]["responsible"] == "gateway"
    assert {v["cause"] for way, v in found.items() if way != ("sign_in_work", "clients")} == {"healthy"}
    assert "sni_reset" in report.read_text()
    again = run("--from", str(record), "--json")
    assert again.returncode == 1
    assert sorted(again.stdout.splitlines()) == sorted(done.stdout.splitlines())
    for_people = run("--from", str(record))
    assert "✗ sign_in_work from clients: sni_reset" in for_people.stdout
    rules = run("--from", str(record), "--allowlist", "squid")
    assert "acl outlook_1_host dstdomain login.microsoftonline.com" in rules.stdout
    assert "sni_reset" not in rules.stdout
    assert "sni_reset" in rules.stderr
    as_line = run("--from", str(record), "--allowlist", "text", "--json", "sign_in_work")
    *_, last = map(json.loads, as_line.stdout.splitlines())
    assert last["allowlist"] == "text"


def test_no_more_than_a_rounds_budget_of_connections(lab):
    """Everything down at once: what reaches Outlook.com stays within bounds, and no password ever does."""
    before = dict(lab.lab.outlook.behaviour.counts)
    lab.set_fault("tls_reset")
    try:
        done = diagnose(lab, "--json")
    finally:
        lab.set_fault(None)
    after = lab.lab.outlook.behaviour.counts
    assert done.returncode == 1
    addresses, walks = 2, 30
    assert after["connection"] - before["connection"] <= walks * addresses + 60
    assert after["password"] == before.get("password", 0)


def test_probes_and_only_those_asked_for(tmp_path):
    path = tmp_path / "probes.jsonl"
    probes = [broken("imap", Phase.CONNECT, Outcome.TIMEOUT), walk("smtp")]
    path.write_text("\n".join(map(as_json, probes)) + "\n")
    assert run("--from", str(path)).returncode == 1
    only = run("--from", str(path), "smtp", "--json")
    assert (only.returncode, [json.loads(line)["target"] for line in only.stdout.splitlines()]) == (0, ["smtp"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "/nonexistent.jsonl"), "/nonexistent.jsonl"),
        (("imapp",), "imap"),
        (("--config", "/nonexistent.yml"), "/nonexistent.yml"),
        (("--allowlist", "iptables"), "nftables"),
        (("--inside", "a.pcap"), "--outside"),
    ],
)
def test_mistakes_end_2_with_one_clear_line(arguments, words):
    done = run(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stdout == ""


def test_a_report_that_cannot_be_written_is_said(tmp_path):
    path = tmp_path / "probes.jsonl"
    path.write_text(as_json(walk()) + "\n")
    done = run("--from", str(path), "--report", "/nonexistent/report.html")
    assert done.returncode == 2
    assert "--report: /nonexistent/report.html" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_within_two_seconds_of_a_signal(lab, number):
    lab.set_fault("sni_dropped")
    config = lab.lab.pki.roots_file.with_name("lab.yml")
    command = [sys.executable, "-m", "exporter", "diagnose", "--config", str(config), "--json"]
    env = os.environ | {"SSL_CERT_FILE": str(lab.lab.trust_store())}
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=env) as process:
            assert process.stdout is not None
            process.stdout.readline()  # the healthy ones are told before experiments end
            began = time.monotonic()
            process.send_signal(number)
            _, errors = process.communicate(timeout=10)
            assert time.monotonic() - began < 2
            assert b"Traceback" not in errors
    finally:
        lab.set_fault(None)
