"""docs/runbooks/*.md, rendered from `causes.yaml`: `python -m exporter.diagnosis.runbooks DIRECTORY`.

A test renders them anew and compares, so that they are never behind.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from exporter.diagnosis.causes import about, names_rows, on_one_line
from exporter.diagnosis.endpoints import endpoints
from exporter.language import Language, Words, _, current, speaking
from exporter.vocabulary import Cause, Responsible

_MADE = "<!-- made from exporter/diagnosis/causes.yaml by `make runbooks`; edit that -->"

#: What stands in a page where a verdict names host and port.
_BLANKS = {
    Language.ENGLISH: {
        "{host} port {port}": "the host's port",
        "TCP {port} to {host}": "the host's TCP port",
        "TCP {port}": "its TCP port",
        "port {port}": "its port",
    },
    Language.FRENCH: {"TCP {port}": "le port TCP concerné", "port {port}": "port concerné"},
}

_WHO = Words(
    {
        Responsible.GATEWAY: "the gateway",
        Responsible.NETWORK: "the network beyond it",
        Responsible.MICROSOFT: "Microsoft",
        "any": "in any other case",
    }
)


WHAT_THEY_ARE = """\
One page for each cause that a verdict of `outlook-auth-exporter diagnose` may name: what people see, how to
confirm it by hand, what to change on the gateway, and when to open a ticket with whom."""


def pages() -> Mapping[str, str]:
    """Every page by its file's name."""
    return {"README.md": _index(), **{f"{cause}.md": page(cause) for cause in about()}}


def _index() -> str:
    lines = [
        _MADE,
        f"# {_('Runbooks')}",
        "",
        _(WHAT_THEY_ARE),
        "",
        f"| {_('cause')} | {_('what it is')} |",
        "|---|---|",
        *(f"| [`{cause}`]({cause}.md) | {known.title} |" for cause, known in about().items()),
        "",
    ]
    return "\n".join(lines)


def page(cause: Cause) -> str:
    """One cause's page, Markdown."""
    known = about()[cause]
    lines = [_MADE, f"# `{cause}`{_(': ')}{known.title}", "", f"## {_('What people see')}", ""]
    lines += [f"* {each}" for each in known.users]
    lines += ["", f"## {_('What to do')}", ""]
    named = {who: text for who, text in known.remedy.items() if who != "any"}
    for who, text in (*named.items(), ("any", known.remedy["any"])):
        otherwise = _("Otherwise: ") if named else ""
        prefix = _("If it is {who}: ", who=_WHO[who]) if who != "any" else otherwise
        lines.append(f"* {prefix}{_as_written(text)}")
    if known.confirm:
        names = _("`$HOST`, `$PORT` and `$ADDRESS` as the verdict has them.")
        lines += ["", f"## {_('Confirm by hand')}", "", names, "", "```sh"]
        lines += [*known.confirm, "```"]
    lines += ["", f"## {_('What would show that it is something else')}", "", _as_written(known.overturned)]
    lines += ["", f"## {_('What to change on the gateway')}", ""]
    lines.append("\n\n".join(known.change))
    lines += ["", f"## {_('When to open a ticket, and with whom')}", "", known.ticket, ""]
    if names_rows(cause):
        edition = endpoints().edition
        lines += [_("Rows are those of Microsoft's endpoint list, edition {edition}.", edition=edition), ""]
    return "\n".join(lines)


def _as_written(text: str) -> str:
    """A remedy with its blanks named instead of filled."""
    for blank, words in _BLANKS[current()].items():
        text = text.replace(blank, words)
    blanks = {
        "host": _("the host"), "port": _("its port"), "rows": _("see the rows below"), "issuer": _("its issuer"),
        "target": _("the target"), "vantage": _("the vantage"),
    }  # fmt: skip
    return on_one_line(text.format_map(blanks))


def write(directory: Path) -> None:
    """Writes every page, and removes those of causes that are no more."""
    for language in Language:
        with speaking(language):
            _write(directory if language is Language.ENGLISH else directory / language)


def _write(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for stale in set(directory.glob("*.md")) - {directory / name for name in wanted}:
        stale.unlink()
    for name, text in wanted.items():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
