"""Everything of one round, indexed for the rules: every vantage's probes, experiments, connections, vantages' facts."""

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median
from typing import TypeVar

from exporter.diagnosis.experiment import Experiment, Kind
from exporter.observations import AddressResult, Connection, Probe
from exporter.vocabulary import CONVERSATION_GOES_ON, AuthOutcome, Outcome, Phase

#: Sides of the gateway a vantage may lie on.
INSIDE, OUTSIDE, PROXIED = "inside", "outside", "proxied"
#: Phases whose answer carries a Date.
_DATED = (Phase.GREETING, Phase.HTTP, Phase.TOKEN, Phase.AUTH)

Each = TypeVar("Each")


@dataclass(frozen=True, slots=True, kw_only=True)
class VantageFacts:
    """What is known of a vantage. `attachment`: how its packets leave; `side`: None where that can't be told.

    `forwards`: its own machine routes for others, so that the first hop lies beyond the gateway.
    """

    vantage: str
    attachment: str | None = None
    side: str | None = None
    forwards: bool | None = None
    proxied: bool = False
    ip_version: str = "any"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One round's observations. `private_networks`: where the administrator expects relays of his own.

    `two_sided`: `connections` are of the inside, compared with the outside. `own_stack`: what makes our own prober's
    connections known among them (`protocols.ja4.stack_of`); None where ours are not among them.
    """

    probes: tuple[Probe, ...] = ()
    experiments: tuple[Experiment, ...] = ()
    connections: tuple[Connection, ...] = ()
    vantages: Mapping[str, VantageFacts] = field(default_factory=dict)
    private_networks: tuple[str, ...] = ()
    two_sided: bool = False
    own_stack: str | None = None

    @cached_property
    def _by_way(self) -> dict[tuple[str, str], Probe]:
        return {(probe.target, probe.vantage): probe for probe in self.probes}

    @cached_property
    def _experiments(self) -> dict[tuple[str, str], list[Experiment]]:
        found: dict[tuple[str, str], list[Experiment]] = {}
        for each in self.experiments:
            found.setdefault((each.target, each.vantage), []).append(each)
        return found

    @cached_property
    def _by_vantage(self) -> dict[str, list[Probe]]:
        return _grouped(self.probes, lambda probe: probe.vantage)

    @cached_property
    def _by_target(self) -> dict[str, list[Probe]]:
        return _grouped(self.probes, lambda probe: probe.target)

    @cached_property
    def clocks(self) -> tuple[tuple[str, float], ...]:
        """Seconds this machine is ahead of each host's Date, by host."""
        dated = [(probe, ahead) for probe in self.probes if (ahead := clock_ahead(probe)) is not None]
        by_host = _grouped(dated, lambda each: each[0].host)
        return tuple(sorted((host, median(ahead for _, ahead in each)) for host, each in by_host.items()))

    def at(self, vantage: str) -> Sequence[Probe]:
        """All probes from that vantage."""
        return self._by_vantage.get(vantage, ())

    def others(self, probe: Probe) -> list[Probe]:
        """The same target from vantages whose packets take another way."""
        return [
            other for other in self._by_target.get(probe.target, ())
            if self.independent(other.vantage, probe.vantage)
        ]  # fmt: skip

    def independent(self, one: str, other: str) -> bool:
        """Whether two vantages are different points of view; those of which nothing is known are by their names."""
        if one == other:
            return False
        first, second = self.vantages.get(one), self.vantages.get(other)
        if first is None or second is None or first.attachment is None or second.attachment is None:
            return True
        return first.attachment != second.attachment

    def facts(self, vantage: str) -> VantageFacts:
        """What is known of a vantage."""
        return self.vantages.get(vantage) or VantageFacts(vantage=vantage)

    def tried(self, probe: Probe) -> "Tried":
        """The experiments that speak for this probe: its own, or those of one that failed alike."""
        if not self.experiments:
            return Tried((), probe.outcome)
        own = self._experiments.get((probe.target, probe.vantage))
        if own:
            return Tried(tuple(own), probe.outcome)
        alike = [
            other for other in self.at(probe.vantage)
            if other is not probe and symptom(other) == symptom(probe)
            and (other.target, other.vantage) in self._experiments
        ]  # fmt: skip
        if not alike:
            return Tried((), probe.outcome)
        nearest = max(alike, key=lambda other: _likeness(probe, other))
        borrowed = self._experiments[nearest.target, nearest.vantage]
        return Tried(tuple(borrowed), probe.outcome, borrowed_from=nearest.target)

    def is_expected(self, address: str) -> bool:
        """Whether an address lies where the administrator said relays are."""
        parsed = ipaddress.ip_address(address)
        networks = (ipaddress.ip_network(text) for text in self.private_networks)
        return any(parsed in network for network in networks if network.version == parsed.version)


