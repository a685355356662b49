"""Where a fault begins, in four namespaces: the same filter once at the gateway, once one hop beyond. Needs root.

One vantage alone, the clients': only packets that die on their way can place what it meets.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import yaml

from exporter.vocabulary import Cause, Responsible
from tests.conftest import missing_right, require_program
from tests.diagnosis.four import ROOT, Four, four

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(240)]

RESET = ("REJECT", "--reject-with", "tcp-reset")
TARGETS = ("imap", "smtp", "pop", "sign_in_personal", "sign_in_work", "outlook_web")
BY_PLACE = {"gateway": Responsible.GATEWAY, "beyond": Responsible.NETWORK}


def by_name(name: str) -> tuple[str, ...]:
    return ("-p", "tcp", "--dport", "443", "-m", "string", "--algo", "bm", "--string", name)


def by_port(port: int) -> tuple[str, ...]:
    return ("-p", "tcp", "--dport", str(port))


#: All at once: target, rule, cause.
FILTERS = (
    ("sign_in_personal", (*by_name("login.live.com"), "-j", *RESET), Cause.SNI_RESET),
    ("sign_in_work", (*by_name("microsoftonline"), "-j", "DROP"), Cause.SNI_DROPPED),
    ("pop", (*by_port(995), "-j", *RESET), Cause.TCP_RESET),
    ("imap", (*by_port(993), "-j", "DROP"), Cause.TCP_DROPPED),
    ("smtp", (*by_port(587), "-j", "REJECT", "--reject-with", "icmp-admin-prohibited"), Cause.TCP_UNREACHABLE),
)


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Iterator[Four]:
    if (reason := missing_right()) is not None:
        pytest.skip(reason)
    for program, package in (
        ("ip", "iproute2"),
        ("iptables", "iptables"),
        ("ethtool", "ethtool"),
        ("sysctl", "procps"),
    ):
        require_program(program, package)
    with four(tmp_path_factory.mktemp("four")) as made:
        yield made


@pytest.fixture
def filtered(network: Four) -> Iterator[Four]:
    yield network
    network.clear()


def diagnose(network: Four, *targets: str) -> dict[str, dict[str, object]]:
    """The path's verdict of each target."""
    config = network.directory / "four.yml"
    config.write_text(yaml.safe_dump(network.configuration(*TARGETS)))
    env = os.environ | {"SSL_CERT_FILE": str(network.directory / "trust.pem")}
    command = [sys.executable, "-m", "exporter", "diagnose", "--json", "--config", str(config), *targets]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, cwd=ROOT, env=env, check=False)
    assert done.stderr == ""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == int(any(line["cause"] != "healthy" for line in lines))
    return {line["target"]: line for line in lines}


def test_without_a_filter_all_is_well(network):
    assert {line["cause"] for line in diagnose(network).values()} == {"healthy"}


@pytest.mark.parametrize("place", BY_PLACE)
def test_filters_at_the_gateway_and_the_same_beyond(filtered, place):
    for _, rule, _ in FILTERS:
        filtered.filter(getattr(filtered, place), *rule)
    found = diagnose(filtered)
    for target, _, cause in FILTERS:
        assert (found[target]["cause"], found[target]["responsible"]) == (cause, BY_PLACE[place]), found[target]
    assert found["outlook_web"]["cause"] == "healthy"


def test_a_certificate_that_is_too_large_for_the_way_back(filtered):
    filtered.filter(
        filtered.gateway, "-p", "tcp", "--sport", "993", "-m", "length", "--length", "1000:65535", "-j", "DROP"
    )
    found = diagnose(filtered, "imap", "smtp")
    assert (found["imap"]["cause"], found["smtp"]["cause"]) == (Cause.MTU_BLACKHOLE, "healthy")
