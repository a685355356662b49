"""`run` as systemd would start it: not root, no capability; pages, reload, signals."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from exporter.demo import LabThread

ROOT = Path(__file__).parent.parent
NOBODY = 65_534


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    directory = tmp_path_factory.mktemp("service")
    thread = LabThread(directory)
    thread.start()
    for parent in (directory, *directory.parents[:3]):
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    yield thread
    thread.stop()


def configuration(lab, **probe):
    content = lab.lab.configuration()
    content["probe"] |= {"interval": "1s", "timeout": "2s", "targets": ["imap"]} | probe
    content["probe"]["custom"] = [
        c for c in content["probe"]["custom"] if c["name"] in ("imap", "smtp", "sign_in_work")
    ]
    return content


class Running:
    """A service process, and its pages."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, log: Path, config: Path) -> None:
        self.process, self.url, self.log, self.config = process, url, log, config

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        request = urllib.request.Request(self.url + path, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def until(self, path: str, words: str) -> str:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            text = self.get(path)[1]
            if words in text:
                return text
            time.sleep(0.1)
        raise AssertionError(f"{words!r} never came at {path}: {self.log.read_text()[-2000:]}")


@contextmanager
def running(lab, tmp_path, content=None):
    config, log = tmp_path / "service.yml", tmp_path / "log"
    config.write_text(yaml.safe_dump(content or configuration(lab)))
    tmp_path.chmod(0o755)
    command = [sys.executable, "-m", "exporter", "run", "--config", str(config), "--listen", "127.0.0.1:0"]
    env = os.environ | {"SSL_CERT_FILE": str(lab.lab.trust_store())}
    command, user = unprivileged(command)
    with log.open("w") as errors, subprocess.Popen(command, stderr=errors, cwd=ROOT, env=env, user=user) as process:
        try:
            yield Running(process, listening(process, log), log, config)
        finally:
            process.kill()


def unprivileged(command: list[str]) -> tuple[list[str], int | None]:
    """The command as nobody; where nobody may not read this Python (one under /root), in a user namespace of its own,
    where root's name and every capability are gone too."""
    if os.geteuid() != 0:
        return command, None
    try:
        tried = subprocess.run(
            [command[0], "-c", "import exporter.cli"], user=NOBODY, cwd=ROOT, capture_output=True, check=False
        )
        if tried.returncode == 0:
            return command, NOBODY
    except PermissionError:
        pass
    return ["unshare", "--user", *command], None


def listening(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines():
            if "event=listening" in line:
                return line.split("url=")[1].split()[0].rstrip("/")
        time.sleep(0.05)
    raise AssertionError(f"it didn't listen: {log.read_text()}")


def test_without_root_and_without_any_capability(lab, tmp_path):
    with running(lab, tmp_path) as service:
        metrics = service.until("/metrics", 'outlook_probe_success{target="imap",vantage="clients"} 1')
        status = Path(f"/proc/{service.process.pid}/status").read_text()
        for line in ("CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:"):
            assert line in status or os.geteuid() != 0
        assert "\noutlook_exporter_client_side_covered 0" in metrics
        assert "clients' side is not covered" in service.get("/")[1].replace("&#39;", "'")
        probes = json.loads(service.get("/api/v1/probes")[1])
        assert {probe["outcome"] for probe in probes} == {"ok"}
        assert "Traceback" not in service.log.read_text()


def test_probe_measures_now(lab, tmp_path):
    with running(lab, tmp_path) as service:
        service.until("/-/ready", "ready\n")
        status, text = service.get("/probe?target=imap&vantage=wan")
        assert (status, "probe_success 1" in text) == (200, True)
        assert 'target="smtp"' not in text
        assert service.get("/probe?target=imap-mail.outlook.com")[0] == 400
        assert service.get("/probe?target=imap&vantage=nowhere")[0] == 400
        assert "imap-mail.outlook.com" in service.get("/probe?target=imap&debug=true")[1]


def test_a_scrape_that_can_not_wait_gets_what_there_is(lab, tmp_path):
    lab.set_fault("sni_dropped")
    try:
        with running(lab, tmp_path) as service:
            began = time.monotonic()
            headers = {"X-Prometheus-Scrape-Timeout-Seconds": "2"}
            text = service.get("/probe?target=sign_in_work&vantage=clients", **headers)[1]
            assert time.monotonic() - began < 2.5
            assert 'phase="tls",outcome="skipped"' in text.replace(
                'outcome="skipped",phase="tls"', 'phase="tls",outcome="skipped"'
            )
    finally:
        lab.set_fault(None)


@pytest.mark.parametrize("how", ["signal", "post"])
def test_a_bad_new_configuration_leaves_the_old_one_running(lab, tmp_path, how):
    def reload(service: Running) -> None:
        if how == "signal":
            service.process.send_signal(signal.SIGHUP)
        else:
            service.get("/-/reload", "POST")

    with running(lab, tmp_path) as service:
        service.until("/metrics", "outlook_probe_success{")
        good = service.config.read_text()
        service.config.write_text("probe: {targets: [imapp]}\n")
        reload(service)
        service.until("/metrics", "outlook_exporter_config_last_reload_successful 0")
        assert 'outlook_probe_success{target="imap"' in service.get("/metrics")[1]
        assert "imapp" not in service.get("/")[1]
        service.config.write_text(good.replace("- imap\n", "- smtp\n"))
        reload(service)
        service.until("/metrics", "outlook_exporter_config_last_reload_successful 1")
        service.until("/metrics", 'outlook_probe_success{target="smtp"')


def test_get_changes_nothing_and_other_origins_may_not(lab, tmp_path):
    with running(lab, tmp_path) as service:
        assert service.get("/-/reload")[0] == 405
        assert service.get("/-/reload", "POST", Origin="http://evil.example")[0] == 403
        assert service.get("/-/reload", "POST", **{"Sec-Fetch-Site": "cross-site"})[0] == 403
        assert service.get("/metrics", Host="evil.example")[0] >= 400


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_within_two_seconds(lab, tmp_path, number):
    lab.set_fault("tcp_dropped")
    try:
        with running(lab, tmp_path) as service:
            began = time.monotonic()
            service.process.send_signal(number)
            assert service.process.wait(10) == 0
            assert time.monotonic() - began < 2
            assert "Traceback" not in service.log.read_text()
    finally:
        lab.set_fault(None)


def test_a_port_that_is_taken_is_one_clear_line(lab, tmp_path):
    with running(lab, tmp_path) as service:
        taken = service.url.removeprefix("http://")
        command = [sys.executable, "-m", "exporter", "run", "--config", str(service.config), "--listen", taken]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=20, check=False)
    assert done.returncode == 2
    assert "Address already in use" in done.stderr
    assert "Traceback" not in done.stderr
