"""What each cause means and what to do about it: `causes.yaml`, the one source of remedies, sentences and runbooks."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from exporter.diagnosis.endpoints import rows_in_words
from exporter.diagnosis.signatures import issuer_of
from exporter.observations import Probe, Verdict
from exporter.vocabulary import Cause, Responsible

#: Where the rendered runbooks are, from the repository's root.
RUNBOOKS = "docs/runbooks"


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a cause. `remedy`: by responsible, and `any`; `change`: paragraphs of Markdown."""

    title: str
    sentence: str
    remedy: Mapping[str, str]
    users: tuple[str, ...]
    confirm: tuple[str, ...]
    change: tuple[str, ...]
    ticket: str


@cache
def about() -> Mapping[Cause, About]:
    """Every cause."""
    content = yaml.safe_load(resources.files("exporter.diagnosis").joinpath("causes.yaml").read_text("utf-8"))
    changes = content["changes"]
    return {Cause(name): _about(entry, changes) for name, entry in content["causes"].items()}


def _about(entry: Mapping[str, Any], changes: Mapping[str, str]) -> About:
    return About(
        title=entry["title"],
        sentence=entry["sentence"],
        remedy=entry["remedy"],
        users=tuple(_flat(entry["users"])),
        confirm=tuple(entry["confirm"]),
        change=tuple(changes.get(piece, piece).strip() for piece in entry["change"]),
        ticket=entry["ticket"],
    )


def _flat(listed: Iterable[Any]) -> Iterator[str]:
    """A list whose entries may be shared lists."""
    for each in listed:
        yield from _flat(each) if isinstance(each, list) else (each,)


def remedy_of(cause: Cause, responsible: Responsible, probe: Probe | None) -> str:
    """What to do, in one or two sentences."""
    known = about()[cause].remedy
    return _filled(known.get(responsible) or known["any"], probe)


def sentence_of(verdict: Verdict, probe: Probe | None) -> str:
    """The verdict in one sentence, without who acts."""
    return _filled(about()[verdict.cause].sentence, probe, target=verdict.target, vantage=verdict.vantage)


def runbook_of(cause: Cause) -> str:
    """Where the cause's runbook is."""
    return f"{RUNBOOKS}/{cause}.md"


def _filled(text: str, probe: Probe | None, **more: str) -> str:
    values = {"host": "the server", "port": "", "rows": "see the rows in its runbook", "issuer": "not known", **more}
    if probe is not None:
        values |= {
            "host": probe.host,
            "port": str(probe.port),
            "target": probe.target,
            "vantage": probe.vantage,
            "issuer": issuer_of(probe) or "not known",
            "rows": rows_in_words(probe.host, probe.port),
        }
    return " ".join(text.format_map(values).split())
