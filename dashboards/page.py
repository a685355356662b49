"""What every dashboard has: variables, links to the others, marks where a verdict changed."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models import dashboard as model

from dashboards.panels import DATASOURCE, Panel
from dashboards.queries import FAULT, HERE, JOB, SITE, series
from dashboards.words import ORANGE

TAG = "outlook-auth"
#: A verdict that wasn't there before this long is marked as new.
_BEFORE = "5m"

#: name: title, the query that lists its values.
VARIABLES = {
    "job": ("Job", f"label_values({series('exporter_build_info')}, job)"),
    "instance": ("Instance", f"label_values({series('exporter_build_info', JOB)}, {SITE})"),
    "target": ("Target", f"label_values({series('probe_success', HERE)}, target)"),
    "vantage": ("Seen from", f"label_values({series('probe_success', HERE)}, vantage)"),
    "account": ("Account", f"label_values({series('account_auth_success', HERE)}, account)"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A heading, and what stands below it."""

    title: str
    panels: Sequence[Panel]


def page(uid: str, title: str, text: str, variables: Sequence[str], rows: Sequence[Row]) -> model.Dashboard:
    """A whole dashboard."""
    built = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(text)
        .tags([TAG])
        .readonly()
        .refresh("1m")
        .time("now-24h", "now")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(_others())
        .annotation(_verdicts())
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for name in ("job", *variables):
        built = built.with_variable(_variable(name))
    for row in rows:
        built = built.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            built = built.with_panel(panel)
    return _numbered(built.build())


def _numbered(built: model.Dashboard) -> model.Dashboard:
    """Panels by number, so that links to one stay."""
    for number, panel in enumerate(built.panels or [], start=1):
        panel.id_val = number
    return built


def _others() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink("Outlook sign-in").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    return (
        link.as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
        .tooltip("The other dashboards, with what is chosen here")
    )


def _variable(name: str) -> dashboard.QueryVariable:
    title, query = VARIABLES[name]
    built = dashboard.QueryVariable(name).label(title).query(query).datasource(DATASOURCE)
    built = built.refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.ALPHABETICAL_ASC)
    built = built.multi(True).include_all(True).all_value(".+")
    return built.current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))


def _verdicts() -> dashboard.AnnotationQuery:
    by = "max by (target, vantage, cause, responsible)"
    faults = series("diagnosis", HERE, FAULT)
    built = dashboard.AnnotationQuery().name("New verdicts").datasource(DATASOURCE).enable(True)
    return built.icon_color(ORANGE).expr(f"{by} ({faults}) unless {by} ({faults} offset {_BEFORE})")


#: What the SDK's annotations can't say yet: how a mark reads.
MARK = {
    "titleFormat": "{{cause}}",
    "textFormat": "{{target}} from {{vantage}}: {{responsible}} has to act",
    "step": "1m",
}
