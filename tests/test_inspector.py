"""The service with an inspector configured that it can't have, or can't reach: it runs on, and says in a line why."""

import json
import subprocess
import sys

import pytest
import yaml

from exporter.inspector import GRANT
from tests.test_cli import run
from tests.test_service import ROOT, configuration, lab, running, unprivileged

__all__ = ["lab"]


def with_inspect(lab, **inspect):
    return configuration(lab) | {"inspect": inspect}


def test_without_the_right_the_service_runs_on_and_says_how_to_grant_it(lab, tmp_path):
    content = with_inspect(lab, interfaces=[{"name": "lo", "side": "inside"}])
    with running(lab, tmp_path, content) as service:
        metrics = service.until("/metrics", 'outlook_probe_success{target="imap",vantage="clients"} 1')
        assert "\noutlook_exporter_inspector_up 0" in metrics
        assert "\noutlook_exporter_client_side_covered 0" in metrics
        assert json.loads(service.get("/api/v1/connections")[1]) == []
        (line,) = [line for line in service.log.read_text().splitlines() if "inspector not started" in line]
        assert "level=warning" in line
        assert "interfaces=lo" in line
        assert GRANT in line
        assert "Traceback" not in service.log.read_text()


def test_a_unit_that_is_not_there_is_said_once(lab, tmp_path):
    content = with_inspect(lab, interfaces=[{"name": "lo", "side": "inside"}], socket=str(tmp_path / "nobody.sock"))
    with running(lab, tmp_path, content) as service:
        metrics = service.until("/metrics", 'outlook_probe_success{target="imap",vantage="clients"} 1')
        assert "\noutlook_exporter_inspector_up 0" in metrics
        lines = [line for line in service.log.read_text().splitlines() if "inspector not reached" in line]
        assert len(lines) == 1
        assert "nobody.sock: No such file or directory; is its unit started" in lines[0]


def test_without_an_interface_nothing_is_said_of_an_inspector(lab, tmp_path):
    with running(lab, tmp_path) as service:
        metrics = service.until("/metrics", 'outlook_probe_success{target="imap",vantage="clients"} 1')
        assert "inspector_up" not in metrics
        assert "inspector" not in service.log.read_text()


def test_inspect_without_the_right_is_one_line():
    command, user = unprivileged([sys.executable, "-m", "exporter", "inspect", "--interface", "lo"])
    done = subprocess.run(command, cwd=ROOT, user=user, capture_output=True, text=True, timeout=30)
    # In a user namespace of its own it has the right, but not in this network.
    assert done.returncode == 2
    assert "CAP_NET_RAW" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [["--interface", "lo", "file.pcap"], ["--interface", ""], ["--interface", "no/such"]])
def test_usage(words):
    done = run("inspect", *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("inspect", "word"),
    [
        ({"workers": 0}, "inspect.workers"),
        ({"ring_mib": 1}, "inspect.ring_mib"),
        ({"reassembly_mib": 0}, "inspect.reassembly_mib"),
        ({"socket": ""}, "inspect.socket"),
        ({"promiscuous": "perhaps"}, "inspect.promiscuous"),
    ],
)
def test_settings_are_checked(tmp_path, inspect, word):
    path = tmp_path / "c.yml"
    path.write_text(yaml.safe_dump({"inspect": inspect}))
    done = run("check-config", str(path))
    assert done.returncode == 2
    assert word in done.stderr
