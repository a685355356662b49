"""How fast: each step, each token request, against its own past."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.page import Row, page
from dashboards.panels import THIRD, Ask, heat, lines
from dashboards.queries import ACCOUNT, HERE, LIMITS, TARGET, WAY, quantile, rate, series
from dashboards.words import STEPS
from exporter.vocabulary import Phase

#: What alerts/source.yaml records.
_PHASES = "job_instance_target_vantage_phase:outlook_probe_phase_seconds"
_TOKENS = "job_instance_account_vantage:outlook_token_request_seconds"
_CHOSEN = f'{HERE},target=~"$target",vantage=~"$vantage",phase=~"connect|tls"'
_STEP = 'phase="{}"'


def latency() -> Dashboard:
    """`outlook-latency`."""
    text = "How long each step and each token takes. Slow from one vantage alone: the way; from all: Microsoft."
    return page(
        "outlook-latency", "Outlook sign-in / Latency", text, ("instance", "target", "vantage", "account"), _ROWS
    )


def _quantiles(name: str, by: str, legend: str, *matchers: str) -> tuple[Ask, Ask]:
    return (
        Ask(quantile(0.5, by, name, *matchers), f"p50 {legend}"),
        Ask(quantile(0.95, by, name, *matchers), f"p95 {legend}"),
    )


_ROWS = (
    Row(
        "Steps of the way",
        (
            lines(
                "Where the time goes",
                "How long each step took in the last run: the mean of the targets and vantages chosen.",
                Ask(f"avg by (phase) ({series('probe_phase_last_seconds', WAY)})", "{{phase}}"),
                unit="s",
                words=STEPS,
                stacked=True,
                span=24,
            ),
            *(
                heat(
                    f"Spread of {title}",
                    f"How many runs took how long: {what}.",
                    Ask(rate("le", "probe_phase_seconds_bucket", WAY, _STEP.format(phase)), "{{le}}"),
                    span=THIRD,
                )
                for phase, title, what in (
                    (Phase.CONNECT, "TCP connections", "the way itself"),
                    (Phase.TLS, "TLS handshakes", "the way, and whoever opens TLS on it"),
                    (Phase.AUTH, "canaries' refusals", "Microsoft delays refusals by seconds; that is no fault"),
                )
            ),
            lines(
                "TCP and TLS, now",
                "Half of the runs are quicker than p50, nineteen of twenty quicker than p95.",
                *_quantiles(
                    "probe_phase_seconds", "vantage, phase", "{{phase}} from {{vantage}}", WAY, 'phase=~"connect|tls"'
                ),
                unit="s",
                names=("p50", "p95"),
                limit=LIMITS["slow_least_handshake"],
            ),
            lines(
                "TCP and TLS against their own week",
                "The median of a quarter of an hour, and what it usually was in the last week (rules of alerts/).",
                Ask(
                    f"max by (target, vantage, phase) ({_PHASES}:p50_15m{{{_CHOSEN}}})",
                    "now {{phase}} {{target}} {{vantage}}",
                ),
                Ask(
                    f"max by (target, vantage, phase) ({_PHASES}:baseline_7d{{{_CHOSEN}}})",
                    "usual {{phase}} {{target}} {{vantage}}",
                ),
                unit="s",
                names=("now", "usual"),
            ),
        ),
    ),
    Row(
        "Tokens",
        (
            heat(
                "Spread of token requests",
                "How many requests took how long, of those that reached the identity provider.",
                Ask(rate("le", "token_request_seconds_bucket", ACCOUNT, 'vantage=~"$vantage"'), "{{le}}"),
            ),
            lines(
                "Token requests",
                "Half of the requests are quicker than p50, nineteen of twenty quicker than p95.",
                *_quantiles(
                    "token_request_seconds",
                    "account, vantage",
                    "{{account}} from {{vantage}}",
                    ACCOUNT,
                    'vantage=~"$vantage"',
                ),
                unit="s",
                names=("p50", "p95"),
                limit=LIMITS["slow_least_token"],
            ),
            lines(
                "Token requests against their own week",
                "The median of half an hour, and what it usually was in the last week (rules of alerts/).",
                *(
                    Ask(
                        f'max by (account, vantage) ({_TOKENS}:{kept}{{{ACCOUNT},vantage=~"$vantage"}})',
                        f"{word} {{{{account}}}} from {{{{vantage}}}}",
                    )
                    for kept, word in (("p50_30m", "now"), ("baseline_7d", "usual"))
                ),
                unit="s",
                names=("now", "usual"),
            ),
            lines(
                "Token requests by result",
                "How often tokens are asked for, and with which result.",
                Ask(
                    rate("account, grant, outcome", "token_requests_total", ACCOUNT, 'vantage=~"$vantage"'),
                    "{{outcome}}: {{account}}, {{grant}}",
                ),
                unit="cps",
                names=("ok", "rejected", "timeout", "throttled", "unavailable", "reset", "refused"),
            ),
            lines(
                "Why tokens were refused",
                "By Microsoft's number; `outlook-auth-exporter accounts` says what it means and who has to act.",
                Ask(
                    rate("account, error", "token_errors_total", ACCOUNT, 'vantage=~"$vantage"'),
                    "{{account}}: {{error}}",
                ),
                unit="cps",
            ),
            lines(
                "Sign-ins of accounts",
                "From the credential's last byte to the server's answer.",
                *_quantiles(
                    "account_auth_seconds", "account, target", "{{account}} at {{target}}", WAY, 'account=~"$account"'
                ),
                unit="s",
                names=("p50", "p95"),
            ),
        ),
    ),
    Row(
        "Real clients",
        (
            *(
                lines(
                    f"Clients' {title}",
                    text,
                    *_quantiles(f"wire_{name}_seconds", "target", "{{target}}", TARGET),
                    unit="s",
                    names=("p50", "p95"),
                )
                for name, title, text in (
                    ("tcp_handshake", "TCP handshakes", "First SYN to SYN-ACK."),
                    ("tls_handshake", "TLS handshakes", "First ClientHello byte to the client's Finished."),
                    ("first_reply", "first replies", "End of the handshake to the server's first data."),
                    (
                        "token_response",
                        "token requests",
                        "From a token request to its response, as the records' lengths tell.",
                    ),
                    ("auth", "sign-ins", "From a credential to the server's answer, as the records' lengths tell."),
                )
            ),
        ),
    ),
)
