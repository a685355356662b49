"""Verdicts for people: on a terminal, and one sentence for the status page."""

from collections.abc import Iterable, Sequence

import click

from exporter.diagnosis.causes import about, sentence_of, where_of, where_of_target
from exporter.language import Words, _
from exporter.observations import Evidence, Probe, Verdict
from exporter.vocabulary import Cause, Responsible

#: Lines of evidence shown for a verdict, the strongest first.
SHOWN = 6

ACTS = Words(
    {
        Responsible.GATEWAY: "the gateway's administrator has to act",
        Responsible.NETWORK: "whoever runs the network beyond the gateway has to act",
        Responsible.MICROSOFT: "Microsoft has to act",
        Responsible.ACCOUNT: "the account's owner or administrator has to act",
        Responsible.CLIENT: "the client has to be set up anew",
        Responsible.APPLIANCE: "this machine, or its configuration, has to be mended",
        Responsible.UNKNOWN: "it can't be told yet who has to act",
    }
)


def headline(verdict: Verdict) -> str:
    """`imap from clients: sni_reset`."""
    account = f" ({verdict.account})" if verdict.account else ""
    return f"{verdict.target}{account} from {verdict.vantage}: {verdict.cause}"


def shown(verdict: Verdict, probe: Probe | None) -> str:
    """A verdict for a terminal, several lines."""
    if verdict.cause is Cause.HEALTHY:
        return click.style(f"✓ {headline(verdict)}", fg="green")
    certainty = f"{verdict.confidence:.0%} sure" if verdict.cause is not Cause.UNKNOWN else "not sure"
    lines = [
        click.style(f"✗ {headline(verdict)}", fg="red", bold=True) + f"  {certainty}",
        f"  {sentence_for(verdict, probe)} {_capital(ACTS[verdict.responsible])}.",
        *(f"  · {each.observation}" for each in strongest(verdict)),
    ]
    lines.append(f"  → {verdict.remedy}")
    if verdict.next_experiment:
        lines.append(f"  ? {_capital(verdict.next_experiment)}")
    lines.append(click.style(f"  {verdict.runbook}", dim=True))
    return "\n".join(lines)


def strongest(verdict: Verdict, most: int = SHOWN) -> list[Evidence]:
    """The evidence that weighs most, in the order it was found."""
    kept = sorted(verdict.evidence, key=lambda each: each.weight, reverse=True)[:most]
    return [each for each in verdict.evidence if each in kept]


def summary(verdicts: Sequence[Verdict], probes: Iterable[Probe]) -> str:
    """The whole in one sentence: the fault that hits most, and who acts; empty where nothing is wrong."""
    faults = [verdict for verdict in verdicts if verdict.cause is not Cause.HEALTHY]
    if not faults:
        return ""
    groups: dict[tuple[Cause, Responsible], list[Verdict]] = {}
    for verdict in faults:
        groups.setdefault((verdict.cause, verdict.responsible), []).append(verdict)
    (cause, responsible), most = max(groups.items(), key=_weight)
    by_way = {(probe.target, probe.vantage): probe for probe in probes}
    first = most[0]
    if len({verdict.target for verdict in most}) == 1:
        probe = by_way.get((first.target, first.vantage))
        said = sentence_for(first, probe)
    else:
        named = list(dict.fromkeys(verdict.target for verdict in most))
        more = _(" and {count} more", count=len(named) - 3) if len(named) > 3 else ""
        said = f"{about()[cause].title}{_(': ')}{', '.join(named[:3])}{more}."
    others = len(groups) - 1
    rest = ""
    if others:
        rest = " " + (
            _("(1 other trouble below.)") if others == 1 else _("({count} other troubles below.)", count=others)
        )
    return f"{said} {_capital(ACTS[responsible])}.{rest}"


#: One account's or client's trouble is told behind what concerns everybody.
ONES_OWN = frozenset({Responsible.ACCOUNT, Responsible.CLIENT})


def _weight(group: tuple[tuple[Cause, Responsible], Sequence[Verdict]]) -> tuple[bool, bool, int]:
    (cause, responsible), verdicts = group
    return cause is not Cause.UNKNOWN, responsible not in ONES_OWN, len(verdicts)


def sentence_for(verdict: Verdict, probe: Probe | None) -> str:
    """The verdict in one sentence, without who acts."""
    return sentence_of(verdict, where_of(probe) if probe is not None else where_of_target(verdict.target))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
