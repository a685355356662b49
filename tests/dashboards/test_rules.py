"""The rules of Grafana's dashboard-linter, and ours; and that what is committed is what the code makes.

The linter is a Go program that isn't packaged; its rules by name are kept here.
"""

import itertools
import json
import re
import subprocess
from typing import Any

import pytest
import yaml

from alerts.render import RULES, source
from dashboards.panels import DATASOURCE
from dashboards.queries import series
from dashboards.render import HERE, JSON, rendered
from dashboards.render import RULES as RULES_AS_JSON
from dashboards.words import BAD, CAUSES, COLOURS, DONE, ENDS, GOOD, RESULTS, STEPS, WARNING, WAYS, WHO
from exporter.metrics.catalogue import METRICS, Kind
from exporter.vocabulary import (
    AuthOutcome,
    Cause,
    ClientState,
    ConnectionOutcome,
    Mechanism,
    Outcome,
    Phase,
    Responsible,
    Tampering,
)
from scripts.render_dashboards import ALL as PICTURED
from tests.conftest import require_program
from tests.dashboards.asked import DASHBOARDS, panels, queries

every = pytest.mark.parametrize("content", DASHBOARDS.values(), ids=DASHBOARDS)
BUILT_IN = {"datasource", "__rate_interval", "__range", "__interval", "__data"}


def test_what_is_committed_is_what_the_code_makes():
    files = rendered()
    assert {*JSON.glob("*.json"), RULES_AS_JSON} == set(files)
    assert [path.name for path, text in files.items() if path.read_text(encoding="utf-8") != text] == []


def test_alerts_lead_to_dashboards_that_exist_and_know_their_variables():
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for url in [rule["annotations"]["dashboard_url"] for rule in group["rules"] if "alert" in rule]:
            uid = re.search(r"/d/([\w-]+)", url)
            assert uid, url
            known = {variable["name"] for variable in DASHBOARDS[uid[1]]["templating"]["list"]}
            assert set(re.findall(r"var-(\w+)=", url)) <= known, url


@every
def test_it_has_a_title_a_uid_and_isnt_edited_in_place(content: dict[str, Any]):
    assert content["title"]
    assert content["uid"].startswith("outlook-")
    assert content["description"].endswith(".")
    assert content["editable"] is False


@every
def test_template_datasource_rule(content: dict[str, Any]):
    """One variable chooses the data source, and everything uses it."""
    sources = [each for each in content["templating"]["list"] if each["type"] == "datasource"]
    assert [(each["name"], each["label"], each["query"]) for each in sources] == [
        ("datasource", "Data source", "prometheus")
    ]
    wanted = {"type": DATASOURCE.type_val, "uid": "${datasource}"}
    for panel in panels(content):
        assert panel["datasource"] == wanted, panel["title"]
        assert [target["datasource"] for target in panel["targets"]] == [wanted] * len(panel["targets"])
    asking = [each for each in content["templating"]["list"] if each["type"] == "query"]
    assert [each["datasource"] for each in [*asking, *content["annotations"]["list"]]] == [wanted] * (len(asking) + 1)


@every
def test_template_on_time_change_reload_rule(content: dict[str, Any]):
    for variable in content["templating"]["list"]:
        if variable["type"] == "query":
            assert variable["refresh"] == 2
            assert variable["label"]
            assert variable["allValue"] == ".+"
            assert variable["multi"]


@every
@pytest.mark.parametrize("name", ["job", "instance"])
def test_template_job_and_instance_rules(content: dict[str, Any], name: str):
    """Each may be chosen, and each selector of each panel chooses by it; a recorded series has both labels."""
    (variable,) = [each for each in content["templating"]["list"] if each["name"] == name]
    assert (variable["type"], variable["label"]) == ("query", name.title())
    for panel in panels(content):
        for target in panel["targets"]:
            selectors = re.findall(
                r"\b(?:[a-z_]+:)?(?:outlook|process)_[a-z_]+(?::[a-z0-9_]+)?(\{[^}]*\})?", target["expr"]
            )
            assert selectors, target["expr"]
            for selector in selectors:
                assert f'{name}=~"${name}"' in selector, f"{panel['title']}: {target['expr']}"


@every
def test_panel_rules(content: dict[str, Any]):
    """Title, description, unit, something asked; no title twice; nothing overlaps."""
    seen = list(panels(content))
    titles = [panel["title"] for panel in seen]
    assert len(titles) == len(set(titles))
    assert [panel["id"] for panel in content["panels"]] == list(range(1, len(content["panels"]) + 1))
    for panel in seen:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@every
def test_panels_dont_lie_on_each_other(content: dict[str, Any]):
    def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        wide, high = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        return set(itertools.product(wide, high))

    for one, other in itertools.combinations(content["panels"], 2):
        assert not cells(one) & cells(other), (one["title"], other["title"])


@every
def test_target_rate_interval_and_counter_rules(content: dict[str, Any]):
    """rate() over what Grafana says; counters only as growth."""
    for where, query in queries(content):
        assert re.findall(r"i?rate\([^\[]*\[(?!\$__rate_interval\])", query) == [], where
        for name in re.findall(r"\b(outlook_\w+_total)\b", query):
            assert re.search(rf"(rate|increase)\({name}\b", query), where


