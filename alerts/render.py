"""From `source.yaml` to `rules.yml` for Prometheus, and a runbook for each alert: `make alerts`."""

import re
import sys
from pathlib import Path
from typing import Any

import yaml

from exporter.language import spaced

HERE = Path(__file__).parent
RUNBOOKS = HERE.parent / "docs" / "runbooks" / "alerts"
RUNBOOKS_FR = HERE.parent / "docs" / "runbooks" / "fr" / "alerts"
RULES = HERE / "rules.yml"

HEADER = "# Made from source.yaml by `make alerts`; change that.\n"
#: An alert that nobody must see more than once a day has this label; the example of Alertmanager's routes knows it.
_REPEAT = "repeat"


def source() -> dict[str, Any]:
    """What is rendered."""
    content: dict[str, Any] = yaml.safe_load((HERE / "source.yaml").read_text(encoding="utf-8"))
    return content


def in_french() -> dict[str, dict[str, Any]]:
    """Summary, users and first steps of each alert, by its name."""
    content: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "source.fr.yaml").read_text(encoding="utf-8"))
    return {
        name: said | {key: _spaced(said[key]) for key in ("summary", "users", "first")}
        for name, said in content.items()
    }


def _spaced(said: str | list[str]) -> str | list[str]:
    return spaced(said) if isinstance(said, str) else [spaced(each) for each in said]


def filled(expression: str, config: dict[str, Any]) -> str:
    """With thresholds and selectors; an empty selector leaves no trace."""
    selector = str(config["selector"])
    expression = expression.replace("{selector,", "{" + (f"{selector}," if selector else ""))
    expression = expression.replace("{selector}", f"{{{selector}}}" if selector else "")
    return re.sub(r"\{(\w+)\}", lambda match: str(config[match[1]]) if match[1] in config else match[0], expression)


def rules(content: dict[str, Any]) -> str:
    """The rules file."""
    config = content["config"]
    recorded = [{"record": each["record"], "expr": filled(each["expr"], config)} for each in content["rules"]]
    groups = [
        {"name": "outlook-auth-baselines", "interval": "1m", "rules": recorded},
        {"name": "outlook-auth", "rules": [_alert(each, config) for each in content["alerts"]]},
    ]
    return HEADER + yaml.safe_dump({"groups": groups}, sort_keys=False, allow_unicode=True, width=120)


