"""Whether the exporter can be believed: fresh, complete, unhurried."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.page import Row, page
from dashboards.panels import Ask, Column, lines, numbers, rows
from dashboards.queries import HERE, LIMITS, RATE, SITE, WAY, least, most, rate, series, since, total
from dashboards.words import BAD, GOOD, WARNING, yes_no

_SUCCESS = since(f"{SITE}, task", "exporter_task_last_success_timestamp_seconds", HERE)
_TABLE, _WAITING = (
    f"{total('interface', used, HERE)} / {total('interface', limit, HERE)}"
    for used, limit in (
        ("wire_connections_tracked", "wire_connections_limit"),
        ("wire_reassembly_bytes", "wire_reassembly_limit_bytes"),
    )
)
_OURS = f"and on ({SITE}, job) {series('exporter_build_info', HERE)}"


def exporter_itself() -> Dashboard:
    """`outlook-exporter`."""
    text = "The exporter itself: whether what it says is fresh and complete, and whether it has what it needs."
    return page("outlook-exporter", "Outlook sign-in / Exporter", text, ("instance", "target", "vantage"), _ROWS)


_ROWS = (
    Row(
        "Can it be believed?",
        (
            numbers(
                "Clients' side",
                "Whether a vantage lies on the clients' side, or an inside interface is inspected. Without, a filter "
                "that hits only clients isn't seen.",
                Ask(least(SITE, "exporter_client_side_covered", HERE), "{{instance}}"),
                words=yes_no("seen", "not seen"),
                span=6,
            ),
            numbers(
                "Inspector",
                "Whether it answered when last asked.",
                Ask(least(SITE, "exporter_inspector_up", HERE), "{{instance}}"),
                words=yes_no("runs", "doesn't run"),
                span=6,
            ),
            numbers(
                "Configuration",
                "Whether the last reload was taken; otherwise the one before is in force.",
                Ask(least(SITE, "exporter_config_last_reload_successful", HERE), "{{instance}}"),
                words=yes_no("in force", "refused"),
                span=6,
            ),
            numbers(
                "Oldest result",
                "How long ago the target that waits longest was probed.",
                Ask(f"time() - min by ({SITE}) ({series('probe_last_run_timestamp_seconds', HERE)})", "{{instance}}"),
                unit="s",
                steps=((None, GOOD), (LIMITS["late_seconds"], BAD)),
                span=6,
            ),
            lines(
                "Clock",
                "How far this machine's clock is ahead, by the Date of Microsoft's hosts, which has whole seconds.",
                Ask(f"abs({most(f'{SITE}, source', 'clock_skew_seconds', HERE)})", "{{source}} ({{instance}})"),
                unit="s",
                names=("median",),
                limit=LIMITS["skew_seconds"],
            ),
            lines(
                "Seconds since each target was probed",
                "A saw's teeth are well; a slope means that rounds are missed.",
                Ask(since("target, vantage", "probe_last_run_timestamp_seconds", WAY), "{{target}} from {{vantage}}"),
                unit="s",
                limit=LIMITS["late_seconds"],
            ),
            lines(
                "How late the event loop wakes",
                "At worst in the last minute: what that may add to measured times.",
                Ask(most(SITE, "exporter_event_loop_delay_seconds", HERE), "{{instance}}"),
                unit="s",
            ),
            lines(
                "Tasks by result",
                "Rounds, accounts, experiments: how often they end, and how.",
                Ask(rate("task, outcome", "exporter_task_runs_total", HERE), "{{outcome}}: {{task}}"),
                unit="cps",
                names=("ok", "failed", "missed"),
            ),
            lines(
                "Since each task last went well",
                "In seconds.",
                Ask(_SUCCESS, "{{task}} ({{instance}})"),
                unit="s",
            ),
            lines(
                "Left of this hour's budgets",
                "Canaries and experiments are rare on purpose: everyone behind the gateway shares its address.",
                Ask(least(f"{SITE}, budget", "exporter_budget_remaining", HERE), "{{budget}} ({{instance}})"),
                unit="short",
            ),
        ),
    ),
    Row(
        "The inspector",
        (
            lines(
                "Packets",
                "Those that passed the kernel's filter.",
                Ask(rate("interface", "wire_packets_total", HERE), "{{interface}}"),
                unit="pps",
            ),
            lines(
                "Packets lost",
                "Dropped by the kernel for want of room: counts of clients are too low.",
                Ask(rate("interface", "wire_packets_dropped_total", HERE), "{{interface}}"),
                unit="pps",
            ),
            lines(
                "Room in use",
                "Connections in the table, and bytes of segments that wait for others, of what is configured. What is "
                "beyond pushes the oldest out.",
                Ask(_TABLE, "connections, {{interface}}"),
                Ask(_WAITING, "bytes, {{interface}}"),
                unit="percentunit",
            ),
            lines(
                "Connections pushed out",
                "Of a full table: more passes by than it holds.",
                Ask(rate("interface", "wire_connections_evicted_total", HERE), "{{interface}}"),
                unit="cps",
            ),
        ),
    ),
    Row(
        "The process",
        (
            lines(
                "Memory",
                "Resident.",
                Ask(f"process_resident_memory_bytes{{{HERE}}} {_OURS}", "{{instance}}"),
                unit="bytes",
            ),
            lines(
                "CPU",
                "Cores in use.",
                Ask(f"rate(process_cpu_seconds_total{{{HERE}}}[{RATE}]) {_OURS}", "{{instance}}"),
                unit="short",
            ),
            rows(
                "Versions",
                "What runs where.",
                Ask(most(f"{SITE}, version, revision, python", "exporter_build_info", HERE)),
                columns=(
                    Column(SITE, "Site"), Column("version", "Version"), Column("revision", "Revision"),
                    Column("python", "Python"),
                ),
                height=6,
            ),
            numbers(
                "Configuration taken",
                "How long ago.",
                Ask(since(SITE, "exporter_config_last_reload_success_timestamp_seconds", HERE), "{{instance}}"),
                unit="s",
                steps=((None, WARNING), (0, GOOD)),
                height=6,
            ),
        ),
    ),
)  # fmt: skip
