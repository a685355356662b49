"""Is it the gateway? Inside against outside, what was done to connections, whose certificates."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.overview import LABELS, VERDICT
from dashboards.page import Row, page
from dashboards.panels import Ask, Column, lines, rows, states
from dashboards.queries import FAILED, FAULT, TARGET, WAY, grown, least, most, rate, series
from dashboards.words import BAD, DONE, ENDS, GOOD, NEUTRAL, STEPS, WARNING, WORKS, words, yes_no
from exporter.vocabulary import Responsible

MICROSOFTS = yes_no("somebody else's", "Microsoft's", good=False)
GENUINE = words({"true": ("yes", GOOD), "false": ("no", BAD)})
_ISSUER = "issuer_organization, issuer_common_name, genuine"
ON_THE_WAY = 'responsible!~"account|client"'
NO_ACCOUNT = 'account=""'
#: Hops have no label of their own, for routes change: a verdict places the break before, at or behind the gateway.
HOPS = words(
    {
        Responsible.APPLIANCE: ("this machine", WARNING),
        Responsible.GATEWAY: ("at the gateway", BAD),
        Responsible.NETWORK: ("beyond the gateway", BAD),
        Responsible.MICROSOFT: ("at Microsoft, the last hop", WARNING),
        Responsible.UNKNOWN: ("can't be told", NEUTRAL),
    }
)
_XOAUTH2 = 'mechanism="XOAUTH2"'
_TARGET, _FROM = Column("target", "Target"), Column("vantage", "Seen from")


def gateway() -> Dashboard:
    """`outlook-gateway`."""
    text = "What fails on the clients' side alone is the gateway's doing: where, at which step, and what it did."
    return page("outlook-gateway", "Outlook sign-in / Gateway", text, ("instance", "target", "vantage"), _ROWS)


_ROWS = (
    Row(
        "Inside against outside",
        (
            rows(
                "Each target from each vantage",
                "What fails from one vantage and works from another is done on the way between.",
                Ask(least("target, vantage", "probe_success", WAY)),
                columns=(),
                matrix=("target", "vantage"),
                words=WORKS,
                height=17,
            ),
            rows(
                "Steps that fail now",
                "The step of the way at which it breaks, and how. What lies behind it was not reached.",
                Ask(f"{most('target, vantage, phase, outcome', 'probe_outcome', WAY, FAILED)} == 1"),
                columns=(_TARGET, _FROM, Column("phase", "Step", words=STEPS), Column("outcome", "How", words=ENDS)),
                height=17,
            ),
            rows(
                "The gateway has to act",
                "Verdicts that name it. The hop from which a reset came stands with the evidence on the status page.",
                Ask(most(LABELS, "diagnosis", WAY, FAULT, 'responsible="gateway"')),
                columns=VERDICT,
                span=16,
                height=7,
            ),
            rows(
                "Where the way breaks",
                "Where the surest verdict places it, by hop distances, both sides of the gateway and other vantages.",
                Ask(f"topk by (target, vantage) (1, {most(LABELS, 'diagnosis', WAY, FAULT, NO_ACCOUNT, ON_THE_WAY)})"),
                columns=(_TARGET, _FROM, Column("responsible", "Where", words=HOPS)),
                span=8,
                height=7,
            ),
            lines(
                "Failures by step",
                "How often steps failed, each second.",
                Ask(rate("phase, outcome", "probe_results_total", WAY, FAILED), "{{phase}}: {{outcome}}"),
                unit="cps",
                names=("dns", "connect", "tls", "auth", "token", "http", "starttls", "greeting"),
                stacked=True,
            ),
            rows(
                "Addresses that don't answer",
                "Of the addresses of each name, how many couldn't be connected to in the last run.",
                Ask(f"sum by (target, vantage, ip_version, outcome) ({series('probe_addresses', WAY, FAILED)}) > 0"),
                columns=(
                    _TARGET, _FROM, Column("ip_version", "IP version"), Column("outcome", "How", words=ENDS),
                    Column("Value", "Addresses", unit="short"),
                ),
            ),
        ),
    ),
    Row(
        "Interception",
        (
            states(
                "Whose certificate is presented",
                "Judged by signatures up to Microsoft's roots, never by names. Absent where it can't be told.",
                Ask(most("target, vantage", "probe_tls_intercepted", WAY), "{{target}} from {{vantage}}"),
                words=MICROSOFTS,
            ),
            rows(
                "Who issued the certificates",
                "Inspection products name themselves here.",
                Ask(most(f"target, vantage, {_ISSUER}", "probe_certificate_info", WAY)),
                columns=(
                    _TARGET, _FROM, Column("issuer_organization", "Organisation"), Column("issuer_common_name", "Name"),
                    Column("genuine", "Microsoft's", words=GENUINE),
                ),
            ),
            states(
                "Signing in with a token is offered",
                "Whether mail servers offered XOAUTH2; where they don't, somebody rewrites what is offered.",
                Ask(least("target, vantage", "probe_auth_offered", WAY, _XOAUTH2), "{{target}} from {{vantage}}"),
                words=yes_no("offered", "not offered"),
                span=12,
                height=9,
            ),
        ),
    ),
    Row(
        "What clients' packets tell",
        (
            lines(
                "Clients' handshakes that fail, by name",
                "Connections of real clients that got no further than this, by the name they asked for.",
                Ask(
                    rate("target, outcome", "wire_connections_total", TARGET, 'outcome!~"established|incomplete"'),
                    "{{outcome}}: {{target}}",
                ),
                unit="cps",
                names=("no_answer", "refused", "unreachable", "hello_unanswered", "hello_reset", "handshake_failed"),
            ),
            rows(
                "What was done to connections",
                "Connections that were seen on both sides of the gateway and differed.",
                Ask(grown("target, kind", "wire_tampering_total", TARGET)),
                columns=(_TARGET, Column("kind", "What", words=DONE), Column("Value", "Times", unit="short")),
            ),
            lines(
                "TLS alerts",
                "Refusals in clear: clients that don't trust the certificate say so.",
                Ask(rate("alert, from", "wire_alerts_total", TARGET), "{{from}}: {{alert}}"),
                unit="cps",
                names=("client", "server"),
            ),
            lines(
                "Segments sent again",
                "Loss on the way, or packets that a filter swallows.",
                Ask(rate("target", "wire_retransmissions_total", TARGET), "{{target}}"),
                unit="cps",
            ),
        ),
    ),
)  # fmt: skip
