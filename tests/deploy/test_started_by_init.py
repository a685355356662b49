"""The units as README has them installed, started by a real systemd on a machine of their own: what they need is there.

Two interfaces, no name server and no way out: every walk fails, none leaves the machine.
"""

import json
import os
import site
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.capabilities import held_capabilities
from exporter.wire.sandbox import CAP_NET_RAW
from tests.deploy.machine import Machine, machine
from tests.deploy.running import ROOT
from tests.deploy.test_inspector_unit import interpreter
from tests.deploy.test_units import INSPECTOR, SERVICE, UNITS
from tests.probe.namespaces import root

pytestmark = root

HOME = "/opt/outlook-auth-exporter"
VANTAGE, NAMESPACE = "outlook-auth-exporter-vantage@clients.service", "outlook-auth-exporter-namespace@clients.service"
ETC, SYSTEM = "/etc/outlook-auth-exporter", "/etc/systemd/system"
CLIENT_SECRET = "the-applications-secret"
ACCOUNT = """
accounts:
  - {name: canary-work, kind: oauth_work, username: canary@contoso.example,
     client_id: 00000000-0000-0000-0000-000000000000, client_secret_file: canary-work,
     authority: "https://login.microsoftonline.com/contoso.example"}
"""
CREDENTIALS = f"""
[Service]
LoadCredential=canary-work:{ETC}/canary-work
LoadCredential=token-cache-key:{ETC}/token-cache-key
"""
WITH_EBPF = """
[Service]
AmbientCapabilities=CAP_BPF
CapabilityBoundingSet=CAP_BPF
SystemCallFilter=bpf
"""


def example() -> str:
    """The configuration, in a hurry."""
    content = (ROOT / "deploy" / "exporter.yml").read_text()
    assert content.count("interval: 60s") == 1
    return content.replace("interval: 60s", "interval: 10s\n  timeout: 2s")


@pytest.fixture(scope="module")
def lab() -> Iterator[Machine]:
    """Units, configuration and programs where README puts them; nothing started."""
    python = f"PYTHONPATH={HOME}/source:{HOME}/packages exec {interpreter()}"
    files = {f"{SYSTEM}/{path.name}": path.read_text() for path in UNITS.iterdir()}
    files |= {
        f"{HOME}/.venv/bin/python": f'#!/bin/sh\n{python} "$@"\n',
        f"{HOME}/.venv/bin/outlook-auth-exporter": f'#!/bin/sh\n{python} -m exporter "$@"\n',
        f"{ETC}/exporter.yml": example(),
        f"{ETC}/namespace-clients.env": "INSIDE=eth1\n",
    }
    (packages,) = site.getsitepackages()[:1]
    with machine(files, {ROOT: f"{HOME}/source", Path(packages): f"{HOME}/packages"}) as made:
        for number, name in enumerate(("eth0", "eth1")):
            made.run("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}-wire")
            made.run("ip", "address", "add", f"10.7{number}.0.1/24", "dev", name)
            made.run("ip", "link", "set", name, "up")
            made.run("ip", "link", "set", f"{name}-wire", "up")
        made.run(f"{HOME}/.venv/bin/outlook-auth-exporter", "check-config", f"{ETC}/exporter.yml")
        yield made


@pytest.fixture
def started(lab: Machine) -> Iterator[Machine]:
    """By README's command; stopped again."""
    lab.systemctl("enable", "--now", SERVICE, INSPECTOR, VANTAGE)
    yield lab
    lab.systemctl("disable", "--now", SERVICE, INSPECTOR, VANTAGE, NAMESPACE)
    lab.systemctl("reset-failed", check=False)


