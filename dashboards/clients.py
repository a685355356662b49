"""How real clients sign in, as their packets tell: who still uses passwords, who tries again and again."""

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.page import Row, page
from dashboards.panels import Ask, Column, lines, numbers, rows
from dashboards.queries import TARGET, grown, rate, total
from dashboards.words import BAD, GOOD, NEUTRAL, RESULTS, WARNING, WAYS, words
from exporter.vocabulary import AuthOutcome, ClientFamily, ClientState, ConnectionOutcome, Mechanism
from exporter.web.words import CONNECTION_OUTCOMES

NOT_WELL = 'state!="healthy"'
_TARGET = Column("target", "Target")
CLIENTS, TIMES = Column("Value", "Clients", unit="short"), Column("Value", "Times", unit="short")
_FARES: dict[str, tuple[str, str | None]] = {
    ClientState.HEALTHY: ("sign in well", GOOD),
    ClientState.PASSWORD_REFUSED: ("send passwords, which Outlook.com refuses", BAD),
    ClientState.RETRY_LOOP: ("try again and again", BAD),
    ClientState.TOKEN_REFUSED: ("have their token refused", BAD),
    ClientState.BLOCKED: ("are blocked on the way", BAD),
    ClientState.ABANDONED: ("leave without signing in", WARNING),
}
STATES = words(_FARES)
#: Where not the fault counts but how one differs from the other, colours are the list's own.
FARING = words({state: (text, None) for state, (text, _) in _FARES.items()})
#: Ways of signing in, of which one ended in 2024.
USED = words(
    {
        Mechanism.PASSWORD: ("password", BAD),
        Mechanism.TOKEN: ("token", GOOD),
        Mechanism.OTHER: ("something else", WARNING),
        Mechanism.UNKNOWN: ("can't be told", NEUTRAL),
    }
)
FAR = words(
    {
        ConnectionOutcome.ESTABLISHED: ("TLS established", None),
        **{outcome: (text, None) for outcome, text in CONNECTION_OUTCOMES.items()},
        ConnectionOutcome.INCOMPLETE: ("seen in part", "#666666"),
    }
)


def clients() -> Dashboard:
    """`outlook-clients`."""
    text = "Real clients on this network, counted, never named: which way they sign in and how that ends."
    return page("outlook-clients", "Outlook sign-in / Clients", text, ("instance", "target"), _ROWS)


def _now(title: str, *states: ClientState) -> Ask:
    return Ask(f"sum({total('target', 'wire_clients', TARGET, _in(*states))})", title)


def _in(*states: ClientState) -> str:
    return f'state=~"{"|".join(states)}"'


_ROWS = (
    Row(
        "Clients now",
        (
            numbers(
                "Clients that sign in well",
                "Distinct clients of the inspector's window.",
                _now("clients", ClientState.HEALTHY),
                unit="short",
                span=6,
            ),
            numbers(
                "Clients with a fault",
                "Distinct clients of the inspector's window, by what becomes of their sign-in.",
                _now("on passwords", ClientState.PASSWORD_REFUSED),
                _now("try again and again", ClientState.RETRY_LOOP),
                _now("token refused", ClientState.TOKEN_REFUSED),
                _now("blocked on the way", ClientState.BLOCKED),
                unit="short",
                steps=((None, NEUTRAL), (1, BAD)),
                span=18,
            ),
            rows(
                "Who uses passwords, who loops",
                "Outlook.com takes no password since 16 September 2024: set these programs up with OAuth. Who they are "
                "shows on the status page, where privacy.client_addresses allows it.",
                Ask(f"{total('target, state', 'wire_clients', TARGET, NOT_WELL)} > 0"),
                columns=(_TARGET, Column("state", "Clients that", words=STATES), CLIENTS),
            ),
            lines(
                "Clients by how they fare",
                "Distinct clients of the inspector's window, over time.",
                Ask(total("state", "wire_clients", TARGET), "{{state}}"),
                unit="short",
                words=FARING,
                stacked=True,
            ),
        ),
    ),
    Row(
        "How they sign in",
        (
            lines(
                "Ways of signing in, their shares",
                "Of all attempts that were seen. Passwords should fade away.",
                Ask(rate("mechanism", "wire_auth_attempts_total", TARGET), "{{mechanism}}"),
                unit="cps",
                words=USED,
                share=True,
            ),
            lines(
                "How attempts end",
                "As lengths and directions of the records tell; unknown where they don't.",
                Ask(rate("mechanism, outcome", "wire_auth_attempts_total", TARGET), "{{outcome}}: {{mechanism}}"),
                unit="cps",
                names=tuple(AuthOutcome),
            ),
            rows(
                "Attempts in the time shown",
                "How often each way was tried, and with which result.",
                Ask(grown("target, mechanism, outcome", "wire_auth_attempts_total", TARGET)),
                columns=(
                    _TARGET, Column("mechanism", "Way", words=WAYS), Column("outcome", "Result", words=RESULTS), TIMES,
                ),
            ),
            lines(
                "Kinds of clients",
                "By the structure of the ClientHello: whose TLS it is.",
                Ask(rate("family", "wire_client_family_total", TARGET), "{{family}}"),
                unit="cps",
                names=tuple(ClientFamily),
                stacked=True,
            ),
        ),
    ),
    Row(
        "Their connections",
        (
            lines(
                "Connections by how far they got",
                "Counted once that is known.",
                Ask(rate("outcome", "wire_connections_total", TARGET), "{{outcome}}"),
                unit="cps",
                words=FAR,
                stacked=True,
            ),
            lines(
                "Connections open",
                "When last looked; push mail keeps one open for each folder.",
                Ask(total("target", "wire_connections_open", TARGET), "{{target}}"),
                unit="short",
            ),
        ),
    ),
)  # fmt: skip
