"""The demo, Prometheus and Alertmanager as children: started, asked, ended."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tests.conftest import require_program
from tests.real.process import free_ports, running

ROOT = Path(__file__).parents[2]
#: What an operator's ServiceMonitor adds to every series, `endpoint` and `service` among it.
OPERATORS = {"job": "monitoring/outlook", "endpoint": "metrics", "service": "outlook", "namespace": "monitoring"}


@dataclass(frozen=True, slots=True)
class Site:
    """A demo under way; `fault` switches its gateway."""

    address: str
    _told: IO[bytes]
    _pid: int

    def fault(self, name: str | None) -> None:
        self._told.write(f"{name or ''}\n".encode())
        self._told.flush()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It answers nobody, as one that hangs."""
        os.kill(self._pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._pid, signal.SIGCONT)


@contextmanager
def site(directory: Path) -> Iterator[Site]:
    """The demo with quick rounds; it has answered once."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    command = [sys.executable, "-m", "tests.monitoring.site", address]
    with (directory / "site.log").open("wb") as log:
        child = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
        )
        assert child.stdin is not None
        try:
            until(lambda: text(f"http://{address}/metrics"), 40, "the demo's metrics")
            yield Site(address, child.stdin, child.pid)
        finally:
            child.stdin.close()
            try:
                child.wait(8)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(8)


def text(url: str) -> str:
    """A page; empty where nobody answers yet."""
    try:
        with urlopen(url, timeout=5) as answer:
            body: bytes = answer.read()
            return body.decode()
    except OSError:
        return ""


def until(found: Callable[[], Any], seconds: float, what: str) -> Any:
    """What `found` returns once it is true. Raises AssertionError after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds:g} s in vain for {what}")


class Prometheus:
    """Its query API."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str, **arguments: Any) -> Any:
        """The answer's data. Raises AssertionError, with Prometheus' words, where it refuses."""
        content = asked(f"http://{self.address}/api/v1/{path}?{urlencode(arguments, doseq=True)}")
        assert content["status"] == "success", content.get("error")
        return content["data"]

    def series(self, query: str) -> list[dict[str, Any]]:
        """Now."""
        found: list[dict[str, Any]] = self.get("query", query=query)["result"]
        return found

    def firing(self) -> set[str]:
        """Alerts that fire, by name."""
        return {each["labels"]["alertname"] for each in self.get("alerts")["alerts"] if each["state"] == "firing"}


def asked(url: str) -> Any:
    """JSON, that of a refusal too."""
    try:
        with urlopen(url, timeout=10) as answer:
            body: bytes = answer.read()
    except HTTPError as error:
        body = error.read()
    return json.loads(body)


@contextmanager
def prometheus(
    directory: Path, sites: list[str], rules: str, *, labels: dict[str, str], alertmanager: str | None = None
) -> Iterator[Prometheus]:
    """Scrapes and judges each second."""
    program = require_program("prometheus")
    (directory / "rules.yml").write_text(rules)
    config: dict[str, Any] = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [{"job_name": "outlook", "static_configs": [{"targets": sites, "labels": labels}]}],
    }
    if alertmanager:
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_ports(1)[0]
    command = [
        program,
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with running(command, directory, ports=[port]):
        until(lambda: text(f"http://127.0.0.1:{port}/-/ready"), 20, "Prometheus, which reads its log first")
        yield Prometheus(f"127.0.0.1:{port}")


@contextmanager
def alertmanager(directory: Path, config: dict[str, Any]) -> Iterator[str]:
    """Alone, without its cluster; yields its address."""
    program = require_program("prometheus-alertmanager")
    (directory / "alertmanager.yml").write_text(yaml.safe_dump(config))
    port = free_ports(1)[0]
    command = [
        program,
        f"--config.file={directory / 'alertmanager.yml'}",
        f"--storage.path={directory / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]
    with running(command, directory, ports=[port]):
        yield f"127.0.0.1:{port}"
