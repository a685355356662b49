"""A fault on the demo's gateway, real Prometheus and Alertmanager: these alerts and nothing else; gone when it is.

The rules are the committed ones, with seconds for minutes. What follows from a fault may fire in Prometheus; what a
person would get is what Alertmanager doesn't inhibit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
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
#: Two rounds, and what Prometheus, Alertmanager and a busy machine add.
SOON = 2 * INTERVAL + 20


@dataclass(frozen=True, slots=True)
class Watch:
    """What a person would be told."""

    demo: Site
    prometheus: Prometheus
    alertmanager: str

    def told(self) -> dict[str, set[str]]:
        """Alerts that aren't inhibited, with their targets ("" where they have none)."""
        found: dict[str, set[str]] = {}
        for each in asked(f"http://{self.alertmanager}/api/v2/alerts?active=true&inhibited=false&silenced=false"):
            found.setdefault(each["labels"]["alertname"], set()).add(each["labels"].get("target", ""))
        return {name: targets for name, targets in found.items() if name not in STANDING}

    def rounds(self) -> float:
        """How many the demo has ended."""
        found = self.prometheus.series('sum(outlook_exporter_task_runs_total{task="probe"})')
        return float(found[0]["value"][1]) if found else 0.0


def quick_rules() -> str:
    """The committed rules, `for:` and all, but in seconds."""
    content = source()
    config = content["config"]
    short = {name: FOR for name in config if name.endswith("_for")}
    return rules({**content, "config": {**config, **short, "job": "outlook"}}).replace("interval: 1m", "interval: 1s")


def example() -> dict[str, Any]:
    """The example's routes and inhibitions, without its waits."""
    content: dict[str, Any] = yaml.safe_load((HERE / "alertmanager.example.yml").read_text())
    content["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    return content | {"global": {"resolve_timeout": "5s"}}


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    directory: Path = tmp_path_factory.mktemp("alerts")
    with (
        site(directory) as demo,
        alertmanager(directory, example()) as manager,
        prometheus(directory, [demo.address], quick_rules(), labels={"job": "outlook"}, alertmanager=manager) as judged,
    ):
        until(lambda: judged.series('outlook_diagnosis{cause="healthy"}'), 30, "a verdict in health")
        yield Watch(demo, judged, manager)


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


@pytest.mark.parametrize(
    ("fault", "alert"), [("sni_reset", "OutlookGatewayFiltering"), ("tls_intercepted", "OutlookTlsIntercepted")]
)
def test_a_fault_is_told_once_and_its_end_too(watch: Watch, fault: str, alert: str):
    """What Prometheus fires besides (the method that fails, the verdict on interception) is inhibited."""
    expects(watch, None, set())
    watch.demo.fault(fault)
    expects(watch, alert, set(FAULTS[fault].targets) & TOLD)
    until(lambda: watch.prometheus.firing() > {alert, *STANDING}, SOON, f"{alert} besides {STANDING}")
    watch.demo.fault(None)
    expects(watch, None, set())


def test_what_stands_in_the_demo_wakes_nobody(watch: Watch):
    """An account of the demo is meant to be refused: to mail admins. A client tries in vain: to whoever minds clients."""
    groups = asked(f"http://{watch.alertmanager}/api/v2/alerts/groups?active=true")
    told = {(group["receiver"]["name"], each["labels"]["alertname"]) for group in groups for each in group["alerts"]}
    assert told <= {("mail-admins", "OutlookTokenRefused"), ("admins", "OutlookClientsRetrying")}
