# ruff: noqa: E501 - a metric is a row
"""Every metric of the contract, once: name, type, labels, help. The `metrics` command prints this."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["gauge", "counter", "histogram"]

#: Upper bounds of histograms, seconds.
FAST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SLOW_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family. `part`: which piece of the product fills it."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    part: str


def _metrics(part: str, *rows: tuple[str, Kind, str, str]) -> list[Metric]:
    return [Metric(name, kind, tuple(labels.split()), text, part) for name, kind, labels, text in rows]


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in [
        *_metrics(
            "prober",
            ("outlook_auth_method_usable", "gauge", "target vantage mechanism", "Whether this way of signing in works, as of the last run: token 1 when every phase is ok and the canary was refused in Microsoft's own words; password 0 is Outlook.com's normal state."),
            ("outlook_probe_success", "gauge", "target vantage", "Whether every phase of the last run was ok."),
            ("outlook_probe_outcome", "gauge", "target vantage phase outcome", "1 for the outcome of each phase in the last run."),
            ("outlook_probe_results_total", "counter", "target vantage phase outcome", "Phases measured, by outcome."),
            ("outlook_probe_phase_seconds", "histogram", "target vantage phase", "Duration of phases, of every run."),
            ("outlook_probe_phase_last_seconds", "gauge", "target vantage phase", "Duration of each phase in the last run that measured it."),
            ("outlook_probe_last_run_timestamp_seconds", "gauge", "target vantage", "When the last run began."),
            ("outlook_probe_last_success_timestamp_seconds", "gauge", "target vantage", "When the last run began in which every phase was ok."),
            ("outlook_probe_auth_offered", "gauge", "target vantage mechanism", "Whether the server offered this mechanism in the last run that read its capabilities."),
            ("outlook_probe_auth_results_total", "counter", "target vantage mechanism outcome", "What became of the canary, of every run that presented it."),
            ("outlook_probe_addresses", "gauge", "target vantage ip_version outcome", "How many addresses of the name ended TCP so in the last run."),
            ("outlook_probe_tls_info", "gauge", "target vantage version cipher group alpn", "What the last completed handshake negotiated."),
            ("outlook_probe_certificate_info", "gauge", "target vantage issuer_organization issuer_common_name genuine", "Who issued the certificate seen last; genuine by its signatures, not by names."),
            ("outlook_probe_certificate_expiry_timestamp_seconds", "gauge", "target vantage", "When the first certificate of the chain seen last expires."),
            ("outlook_probe_tls_intercepted", "gauge", "target vantage", "Whether the chain seen last isn't signed up to a root of Microsoft's; absent where it can't be told."),
            ("outlook_clock_skew_seconds", "gauge", "source", "How far this machine's clock is ahead of that source's Date, as of the last run; Date has a resolution of one second."),
        ),
        *_metrics(
            "verdict",
            ("outlook_journey_usable", "gauge", "journey vantage", "Whether every target of what a person wants to do worked in the last run."),
            ("outlook_diagnosis", "gauge", "target vantage account cause responsible", "Confidence of the current verdict, as of the last run."),
            ("outlook_wire_tampering_total", "counter", "target kind", "What the gateway changed on its way through, by both sides."),
        ),
        *_metrics(
            "accounts",
            ("outlook_account_auth_success", "gauge", "account target vantage mechanism", "Whether the account's credential was accepted in the last run."),
            ("outlook_account_auth_results_total", "counter", "account target vantage mechanism outcome", "Attempts of configured accounts."),
            ("outlook_account_auth_seconds", "histogram", "account target vantage", "From the credential's last byte to the final line."),
            ("outlook_token_requests_total", "counter", "account vantage grant outcome", "Token requests, by grant."),
            ("outlook_token_errors_total", "counter", "account vantage error", "Token errors by AADSTS number, else other."),
            ("outlook_token_request_seconds", "histogram", "account vantage grant", "Token requests that reached the identity provider."),
            ("outlook_token_expiry_timestamp_seconds", "gauge", "account", "When the access token of the last run expires."),
            ("outlook_token_last_success_timestamp_seconds", "gauge", "account", "When a token was last got."),
            ("outlook_account_credential_expiry_timestamp_seconds", "gauge", "account", "When the secret, certificate or refresh token ends, as of the last run."),
        ),
        *_metrics(
            "inspector",
            ("outlook_wire_connections_total", "counter", "target interface outcome", "Clients' connections, counted when their outcome is known."),
            ("outlook_wire_connections_open", "gauge", "target interface", "Clients' connections under way."),
            ("outlook_wire_tcp_handshake_seconds", "histogram", "target interface", "First SYN to SYN-ACK."),
            ("outlook_wire_tls_handshake_seconds", "histogram", "target interface", "ClientHello to the client's Finished."),
            ("outlook_wire_first_reply_seconds", "histogram", "target interface", "End of handshake to the server's first record."),
            ("outlook_wire_token_response_seconds", "histogram", "target interface", "A token request to the first reply."),
            ("outlook_wire_auth_seconds", "histogram", "target interface mechanism", "A credential to the server's answer."),
            ("outlook_wire_auth_attempts_total", "counter", "target interface mechanism outcome", "Sign-ins inferred from record lengths."),
            ("outlook_wire_alerts_total", "counter", "target interface alert from", "TLS alerts seen, by who sent them."),
            ("outlook_wire_retransmissions_total", "counter", "target interface", "Segments sent again."),
            ("outlook_wire_client_family_total", "counter", "target family", "Connections by the family of the client's TLS stack."),
            ("outlook_wire_clients", "gauge", "target state", "Distinct clients in the window, by state."),
            ("outlook_wire_packets_total", "counter", "interface", "Packets that passed the kernel's filter."),
            ("outlook_wire_packets_dropped_total", "counter", "interface", "Packets the kernel dropped for want of room."),
            ("outlook_wire_connections_tracked", "gauge", "interface", "Connections in the table."),
            ("outlook_wire_connections_evicted_total", "counter", "interface", "Connections pushed out of the table."),
        ),
        *_metrics(
            "prober",
            ("outlook_exporter_build_info", "gauge", "version python", "1, labelled with what runs."),
            ("outlook_exporter_client_side_covered", "gauge", "", "Whether a vantage lies on the clients' side or an inside interface is inspected; from the gateway itself alone a path proves little."),
            ("outlook_exporter_inspector_up", "gauge", "", "Whether the inspector answers."),
            ("outlook_exporter_event_loop_delay_seconds", "gauge", "", "How late the prober's event loop woke, at worst in the last minute."),
            ("outlook_exporter_config_last_reload_successful", "gauge", "", "Whether the last configuration was taken over."),
            ("outlook_exporter_config_last_reload_success_timestamp_seconds", "gauge", "", "When a configuration was last taken over."),
            ("outlook_exporter_task_runs_total", "counter", "task outcome", "Scheduled tasks, by outcome; missed: it was late or the one before still ran."),
            ("outlook_exporter_task_last_success_timestamp_seconds", "gauge", "task", "When a task last ended well."),
            ("outlook_exporter_budget_remaining", "gauge", "budget", "What is left of this hour's budget."),
        ),
    ]
}  # fmt: skip

PARTS = {
    "prober": "The prober and the exporter itself",
    "accounts": "Accounts (appear once accounts are probed)",
    "inspector": "The inspector (appear once seen)",
    "verdict": "Journeys and verdicts",
}


def as_markdown() -> str:
    """The catalogue as a Markdown page."""
    lines = ["# Metrics", ""]
    for part, title in PARTS.items():
        lines += [f"## {title}", "", "| metric | type | labels | meaning |", "|---|---|---|---|"]
        for metric in METRICS.values():
            if metric.part == part:
                labels = ", ".join(f"`{label}`" for label in metric.labels) or "-"
                lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |")
        lines.append("")
    return "\n".join(lines)
