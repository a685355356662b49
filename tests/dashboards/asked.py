"""What the committed dashboards ask, read from their JSON as Grafana reads it."""

import json
import re
from collections.abc import Iterator
from typing import Any

from dashboards.render import JSON

DASHBOARDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(JSON.glob("*.json"))
}

#: Grafana's variables as it would fill them in.
FILLED = {"$__rate_interval": "8s", "$__range": "1h", "$__interval": "2s"}


def panels(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Panels that show something, rows opened."""
    for panel in content["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", [])
        else:
            yield panel


def queries(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Where a query stands, and its text: of every panel, variable and annotation."""
    uid = content["uid"]
    for panel in panels(content):
        for target in panel["targets"]:
            yield f"{uid}: {panel['title']}: {target['refId']}", target["expr"]
    for variable in content["templating"]["list"]:
        if variable["type"] == "query":
            yield f"{uid}: variable {variable['name']}", variable["query"]
    for annotation in content["annotations"]["list"]:
        yield f"{uid}: annotation {annotation['name']}", annotation["expr"]


def filled(expression: str, variables: dict[str, str]) -> str:
    """As Prometheus gets it. Raises KeyError for a variable that the dashboard doesn't have."""
    for name, value in FILLED.items():
        expression = expression.replace(name, value)
    return re.sub(r"\$\{?(\w+)\}?", lambda match: variables[match[1]], expression)
