"""What each cause means and what to do about it: `causes.yaml`, the one source of remedies, sentences and runbooks."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from exporter.catalogue import TARGETS
from exporter.diagnosis.endpoints import rows_in_words
from exporter.diagnosis.signatures import issuer_of
from exporter.language import Language, _, causes, current, texts
from exporter.observations import Probe, Verdict
from exporter.vocabulary import Cause, Responsible

_REMARK = re.compile(r"\s# (.+)$")
_ADVICE = re.compile(r"the same |swaks or ")

#: Where the rendered runbooks are, from the repository's root.
RUNBOOKS = "docs/runbooks"


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a cause. `remedy`: by responsible, and `any`; `change`: paragraphs of Markdown; `overturned`:
    what would show that it is something else."""

    title: str
    sentence: str
    remedy: Mapping[str, str]
    users: tuple[str, ...]
    confirm: tuple[str, ...]
    change: tuple[str, ...]
    ticket: str
    overturned: str


def about() -> Mapping[Cause, About]:
    """Every cause, in the language that is spoken."""
    return _about_in(current())


@cache
def _about_in(language: Language) -> Mapping[Cause, About]:
    content = source()
    said = causes(language) or content  # commands stay the source's, but for what is remarked on them
    remarks = texts(language)
    return {
        Cause(name): _about(
            entry | said["causes"][name] | {"confirm": [_remarked(each, remarks) for each in entry["confirm"]]},
            said["changes"],
            said["overturned"][name],
        )
        for name, entry in content["causes"].items()
    }


def remark_of(command: str) -> str:
    """What stands behind a command's `#`, or a line that is no command but says what to do; empty where neither is."""
    if (remarked := _REMARK.search(command)) is not None:
        return remarked[1]
    return command if _ADVICE.match(command) else ""


def _remarked(command: str, remarks: Mapping[str, str]) -> str:
    remark = remark_of(command)
    return command.removesuffix(remark) + remarks.get(remark, remark) if remark else command


@cache
def source() -> Mapping[str, Any]:
    """`causes.yaml` as it is written."""
    content: dict[str, Any] = yaml.safe_load(
        resources.files("exporter.diagnosis").joinpath("causes.yaml").read_text("utf-8")
    )
    return content


def _about(entry: Mapping[str, Any], changes: Mapping[str, str], overturned: str) -> About:
    return About(
        title=entry["title"],
        sentence=entry["sentence"],
        remedy=entry["remedy"],
        users=tuple(_flat(entry["users"])),
        confirm=tuple(entry["confirm"]),
        change=tuple(changes.get(piece, piece).strip() for piece in entry["change"]),
        ticket=entry["ticket"],
        overturned=overturned,
    )


def _flat(listed: Iterable[Any]) -> Iterator[str]:
    """A list whose entries may be shared lists."""
    for each in listed:
        yield from _flat(each) if isinstance(each, list) else (each,)


@dataclass(frozen=True, slots=True)
class Where:
    """What a text is about."""

    host: str
    port: int
    issuer: str = ""


def where_of(probe: Probe) -> Where:
    """Where a walk went."""
    return Where(probe.host, probe.port, issuer_of(probe))


def where_of_target(name: str) -> Where | None:
    """Where a target of the catalogue lies, for what was seen without a walk of our own; None for others."""
    known = TARGETS.get(name)
    return Where(known.host, known.port) if known is not None else None


def remedy_of(cause: Cause, responsible: Responsible, where: Where | None) -> str:
    """What to do, in one or two sentences."""
    known = about()[cause].remedy
    return _filled(known.get(responsible) or known["any"], where)


def remedy_said(verdict: Verdict, where: Where | None) -> str:
    """A verdict's own remedy, which may be of another edition than ours; in other languages only ours says it."""
    if current() is Language.ENGLISH:
        return verdict.remedy
    return remedy_of(verdict.cause, verdict.responsible, where)


def overturned_of(cause: Cause, where: Where | None) -> str:
    """What would show that it is something else."""
    return _filled(about()[cause].overturned, where)


def sentence_of(verdict: Verdict, where: Where | None) -> str:
    """The verdict in one sentence, without who acts."""
    return _filled(about()[verdict.cause].sentence, where, target=verdict.target, vantage=verdict.vantage)


def runbook_of(cause: Cause) -> str:
    """Where the cause's runbook is."""
    return f"{RUNBOOKS}/{cause}.md"


def names_rows(cause: Cause) -> bool:
    """Whether what to change speaks of rows of Microsoft's list; as the source says, for languages have other words."""
    return any(re.search(r"\brows?\b", piece, re.IGNORECASE) for piece in _about_in(Language.ENGLISH)[cause].change)


def _filled(text: str, where: Where | None, **more: str) -> str:
    rows = _("see the rows in its runbook")
    values = {"host": _("the server"), "port": "", "rows": rows, "issuer": _("not known"), **more}
    if where is not None:
        rows = rows_in_words(where.host, where.port)
        values |= {"host": where.host, "port": str(where.port), "issuer": where.issuer or _("not known"), "rows": rows}
    return on_one_line(text.format_map(values))


def on_one_line(text: str) -> str:
    """With one blank for each run of them; French's own, at which no line breaks, stay."""
    return re.sub(r"[ \t\n]+", " ", text).strip()
