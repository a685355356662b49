"""Every metric of the contract, as data. The exposition and the documentation are made from this list alone.

A part's metrics appear once something of that part was seen; a piece that adds some adds its rows here
and yields samples with these names.
"""

from dataclasses import dataclass
from enum import StrEnum

#: Buckets, seconds: from a neighbour on the same network to a SYN sent three times.
REACH_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
#: Buckets, seconds: Microsoft delays refusals by up to 18 s, so that slow is not filtered.
SIGN_IN_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0)


class Kind(StrEnum):
    """Types of OpenMetrics that are used here."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


class Part(StrEnum):
    """Which piece of the exporter yields a metric."""

    PROBER = "prober"
    EXPORTER = "exporter"
    ACCOUNTS = "accounts"
    INSPECTOR = "inspector"
    VERDICT = "verdict"
    PAGES = "pages"


TITLES = {
    Part.PROBER: "The prober",
    Part.EXPORTER: "The exporter about itself",
    Part.ACCOUNTS: "Accounts (once one is configured)",
    Part.INSPECTOR: "The inspector (once something was seen)",
    Part.VERDICT: "Verdicts",
    Part.PAGES: "Pages and history (the history's once one is kept)",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its full name (counters with `_total`), and what a reader must know."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    part: Part


_GAUGE, _COUNTER, _HISTOGRAM = Kind.GAUGE, Kind.COUNTER, Kind.HISTOGRAM
_Row = tuple[str, Kind, str, str]

_PROBER: tuple[_Row, ...] = (
    ("auth_method_usable", _GAUGE, "target vantage mechanism",
     "Whether a client could sign in this way, as of the last run. token: 1 when every phase is ok and the canary was "
     "refused in Microsoft's own words, or an account accepted; 0 when a phase failed. password: 1 only where an app "
     "password was accepted; 0 is Outlook.com's normal state."),
    ("journey_usable", _GAUGE, "journey vantage",
     "Whether all that a person's journey needs worked in the last run."),
    ("probe_success", _GAUGE, "target vantage", "Whether every phase of the last run was ok."),
    ("probe_outcome", _GAUGE, "target vantage phase outcome", "1 for the outcome of each phase in the last run."),
    ("probe_results_total", _COUNTER, "target vantage phase outcome",
     "Phases ended, by outcome, up to the last run."),
    ("probe_phase_seconds", _HISTOGRAM, "target vantage phase", "How long phases took, up to the last run."),
    ("probe_phase_last_seconds", _GAUGE, "target vantage phase",
     "How long each phase took in the last run (auth and token: in the last run that presented the canary)."),
    ("probe_last_run_timestamp_seconds", _GAUGE, "target vantage", "When the last run began."),
    ("probe_last_success_timestamp_seconds", _GAUGE, "target vantage",
     "When the last run began in which every phase was ok."),
    ("probe_auth_offered", _GAUGE, "target vantage mechanism",
     "Whether the server offered this way to sign in, in the last run that got so far."),
    ("probe_auth_results_total", _COUNTER, "target vantage mechanism outcome",
     "Canaries presented, by what became of them, up to the last run."),
    ("probe_addresses", _GAUGE, "target vantage ip_version outcome",
     "Addresses of the name, by how TCP to them ended in the last run."),
    ("probe_tls_info", _GAUGE, "target vantage version cipher group alpn", "1, with what the last run negotiated."),
    ("probe_certificate_info", _GAUGE, "target vantage issuer_organization issuer_common_name genuine",
     "1, with who issued the certificate presented in the last run; genuine by signatures up to a root of "
     "Microsoft's, not by names."),
    ("probe_certificate_expiry_timestamp_seconds", _GAUGE, "target vantage",
     "When the first certificate of the chain presented in the last run expires."),
    ("probe_tls_intercepted", _GAUGE, "target vantage",
     "Whether somebody else's chain was presented in the last run, trusted here or not; absent where that can't be "
     "told."),
    ("clock_skew_seconds", _GAUGE, "source",
     "How far this machine's clock was ahead of a target's Date in the last run, and the median of all; resolution "
     "1 s."),
)  # fmt: skip

_EXPORTER: tuple[_Row, ...] = (
    ("exporter_build_info", _GAUGE, "version revision python", "1, with what runs (not of the last run: of now)."),
    ("exporter_client_side_covered", _GAUGE, "",
     "Whether a vantage lies on the clients' side or an inside interface is inspected, as of the last run; from the "
     "gateway itself alone a path proves little."),
    ("exporter_inspector_up", _GAUGE, "", "Whether the inspector answered when last asked."),
    ("exporter_event_loop_delay_seconds", _GAUGE, "",
     "How late the prober's event loop woke at worst in the last minute: what that may add to measured times."),
    ("exporter_config_last_reload_successful", _GAUGE, "",
     "Whether the configuration of the last reload was taken; 1 from the start."),
    ("exporter_config_last_reload_success_timestamp_seconds", _GAUGE, "", "When a configuration was last taken."),
    ("exporter_task_runs_total", _COUNTER, "task outcome", "Scheduled tasks ended, by outcome, up to the last run."),
    ("exporter_task_last_success_timestamp_seconds", _GAUGE, "task", "When the last successful run of a task ended."),
    ("exporter_budget_remaining", _GAUGE, "budget", "What was left of this hour's budget at the last run."),
)  # fmt: skip

#: Not the contract's: bounds are to be seen.
_PAGES: tuple[_Row, ...] = (
    ("exporter_page_listeners", _GAUGE, "", "Open status pages that are told of news; at most 16."),
    ("exporter_history_up", _GAUGE, "",
     "Whether the history's file could be written when last tried; absent where no history is kept."),
    ("exporter_history_rows", _GAUGE, "kind",
     "Rows in the history's file: quarter hours of ways (bin), and changes (change)."),
    ("exporter_history_bytes", _GAUGE, "", "The history's file and its log; bounded by `history.max_size_mib`."),
    ("exporter_history_dropped_total", _COUNTER, "",
     "Probes and changes that the history hasn't, as its file failed or was too slow."),
    ("exporter_history_set_aside_total", _COUNTER, "", "Damaged history files that were renamed and begun anew."),
)  # fmt: skip

_ACCOUNTS: tuple[_Row, ...] = (
    ("account_auth_success", _GAUGE, "account target vantage mechanism",
     "Whether the account was accepted in the last run."),
    ("account_auth_results_total", _COUNTER, "account target vantage mechanism outcome",
     "Sign-ins of accounts, by outcome, up to the last run."),
    ("account_auth_seconds", _HISTOGRAM, "account target vantage",
     "From the credential's last byte to the final status line, up to the last run."),
    ("token_requests_total", _COUNTER, "account vantage grant outcome", "Token requests, up to the last run."),
    ("token_errors_total", _COUNTER, "account vantage error",
     "Token requests refused, by number of our table, else other, up to the last run."),
    ("token_request_seconds", _HISTOGRAM, "account vantage grant",
     "Token requests that reached the identity provider, up to the last run."),
    ("token_expiry_timestamp_seconds", _GAUGE, "account", "When the access token of the last run expires."),
    ("token_last_success_timestamp_seconds", _GAUGE, "account", "When the last run was that got a token."),
    ("account_credential_expiry_timestamp_seconds", _GAUGE, "account",
     "When the secret or certificate expires, as of the last run."),
)  # fmt: skip

_INSPECTOR: tuple[_Row, ...] = (
    ("wire_connections_total", _COUNTER, "target interface outcome",
     "Clients' connections, counted when their outcome is known."),
    ("wire_connections_open", _GAUGE, "target interface", "Clients' connections open when last looked."),
    ("wire_tcp_handshake_seconds", _HISTOGRAM, "target interface", "First SYN to SYN-ACK."),
    ("wire_tls_handshake_seconds", _HISTOGRAM, "target interface",
     "First ClientHello byte to the client's Finished flight."),
    ("wire_first_reply_seconds", _HISTOGRAM, "target interface",
     "End of the handshake to the server's first record of data."),
    ("wire_token_response_seconds", _HISTOGRAM, "target interface", "A token request to its response."),
    ("wire_auth_seconds", _HISTOGRAM, "target interface mechanism", "A credential to the server's answer."),
    ("wire_auth_attempts_total", _COUNTER, "target interface mechanism outcome",
     "Clients' sign-ins, as the records' lengths and directions tell."),
    ("wire_alerts_total", _COUNTER, "target interface alert from", "TLS alerts, by who sent them."),
    ("wire_retransmissions_total", _COUNTER, "target interface", "Segments sent again."),
    ("wire_client_family_total", _COUNTER, "target family", "Connections, by the client's TLS stack."),
    ("wire_clients", _GAUGE, "target state", "Distinct clients in the window, by state, when last looked."),
    ("wire_tampering_total", _COUNTER, "target kind", "What the gateway did to connections seen on both its sides."),
    ("wire_packets_total", _COUNTER, "interface", "Packets that passed the kernel's filter."),
    ("wire_packets_dropped_total", _COUNTER, "interface", "Packets the kernel dropped for want of room."),
    ("wire_connections_tracked", _GAUGE, "interface", "Connections in the table when last looked."),
    ("wire_connections_evicted_total", _COUNTER, "interface", "Connections pushed out of a full table."),
    # Not the contract's: bounds are to be seen.
    ("wire_connections_limit", _GAUGE, "interface", "Connections that the table holds: `inspect.max_connections`."),
    ("wire_reassembly_bytes", _GAUGE, "interface", "Bytes that waited for others before them when last looked."),
    ("wire_reassembly_limit_bytes", _GAUGE, "interface", "Bytes that may wait so: `inspect.reassembly_mib`."),
    ("wire_reassembly_let_go_total", _COUNTER, "interface",
     "Connections that went on without the bytes that waited, for want of room."),
)  # fmt: skip

_VERDICT: tuple[_Row, ...] = (
    ("diagnosis", _GAUGE, "target vantage account cause responsible",
     "Confidence of the current verdict, as of the last run."),
)  # fmt: skip

_PARTS = {
    Part.PROBER: _PROBER,
    Part.EXPORTER: _EXPORTER,
    Part.ACCOUNTS: _ACCOUNTS,
    Part.INSPECTOR: _INSPECTOR,
    Part.VERDICT: _VERDICT,
    Part.PAGES: _PAGES,
}

METRICS: dict[str, Metric] = {
    f"outlook_{name}": Metric(f"outlook_{name}", kind, tuple(labels.split()), text, part)
    for part, rows in _PARTS.items()
    for name, kind, labels, text in rows
}


def as_markdown() -> str:
    """The catalogue as a Markdown page."""
    lines = ["# Metrics"]
    for part, title in TITLES.items():
        lines += ["", f"## {title}", "", "| metric | type | labels | meaning |", "|---|---|---|---|"]
        lines += [_row(metric) for metric in METRICS.values() if metric.part is part]
    return "\n".join(lines)


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "-"
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |"
