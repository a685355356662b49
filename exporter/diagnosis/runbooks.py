"""docs/runbooks/*.md, rendered from `causes.yaml`: `python -m exporter.diagnosis.runbooks DIRECTORY`.

A test renders them anew and compares, so that they are never behind.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from exporter.diagnosis.causes import About, about
from exporter.diagnosis.endpoints import endpoints
from exporter.vocabulary import Cause, Responsible

_MADE = "<!-- made from exporter/diagnosis/causes.yaml by `make runbooks`; edit that -->"

#: What stands in a page where a verdict names host and port.
_BLANKS = {
    "{host} port {port}": "the host's port",
    "TCP {port} to {host}": "the host's TCP port",
    "TCP {port}": "its TCP port",
    "port {port}": "its port",
}

_WHO = {
    Responsible.GATEWAY: "the gateway",
    Responsible.NETWORK: "the network beyond it",
    Responsible.MICROSOFT: "Microsoft",
    "any": "in any other case",
}


def pages() -> Mapping[str, str]:
    """Every page by its file's name."""
    found = {f"{cause}.md": _page(cause, known) for cause, known in about().items()}
    return {"README.md": _index(), **found}


def _index() -> str:
    lines = [
        _MADE,
        "# Runbooks",
        "",
        "One page for each cause that a verdict of `outlook-auth-exporter diagnose` may name: what people see, how to",
        "confirm it by hand, what to change on the gateway, and when to open a ticket with whom.",
        "",
        "| cause | what it is |",
        "|---|---|",
        *(f"| [`{cause}`]({cause}.md) | {known.title} |" for cause, known in about().items()),
        "",
    ]
    return "\n".join(lines)


def _page(cause: Cause, known: About) -> str:
    lines = [_MADE, f"# `{cause}`: {known.title}", "", "## What people see", ""]
    lines += [f"* {each}" for each in known.users]
    lines += ["", "## What to do", ""]
    named = {who: text for who, text in known.remedy.items() if who != "any"}
    for who, text in (*named.items(), ("any", known.remedy["any"])):
        prefix = f"If it is {_WHO[who]}: " if who != "any" else "Otherwise: " if named else ""
        lines.append(f"* {prefix}{_as_written(text)}")
    if known.confirm:
        lines += ["", "## Confirm by hand", "", "`$HOST`, `$PORT` and `$ADDRESS` as the verdict has them.", "", "```sh"]
        lines += [*known.confirm, "```"]
    lines += ["", "## What would show that it is something else", "", _as_written(known.overturned)]
    lines += ["", "## What to change on the gateway", ""]
    lines.append("\n\n".join(known.change))
    lines += ["", "## When to open a ticket, and with whom", "", known.ticket, ""]
    if any("row" in piece.lower() for piece in known.change):
        lines += [f"Rows are those of Microsoft's endpoint list, edition {endpoints().edition}.", ""]
    return "\n".join(lines)


def _as_written(text: str) -> str:
    """A remedy with its blanks named instead of filled."""
    for blank, words in _BLANKS.items():
        text = text.replace(blank, words)
    blanks = {"host": "the host", "port": "its port", "rows": "see the rows below", "issuer": "its issuer"}
    return " ".join(text.format_map({**blanks, "target": "the target", "vantage": "the vantage"}).split())


def write(directory: Path) -> None:
    """Writes every page, and removes those of causes that are no more."""
    directory.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for stale in set(directory.glob("*.md")) - {directory / name for name in wanted}:
        stale.unlink()
    for name, text in wanted.items():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
