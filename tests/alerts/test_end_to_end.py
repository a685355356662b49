"""A fault on the demo's gateway, real Prometheus and Alertmanager: these alerts and nothing else; gone when it is.

The rules are the committed ones, with seconds for minutes. What follows from a fault may fire in Prometheus; what a
person would get is what Alertmanager doesn't inhibit.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts.render import HERE, rules, source
from exporter.catalogue import TARGETS
from exporter.lab.faults import FAULTS
from tests.monitoring.site import INTERVAL
from tests.monitoring.stack import Prometheus, Site, alertmanager, asked, prometheus, site, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

#: Seconds of `for:`, shorter than a round so that two rounds are enough.
FOR = "2s"
#: Alerts that are true of the demo whatever its gateway does: an account is meant to be refused, and one of its clients
#: still sends a password, again and again.
STANDING = {"OutlookTokenRefused", "OutlookClientsRetrying"}
#: Targets of a fault for which there is an alert: plain HTTP has no TLS to open.
TOLD = set(TARGETS) - {"revocation"}
#: Two rounds, and what Prometheus, Alertmanager and a busy machine add (with rounds of 10 s, all are told after 12 to 14).
SOON = 2 * INTERVAL + 14


@dataclass(frozen=True, slots=True)
class Watch:
    """What a person would be told."""

    demo: Site
    prometheus: Prometheus
    alertmanager: str
    chat: list[str]

    def told(self) -> dict[str, set[str]]:
        """Alerts that aren't inhibited, with their targets ("" where they have none)."""
        return {name: targets for name, targets in self._all().items() if name not in STANDING}

    def stands(self) -> bool:
        """Whether what is true of the demo is told, and nothing that came before it."""
        return self._all().keys() == STANDING

    def _all(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for each in asked(f"http://{self.alertmanager}/api/v2/alerts?active=true&inhibited=false&silenced=false"):
            found.setdefault(each["labels"]["alertname"], set()).add(each["labels"].get("target", ""))
        return found

    def rounds(self) -> float:
        """How many the demo has ended."""
        found = self.prometheus.series('sum(outlook_exporter_task_runs_total{task="probe"})')
        return float(found[0]["value"][1]) if found else 0.0


def quick_rules() -> str:
    """The committed rules, `for:` and all, but in seconds."""
    content = source()
    config = content["config"]
    short = {name: FOR for name in config if name.endswith("_for")} | {"clients_window": FOR}
    return rules({**content, "config": {**config, **short, "job": "outlook"}}).replace("interval: 1m", "interval: 1s")


def example(chat: str) -> dict[str, Any]:
    """The example's routes, inhibitions and messages, without its waits; no mail goes out, chat is here."""
    content: dict[str, Any] = yaml.safe_load((HERE / "alertmanager.example.yml").read_text())
    content["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    content["templates"] = [str(HERE / each) for each in content["templates"]]
    for receiver in content["receivers"]:
        receiver.pop("email_configs", None)
        for each in receiver.get("slack_configs", ()):
            each["api_url"] = chat
    return content | {"global": {"resolve_timeout": "5s"}}


@contextmanager
def listening_chat() -> Iterator[tuple[str, list[str]]]:
    """A chat's hook: its address, and what was posted."""
    said: list[str] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            (message,) = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["attachments"]
            said.append(f"{message['title']}\n{message['text']}")
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")  # Slack's own answer: Alertmanager 0.26 says again what wasn't answered so

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/", said
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    directory: Path = tmp_path_factory.mktemp("alerts")
    with (
        listening_chat() as (chat, said),
        site(directory) as demo,
        alertmanager(directory, example(chat)) as manager,
        prometheus(directory, [demo.address], quick_rules(), labels={"job": "outlook"}, alertmanager=manager) as judged,
    ):
        until(lambda: judged.series('outlook_diagnosis{cause="healthy"}'), 30, "a verdict in health")
        watch = Watch(demo, judged, manager, said)
        until(watch.stands, 60, f"{STANDING}")
        expects(watch, None, set())
        yield watch


def expects(watch: Watch, alert: str | None, targets: set[str]) -> None:
    """Within two rounds exactly this alert, for these targets, is told; then nothing joins a fault's for a round."""
    wanted = {alert: targets} if alert else {}
    try:
        until(lambda: watch.told() == wanted, SOON, f"{wanted}")
    except AssertionError as error:
        raise AssertionError(f"{error}; told {watch.told()}, firing {watch.prometheus.firing()}") from None
    since = watch.rounds() - (0 if alert else 1)
    until(lambda: watch.rounds() > since, SOON, "another round")
    assert watch.told() == wanted


#: A fault of the lab, the alert, and for which targets (None: those that the fault is meant for).
TOLD_OF = (
    ("sni_reset", "OutlookGatewayFiltering", None),
    ("tls_intercepted", "OutlookTlsIntercepted", None),
    ("starttls_stripped", "OutlookStarttlsStripped", None),
    ("dns_failure", "OutlookGatewayFiltering", None),
    ("service_outage", "OutlookServiceOutage", None),
    ("clock_skew", "OutlookClockSkew", {""}),
)


def concerned(fault: str) -> set[str]:
    """Whom it hits: a name that isn't found isn't found for whatever else is served under it."""
    lost = FAULTS[fault].hosts if FAULTS[fault].lie is not None else frozenset()
    return TOLD & {*FAULTS[fault].targets, *(name for name, each in TARGETS.items() if lost & set(each.hosts))}


@pytest.mark.parametrize(("fault", "alert", "targets"), TOLD_OF)
def test_a_fault_is_told_once_and_its_end_too(watch: Watch, fault: str, alert: str, targets: set[str] | None):
    """What Prometheus fires besides (the method that fails, the verdict on interception) is inhibited."""
    watch.demo.fault(fault)
    try:
        expects(watch, alert, targets or concerned(fault))
    finally:
        watch.demo.fault(None)
    expects(watch, None, set())


def test_an_exporter_that_hangs_is_told_alone(watch: Watch):
    """Even while what it last said was a fault: what is gone from its page is no news of a fault's end."""
    with watch.demo.paused():
        until(lambda: watch.told() == {"OutlookExporterDown": {""}}, SOON, "exporter down")
    until(lambda: watch.told() == {}, SOON, "its end")


def test_chat_was_told_what_where_and_why(watch: Watch):
    """By the example's templates: the cause stands in the message, and who has to act."""
    until(lambda: any("OVER" in each for each in watch.chat), SOON, "word that it is over")
    sent = "\n".join(watch.chat)
    assert "sni_reset (gateway has to act)" in sent
    assert "tls_intercepted" in sent
    assert f"{watch.demo.address}: The gateway stands in the way of sign_in_work from clients." in sent
    assert "<no value>" not in sent


def test_what_stands_in_the_demo_wakes_nobody(watch: Watch):
    """An account of the demo is meant to be refused: to mail admins. A client tries in vain: to whoever minds clients."""
    groups = asked(f"http://{watch.alertmanager}/api/v2/alerts/groups?active=true")
    told = {(group["receiver"]["name"], each["labels"]["alertname"]) for group in groups for each in group["alerts"]}
    assert told <= {("mail-admins", "OutlookTokenRefused"), ("admins", "OutlookClientsRetrying")}
