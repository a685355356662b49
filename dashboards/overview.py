"""Is signing in working? Journeys first, then each way, then why not, then tokens."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.page import Row, page
from dashboards.panels import HALF, THIRD, WHOLE, Ask, Column, numbers, rows, states
from dashboards.queries import ACCOUNT, FAULT, LIMITS, TOKEN, VANTAGE, WAY, least, most, series, since, until
from dashboards.words import ASKED, BAD, CAUSES, GOOD, NEVER_WORKS, OFTEN_EMPTY, WARNING, WHO, WORKS

DAY = 86_400
VERDICT = (
    Column("target", "Target", width=130),
    Column("vantage", "Seen from", width=90),
    Column("cause", "What is wrong", words=CAUSES),
    Column("responsible", "Who has to act", words=WHO),
    Column("account", "Account", words=OFTEN_EMPTY, width=90),
    Column("Value", "How sure", unit="percentunit", width=80),
)
LABELS = "target, vantage, account, cause, responsible"


def overview() -> Dashboard:
    """`outlook-overview`."""
    text = "Whether people can sign in to Outlook.com from here, which way fails, why, and who has to act."
    return page(
        "outlook-overview", "Outlook sign-in / Overview", text, ("instance", "target", "vantage", "account"), _ROWS
    )


_JOURNEYS = tuple(
    Ask(least("vantage", "journey_usable", VANTAGE, f'journey="{name}"'), f"{title}, from {{{{vantage}}}}")
    for name, title in ASKED.items()
)

_ROWS = (
    Row(
        "Is signing in working?",
        (
            numbers(
                "What people do",
                "Each way in which people use Outlook.com, as a whole: fails where one thing that it needs fails.",
                *_JOURNEYS,
                words=WORKS,
                special=[(ASKED["imap_password"], NEVER_WORKS)],
                span=WHOLE,
                height=7,
            ),
            rows(
                "Verdicts now",
                "What is wrong, for whom, and who has to act. Every cause has a runbook in docs/runbooks.",
                Ask(most(LABELS, "diagnosis", WAY, FAULT)),
                columns=VERDICT,
                span=WHOLE,
                height=7,
            ),
            states(
                "Signing in with a token",
                "Whether a client could sign in: every step is well, and Microsoft itself answered.",
                Ask(least("target, vantage", "auth_method_usable", WAY, TOKEN), "{{target}} from {{vantage}}"),
                words=WORKS,
            ),
            states(
                "Reaching each target",
                "Whether every step of the way was well in the last run, web pages and sign-in included.",
                Ask(least("target, vantage", "probe_success", WAY), "{{target}} from {{vantage}}"),
                words=WORKS,
                height=12,
            ),
        ),
    ),
    Row(
        "What changed in the last 24 hours",
        (
            rows(
                "Verdicts of the last 24 hours",
                "Every fault that was found, also those that are over.",
                Ask(f"max by ({LABELS}) (max_over_time({series('diagnosis', WAY, FAULT)}[24h]))"),
                columns=VERDICT,
                span=16,
            ),
            rows(
                "Ways that came and went",
                "How often signing in with a token began to fail or to work again in the last 24 hours.",
                Ask(f"sum by (target, vantage) (changes({series('auth_method_usable', WAY, TOKEN)}[24h])) > 0"),
                columns=(
                    Column("target", "Target"),
                    Column("vantage", "Seen from"),
                    Column("Value", "Changes", unit="short"),
                ),
                span=THIRD,
            ),
        ),
    ),
    Row(
        "Tokens and credentials",
        (
            numbers(
                "Access tokens are good for",
                "Until the token in use ends. It always ends within the hour; what matters is that a new one comes.",
                Ask(until("account", "token_expiry_timestamp_seconds", ACCOUNT), "{{account}}"),
                unit="s",
                steps=((None, WARNING), (0, GOOD)),
                span=THIRD,
            ),
            numbers(
                "Last token came",
                "How long ago each account last got a token.",
                Ask(since("account", "token_last_success_timestamp_seconds", ACCOUNT), "{{account}}"),
                unit="s",
                steps=((None, GOOD), (3600, WARNING), (2 * 3600, BAD)),
                span=THIRD,
            ),
            numbers(
                "Secrets and sign-ins are good for",
                "Until an account's secret, certificate or sign-in ends, where that is known.",
                Ask(until("account", "account_credential_expiry_timestamp_seconds", ACCOUNT), "{{account}}"),
                unit="s",
                steps=(
                    (None, BAD),
                    (LIMITS["credential_critical_days"] * DAY, WARNING),
                    (LIMITS["credential_warning_days"] * DAY, GOOD),
                ),
                span=THIRD,
            ),
            states(
                "Accounts at each target",
                "Whether the account was accepted in its last sign-in.",
                Ask(
                    least("account, target, vantage", "account_auth_success", WAY, 'account=~"$account"'),
                    "{{account}} at {{target}} from {{vantage}}",
                ),
                words=WORKS,
                span=HALF,
            ),
            rows(
                "Certificates end in",
                "As presented in the last run. Microsoft renews its own; an inspecting gateway's is often forgotten.",
                Ask(f"sort({until('target, vantage', 'probe_certificate_expiry_timestamp_seconds', WAY)})"),
                columns=(
                    Column("target", "Target"),
                    Column("vantage", "Seen from"),
                    Column("Value", "Ends in", unit="s"),
                ),
            ),
        ),
    ),
)
