"""From these modules to `json/*.json`, for Grafana's import, its provisioning, and the mixin: `make dashboards`."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from alerts.render import rules, source
from dashboards.clients import clients
from dashboards.exporter_itself import exporter_itself
from dashboards.fleet import fleet
from dashboards.gateway import gateway
from dashboards.latency import latency
from dashboards.overview import overview
from dashboards.page import MARK

HERE = Path(__file__).parent
JSON = HERE / "json"
#: alerts/rules.yml again, for jsonnet, whose own YAML parser stumbles over texts of several lines.
RULES = HERE / "rules.json"

DASHBOARDS: tuple[Callable[[], Dashboard], ...] = (overview, gateway, clients, latency, fleet, exporter_itself)


def plain(built: Dashboard) -> dict[str, Any]:
    """As Grafana reads it."""
    content: dict[str, Any] = json.loads(JSONEncoder().encode(built))
    for annotation in content["annotations"]["list"]:
        annotation.update(MARK)
    return content


def rendered() -> dict[Path, str]:
    """Every file, by its path."""
    files = {RULES: _written(yaml.safe_load(rules(source())))}
    for build in DASHBOARDS:
        content = plain(build())
        files[JSON / f"{content['uid']}.json"] = _written(content)
    return files


def _written(content: object) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Writes them; removes those that are no more."""
    files = rendered()
    JSON.mkdir(exist_ok=True)
    for old in set(JSON.glob("*.json")) - set(files):
        old.unlink()
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