@every
def test_only_what_the_catalogue_has_is_asked_for(content: dict[str, Any]):
    suffixes = re.compile(r"_(bucket|sum|count)$")
    for where, query in queries(content):
        for name, matchers in re.findall(r"(?<!:)\b(outlook_[a-z_]+)\{([^}]*)\}", query):
            metric = METRICS[suffixes.sub("", name)]
            known = {*metric.labels, "job", "instance"}
            assert set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", matchers)) <= known, where
            assert (metric.kind is Kind.HISTOGRAM) == bool(suffixes.search(name)), where


@every
def test_only_variables_that_it_has_are_used(content: dict[str, Any]):
    known = {variable["name"] for variable in content["templating"]["list"]} | BUILT_IN
    for where, query in queries(content):
        assert set(re.findall(r"\$\{?(\w+)", query)) <= known, where
    used = " ".join(query for _, query in queries(content))
    unused = [name for name in known - BUILT_IN if f"${name}" not in used]
    assert unused == []


@every
def test_what_draws_pictures_fills_in_every_variable(content: dict[str, Any]):
    asked = {variable["name"] for variable in content["templating"]["list"] if variable["type"] == "query"}
    assert asked <= set(PICTURED)


@every
def test_links_lead_to_dashboards_of_ours(content: dict[str, Any]):
    for uid in re.findall(r"/d/([\w-]+)", str(content)):
        assert uid in DASHBOARDS
    assert [link["tags"] for link in content["links"]] == [["outlook-auth"]]
    assert "outlook-auth" in content["tags"]


def test_every_word_of_the_vocabulary_reads_as_text():
    for mapping, vocabulary in (
        (CAUSES, Cause), (WHO, Responsible), (STEPS, Phase), (ENDS, Outcome), (WAYS, Mechanism), (RESULTS, AuthOutcome),
        (DONE, Tampering),
    ):  # fmt: skip
        options = mapping.options
        assert set(options) == set(vocabulary)
        assert all(" " in (each.text or "") or (each.text or "").isascii() for each in options.values())


@every
def test_no_table_shows_a_word_of_the_vocabulary_as_it_is(content: dict[str, Any]):
    """Columns of closed vocabularies are mapped to text; names, versions and addresses stand for themselves."""
    closed = {"cause", "responsible", "phase", "outcome", "mechanism", "kind", "state", "journey"}
    for panel in panels(content):
        for change in panel.get("transformations", ()):
            renamed = change["options"].get("renameByName", {})
            for field in closed & set(renamed):
                (override,) = [
                    each for each in panel["fieldConfig"]["overrides"] if each["matcher"]["options"] == renamed[field]
                ]
                assert "mappings" in [each["id"] for each in override["properties"]], (panel["title"], field)


@every
def test_no_legend_is_a_word_of_the_vocabulary_alone(content: dict[str, Any]):
    """A series that is called by such a word is called in words, whichever of them it is."""
    closed = {"phase": Phase, "mechanism": Mechanism, "state": ClientState, "outcome": ConnectionOutcome}
    for panel in panels(content):
        for target in panel["targets"]:
            alone = re.fullmatch(r"\{\{(\w+)\}\}", target.get("legendFormat", ""))
            if panel["type"] != "timeseries" or alone is None or alone[1] not in closed:
                continue
            called = {
                override["matcher"]["options"]
                for override in panel["fieldConfig"]["overrides"]
                if "displayName" in [each["id"] for each in override["properties"]]
            }
            assert called == set(closed[alone[1]]), panel["title"]


def test_colours_differ_for_the_colour_blind_too():
    """Good, bad and warning differ in lightness, so that hue isn't needed."""

    def lightness(colour: str) -> float:
        red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    shades = sorted(lightness(colour) for colour in (GOOD, BAD, WARNING))
    assert all(after - before > 0.05 for before, after in itertools.pairwise(shades))
    assert len(set(COLOURS)) == len(COLOURS)


def test_a_name_that_the_catalogue_doesnt_have_cant_be_asked_for():
    with pytest.raises(KeyError):
        series("probe_sucess")


def test_the_mixin_has_them_all():
    """As jsonnet sees it: every dashboard, alerts apart from recording rules."""
    program = require_program("jsonnet")
    shown = (
        "local mixin = import 'mixin.libsonnet'; { [name]: mixin.grafanaDashboards[name].uid for name in "
        "std.objectFields(mixin.grafanaDashboards) } + { rules: [[rule for group in groups for rule in group.rules] "
        "for groups in [mixin.prometheusAlerts.groups, mixin.prometheusRules.groups]] }"
    )
    done = subprocess.run([program, "-e", shown], cwd=HERE, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    alerting, recording = found.pop("rules")
    assert found == {f"{uid}.json": uid for uid in DASHBOARDS}
    assert {rule["alert"] for rule in alerting} == {alert["name"] for alert in source()["alerts"]}
    assert {rule["record"] for rule in recording} == {rule["record"] for rule in source()["rules"]}


def test_what_draws_the_readmes_pictures_is_pinned():
    """Grafana's packages of the version that the SDK is for, each with a hash."""
    folder = HERE / "pictures"
    wanted = json.loads((folder / "package.json").read_text())["dependencies"]
    locked = json.loads((folder / "package-lock.json").read_text())["packages"]
    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert [
        name for name, each in locked.items() if name and "integrity" not in each and not each.get("inBundle")
    ] == []
    assert wanted["@grafana/ui"].startswith("11.6.")
