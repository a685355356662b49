"""The systemd units: known to systemd, hardened, and not so much that what they start can't run."""

import re
import sys
from pathlib import Path

import click
import pytest

from exporter.cli import main
from tests.conftest import require_program
from tests.deploy.running import ROOT, done
from tests.deploy.system_calls import SystemCalls

UNITS = ROOT / "deploy" / "systemd"
SERVICE = "outlook-auth-exporter.service"
INSPECTOR = "outlook-auth-exporter-inspector.service"
VANTAGE = "outlook-auth-exporter-vantage@.service"
#: Root's, once at the start of the machine.
NAMESPACE = "outlook-auth-exporter-namespace@.service"
#: systemd-analyze's exposure, 0 to 10, at most; what is left is what the network needs.
EXPOSURE = {SERVICE: 2.0, INSPECTOR: 2.2, VANTAGE: 1.6, NAMESPACE: 7.0}

every = pytest.mark.parametrize("name", EXPOSURE)


def settings(name: str) -> dict[str, list[str]]:
    """A unit's lines by key, comments left out."""
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", (UNITS / name).read_text(), re.M):
        found.setdefault(key, []).append(value)
    return found


def here(name: str, directory: Path) -> Path:
    """The unit with programs of this environment in place of /opt's; a template with an instance."""
    path = directory / name.replace("@.", "@clients.")
    path.write_text(
        (UNITS / name).read_text().replace("/opt/outlook-auth-exporter/.venv/bin", str(Path(sys.executable).parent))
    )
    return path


def test_there_are_no_others():
    assert {path.name for path in UNITS.iterdir()} == set(EXPOSURE)


@every
def test_systemd_understands_it(name: str, tmp_path: Path):
    program = require_program("systemd-analyze", "systemd")
    found = done(program, "verify", "--man=no", here(name, tmp_path))
    assert "Unknown" not in found.output
    assert name.replace("@.", "@clients.") not in found.output, found.output


def test_a_word_that_systemd_doesnt_know_would_be_noticed(tmp_path: Path):
    program = require_program("systemd-analyze", "systemd")
    path = here(SERVICE, tmp_path)
    path.write_text(path.read_text().replace("ProtectClock=", "ProtectClocks="))
    assert "ProtectClocks" in done(program, "verify", "--man=no", path).output


@every
def test_it_is_exposed_no_more_than_it_must(name: str, tmp_path: Path):
    program = require_program("systemd-analyze", "systemd")
    found = done(program, "security", "--offline=true", "--no-pager", here(name, tmp_path)).output
    level = re.search(r"exposure level for .*: ([\d.]+)", found)
    assert level, found
    assert float(level[1]) <= EXPOSURE[name]


def test_rights_are_the_least():
    """The service and the vantage have none; the inspector reads packets, as another user than the one with tokens."""
    for name in (SERVICE, VANTAGE):
        assert settings(name)["CapabilityBoundingSet"] == [""]
        assert settings(name)["AmbientCapabilities"] == [""]
        assert "AF_PACKET" not in settings(name)["RestrictAddressFamilies"][0]
    assert settings(INSPECTOR)["AmbientCapabilities"] == settings(INSPECTOR)["CapabilityBoundingSet"] == ["CAP_NET_RAW"]
    assert settings(SERVICE)["User"] == settings(VANTAGE)["User"] != settings(INSPECTOR)["User"]
    assert settings(INSPECTOR)["Group"] == settings(SERVICE)["User"]  # it may ask at the inspector's socket
    assert settings(SERVICE)["MemorySwapMax"] == ["0"]
    assert "LoadCredential" not in settings(INSPECTOR)
    for name in EXPOSURE:
        assert settings(name)["LimitCORE"] == ["0"]


def test_sockets_are_where_the_example_looks_for_them():
    example = (ROOT / "deploy" / "exporter.yml").read_text()
    for name in (INSPECTOR, VANTAGE):
        directory = settings(name)["RuntimeDirectory"][0].replace("%i", "clients")
        assert f"ocket: /run/{directory}/socket" in example


@every
def test_what_it_starts_is_a_command_of_ours(name: str):
    _, *words = settings(name)["ExecStart"][0].split()
    if words[0] == "-m":
        assert words[1] == "exporter.probe.vantage_server"
        return
    command: click.Command = main
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_the_service_runs_under_its_units_system_calls():
    """A whole round of the demo, its accounts too, under the filter that systemd would make of the unit."""
    calls = SystemCalls.of(settings(SERVICE)["SystemCallFilter"], settings(SERVICE)["RestrictAddressFamilies"])
    assert "ptrace" not in calls.names
    found = done(*calls.command, sys.executable, "-m", "exporter", "demo", "--once", "--listen", "127.0.0.1:0")
    assert found.status == 0, found.output
    assert "30 of 30 ways" in found.output
    assert "history" not in found.output  # its file could be written, or the log would say that it can't


def test_a_system_call_that_the_unit_lacks_is_refused():
    calls = SystemCalls.of(settings(SERVICE)["SystemCallFilter"])
    found = done(*calls.command, sys.executable, "-c", "import os; os.nice(1)")
    assert "PermissionError" in found.output


def test_a_socket_of_a_family_that_the_unit_lacks_is_refused():
    unit = settings(SERVICE)
    calls = SystemCalls.of(unit["SystemCallFilter"], unit["RestrictAddressFamilies"])
    tries = "import socket; socket.socket(socket.{0}, socket.SOCK_RAW); print('{0}')"
    assert "AF_NETLINK" in done(*calls.command, sys.executable, "-c", tries.format("AF_NETLINK")).output
    assert "not supported" in done(*calls.command, sys.executable, "-c", tries.format("AF_PACKET")).output