def _alert(alert: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    labels = {"severity": alert["severity"], "responsible": alert.get("acts", "unknown")}
    if _REPEAT in alert:
        labels[_REPEAT] = alert[_REPEAT]
    description = f"What people notice: {alert['users']}\nFirst: " + " ".join(
        f"({number}) {step}" for number, step in enumerate(alert["first"], start=1)
    )
    by, site = _by(filled(alert["expr"], config)), config["site"]
    annotations = {"summary": f"{_where(site)}{alert['summary']}" if site in by else alert["summary"]}
    if "cause" in alert:
        annotations["cause"] = _cause(alert["cause"], _of_verdict(by, site))
        description = f"Cause: {annotations['cause']}.\n{description}"
    rule = {"alert": alert["name"], "expr": filled(alert["expr"], config)}
    chosen = _variables(by, absent="absent(" in rule["expr"])
    if "for" in alert:
        rule["for"] = config[alert["for"]]
    return {
        **rule,
        "labels": labels,
        "annotations": {
            **annotations,
            "description": description,
            "runbook_url": f"{config['runbooks']}/{alert['name']}.md",
            "dashboard_url": f"{config['dashboards']}/{alert['dashboard']}{chosen}",
        },
    }


def _by(expression: str) -> list[str]:
    """The labels that its alerts have: what it is summed up by first, or a recorded series' own."""
    if recorded := re.match(r"([a-z_]+):outlook", expression):
        return recorded[1].split("_")
    if expression.startswith("up{"):
        return ["instance"]
    found = re.search(r"by \(([\w, ]+)\)", expression)
    return [name.strip() for name in found[1].split(",")] if found else []


def _where(site: str) -> str:
    """Whose alert it is; a job that isn't there at all has no site."""
    return f"{{{{ with $labels.{site} }}}}{{{{ . }}}}: {{{{ end }}}}"


def _of_verdict(by: list[str], site: str) -> list[str]:
    """The labels by which an alert finds its verdict; an account's own verdict has the target of its authority."""
    own = (site, "account") if "account" in by else (site, "target", "vantage")
    return [name for name in by if name in own]


def _cause(matchers: str, labels: list[str]) -> str:
    """The surest verdict's cause, looked up when the alert fires: a label would begin the alert anew at each change."""
    path = "" if "account" in labels else "account='',"
    own = "".join(f",{name}='%s'" for name in labels)
    asked = f'query (printf "topk(1, outlook_diagnosis{{{path}{matchers}{own}}})"'
    asked += "".join(f" $labels.{name}" for name in labels) + ")"
    told = '{{ . | first | label "cause" }} ({{ . | first | label "responsible" }} has to act)'
    return f"{{{{ with {asked} }}}}{told}{{{{ else }}}}no verdict yet{{{{ end }}}}"


def _variables(labels: list[str], *, absent: bool) -> str:
    """Grafana's variables for the labels that the alert has. `absent`: it may have none, and then all sites show."""
    names = [name for name in labels if name in ("instance", "target", "vantage", "account")]
    pairs = [f"var-{name}={{{{ $labels.{name} }}}}" for name in names]
    chosen = "?" + "&".join(pairs) if pairs else ""
    return f"{{{{ with $labels.{names[0]} }}}}{chosen}{{{{ end }}}}" if absent else chosen


#: What stands around an alert's own words, by language.
_WORDS = {
    "en": {
        "severity": "**Severity**: {severity}. **Who acts**: {acts}.",
        "critical": "critical",
        "warning": "warning",
        "info": "information",
        "gateway": "the gateway's administrator",
        "microsoft": "Microsoft",
        "account": "the account's owner or administrator",
        "client": "whoever sets up the mail program",
        "appliance": "this machine's administrator",
        "unknown": "as the verdict says",
        "users": "**What people notice**: {users}",
        "first": "## First",
        "fires": "## When it fires",
        "for": "For {time} at least, so that a lost packet wakes nobody.",
        "cause": "The cause stands in the alert's description; each cause has a runbook of its own in [..](..).",
    },
    "fr": {
        "severity": "**Gravité** : {severity}. **Qui agit** : {acts}.",
        "critical": "critique",
        "warning": "avertissement",
        "info": "information",
        "gateway": "l'administrateur de la passerelle",
        "microsoft": "Microsoft",
        "account": "le propriétaire ou l'administrateur du compte",
        "client": "qui règle le logiciel de courrier",
        "appliance": "l'administrateur de cette machine",
        "unknown": "comme le dit le verdict",
        "users": "**Ce que les gens remarquent** : {users}",
        "first": "## D'abord",
        "fires": "## Quand elle se déclenche",
        "for": "Pendant {time} au moins, pour qu'un paquet perdu ne réveille personne.",
        "cause": "La cause figure dans la description de l'alerte ; chaque cause a sa propre fiche dans [..](..).",
    },
}


def runbook(alert: dict[str, Any], config: dict[str, Any], language: str = "en") -> str:
    """What to do when it fires, as Markdown."""
    words = {name: spaced(text) for name, text in _WORDS[language].items()} if language == "fr" else _WORDS[language]
    steps = "\n".join(f"{number}. {_plain(step)}" for number, step in enumerate(alert["first"], start=1))
    lines = [
        f"# {alert['name']}",
        _plain(alert["summary"]),
        words["severity"].format(severity=words[alert["severity"]], acts=words[alert.get("acts", "unknown")]),
        words["users"].format(users=alert["users"]),
        f"{words['first']}\n\n{steps}",
        f"{words['fires']}\n\n```promql\n{filled(alert['expr'], config)}\n```",
    ]
    if "for" in alert:
        lines.append(words["for"].format(time=config[alert["for"]]))
    if "cause" in alert:
        lines.append(words["cause"])
    return "<!-- Made from alerts/source.yaml by `make alerts`. -->\n\n" + "\n\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Template labels as placeholders."""
    text = re.sub(r"\{\{ \$value[^}]*\}\}", "N", text)
    mark = "" if "`" in text else "`"
    return re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda match: f"{mark}{match[1].upper()}{mark}", text)


def rendered() -> dict[Path, str]:
    """Every file, by its path."""
    content = source()
    files = {RULES: rules(content)}
    french = in_french()
    for alert in content["alerts"]:
        name = alert["name"]
        files[RUNBOOKS / f"{name}.md"] = runbook(alert, content["config"])
        files[RUNBOOKS_FR / f"{name}.md"] = runbook(alert | french[name], content["config"], "fr")
    return files


def main() -> int:
    """Writes them; removes runbooks of alerts that are no more."""
    files = rendered()
    for folder in (RUNBOOKS, RUNBOOKS_FR):
        folder.mkdir(parents=True, exist_ok=True)
        for old in set(folder.glob("*.md")) - set(files):
            old.unlink()
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
