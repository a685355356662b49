"""The lab does what it says: plain tools see each fault at the client, and nothing of it elsewhere or in health."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from exporter.vocabulary import Cause
from tests.conftest import require_program
from tests.netlab.lab import NetLab, net_lab
from tests.netlab.scenarios import ROWS, SCENARIOS, TWINS, Scenario
from tests.netlab.test_plain_tools import IMAP, opened
from tests.probe.namespaces import root

pytestmark = root


@pytest.fixture(scope="module")
def lab() -> Iterator[NetLab]:
    for program, package in (("dnsmasq", "dnsmasq-base"), ("iptables", "iptables"), ("ethtool", "ethtool")):
        require_program(program, package)
    with net_lab() as lab:
        yield lab


def shell(lab: NetLab, place: str, command: str) -> subprocess.CompletedProcess[str]:
    return lab.run(place, "bash", "-c", command, timeout=20)


def handshake(lab: NetLab, place: str, host: str, port: int, name: str | None = None, more: str = "") -> str:
    """What openssl says of a handshake, in clear text or time out after three seconds."""
    shown = f"-servername {name or host}"
    command = (
        f"timeout 3 openssl s_client -connect {host}:{port} {shown} -CAfile {lab.directory}/trust.pem {more} </dev/null"
    )
    done = shell(lab, place, command)
    return done.stdout + done.stderr + f"status {done.returncode}"


RESET = "errno=104"  # ECONNRESET


def verified(said: str) -> bool:
    """Whether a certificate came, was verified, and nothing else went wrong (openssl says 0 without any, too)."""
    return "Server certificate" in said and "Verify return code: 0 (ok)" in said and said.endswith("status 0")


def test_in_health_everything_passes_for_plain_tools(lab: NetLab):
    lab.clear()
    for place in ("client", "gateway"):
        assert verified(handshake(lab, place, "imap-mail.outlook.com", 993))
        assert verified(handshake(lab, place, "login.microsoftonline.com", 443))
        assert verified(handshake(lab, place, "smtp-mail.outlook.com", 587, more="-starttls smtp"))


def test_a_name_filter_resets_that_name_alone_and_only_clients(lab: NetLab):
    lab.apply(SCENARIOS["name_reset"])
    assert RESET in handshake(lab, "client", "login.microsoftonline.com", 443)
    assert verified(handshake(lab, "client", "login.live.com", 443))
    assert verified(handshake(lab, "gateway", "login.microsoftonline.com", 443))
    neutral = handshake(lab, "client", "login.microsoftonline.com", 443, name="neutral.example")
    assert RESET not in neutral


def test_a_name_filter_that_drops(lab: NetLab):
    lab.apply(SCENARIOS["name_dropped"])
    assert "status 124" in handshake(lab, "client", "login.live.com", 443)
    assert verified(handshake(lab, "client", "login.microsoftonline.com", 443))


def test_dropped_and_refused_ports(lab: NetLab):
    lab.apply(SCENARIOS["mail_ports_dropped"])
    assert shell(lab, "client", "timeout 2 bash -c '</dev/tcp/imap-mail.outlook.com/993'").returncode == 124
    lab.apply(SCENARIOS["mail_ports_reset"])
    refused = shell(lab, "client", "timeout 2 bash -c '</dev/tcp/imap-mail.outlook.com/993'")
    assert "refused" in refused.stderr
    assert shell(lab, "gateway", "timeout 2 bash -c '</dev/tcp/imap-mail.outlook.com/993'").returncode == 0


def test_interception_shows_another_issuer(lab: NetLab):
    lab.apply(SCENARIOS["intercepted"])
    assert "Fortinet" in handshake(lab, "client", "login.microsoftonline.com", 443)
    assert "Fortinet" not in handshake(lab, "gateway", "login.microsoftonline.com", 443)


def test_starttls_is_taken_away(lab: NetLab):
    lab.apply(SCENARIOS["starttls_stripped"])
    said = handshake(lab, "client", "smtp-mail.outlook.com", 587, more="-starttls smtp")
    assert not verified(said)
    assert "Didn't find STARTTLS" in said


def test_a_line_that_loses_makes_segments_be_sent_again(lab: NetLab):
    lab.apply(SCENARIOS["line_that_loses"])
    took = shell(
        lab, "client", "for n in 1 2 3 4 5 6 7 8; do " + opened(IMAP, 993) + "; done; nstat -asz TcpRetransSegs"
    )
    again = re.search(r"TcpRetransSegs\s+(\d+)", took.stdout)
    assert again, took.stdout
    assert int(again[1]) > 0


def test_it_is_taken_down_wholly(lab: NetLab):
    lab.apply(SCENARIOS["mail_ports_dropped"])
    lab.clear()
    assert verified(handshake(lab, "client", "imap-mail.outlook.com", 993))


#: Not in a probe's outcome: a dead address beside a live one, interception by a CA that is trusted here, lateness, idle cuts.
_NOT_IN_OUTCOMES = {Cause.PARTIAL_OUTAGE, Cause.SLOW_SIGN_IN, Cause.IDLE_CUT}
#: Left to the report: a probe waits twice for what is swallowed there; another scenario intercepts with the same tool;
#: plain tools see the others above.
_LEFT_TO_THE_REPORT = {"long_tokens_dropped", "mail_intercepted", *TWINS, *ROWS}
SEEN_BY_PROBES = [
    each for each in SCENARIOS.values()
    if each.targets and not each.parts and each.name not in _LEFT_TO_THE_REPORT and each.cause not in _NOT_IN_OUTCOMES
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SEEN_BY_PROBES, ids=lambda scenario: scenario.name)
def test_a_fault_is_seen_where_it_is_and_nowhere_else(lab: NetLab, scenario: Scenario):
    lab.apply(scenario)
    failed: dict[str, set[str]] = {"clients": set(), "wan": set()}
    for probe in _probes(lab):
        if probe["outcome"] != "ok":
            failed[probe["vantage"]].add(probe["target"])
    concerned = set(scenario.targets)
    assert failed == {"clients": concerned, "wan": concerned if scenario.everywhere else set()}


def _probes(lab: NetLab) -> list[dict[str, Any]]:
    done = lab.product("probe", "--config", str(lab.configuration()), "--json")
    return [json.loads(line) for line in done.stdout.splitlines()]
