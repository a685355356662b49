"""The catalogue holds what the contract names, each documented."""

import re

import pytest

from exporter.metrics.catalogue import METRICS, Kind, as_markdown

CONTRACT = set(
    re.findall(
        r"\w+",
        """
auth_method_usable journey_usable probe_success probe_outcome probe_results_total probe_phase_seconds
probe_phase_last_seconds probe_last_run_timestamp_seconds probe_last_success_timestamp_seconds probe_auth_offered
probe_auth_results_total probe_addresses probe_tls_info probe_certificate_info
probe_certificate_expiry_timestamp_seconds probe_tls_intercepted clock_skew_seconds account_auth_success
account_auth_results_total account_auth_seconds token_requests_total token_errors_total token_request_seconds
token_expiry_timestamp_seconds token_last_success_timestamp_seconds account_credential_expiry_timestamp_seconds
wire_connections_total wire_connections_open wire_tcp_handshake_seconds wire_tls_handshake_seconds
wire_first_reply_seconds wire_token_response_seconds wire_auth_seconds wire_auth_attempts_total wire_alerts_total
wire_retransmissions_total wire_client_family_total wire_clients wire_tampering_total wire_packets_total
wire_packets_dropped_total wire_connections_tracked wire_connections_evicted_total diagnosis exporter_build_info
exporter_client_side_covered exporter_inspector_up exporter_event_loop_delay_seconds
exporter_config_last_reload_successful exporter_config_last_reload_success_timestamp_seconds exporter_task_runs_total
exporter_task_last_success_timestamp_seconds exporter_budget_remaining
""",
    )
)
#: Of the inspector, what the contract hasn't: its bounds.
BOUNDS = {
    "wire_connections_limit", "wire_reassembly_bytes", "wire_reassembly_limit_bytes", "wire_reassembly_let_go_total",
}  # fmt: skip


def test_every_metric_of_the_contract_and_no_other_but_bounds() -> None:
    """What else it hasn't, of pages and their history, is a part of its own."""
    ours = {name for name in METRICS if METRICS[name].part != "pages"}
    assert ours == {f"outlook_{name}" for name in CONTRACT | BOUNDS}
    assert all(name.startswith("outlook_exporter_") for name in METRICS if METRICS[name].part == "pages")


@pytest.mark.parametrize("name", METRICS)
def test_each_is_named_as_prometheus_wants_it(name: str) -> None:
    metric = METRICS[name]
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.kind is not Kind.HISTOGRAM or name.endswith("_seconds")
    assert len(set(metric.labels)) == len(metric.labels)


@pytest.mark.parametrize("name", METRICS)
def test_each_help_is_one_sentence_line(name: str) -> None:
    text = METRICS[name].help
    assert text.endswith(".")
    assert not set(text) & {"\n", "\\", "|"}
    if METRICS[name].part == "prober":
        assert "last run" in text


def test_the_page_has_a_row_for_each() -> None:
    page = as_markdown()
    for name, metric in METRICS.items():
        assert f"| `{name}` | {metric.kind} |" in page
