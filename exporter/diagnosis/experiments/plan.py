"""Which walks are worth experiments: those that failed, few of each kind, within the budget, spread over some time.

Faults that share phase, vantage and addresses are looked into once, by three representatives at most: when everything
is down, one more storm of connections helps nobody.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from exporter.catalogue import Target
from exporter.diagnosis.experiment import Experiment
from exporter.diagnosis.experiments import programs
from exporter.diagnosis.experiments.budget import ExperimentBudget
from exporter.diagnosis.experiments.pace import HopPace
from exporter.diagnosis.experiments.programs import Around, Program
from exporter.diagnosis.experiments.trials import Place, Subject, Trials
from exporter.diagnosis.rules.pages import is_page
from exporter.diagnosis.rules.speed import is_path_slow, late_answer
from exporter.diagnosis.seen import Seen, failing, is_clean, symptom
from exporter.diagnosis.signatures import signatures
from exporter.observations import Probe
from exporter.probe.resolve import Resolver
from exporter.probe.vantage import resolvers_of
from exporter.probe.walk import Tools, Vantage
from exporter.protocols.http import is_microsoft_host
from exporter.settings import Settings
from exporter.settings_fields import split_control
from exporter.vocabulary import CONVERSATION_GOES_ON, Outcome, Phase

#: Walks of one kind of trouble that are looked into.
REPRESENTATIVES = 3
#: Kinds of trouble that are looked into side by side.
AT_ONCE = 6
#: Names and hosts to compare with, where the configuration has none: Microsoft's, and no mail's.
CONTROLS = (("www.bing.com", 443), ("www.microsoft.com", 443))

SignIns = Callable[[str, str], bool]
Kind = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trouble:
    """One walk's trouble: what is looked into, and by which program. Those with an equal `kind` are alike."""

    kind: Kind
    probe: Probe
    subject: Subject
    program: Program
    dead: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """One representative was looked into. `over`: the last of its kind."""

    kind: Kind
    made: tuple[Experiment, ...]
    over: bool


