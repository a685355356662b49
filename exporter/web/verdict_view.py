"""What the status page says of verdicts: a block for each fault and party, with evidence, remedy, text for a ticket."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from exporter.diagnosis.causes import about, remedy_said, where_of, where_of_target
from exporter.diagnosis.tap import WIRE
from exporter.diagnosis.words import ACTS, ONES_OWN, sentence_for, strongest
from exporter.language import _
from exporter.language.evidence import Said, said
from exporter.observations import Probe, Verdict
from exporter.vocabulary import Cause, Responsible
from exporter.web import words
from exporter.web.mood import Mood

#: Blocks on the page, at most; the rest is a number.
MOST = 12

#: Stations of the way, and who is at which. One account's or client's own trouble breaks no way.
STATIONS = ("client", "gateway", "network", "Microsoft")
_AT = {
    Responsible.GATEWAY: "gateway",
    Responsible.NETWORK: "network",
    Responsible.MICROSOFT: "Microsoft",
}


@dataclass(frozen=True, slots=True)
class VerdictBlock:
    """One fault at one vantage, and the targets that have it. `runbook`: a path on this server."""

    id: str
    mood: Mood
    sentence: str
    acts: str
    certainty: str
    vantage: str
    targets: tuple[str, ...]
    evidence: tuple[Said, ...]
    remedy: str
    next_step: Said
    runbook: str
    ticket: str


@dataclass(frozen=True, slots=True)
class Station:
    """A place on the way. `broken`: a fault begins there; `beyond`: a fault nearer to the client hides it."""

    name: str
    broken: bool
    beyond: bool


def verdict_blocks(verdicts: Iterable[object], probes: Iterable[Probe]) -> tuple[VerdictBlock, ...]:
    """The faults among the verdicts, those that hit most targets first."""
    by_way = {(probe.target, probe.vantage): probe for probe in probes}
    groups: dict[tuple[Cause, Responsible, str, str], list[Verdict]] = {}
    for verdict in verdicts:
        if isinstance(verdict, Verdict) and verdict.cause is not Cause.HEALTHY:
            key = (verdict.cause, verdict.responsible, verdict.vantage, verdict.account or "")
            groups.setdefault(key, []).append(verdict)
    ordered = sorted(groups.values(), key=lambda group: (group[0].cause is Cause.UNKNOWN, -len(group)))
    return tuple(_block(group, by_way.get((group[0].target, group[0].vantage))) for group in ordered[:MOST])


def way(verdicts: Iterable[object]) -> tuple[Station, ...]:
    """The way from a client to Microsoft, broken where a verdict says so; empty where none can be drawn."""
    faults = [each for each in verdicts if isinstance(each, Verdict) and each.cause is not Cause.HEALTHY]
    broken = {_AT[each.responsible] for each in faults if each.responsible in _AT}
    if not broken:
        return ()
    first = next(index for index, name in enumerate(STATIONS) if name in broken)
    return tuple(Station(_(name), name in broken, index > first) for index, name in enumerate(STATIONS))


def of_the_way(verdicts: Iterable[object]) -> bool:
    """Whether one of them is about the way itself, which then isn't well, though every probe may pass just now."""
    faults = (each for each in verdicts if isinstance(each, Verdict) and each.cause is not Cause.HEALTHY)
    return any(each.responsible not in ONES_OWN for each in faults)


def _block(group: Sequence[Verdict], probe: Probe | None) -> VerdictBlock:
    first = max(group, key=lambda verdict: verdict.confidence)
    unknown = first.cause is Cause.UNKNOWN
    where = where_of(probe) if probe is not None else where_of_target(first.target)
    targets = tuple(dict.fromkeys(verdict.target for verdict in group))
    block = VerdictBlock(
        id=f"verdict-{first.cause}-{first.responsible}-{first.vantage}".replace(":", "-"),
        mood=Mood.NEUTRAL if unknown or first.responsible in ONES_OWN else Mood.BAD,
        sentence=sentence_for(first, probe) if len(targets) == 1 else f"{about()[first.cause].title}.",
        acts=ACTS[first.responsible],
        certainty=_("not sure") if unknown else _("{share} sure", share=words.percent(first.confidence)),
        vantage=seen_from(first.vantage),
        targets=targets,
        evidence=tuple(said(each.observation) for each in strongest(first)),
        remedy=remedy_said(first, where),
        next_step=said(first.next_experiment or ""),
        runbook=f"/runbook/{first.cause}",
        ticket="",
    )
    return replace(block, ticket=_ticket(block, first, probe))


def seen_from(vantage: str) -> str:
    """A vantage as the page names it; `wire:eth1` is the clients' own packets there."""
    kind, _colon, interface = vantage.partition(":")
    if kind != WIRE:
        return vantage
    return _("clients' packets at {interface}", interface=interface) if interface else _("clients' packets")


def _ticket(block: VerdictBlock, verdict: Verdict, probe: Probe | None) -> str:
    lines = [
        f"{verdict.cause} ({block.certainty}){_(': ')}{block.sentence}",
        _("Who acts: {who}.", who=block.acts),
        _("Targets: {targets}; seen from {vantage}.", targets=", ".join(block.targets), vantage=block.vantage),
        *([_("Last measured: {time} UTC.", time=f"{probe.time:%Y-%m-%d %H:%M:%S}")] if probe is not None else ()),
        _("Evidence:"),
        *(f"- {line.text}" for line in block.evidence),
        _("What to do: {remedy}", remedy=block.remedy),
    ]
    if block.next_step.text:
        lines.append(_("What would decide: {step}", step=block.next_step.text))
    return "\n".join(lines)
