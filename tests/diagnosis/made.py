"""Rounds by hand: probes, experiments and vantages as they would be seen, and the verdict that follows."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from exporter.catalogue import TARGETS
from exporter.diagnosis.experiment import Experiment, Kind
from exporter.diagnosis.judge import judge
from exporter.diagnosis.seen import INSIDE, Seen, VantageFacts
from exporter.observations import AddressResult, PhaseResult, Probe, Verdict
from exporter.vocabulary import Cause, Outcome, Phase
from tests.metrics.made import FORGED, GENUINE, NOON, failed, healthy

__all__ = ["FORGED", "GENUINE", "NOON", "failed", "healthy"]

CLIENTS = VantageFacts(vantage="clients", attachment="namespace clients", side=INSIDE, forwards=False)
WAN = VantageFacts(vantage="wan", attachment="interface eth0", forwards=True)


def walk(name: str = "imap", vantage: str = "clients", **changes: Any) -> Probe:
    """A healthy walk, some fields changed."""
    return replace(healthy(name, vantage), **changes)


def broken(name: str, phase: Phase, outcome: Outcome, detail: str | None = None, vantage: str = "clients") -> Probe:
    """A walk that failed in that phase."""
    return failed(healthy(name, vantage), phase, outcome, detail)


def marked(probe: Probe, phase: Phase, outcome: Outcome, detail: str | None = None, **changes: Any) -> Probe:
    """A walk that went on after that phase wasn't ok."""
    phases = tuple(replace(r, outcome=outcome, detail=detail) if r.phase is phase else r for r in probe.phases)
    first = next(result for result in phases if result.outcome is not Outcome.OK)
    return replace(probe, phases=phases, outcome=first.outcome, failed_phase=first.phase, **changes)


def took(probe: Probe, **seconds: float) -> Probe:
    """The same, but its phases took so long."""
    phases = tuple(replace(r, seconds=seconds.get(r.phase, r.seconds)) for r in probe.phases)
    return replace(probe, phases=phases)


def addresses(probe: Probe, **outcomes: Outcome) -> Probe:
    """The same, with TCP to these addresses ended so; dots and colons written as underscores are fine: use a dict."""
    results = tuple(AddressResult(address=address, outcome=outcome) for address, outcome in outcomes.items())
    return replace(probe, addresses=results)


def tried(probe: Probe, kind: Kind, outcome: Outcome, phase: Phase | None = None, **more: Any) -> Experiment:
    """An experiment about that walk."""
    values: dict[str, Any] = {
        "experiment": kind, "time": NOON, "target": probe.target, "vantage": probe.vantage, "host": probe.host,
        "port": probe.port, "address": probe.address, "phase": phase or probe.failed_phase, "outcome": outcome,
    }  # fmt: skip
    return Experiment(**{**values, **more})


def seen(
    *probes: Probe, experiments: Iterable[Experiment] = (), facts: Iterable[VantageFacts] = (), **more: Any
) -> Seen:
    """A round."""
    return Seen(probes=probes, experiments=tuple(experiments), vantages={each.vantage: each for each in facts}, **more)


def verdicts(round_: Seen, target: str = "imap", vantage: str = "clients") -> list[Verdict]:
    """What is said of one target from one vantage, the path's alone."""
    return [
        each.verdict for each in judge(round_)
        if (each.verdict.target, each.verdict.vantage, each.verdict.account) == (target, vantage, None)
    ]  # fmt: skip


def verdict(round_: Seen, target: str = "imap", vantage: str = "clients") -> Verdict:
    """The one verdict about them."""
    (only,) = verdicts(round_, target, vantage)
    return only


def causes(round_: Seen, target: str = "imap", vantage: str = "clients") -> list[Cause]:
    """The causes named, nearest to the wire first."""
    return [each.cause for each in verdicts(round_, target, vantage)]


def others(vantage: str = "clients", *but: str) -> list[Probe]:
    """The rest of the catalogue, healthy."""
    return [healthy(name, vantage) for name in TARGETS if name not in but]


def phase(name: Phase, outcome: Outcome, **more: Any) -> PhaseResult:
    return PhaseResult(phase=name, outcome=outcome, **more)