@dataclass(slots=True, kw_only=True)
class Experimenting:
    """What experiments need of the prober. `may_sign_in(target, vantage)`: spends one more worthless token."""

    tools: Tools
    targets: Mapping[str, Target]
    vantages: Sequence[Vantage]
    budget: ExperimentBudget
    controls: Sequence[tuple[str, int]] = ()
    resolvers: Sequence[Resolver] = ()
    may_sign_in: SignIns = lambda _target, _vantage: False
    randomness: random.Random = field(default_factory=random.SystemRandom)
    pace: HopPace = field(init=False)

    def __post_init__(self) -> None:
        self.pace = HopPace(self.tools.clock)

    async def run(
        self, seen: Seen, troubles: Sequence[Trouble], until: float, *, spread: float = 0.0
    ) -> AsyncIterator["Progress"]:
        """The experiments about those troubles, over by `until` (monotonic seconds), as each of them ends.

        `spread`: seconds over which their beginnings are spread at random.
        """
        self.budget.begin_round()
        chosen = representatives(troubles)
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(trouble: Trouble) -> tuple[Kind, list[Experiment]]:
            await asyncio.sleep(self.randomness.uniform(0, spread))
            async with slots:
                return trouble.kind, await self._look_into(trouble, seen, until)

        tasks = [asyncio.create_task(one(trouble)) for trouble in chosen]
        left = Counter(trouble.kind for trouble in chosen)
        try:
            for task in asyncio.as_completed(tasks):
                kind, made = await task
                left[kind] -= 1
                yield Progress(kind, tuple(made), over=not left[kind])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_into(self, trouble: Trouble, seen: Seen, until: float) -> list[Experiment]:
        trials = Trials(
            subject=trouble.subject,
            tools=self.tools,
            budget=self.budget,
            pace=self.pace,
            until=until,
            randomness=self.randomness,
        )
        try:
            async with asyncio.timeout(max(until - self.tools.clock(), 0.0)):
                await trouble.program(trials, self._around(seen, trouble))
        except TimeoutError:
            pass  # what was made counts
        return trials.made

    def troubles(self, seen: Seen) -> Iterator[Trouble]:
        """Everything of a round that an experiment may explain."""
        vantages = {vantage.name: vantage for vantage in self.vantages}
        for probe in seen.probes:
            target, vantage = self.targets.get(probe.target), vantages.get(probe.vantage)
            if target is not None and vantage is not None:
                yield from _of_probe(probe, target, vantage)

    def _around(self, seen: Seen, trouble: Trouble) -> Around:
        probe, subject = trouble.probe, trouble.subject
        places = tuple(self._places(seen, probe))
        known = [place.host for place in places]
        controls = tuple(self.controls or CONTROLS)
        independent = [vantage for vantage in self.vantages if seen.independent(vantage.name, probe.vantage)]
        return Around(
            resolvers=tuple(self._resolvers(subject.vantage)),
            names=tuple(dict.fromkeys([*_other_names(known, probe), *(host for host, _ in controls)])),
            places=places,
            controls=controls,
            other_ports=tuple(self._other_ports(probe)),
            intermediates=tuple(_with_whole_chain(seen, probe, places)),
            alike=tuple(self._alike(seen, probe)),
            independent=tuple(independent),
            passes_elsewhere=any(is_clean(other) for other in seen.others(probe)),
            may_sign_in=lambda: self.may_sign_in(probe.target, probe.vantage),
            dead=trouble.dead,
            forwards=bool(seen.facts(probe.vantage).forwards),
            others_trouble=any(_in_trouble(other) for other in seen.at(probe.vantage) if other is not probe),
        )

    def _places(self, seen: Seen, probe: Probe) -> Iterator[Place]:
        """Where this vantage got a sound connection in this round."""
        for other in seen.at(probe.vantage):
            target = self.targets.get(other.target)
            if target is not None and other.address and other.host != probe.host and is_clean(other):
                yield Place(target=target, host=other.host, address=other.address, port=other.port)

    def _alike(self, seen: Seen, probe: Probe) -> Iterator[Place]:
        """Other hosts of this vantage that ended as this one did."""
        for other in seen.at(probe.vantage):
            target = self.targets.get(other.target)
            if target is not None and other.address and other is not probe and symptom(other) == symptom(probe):
                yield Place(target=target, host=other.host, address=other.address, port=other.port)

    def _other_ports(self, probe: Probe) -> list[int]:
        """Where else the host is known to serve."""
        ports = [target.port for target in self.targets.values() if probe.host in target.hosts]
        return [port for port in dict.fromkeys(ports) if port != probe.port]

    def _resolvers(self, vantage: Vantage) -> list[Resolver]:
        """Configured ones, else the other vantages', else none but its own: not those it asks anyway."""
        theirs = [resolver for other in self.vantages for resolver in other.names.resolvers]
        candidates = [*self.resolvers, *theirs]
        return [each for each in dict.fromkeys(candidates) if each not in vantage.names.resolvers]


def experimenting(
    settings: Settings, tools: Tools, vantages: Sequence[Vantage], budget: ExperimentBudget, may_sign_in: SignIns
) -> Experimenting:
    """What experiments need, from the configuration. The appliance's resolvers serve where none else are to be had."""
    resolvers = list(settings.diagnosis.resolvers)
    known = {resolver for vantage in vantages for resolver in vantage.names.resolvers}
    if not resolvers and len(known) < 2:
        resolvers = resolvers_of(None)
    return Experimenting(
        tools=tools,
        targets=settings.all_targets(),
        vantages=vantages,
        budget=budget,
        controls=[split_control(control) for control in settings.diagnosis.controls],
        resolvers=resolvers,
        may_sign_in=may_sign_in,
    )


