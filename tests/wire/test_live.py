"""Live at a gateway: real clients through real interfaces, read as they go by; and nothing of their passwords."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import require_program
from tests.netlab.lab import NetLab, net_lab
from tests.netlab.programs import PROXY_PORT
from tests.netlab.scenarios import SCENARIOS
from tests.netlab.topology import GATEWAYS_RESOLVER
from tests.probe.namespaces import root

pytestmark = root

ROOT = Path(__file__).parents[2]
CURL = "curl -s -o /dev/null --max-time 6 --cacert {trust}"
SIGN_IN = f"{CURL} -d grant_type=x https://login.microsoftonline.com/common/oauth2/v2.0/token"
TOKEN = f"{CURL} imaps://imap-mail.outlook.com/INBOX --user someone@outlook.com --oauth2-bearer " + "EwB" + "x" * 1_500
PASSWORD = f"{CURL} pop3s://pop-mail.outlook.com/ --user someone@outlook.com:correct-horse"
OPENSSL = (
    "(sleep 0.3; echo 'a1 LOGOUT'; sleep 0.3) | openssl s_client -quiet -connect outlook.office365.com:993"
    " -servername outlook.office365.com -CAfile {trust}"
)
ELSEWHERE = f"{CURL} -k --resolve www.example.com:443:203.0.113.1 https://www.example.com/"
SECRET = "hunter2-very-secret"
#: A client that doesn't care whether STARTTLS is there: EHLO, AUTH PLAIN, AUTH LOGIN, as they come.
CARELESS = f"""
import base64, socket
secret = {SECRET!r}
sock = socket.create_connection(("smtp-mail.outlook.com", 587), 5)
sock.settimeout(1)
def say(line):
    sock.sendall(line.encode() + b"\\r\\n")
    try: return sock.recv(4096)
    except OSError: return b""
sock.recv(4096)
say("EHLO client.example.com")
say("AUTH PLAIN " + base64.b64encode(b"\\0user\\0" + secret.encode()).decode())
say("AUTH LOGIN"); say(base64.b64encode(b"user").decode()); say(base64.b64encode(secret.encode()).decode())
say("USER " + secret); say("QUIT")
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[NetLab]:
    require_program("curl")
    with net_lab() as lab:
        yield lab


def exporter(lab: NetLab, *words: str) -> list[str]:
    trusting = ["env", f"SSL_CERT_FILE={lab.directory / 'trust.pem'}"]
    return lab.network.command("gateway", *trusting, sys.executable, "-m", "exporter", *words)


class Inspecting:
    """`inspect --interface` under way; after the block what it printed."""

    def __init__(self) -> None:
        self.output = self.errors = ""
        self.status = -1

    @property
    def connections(self) -> list[dict[str, Any]]:
        return [each for each in self.lines if "summary" not in each]

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output.splitlines()]

    def to(self, target: str) -> dict[str, Any]:
        [found] = [each for each in self.connections if each["target"] == target]
        return found


@contextmanager
def inspecting(lab: NetLab, *words: str, device: str = "in0") -> Iterator[Inspecting]:
    command = exporter(lab, "inspect", "--json", "--summary", *words)
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    found = Inspecting()
    try:
        wait_for_filter(lab, device)
        yield found
        time.sleep(0.02)  # the last segments of connections that are being closed; the kernel may still hold them
        begun = time.monotonic()
        for pid in subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split():
            os.kill(int(pid), 0)  # the worker is its child
        process.send_signal(signal.SIGINT)
        found.output, found.errors = process.communicate(timeout=20)
        assert time.monotonic() - begun < 3
        found.status = process.returncode
    finally:
        process.kill()
        process.communicate()


def wait_for_filter(lab: NetLab, device: str) -> None:
    """Until somebody reads packets of the device: its packet socket stands in the namespace's list."""
    index = lab.run("gateway", "cat", f"/sys/class/net/{device}/ifindex").stdout.strip()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for line in lab.run("gateway", "cat", "/proc/net/packet").stdout.splitlines()[1:]:
            words = line.split()
            if words[4] == index and words[3] == "0003":
                return
        time.sleep(0.05)
    raise AssertionError("nobody reads packets")


def clients(lab: NetLab, *commands: str) -> None:
    trust = lab.directory / "trust.pem"
    for command in commands:
        lab.run("client", "bash", "-c", command.replace("{trust}", str(trust)), timeout=20)


