"""Pictures of the dashboards, from their JSON and a live Prometheus that scrapes the demo: scripts/render-dashboards.

The demo is well, then its gateway resets by name, is well again, then strips STARTTLS.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.dashboards.asked import DASHBOARDS, filled, panels
from tests.dashboards.test_queries import quick_rules
from tests.monitoring.stack import Prometheus, prometheus, site, until

#: Seconds of each state: health, fault, health, fault again.
LASTS = 25
STORY = (None, "sni_reset", None, "starttls_stripped")
ALL = dict.fromkeys(("job", "instance", "target", "vantage", "account"), ".*")
PAGE = '<!doctype html><meta charset="utf-8"><title>drawn</title><link rel="stylesheet" href="page.css">'
PAGE += '<style>*{box-sizing:border-box}</style><div id="root"></div>'  # as Grafana's own pages have it


def answers(asked: Prometheus, dashboard: dict[str, Any], began: float, now: float) -> dict[str, dict[str, Any]]:
    """What Prometheus says to each panel's queries, by panel and query."""
    found: dict[str, dict[str, Any]] = {}
    for panel in panels(dashboard):
        for target in panel["targets"]:
            query = filled(target["expr"], ALL)
            if target.get("instant"):
                series = asked.get("query", query=query, time=now)["result"]
                result = [{"metric": each["metric"], "values": [each["value"]]} for each in series]
            else:
                result = asked.get("query_range", query=query, start=began, end=now, step=1)["result"]
            found.setdefault(str(panel["id"]), {})[target["refId"]] = result
    return found


def draw(work: Path, built: Path, name: str, found: dict[str, Any], picture: Path) -> None:
    """By headless Chromium. Raises RuntimeError for a panel that couldn't be drawn."""
    page = work / f"{name}.html"
    content = json.dumps(found).replace("</", "<\\/")
    script = f"<script>window.INPUT = {content}</script><script src='page.js'></script>"
    page.write_text(
        PAGE.replace("page.css", str(built / "page.css")) + script.replace("page.js", str(built / "page.js"))
    )
    high = 38 * max(each["gridPos"]["y"] + each["gridPos"]["h"] for each in found["dashboard"]["panels"]) + 70
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--allow-file-access-from-files",
    ]
    command += [f"--user-data-dir={work / 'profile'}", f"--window-size=1400,{high}", "--virtual-time-budget=8000"]
    url = page.as_uri()
    subprocess.run([*command, f"--screenshot={picture}", url], check=True, capture_output=True, timeout=120)
    shown = subprocess.run(
        [*command, "--dump-dom", url], check=True, capture_output=True, text=True, timeout=120
    ).stdout
    if "<title>FAILED" in shown or "<title>drawn" not in shown:
        raise RuntimeError(f"{name}: {shown[:600]}")
    print(picture)


def main(built: Path, directory: Path, names: list[str]) -> int:
    """Lets the demo live through its story, then draws."""
    with (
        tempfile.TemporaryDirectory(prefix="outlook-dashboards-") as temporary,
        site(Path(temporary)) as demo,
    ):
        work = Path(temporary)
        with prometheus(work, [demo.address], quick_rules(), labels={"job": "outlook_auth"}) as asked:
            until(lambda: asked.series('outlook_diagnosis{cause="healthy"}'), 40, "a verdict in health")
            began = time.time()
            for fault in STORY:
                demo.fault(fault)
                time.sleep(LASTS)
            now = time.time()
            inputs = {
                name: {"dashboard": DASHBOARDS[name], "answers": answers(asked, DASHBOARDS[name], began, now)}
                for name in names
            }
        for name, each in inputs.items():
            draw(work, built, name, each | {"from": began, "to": now}, directory / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:] or list(DASHBOARDS)))