@dataclass(frozen=True, slots=True)
class Tried:
    """Experiments, looked up by kind. `outcome`: of the walk they are about.

    `borrowed_from`: the target they were made with, where it is another one.
    """

    experiments: tuple[Experiment, ...]
    outcome: Outcome = Outcome.OK
    borrowed_from: str | None = None

    def __bool__(self) -> bool:
        return bool(self.experiments)

    def all(self, *kinds: Kind) -> list[Experiment]:
        """Those of these kinds, controls included."""
        return [each for each in self.experiments if each.experiment in kinds]

    def get(self, kind: Kind) -> Experiment | None:
        """The latest of a kind, controls aside."""
        found = [each for each in self.experiments if each.experiment is kind and not each.control]
        return found[-1] if found else None

    def went_through(self) -> bool | None:
        """Whether the same, walked again, went through each time; None where it wasn't tried."""
        again = self.all(Kind.AGAIN)
        return all(each.answered and each.outcome is not self.outcome for each in again) if again else None

    def answered(self, kind: Kind) -> bool | None:
        """Whether it was answered; None where it wasn't tried."""
        found = self.get(kind)
        return None if found is None else found.answered


def clock_ahead(probe: Probe) -> float | None:
    """Seconds we are ahead of its Date; as that may be as old as its answer was late, only what lies beyond it."""
    skew = probe.clock_skew_seconds
    if skew is None or skew <= 0:
        return skew
    late = max((result.seconds or 0.0 for result in probe.phases if result.phase in _DATED), default=0.0)
    return max(skew - late, 0.0)


def _grouped(each: Iterable[Each], key: Callable[[Each], str]) -> dict[str, list[Each]]:
    groups: dict[str, list[Each]] = {}
    for one in each:
        groups.setdefault(key(one), []).append(one)
    return groups


Symptom = tuple[Phase | str, Outcome]


def symptom(probe: Probe) -> Symptom | None:
    """What two failing walks have in common when they fail alike. None: the walk is ok."""
    if probe.failed_phase is None or probe.outcome in (Outcome.OK, Outcome.SKIPPED):
        return None
    return probe.failed_phase, probe.outcome


def _likeness(one: Probe, other: Probe) -> tuple[bool, bool, bool]:
    return (one.host == other.host, one.port == other.port, one.protocol == other.protocol)


def outcome_of(probe: Probe, phase: Phase) -> Outcome | None:
    """How a phase ended; None where there is none, or nobody came so far."""
    result = probe.phase(phase)
    return None if result is None or result.outcome is Outcome.SKIPPED else result.outcome


def passed(probe: Probe, phase: Phase) -> bool:
    """Whether the walk got through that phase and on."""
    return outcome_of(probe, phase) in CONVERSATION_GOES_ON - {Outcome.ADDRESS_SUSPICIOUS, Outcome.UNRECOGNIZED}


def is_clean(probe: Probe) -> bool:
    """Whether nothing at all is wrong with it: genuine, and every phase ok."""
    return probe.outcome is Outcome.OK and (probe.tls is None or probe.tls.signatures_genuine is not False)


def canary_answered(probe: Probe) -> bool:
    """Whether Microsoft's own refusal of our canary was seen."""
    return probe.auth.outcome is AuthOutcome.EXPECTED_REFUSAL


def failing(results: Sequence[AddressResult]) -> list[AddressResult]:
    """The addresses that didn't connect; those without a route here are nobody's fault."""
    return [each for each in results if each.outcome not in (Outcome.OK, Outcome.SKIPPED)]


def version_of(address: str) -> int:
    """4 or 6."""
    return 6 if ":" in address else 4