class TestCommand:
    def test_real_clients(self, lab):
        lab.clear()
        with inspecting(lab, "--interface", "in0") as found:
            clients(lab, SIGN_IN, TOKEN, PASSWORD, OPENSSL, ELSEWHERE)
        assert found.errors == ""
        assert found.status == 0
        assert {each["outcome"] for each in found.connections} == {"established"}
        assert {each["target"] for each in found.connections} == {"sign_in_work", "imap", "pop", "imap_office365"}
        assert {each["client"] for each in found.connections} == {"10.77.1.2"}
        assert {each["client_family"] for each in found.connections} == {"openssl"}
        token, password = found.to("imap")["auth"], found.to("pop")["auth"]
        assert (token["mechanism"], token["outcome"]) == ("token", "refused")
        assert (password["mechanism"], password["outcome"]) == ("password", "refused")
        sign_in = found.to("sign_in_work")
        assert sign_in["sni"] == "login.microsoftonline.com"
        assert sign_in["first_reply_seconds"] is not None  # though on 443 only known servers' records pass
        assert sign_in["reply_seconds"] is not None
        for each in found.connections:
            assert each["tls_handshake_seconds"] > each["tcp_handshake_seconds"] > 0
            assert each["bytes_sent"] > 300
        summary = found.lines[-1]["summary"]
        assert summary["connections"] == 4
        assert summary["dropped"] == 0
        assert summary["packets"] > 30

    def test_all_reads_other_servers_too(self, lab):
        lab.clear()
        with inspecting(lab, "--interface", "in0", "--all") as found:
            clients(lab, ELSEWHERE, SIGN_IN)
        assert {each["sni"] for each in found.connections} == {"www.example.com", "login.microsoftonline.com"}

    def test_clients_of_a_proxy_that_a_vantage_names(self, lab, tmp_path):
        """squid, asked by CONNECT at a port where nothing of Outlook.com is."""
        config = tmp_path / "proxied.yml"
        config.write_text(f"vantages: [{{name: proxied, proxy: 'http://{GATEWAYS_RESOLVER}:{PROXY_PORT}'}}]\n")
        lab.apply(SCENARIOS["squid_refuses_a_name"])
        with inspecting(lab, "--interface", "in0", "--config", str(config)) as found:
            through = f"curl -p -x http://{GATEWAYS_RESOLVER}:{PROXY_PORT}"
            clients(lab, SIGN_IN.replace("curl", through, 1), TOKEN.replace("curl", through, 1))
        lab.clear()
        assert {each["target"]: each["outcome"] for each in found.connections} == {
            "sign_in_work": "established", "imap": "established",
        }  # fmt: skip
        assert {(each["server"], each["server_port"]) for each in found.connections} == {
            (GATEWAYS_RESOLVER, PROXY_PORT)
        }
        token = found.to("imap")["auth"]
        assert (token["mechanism"], token["outcome"]) == ("token", "refused")

    def test_clients_of_a_socks_proxy_that_a_vantage_names(self, lab, tmp_path):
        """microsocks, asked for a user and a password before it is told where to go."""
        binary = require_program("microsocks")
        config = tmp_path / "proxied.yml"
        config.write_text(f"vantages: [{{name: proxied, proxy: 'socks5://{GATEWAYS_RESOLVER}'}}]\n")
        lab.clear()
        serving = [binary, "-i", GATEWAYS_RESOLVER, "-p", "1080", "-u", "user", "-P", SECRET]
        with subprocess.Popen(lab.network.command("gateway", *serving), stderr=subprocess.DEVNULL) as proxy:
            try:
                with inspecting(lab, "--interface", "in0", "--config", str(config)) as found:
                    through = f"curl --retry-connrefused --retry 3 --socks5 {GATEWAYS_RESOLVER} -U user:{SECRET}"
                    clients(lab, SIGN_IN.replace("curl", through, 1), TOKEN.replace("curl", through, 1))
            finally:
                proxy.terminate()
        assert {each["target"]: each["outcome"] for each in found.connections} == {
            "sign_in_work": "established", "imap": "established",
        }  # fmt: skip
        assert {(each["server"], each["server_port"]) for each in found.connections} == {(GATEWAYS_RESOLVER, 1_080)}
        token = found.to("imap")["auth"]
        assert (token["mechanism"], token["outcome"]) == ("token", "refused")
        assert SECRET not in found.output + found.errors

    def test_two_interfaces_at_once(self, lab):
        lab.clear()
        with inspecting(lab, "--interface", "in0", "--interface", "out0", device="out0") as found:
            clients(lab, SIGN_IN)
        assert sorted(each["interface"] for each in found.connections) == ["in0", "out0"]
        assert {each["client"] for each in found.connections} == {"10.77.1.2", "10.77.2.1"}

    @pytest.mark.parametrize(
        ("scenario", "outcome"),
        [("name_reset", "hello_reset"), ("name_dropped", "hello_unanswered"), ("mail_ports_dropped", "no_answer")],
    )
    def test_what_a_gateway_does(self, lab, scenario, outcome):
        lab.apply(SCENARIOS[scenario])
        command = {"name_reset": SIGN_IN, "name_dropped": SIGN_IN.replace("microsoftonline", "live")}.get(
            scenario, TOKEN
        )
        with inspecting(lab, "--interface", "in0") as found:
            clients(lab, command)
        assert outcome in {each["outcome"] for each in found.connections}
        lab.clear()

    def test_a_password_in_clear_goes_nowhere(self, lab):
        lab.apply(SCENARIOS["starttls_stripped"])
        with inspecting(lab, "--interface", "in0") as found:
            lab.run("client", sys.executable, "-c", CARELESS)
        lab.clear()
        [stripped] = [each for each in found.connections if each["server_port"] == 587]
        assert stripped["outcome"] == "not_tls"
        assert {each["mechanism"] for each in stripped["attempts"] or [stripped["auth"]]} == {"password"}
        assert_silent(found.output + found.errors)

    def test_both_sides_as_it_happens(self, lab):
        lab.apply(SCENARIOS["name_reset"])
        with inspecting(lab, "--inside", "in0", "--outside", "out0", device="out0") as found:
            clients(lab, SIGN_IN)
        lab.clear()
        [inside] = [each for each in found.connections if each["interface"] == "in0"]
        assert (inside["outcome"], inside["target"]) == ("hello_reset", "sign_in_work")
        assert {"hello_not_forwarded", "reset_forged"} & {each["kind"] for each in inside["tampering"]}

    def test_sides_that_cannot_be_read_together(self, lab):
        for outside, words in (("in0", "in0 can't be both sides"), ("pyproject.toml", "both must be interfaces")):
            command = exporter(lab, "inspect", "--inside", "in0", "--outside", outside)
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 2
            assert words in done.stderr

    def test_what_is_wrong_is_said_at_once(self, lab):
        done = subprocess.run(
            exporter(lab, "inspect", "--interface", "eth77"), cwd=ROOT, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (2, "inspect: eth77: no such interface\n")


def assert_silent(text: str) -> None:
    import base64

    for form in (
        SECRET,
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(b"\0user\0" + SECRET.encode()).decode(),
    ):
        assert form not in text
    assert "hunter2" not in text


class Service:
    """`run` at the gateway."""

    def __init__(self, lab: NetLab, process: subprocess.Popen[bytes], log: Path, config: Path) -> None:
        self.lab, self.process, self.log, self.config = lab, process, log, config
        self.url = ""

    def get(self, path: str) -> str:
        program = (
            f"import urllib.request; print(urllib.request.urlopen({self.url + path!r}, timeout=10).read().decode())"
        )
        return self.lab.run("gateway", sys.executable, "-c", program).stdout

    def until(self, path: str, *words: str) -> str:
        deadline = time.monotonic() + 20
        text = ""
        while time.monotonic() < deadline:
            text = self.get(path)
            if all(word in text for word in words):
                return text
            time.sleep(0.2)
        raise AssertionError(f"{words} never came at {path}: {text[-3000:]}\n{self.log.read_text()[-3000:]}")

    def said(self, words: str) -> str:
        deadline = time.monotonic() + 20
        while words not in (text := self.log.read_text()):
            assert time.monotonic() < deadline, text
            assert self.process.poll() is None, text
            time.sleep(0.1)
        return text


@contextmanager
def service(
    lab: NetLab, tmp_path: Path, *, privacy: str = "off", wait: bool = True, **inspect: object
) -> Iterator[Service]:
    config, log = tmp_path / "service.yml", tmp_path / "log"
    interfaces = [{"name": "in0", "side": "inside"}, {"name": "out0", "side": "outside"}]
    content = {
        "listen": "127.0.0.1:0",
        "probe": {"interval": "1h", "targets": ["graph"]},
        "vantages": [{"name": "wan", "resolver": "192.0.2.53"}],
        "identity": {"roots_file": str(lab.directory / "roots.pem")},
        "inspect": {"interfaces": interfaces} | inspect,
        "privacy": {"client_addresses": privacy},
    }
    config.write_text(yaml.safe_dump(content))
    with log.open("w") as errors:
        process = subprocess.Popen(exporter(lab, "run", "--config", str(config)), cwd=ROOT, stderr=errors)
    running = Service(lab, process, log, config)
    try:
        running.url = running.said("event=listening").split("url=")[1].split()[0].rstrip("/")
        if wait:
            running.said("interface=in0")
        yield running
        begun = time.monotonic()
        process.terminate()
        process.wait(10)
        assert time.monotonic() - begun < 3
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()


class TestService:
    def test_metrics_pages_and_no_address(self, lab, tmp_path):
        lab.clear()
        with service(lab, tmp_path) as running:
            clients(lab, *[TOKEN] * 3, PASSWORD, SIGN_IN)
            metrics = running.until("/metrics", 'state="retry_loop"} 1', 'outlook_wire_connections_total{target="pop"')
            place = 'target="imap",interface="in0"'
            for line in (
                f'outlook_wire_connections_total{{{place},outcome="established"}} 3',
                f'outlook_wire_auth_attempts_total{{{place},mechanism="token",outcome="refused"}} 3',
                'outlook_wire_clients{target="imap",state="retry_loop"} 1',
                'outlook_wire_clients{target="pop",state="password_refused"} 1',
                f"outlook_wire_tls_handshake_seconds_count{{{place}}} 3",
                'outlook_wire_token_response_seconds_count{target="sign_in_work",interface="in0"} 1',
                'outlook_wire_client_family_total{target="imap",family="openssl"}',
                'outlook_wire_packets_dropped_total{interface="in0"} 0',
                "outlook_exporter_inspector_up 1",
                "outlook_exporter_client_side_covered 1",
            ):
                assert line in metrics, line
            assert "10.77.1.2" not in metrics
            listed = json.loads(running.get("/api/v1/connections"))
            assert {each["client"] for each in listed} == {None}
            assert {each["interface"] for each in listed} == {"in0", "out0"}

    def test_two_workers_and_hashed_addresses(self, lab, tmp_path):
        """A client's pseudonym is one, and nobody's address."""
        lab.clear()
        with service(lab, tmp_path, privacy="hashed", workers=2) as running:
            running.said("worker=1")
            clients(lab, SIGN_IN, PASSWORD)
            counted = 'outlook_wire_connections_total{target="pop",interface="in0",outcome="established"} 1'
            running.until("/metrics", counted)
            text = running.until("/api/v1/connections", '"pop"', '"sign_in_work"')
            inside = {each["client"] for each in json.loads(text) if each["interface"] == "in0"}
            assert len(inside) == 1
            assert "10.77.1.2" not in text

    def test_a_password_in_clear_reaches_neither_log_nor_pages(self, lab, tmp_path):
        lab.apply(SCENARIOS["starttls_stripped"])
        with service(lab, tmp_path, privacy="plain") as running:
            lab.run("client", sys.executable, "-c", CARELESS)
            running.until("/api/v1/connections", '"not_tls"')
            metrics = running.until("/metrics", 'mechanism="password"')
            for text in (metrics, running.get("/api/v1/connections"), running.get("/"), running.log.read_text()):
                assert_silent(text)
        lab.clear()

    def test_other_interfaces_after_a_reload(self, lab, tmp_path):
        lab.clear()
        with service(lab, tmp_path) as running:
            content = yaml.safe_load(running.config.read_text())
            content["inspect"]["interfaces"] = [{"name": "out0", "side": "outside"}]
            running.config.write_text(yaml.safe_dump(content))
            running.process.send_signal(signal.SIGHUP)
            running.until("/metrics", "outlook_exporter_client_side_covered 0")
            clients(lab, SIGN_IN)
            text = running.until("/api/v1/connections", "sign_in_work")
            assert {each["interface"] for each in json.loads(text)} == {"out0"}


@contextmanager
def unit(lab: NetLab, tmp_path: Path, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`run --only inspector`."""
    config = tmp_path / "inspector.yml"
    config.write_text(yaml.safe_dump({"inspect": {"socket": str(path)}}))
    with (tmp_path / "inspector.log").open("a") as errors:
        command = exporter(lab, "run", "--only", "inspector", "--config", str(config))
        process = subprocess.Popen(command, cwd=ROOT, stderr=errors)
    try:
        yield process
    finally:
        killed = process.poll() is not None
        process.terminate()
        assert process.wait(5) == (-9 if killed else 0)


def test_a_unit_of_its_own_that_comes_later_and_is_restarted(lab, tmp_path):
    lab.clear()
    path = tmp_path / "inspector.sock"
    counted = 'connections_total{target="sign_in_work",interface="in0",outcome="established"}'
    with service(lab, tmp_path, wait=False, socket=str(path)) as running:
        running.said("inspector not reached")
        running.until("/metrics", "outlook_exporter_inspector_up 0", "outlook_exporter_client_side_covered 0")
        with unit(lab, tmp_path, path) as inspector:
            running.until("/metrics", "outlook_exporter_inspector_up 1", "outlook_exporter_client_side_covered 1")
            clients(lab, SIGN_IN)
            running.until("/metrics", f"{counted} 1")
            inspector.kill()
            running.until("/metrics", "outlook_exporter_inspector_up 0", f"{counted} 1")
        with unit(lab, tmp_path, path):
            running.until("/metrics", "outlook_exporter_inspector_up 1", "outlook_exporter_client_side_covered 1")
            clients(lab, SIGN_IN)
            running.until("/metrics", f"{counted} 2")  # counters go on
