"""Many sites: who has which verdict, one row each."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.page import Row, page
from dashboards.panels import HALF, WHOLE, Ask, Column, numbers, rows, states
from dashboards.queries import FAULT, HERE, LIMITS, SITE, TOKEN, least, most, series, since
from dashboards.words import BAD, CAUSES, NEUTRAL, WARNING, WHO, WORKS, yes_no

_DRILL = "/d/outlook-overview?var-instance=${__data.fields.Site}&var-datasource=${datasource}"


def fleet() -> Dashboard:
    """`outlook-fleet`."""
    text = "All sites: one broken gateway has one row that differs, an outage of Microsoft's has them all."
    return page("outlook-fleet", "Outlook sign-in / Fleet", text, ("instance",), _ROWS)


def _surest() -> str:
    """The surest fault of each site, or that it is healthy."""
    labels = f"{SITE}, cause, responsible"
    faults = most(labels, "diagnosis", HERE, FAULT, 'account=""')
    healthy = most(labels, "diagnosis", HERE, 'cause="healthy"')
    return f"topk by ({SITE}) (1, {faults}) or topk by ({SITE}) (1, {healthy} unless on ({SITE}) {faults})"


def _failing(name: str, *matchers: str) -> str:
    """How many of a site fail; 0 where none does."""
    return f"sum by ({SITE}) ({series(name, HERE, *matchers)} == bool 0)"


_ROWS = (
    Row(
        "Sites",
        (
            rows(
                "One row each",
                "The surest verdict of each site, how many ways and journeys fail there, and how fresh that is.",
                Ask(_surest()),
                Ask(_failing("auth_method_usable", TOKEN)),
                Ask(_failing("journey_usable", 'journey!="imap_password"')),
                Ask(since(SITE, "probe_last_run_timestamp_seconds", HERE)),
                Ask(least(SITE, "exporter_client_side_covered", HERE)),
                joined=SITE,
                columns=(
                    Column(SITE, "Site", link=_DRILL),
                    Column("cause", "What is wrong", words=CAUSES),
                    Column("responsible", "Who has to act", words=WHO),
                    Column("Value #B", "Ways that fail", unit="short"),
                    Column("Value #C", "Journeys that fail", unit="short"),
                    Column("Value #D", "Last looked, seconds ago", unit="s"),
                    Column("Value #E", "Clients' side", words=yes_no("seen", "not seen")),
                ),
                span=WHOLE,
                height=12,
            ),
            numbers(
                "Sites by verdict",
                "How many sites have each fault now. All at once: Microsoft's. One: its own gateway's.",
                Ask(f"count by (cause) ({most(f'{SITE}, cause', 'diagnosis', HERE, FAULT)})", "{{cause}}"),
                unit="short",
                steps=((None, NEUTRAL), (1, WARNING), (5, BAD)),
                height=7,
            ),
            numbers(
                "Sites by who has to act",
                "The same, by whom to call.",
                Ask(
                    f"count by (responsible) ({most(f'{SITE}, responsible', 'diagnosis', HERE, FAULT)})",
                    "{{responsible}}",
                ),
                unit="short",
                steps=((None, NEUTRAL), (1, WARNING), (5, BAD)),
                height=7,
            ),
            states(
                "Signing in works at each site",
                "Fails where any way of signing in with a token fails.",
                Ask(least(SITE, "auth_method_usable", HERE, TOKEN), "{{instance}}"),
                words=WORKS,
                span=HALF,
            ),
            rows(
                "Sites whose words are old",
                "These haven't probed for a while; what is shown of them may be over.",
                Ask(f"{since(SITE, 'probe_last_run_timestamp_seconds', HERE)} > {LIMITS['late_seconds']}"),
                columns=(Column(SITE, "Site", link=_DRILL), Column("Value", "Last looked, seconds ago", unit="s")),
                height=10,
            ),
        ),
    ),
)
