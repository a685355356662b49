"""What a real gateway does to real clients' connections, told from a capture of each of its sides, through NAT."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.observations import Connection
from exporter.settings_file import load
from exporter.vocabulary import ConnectionOutcome, Tampering
from exporter.wire.reading_files import two_sides
from tests.conftest import require_program
from tests.netlab.lab import NetLab, net_lab
from tests.netlab.programs import ASKED_MITMPROXY_PORT, PROXY_PORT, started
from tests.netlab.scenarios import SCENARIOS
from tests.netlab.topology import GATEWAYS_RESOLVER
from tests.probe.namespaces import root

pytestmark = root

CURL = "curl -s -o /dev/null --max-time 4 --cacert {trust}"
SIGN_IN = f"{CURL} https://login.microsoftonline.com/common/oauth2/v2.0/token"
PERSONAL = f"{CURL.replace('--max-time 4', '--max-time 6')} https://login.live.com/"
IMAP = f"{CURL} imaps://imap-mail.outlook.com/INBOX --user someone@outlook.com --oauth2-bearer " + "EwB" + "x" * 1_500
MAIL = (
    f"{CURL} --ssl smtp://smtp-mail.outlook.com:587/ --mail-from a@b.example --mail-rcpt c@d.example -T /etc/hostname"
)


@pytest.fixture(scope="module")
def lab() -> Iterator[NetLab]:
    require_program("tcpdump")
    require_program("curl")
    with net_lab() as lab:
        yield lab


@contextmanager
def captured(lab: NetLab) -> Iterator[tuple[Path, Path]]:
    """Both sides of the gateway while the block runs."""
    files = lab.directory / "inside.pcap", lab.directory / "outside.pcap"
    children = []
    for device, file in zip(("in0", "out0"), files, strict=True):
        words = ["tcpdump", "-i", device, "-U", "--immediate-mode", "-Z", "root", "-w", str(file)]
        child = subprocess.Popen(lab.network.command("gateway", *words), stderr=subprocess.PIPE, text=True)
        assert child.stderr is not None
        while "listening on" not in child.stderr.readline():
            pass
        children.append(child)
    try:
        yield files
        time.sleep(0.3)  # the last segments of connections that are being closed
    finally:
        for child in children:
            child.terminate()
            child.communicate(timeout=10)


def seen(lab: NetLab, scenario: str, *commands: str) -> list[Connection]:
    """What `inspect --inside --outside` tells of the client's connections under a scenario."""
    lab.apply(SCENARIOS[scenario])
    with captured(lab) as (inside, outside):
        for command in commands:
            lab.run("client", "bash", "-c", command.format(trust=lab.directory / "trust.pem"), timeout=20)
    connections, warnings = two_sides(inside, outside, load(None, {}))
    assert warnings == []
    return sorted((each for each in connections if each.interface == "inside"), key=lambda each: each.start)


def kinds(connection: Connection) -> set[Tampering]:
    return {each.kind for each in connection.tampering}


def test_in_health_every_connection_has_its_counterpart_and_nothing_is_told(lab: NetLab):
    """Behind a masquerading gateway: other addresses, ports and sequence numbers."""
    connections = seen(lab, "healthy", SIGN_IN, IMAP, MAIL)
    assert {each.target for each in connections} == {"sign_in_work", "imap", "smtp"}
    assert [each.tampering for each in connections] == [()] * len(connections)
    assert {each.outcome for each in connections} == {ConnectionOutcome.ESTABLISHED}


def test_a_forged_reset_behind_the_hello_is_named_with_its_place(lab: NetLab):
    [blocked, passed] = seen(lab, "name_reset", SIGN_IN, PERSONAL)
    assert blocked.outcome is ConnectionOutcome.HELLO_RESET
    assert kinds(blocked) >= {Tampering.RESET_FORGED, Tampering.HELLO_NOT_FORWARDED}
    [forged] = [each for each in blocked.tampering if each.kind is Tampering.RESET_FORGED]
    assert forged.direction == "to_client"
    assert "behind the ClientHello" in (forged.detail or "")
    assert passed.tampering == ()


def test_a_swallowed_hello(lab: NetLab):
    [blocked, passed] = seen(lab, "name_dropped", PERSONAL, SIGN_IN)
    assert blocked.outcome is ConnectionOutcome.HELLO_UNANSWERED
    assert Tampering.HELLO_NOT_FORWARDED in kinds(blocked)
    assert Tampering.RESET_FORGED not in kinds(blocked)
    assert passed.tampering == ()


def test_syns_that_never_left(lab: NetLab):
    connections = seen(lab, "mail_ports_dropped", IMAP, SIGN_IN)
    dropped = [each for each in connections if each.outcome is ConnectionOutcome.NO_ANSWER]
    assert dropped
    for each in dropped:
        assert kinds(each) == {Tampering.SYN_NOT_FORWARDED}
        assert each.target == "imap"
    assert [each.tampering for each in connections if each.target == "sign_in_work"] == [()]


def test_syns_dropped_beyond_the_gateway_are_not_its_doing(lab: NetLab):
    connections = seen(lab, "dropped_beyond", IMAP)
    assert connections
    assert [each.tampering for each in connections] == [()] * len(connections)


def test_an_interception_is_two_connections(lab: NetLab):
    [intercepted] = seen(lab, "intercepted", SIGN_IN)
    assert Tampering.TERMINATED in kinds(intercepted)


def test_starttls_taken_away(lab: NetLab):
    [stripped] = [each for each in seen(lab, "starttls_stripped", MAIL) if each.target == "smtp"]
    assert Tampering.STARTTLS_REMOVED in kinds(stripped)


def test_a_token_that_is_cut(lab: NetLab):
    [cut] = [each for each in seen(lab, "token_cut", IMAP) if each.outcome is ConnectionOutcome.ESTABLISHED][:1]
    assert kinds(cut) & {Tampering.RESET_FORGED, Tampering.PAYLOAD_DROPPED}


def test_a_proxy_that_clients_ask_for_and_that_passes_tunnels_is_blamed_for_nothing(lab: NetLab):
    """Two connections to other addresses are one way, known by the ClientHello; what squid opens isn't tampering."""
    connections = seen(lab, "squid_refuses_a_name", *(via(PROXY_PORT, each) for each in (SIGN_IN, IMAP, MAIL)))
    assert [(each.target, each.server_port) for each in connections] == [
        ("sign_in_work", PROXY_PORT), ("imap", PROXY_PORT), ("smtp", PROXY_PORT)
    ]  # fmt: skip
    assert {each.outcome for each in connections} == {ConnectionOutcome.ESTABLISHED}
    assert [each.tampering for each in connections] == [()] * 3


def test_a_proxy_that_clients_ask_for_and_that_ends_tls(lab: NetLab):
    """Matched by name and time: a connection of its own left, with another ClientHello."""
    lab.apply(SCENARIOS["healthy"])
    with started("mitmproxy_asked_for", lab.network):
        [ended] = seen(lab, "healthy", via(ASKED_MITMPROXY_PORT, SIGN_IN))
    assert ended.target == "sign_in_work"
    [terminated] = [each for each in ended.tampering if each.kind is Tampering.TERMINATED]
    assert "another ClientHello left" in (terminated.detail or "")


def via(port: int, command: str) -> str:
    """The command, asking the gateway's proxy for a tunnel."""
    return command.replace("curl", f"curl -p -x http://{GATEWAYS_RESOLVER}:{port}", 1)
