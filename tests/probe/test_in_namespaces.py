"""What only real networks show, in namespaces made and removed here: ICMP with its sender, and a vantage elsewhere."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import require_program

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.root


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=10)


@pytest.fixture
def network() -> Iterator[tuple[str, str]]:
    """Two namespaces beside each other: the prober's side 10.231.0.1, the server's 10.231.0.2."""
    ip = require_program("ip", "iproute2")
    near, far = f"oae-n{os.getpid()}", f"oae-f{os.getpid()}"
    try:
        for name in (near, far):
            run(ip, "netns", "add", name)
            run(ip, "-n", name, "link", "set", "lo", "up")
        run(ip, "link", "add", "oaev0", "netns", near, "type", "veth", "peer", "name", "oaev1", "netns", far)
        for name, link, number in ((near, "oaev0", 1), (far, "oaev1", 2)):
            run(ip, "-n", name, "addr", "add", f"10.231.0.{number}/24", "dev", link)
            run(ip, "-n", name, "link", "set", link, "up")
        yield near, far
    finally:
        for name in (near, far):
            subprocess.run((ip, "netns", "del", name), capture_output=True, timeout=10, check=False)


def probe(tmp_path: Path, content: dict[str, object], *arguments: str) -> tuple[int, dict[str, object]]:
    config = tmp_path / "ns.yml"
    config.write_text(yaml.safe_dump(content))
    command = [sys.executable, "-m", "exporter", "probe", *arguments, "--json", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=ROOT, check=False)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize(
    ("reject", "words"),
    [
        ("icmp-admin-prohibited", "ICMP type 3 code 13"),
        ("icmp-host-unreachable", "ICMP type 3 code 1"),
        ("icmp-port-unreachable", "ICMP type 3 code 3"),
    ],
)
def test_who_sent_the_icmp_error_is_told(network, tmp_path, reject, words):
    near, far = network
    iptables = require_program("iptables")
    ip = require_program("ip", "iproute2")
    run(
        ip,
        "netns",
        "exec",
        far,
        iptables,
        "-A",
        "INPUT",
        "-p",
        "tcp",
        "--dport",
        "993",
        "-j",
        "REJECT",
        "--reject-with",
        reject,
    )
    target = {"name": "behind", "protocol": "imap", "host": "10.231.0.2", "port": 993}
    status, line = probe(
        tmp_path, {"probe": {"custom": [target]}, "vantages": [{"name": "near", "network_namespace": near}]}, "behind"
    )
    assert status == 1
    assert (line["outcome"], line["failed_phase"]) == ("unreachable", "connect")
    assert words in str(line["phases"])
    assert "from 10.231.0.2" in str(line["phases"])


def test_a_vantage_in_a_namespace_uses_its_sockets_and_its_resolver(network, tmp_path):
    """The lab lives in the far namespace's loopback: nothing of it can be reached but from there."""
    _, far = network
    ip = require_program("ip", "iproute2")
    script = (
        "import asyncio, sys, yaml, pathlib\n"
        "from exporter.lab.lab import Lab\n"
        "async def main(directory):\n"
        "    async with Lab.start(directory) as lab:\n"
        "        (directory / 'lab.yml').write_text(yaml.safe_dump(lab.configuration()))\n"
        "        await asyncio.sleep(40)\n"
        "asyncio.run(main(pathlib.Path(sys.argv[1])))\n"
    )
    command = [ip, "netns", "exec", far, sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT) as lab:
        try:
            deadline = time.monotonic() + 15
            while not (tmp_path / "lab.yml").exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            content = yaml.safe_load((tmp_path / "lab.yml").read_text())
            content["vantages"][0]["network_namespace"] = far
            status, line = probe(tmp_path, content, "imap", "--vantage", "clients")
            assert (line["outcome"], line["failed_phase"]) == (
                "certificate_untrusted",
                "tls",
            )  # only its root is unknown
            assert line["auth"]["outcome"] == "expected_refusal"  # type: ignore[index]
            assert status == 1
            _, here = probe(tmp_path, content, "imap", "--vantage", "wan")
            assert here["failed_phase"] == "dns"  # from this namespace not even the resolver is there
        finally:
            lab.terminate()


def test_a_namespace_that_is_not_there_is_one_clear_line(tmp_path):
    config = tmp_path / "ns.yml"
    config.write_text("vantages: [{name: gone, network_namespace: no-such-namespace}]\n")
    command = [sys.executable, "-m", "exporter", "probe", "imap", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert "no-such-namespace" in done.stderr
    assert "Traceback" not in done.stderr
