"""The demo shows clients, live or from a capture, and says which."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

from exporter.demo_clients import CAPTURED, LIVE
from tests.conftest import missing_right
from tests.test_cli import ROOT


def demo(*prefix: str):
    """Its first line, and its metrics once clients were seen."""
    command = [*prefix, sys.executable, "-m", "exporter", "demo", "--listen", "127.0.0.1:0", "--json"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        drain = threading.Thread(target=process.stdout.read, daemon=True)  # it goes on printing
        drain.start()
        deadline, metrics = time.monotonic() + 40, ""
        while time.monotonic() < deadline and 'outlook_wire_auth_attempts_total{target="imap_office365"' not in metrics:
            time.sleep(0.3)
            with urllib.request.urlopen(first["url"] + "/metrics", timeout=10) as reply:
                metrics = reply.read().decode()
        with urllib.request.urlopen(first["url"], timeout=10) as reply:
            page = reply.read().decode()
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        assert time.monotonic() - begun < 3
        drain.join(5)
        return first, metrics, page
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def attempts(metrics: str) -> set[tuple[str, ...]]:
    found = re.findall(
        r'auth_attempts_total{target="(\w+)",interface="(\w+)",mechanism="(\w+)",outcome="(\w+)"}', metrics
    )
    return set(found)


def check(metrics: str, page: str, interface: str) -> None:
    assert ("imap", interface, "password", "refused") in attempts(metrics)
    assert ("imap_office365", interface, "token", "accepted") in attempts(metrics)
    assert re.search(r'clients{target="imap",state="password_refused"} 1', metrics)
    assert "<h2>Clients</h2>" in page
    assert "1 with a password, refused" in page


@pytest.mark.root
def test_live():
    first, metrics, page = demo()
    assert first["clients"] == LIVE
    check(metrics, page, "lo")
    assert "\noutlook_exporter_inspector_up 1" in metrics


def test_without_the_right_from_a_capture():
    prefix: list[str] = []
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("setpriv is not installed (Debian package util-linux)")
        prefix = [setpriv, "--bounding-set=-net_raw", "--inh-caps=-all"]
    elif missing_right() is None:
        pytest.skip("not in CI: this user may read packets")
    first, metrics, page = demo(*prefix)
    assert first["clients"] == CAPTURED
    check(metrics, page, "capture")