def _of_probe(probe: Probe, target: Target, vantage: Vantage) -> Iterator[Trouble]:
    failed = probe.failed_phase is not None and probe.outcome not in (Outcome.OK, Outcome.SKIPPED)
    for result in probe.phases:
        if not failed or result.outcome in (Outcome.OK, Outcome.SKIPPED) or result.measured_at is not None:
            continue
        subject = _subject(probe, target, vantage, result.phase, result.outcome)
        program = programs.program_of(subject, is_page=is_page(result))
        kind = (str(result.phase), str(result.outcome), program.__name__, probe.vantage)
        yield Trouble(kind, probe, subject, program, tuple(each.address for each in failing(probe.addresses)))
        if result.outcome not in CONVERSATION_GOES_ON:
            break
    if probe.address is not None and (dead := failing(probe.addresses)):
        subject = _subject(probe, target, vantage, Phase.CONNECT, dead[0].outcome)
        addresses = tuple(each.address for each in dead)
        yield Trouble(("addresses", probe.vantage), probe, subject, programs.addresses, addresses)
    if failed:
        return
    if signatures(probe) is False and is_microsoft_host(probe.host):
        subject = _subject(probe, target, vantage, Phase.TLS, Outcome.OK)
        yield Trouble(("forged", probe.vantage), probe, subject, programs.certificate)
    if is_path_slow(probe):
        subject = _subject(probe, target, vantage, Phase.TLS, Outcome.OK)
        yield Trouble(("slow", probe.vantage), probe, subject, programs.slow)
    elif (answer := late_answer(probe)) is not None and answer.measured_at is None:
        subject = _subject(probe, target, vantage, answer.phase, Outcome.OK)
        yield Trouble(("late", str(answer.phase), probe.vantage), probe, subject, programs.late)


def _in_trouble(probe: Probe) -> bool:
    """Whether it failed without a word, or was slow: lost packets would show so."""
    return probe.outcome in (Outcome.TIMEOUT, Outcome.CLOSED) or is_path_slow(probe) or late_answer(probe) is not None


def _subject(probe: Probe, target: Target, vantage: Vantage, phase: Phase, outcome: Outcome) -> Subject:
    return Subject(target=target, host=probe.host, vantage=vantage, address=probe.address, phase=phase, outcome=outcome)


def representatives(troubles: Iterable[Trouble]) -> list[Trouble]:
    """A few of each kind: none with the same addresses, and as different in port and host as they come."""
    by_kind: dict[Kind, list[Trouble]] = {}
    for trouble in troubles:
        by_kind.setdefault(trouble.kind, []).append(trouble)
    return [trouble for group in by_kind.values() for trouble in _few(group)]


def _few(group: list[Trouble]) -> list[Trouble]:
    chosen: list[Trouble] = []
    by_ports = sorted(group, key=lambda trouble: _place_among_its_port(group, trouble))
    for trouble in by_ports:
        if len(chosen) == REPRESENTATIVES:
            break
        if not any(_same_addresses(trouble.probe, other.probe) for other in chosen):
            chosen.append(trouble)
    return chosen


def _place_among_its_port(group: list[Trouble], trouble: Trouble) -> int:
    """The first of each port come before the second of any."""
    same = [other for other in group if other.probe.port == trouble.probe.port]
    return same.index(trouble)


def _same_addresses(one: Probe, other: Probe) -> bool:
    first = {each.address for each in one.addresses}
    return bool(first) and first == {each.address for each in other.addresses} and one.port == other.port


def _other_names(reached: list[str], probe: Probe) -> list[str]:
    """Names that this vantage's path lets through; nothing of the same domain, which one rule may cover."""
    domain = ".".join(probe.host.split(".")[-2:])
    return [host for host in reached if not host.endswith(domain)]


def _with_whole_chain(seen: Seen, probe: Probe, places: Sequence[Place]) -> list[Place]:
    """Hosts whose chain is Microsoft's, those of the same issuer first."""
    mine = probe.tls.issuer_organization if probe.tls is not None else None
    by_host = {other.host: other for other in seen.at(probe.vantage) if signatures(other) is True and other.tls}
    known = [place for place in places if place.host in by_host]

    def is_other_issuer(place: Place) -> bool:
        tls = by_host[place.host].tls
        return tls is None or tls.issuer_organization != mine

    return sorted(known, key=is_other_issuer)
