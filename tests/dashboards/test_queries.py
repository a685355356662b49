"""Every query of every panel, variable and mark, asked of a real Prometheus that scrapes the demo as an operator's job does.

One run: the demo in health, then behind a gateway that resets by name, that intercepts, and that refuses connections.
Beside it a second site, for what no demo has: real clients, results of yesterday.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from alerts.render import rules, source
from tests.dashboards.asked import DASHBOARDS, filled, queries
from tests.monitoring.made_page import made_site
from tests.monitoring.stack import OPERATORS, Prometheus, prometheus, site, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ALL = [
    pytest.param(where, query, id=where.replace("outlook-", ""))
    for each in DASHBOARDS.values()
    for where, query in queries(each)
]
ONE_TOKEN = "the demo's accounts get one token an hour: no growth within seconds"
#: What only the made page answers, and why the demo doesn't.
NO_CLIENTS = "the demo has no inspector: real clients' packets"
ONLY_MADE = {
    r"outlook_wire_\w+": NO_CLIENTS,
    r"outlook_exporter_inspector_up": NO_CLIENTS,
    r"outlook_account_credential_expiry_timestamp_seconds": "the demo's accounts have no certificate and a secret without an end",
    r"histogram_quantile.*outlook_(token_request|account_auth)_seconds": ONE_TOKEN,
    r"account_vantage:outlook_token_request_seconds": ONE_TOKEN,
    r"outlook_probe_last_run_timestamp_seconds\{[^}]*\}\) > ": "the demo is never late",
}
#: Seconds: a step of the last result and the scrape after it.
LATE = 3
#: How each state is known to have arrived.
STATES = {
    None: 'outlook_diagnosis{cause="healthy"} and on () (time() - outlook_token_last_success_timestamp_seconds < 600)',
    "sni_reset": 'outlook_diagnosis{cause="sni_reset",responsible="gateway"}',
    "tls_intercepted": "outlook_probe_tls_intercepted == 1",
    "tcp_reset": 'outlook_probe_addresses{outcome="refused"} > 0',
}


@dataclass(frozen=True, slots=True)
class Run:
    """A Prometheus that has seen all states, and since when."""

    prometheus: Prometheus
    demo: str
    began: float


def quick_rules() -> str:
    """The rules with windows of seconds, so that a baseline of a week has one after some."""
    text = rules(source()).replace("interval: 1m", "interval: 1s")
    return re.sub(r"\[(?:15m|30m)\]", "[8s]", text).replace("[7d] offset 1h", "[20s]").replace("[1d]", "[40s]")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    directory: Path = tmp_path_factory.mktemp("queries")
    began = time.time()
    with (
        made_site() as made,
        site(directory) as demo,
        prometheus(directory, [demo.address, made], quick_rules(), labels=OPERATORS) as asked,
    ):
        for fault, arrived in STATES.items():
            demo.fault(fault)
            until(partial(asked.series, arrived), 40, fault or "health")
        yield Run(asked, demo.address, began)


def answered(run: Run, query: str, instance: str) -> bool:
    """Whether it has data anywhere in the run."""
    query = filled(
        query, dict.fromkeys(("job", "instance", "target", "vantage", "account"), ".*") | {"instance": instance}
    )
    if listed := re.fullmatch(r"label_values\((.*), (\w+)\)", query):
        return bool(run.prometheus.get(f"label/{listed[2]}/values", **{"match[]": listed[1]}))
    found = run.prometheus.get("query_range", query=query, start=run.began, end=time.time() + LATE, step=1)
    return any(value not in ("NaN", "+Inf") for series in found["result"] for _, value in series["values"])


@pytest.mark.parametrize(("where", "query"), ALL)
def test_it_has_data_in_some_state(run: Run, where: str, query: str):
    reasons = [reason for pattern, reason in ONLY_MADE.items() if re.search(pattern, query)]
    if not reasons:
        assert answered(run, query, run.demo), f"{where}: {query}"
    assert answered(run, query, ".*"), f"{where}: {query}"


@pytest.mark.parametrize("pattern", ONLY_MADE)
def test_an_exception_that_no_query_needs_is_noticed(pattern: str):
    assert any(re.search(pattern, query) for each in DASHBOARDS.values() for _, query in queries(each))


def test_the_operators_labels_were_there(run: Run):
    labels = run.prometheus.series("outlook_exporter_build_info")[0]["metric"]
    assert labels.items() >= OPERATORS.items()
    assert not [name for name in labels if name.startswith("exported_")]


def test_a_query_without_data_is_noticed(run: Run):
    assert not answered(run, 'outlook_probe_success{target="nobody"}', ".*")
    with pytest.raises(AssertionError, match="parse error"):
        answered(run, "sum by (", ".*")
