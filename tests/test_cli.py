"""The commands as a user runs them: exit statuses, one clear line for mistakes, JSON Lines and nothing else on stdout."""

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

ROOT = Path(__file__).parent.parent


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error::RuntimeWarning", "-m", "exporter", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, cwd=ROOT, env=os.environ | env, check=False
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    directory = tmp_path_factory.mktemp("lab")
    thread = LabThread(directory)
    started = thread.start()
    (directory / "lab.yml").write_text(yaml.safe_dump(started.configuration()))
    yield thread
    thread.stop()


def probe(lab: LabThread, *arguments: str, **more: str):
    assert lab.lab is not None
    config = lab.lab.pki.roots_file.with_name("lab.yml")
    env = {"SSL_CERT_FILE": str(lab.lab.trust_store())}
    return run("probe", "--config", str(config), *arguments, **(env | more))


def test_probe_prints_json_lines_and_ends_0_when_all_is_well(lab):
    done = probe(lab, "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(lines) == 30
    assert {line["outcome"] for line in lines} == {"ok"}
    assert {"time", "target", "addresses", "phases", "tls", "auth", "accounts", "clock_skew_seconds"} <= lines[0].keys()


def test_probe_ends_1_when_something_is_not(lab):
    lab.set_fault("sni_reset")
    try:
        done = probe(lab, "sign_in_work", "--vantage", "clients", "--json")
    finally:
        lab.set_fault(None)
    line = json.loads(done.stdout)
    assert done.returncode == 1
    assert (line["outcome"], line["failed_phase"]) == ("reset", "tls")


def test_a_table_for_people(lab):
    done = probe(lab, "imap", COLUMNS="160")
    assert done.returncode == 0
    assert "expected_refusal" in done.stdout


def test_the_canary_is_the_only_credential_that_leaves(lab):
    before = dict(lab.lab.outlook.behaviour.counts)
    probe(lab, "imap", "smtp", "pop", "--json")
    after = lab.lab.outlook.behaviour.counts
    assert after["token"] - before.get("token", 0) == 6  # three targets from two vantages, one canary each
    assert after["password"] == before.get("password", 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("probe", "imapp"), "imap"),
        (("probe", "--vantage", "nowhere"), "nowhere"),
        (("check-config", "/nonexistent.yml"), "/nonexistent.yml"),
        (("demo", "--fault", "sni_rest"), "sni_reset"),
        (("demo", "--listen", "nonsense"), "--listen"),
        (("probe", "--config", "/nonexistent.yml"), "/nonexistent.yml"),
        (("nonsense",), "nonsense"),
        (("run", "--listen", "x:y"), "--listen"),
    ],
)
def test_mistakes_end_2_with_one_clear_line(arguments, words):
    done = run(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("kind", ["config", "probe", "verdict"])
def test_schemas_are_json_schemas(kind):
    schema = json.loads(run("schema", kind).stdout)
    assert schema["type"] == "object"


def test_the_catalogue_of_metrics_is_markdown():
    lines = run("metrics").stdout.splitlines()
    assert lines[0] == "# Metrics"
    assert any("`outlook_auth_method_usable`" in line for line in lines)


def test_demo_once():
    done = run("demo", "--once", "--json", "--listen", "127.0.0.1:0")
    first, *probes = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert first["url"].startswith("http://127.0.0.1:")
    assert {line["outcome"] for line in probes} == {"ok"}


def test_demo_holds_a_fault():
    done = run("demo", "--once", "--json", "--listen", "127.0.0.1:0", "--fault", "starttls_stripped")
    probes = [json.loads(line) for line in done.stdout.splitlines()[1:]]
    assert done.returncode == 1
    assert {(p["target"], p["vantage"]) for p in probes if p["outcome"] != "ok"} == {
        ("smtp", "clients"), ("smtp_office365", "clients"),
    }  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_probe_stops_within_two_seconds_of_a_signal(lab, number):
    lab.set_fault("sni_dropped")
    config = lab.lab.pki.roots_file.with_name("lab.yml")
    command = [sys.executable, "-m", "exporter", "probe", "--config", str(config), "--json"]
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
            assert process.stdout is not None
            process.stdout.readline()  # it is at work
            began = time.monotonic()
            process.send_signal(number)
            _, errors = process.communicate(timeout=10)
            assert time.monotonic() - began < 2
            assert b"Traceback" not in errors
    finally:
        lab.set_fault(None)


def test_a_recording_holds_no_canary_and_replays_to_the_same(lab, tmp_path):
    from tests.test_record import replay

    path = tmp_path / "round.jsonl"
    probe(lab, "imap", "smtp", "pop", "sign_in_work", "activesync", "--vantage", "wan", "--record", str(path), "--json")
    lines = path.read_text().splitlines()
    assert json.loads(lines[0])["recording"] == 1
    assert len(lines) == 6
    assert "eyJ" not in path.read_text()  # the canary's JWT
    for line in lines[1:]:
        recorded, again = replay(json.loads(line))
        assert again == recorded