def eventually(right: Callable[[], bool], what: object, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not right():
        assert time.monotonic() < deadline, what() if callable(what) else what
        time.sleep(0.2)


def page(lab: Machine, path: str) -> str:
    return lab.run("curl", "--silent", "--max-time", "5", f"http://127.0.0.1:10193{path}", check=False)


def is_up(lab: Machine) -> None:
    eventually(lambda: "outlook_exporter_build_info" in page(lab, "/metrics"), lab.journal)


def probes(lab: Machine, vantage: str) -> list[dict[str, Any]]:
    found = json.loads(page(lab, "/api/v1/probes") or "[]")
    return [each for each in found if each["vantage"] == vantage]


def rounds_kept(lab: Machine) -> int:
    """Of the last hour, from the gateway to `imap`."""
    found = json.loads(page(lab, "/api/v1/history?target=imap&vantage=gateway&hours=1") or '{"bins": []}')
    return sum(each["rounds"] for each in found["bins"])


def restarted(lab: Machine) -> None:
    lab.systemctl("daemon-reload")
    lab.systemctl("restart", SERVICE, INSPECTOR)
    is_up(lab)


def put(lab: Machine, path: str, content: bytes, mode: int = 0o600) -> None:
    """A file on the machine, root's."""
    where = Path(f"/proc/{lab.pid}/root{path}")
    where.parent.mkdir(parents=True, exist_ok=True)
    where.write_bytes(content)
    where.chmod(mode)


def test_one_command_starts_all_of_it_and_none_of_it_is_root(started: Machine):
    is_up(started)
    units = (SERVICE, INSPECTOR, VANTAGE, NAMESPACE)
    assert started.systemctl("is-active", *units, check=False).split() == ["active"] * 4, started.journal()
    eventually(lambda: "interface inspected" in started.journal(SERVICE), started.journal)
    assert {each["vantage"] for each in json.loads(page(started, "/api/v1/probes"))} <= {"gateway", "clients"}
    eventually(lambda: bool(probes(started, "clients")), started.journal)
    for unit, rights in ((SERVICE, 0), (VANTAGE, 0), (INSPECTOR, 1 << CAP_NET_RAW)):
        processes = started.processes(unit)
        assert processes
        for pid in processes:
            assert held_capabilities(pid) == rights, unit
            assert os.stat(f"/proc/{pid}").st_uid >= 1_000, unit  # root is less, and nobody else's unit has it
    assert 'system_calls="in force" filter="classic BPF"' in started.journal(SERVICE)
    assert "Traceback" not in started.journal()


def test_the_past_is_kept_over_a_restart(started: Machine):
    is_up(started)
    eventually(lambda: rounds_kept(started) >= 3, started.journal, 60)  # more than one start walks at once
    before = rounds_kept(started)
    restarted(started)
    assert rounds_kept(started) >= before
    assert "history" not in started.journal(SERVICE)  # nothing to complain of


def test_what_is_killed_comes_back_and_a_reload_changes_the_configuration(started: Machine):
    is_up(started)
    started.systemctl("kill", "--signal=KILL", INSPECTOR)
    eventually(lambda: started.journal(SERVICE).count("inspector up") >= 2, started.journal)
    started.systemctl("reload", SERVICE)
    eventually(lambda: "configuration taken over" in started.journal(SERVICE), started.journal)


def test_secrets_are_credentials_of_the_unit(started: Machine):
    """A key of any bytes; neither appears in what is shown or logged."""
    put(started, f"{ETC}/canary-work", CLIENT_SECRET.encode())
    put(started, f"{ETC}/token-cache-key", bytes(range(128, 160)))
    put(started, f"{ETC}/exporter.yml", (example() + ACCOUNT).encode(), 0o644)
    put(started, f"{SYSTEM}/{SERVICE}.d/credentials.conf", CREDENTIALS.encode(), 0o644)
    try:
        restarted(started)
        eventually(lambda: 'account="canary-work"' in page(started, "/metrics"), started.journal)
        assert CLIENT_SECRET not in page(started, "/metrics") + page(started, "/") + started.journal()
    finally:
        started.run("rm", "-r", f"{SYSTEM}/{SERVICE}.d")
        put(started, f"{ETC}/exporter.yml", example().encode(), 0o644)
        started.systemctl("daemon-reload")


def test_a_vantage_that_is_not_there_yet_keeps_nothing_else_from_starting(started: Machine):
    """As after a reboot whose namespace couldn't be made; it is used once it is there."""
    started.systemctl("stop", SERVICE, VANTAGE, NAMESPACE)
    assert "clients" not in started.run("ip", "netns")
    started.systemctl("start", SERVICE)
    is_up(started)
    assert "vantage not there yet" in started.journal(SERVICE)
    eventually(lambda: bool(probes(started, "gateway")), started.journal)
    missing = "is its unit started"
    eventually(lambda: any(missing in str(each) for each in probes(started, "clients")), started.journal)
    started.systemctl("start", VANTAGE)
    eventually(lambda: all(missing not in str(each) for each in probes(started, "clients")), started.journal)


def test_the_inspector_with_cap_bpf_has_ebpf_and_still_only_one_right(started: Machine):
    put(started, f"{SYSTEM}/{INSPECTOR}.d/ebpf.conf", WITH_EBPF.encode(), 0o644)
    try:
        restarted(started)
        eventually(lambda: "filter=eBPF" in started.journal(SERVICE), started.journal)
        for pid in started.processes(INSPECTOR):
            assert held_capabilities(pid) == 1 << CAP_NET_RAW
    finally:
        started.run("rm", "-r", f"{SYSTEM}/{INSPECTOR}.d")
        started.systemctl("daemon-reload")
