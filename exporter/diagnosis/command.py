"""`diagnose`: one round, experiments where something fails, then verdicts, printed as they are found."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from exporter.accounts.configured import Account
from exporter.accounts.job import AccountsJob
from exporter.capabilities import drop_capabilities, forbid_core_dumps
from exporter.catalogue import Target
from exporter.diagnosis import recording
from exporter.diagnosis.allowlist import allowlist
from exporter.diagnosis.experiment import Experiment
from exporter.diagnosis.experiments.budget import PER_ROUND, ExperimentBudget
from exporter.diagnosis.experiments.hold import hold_all
from exporter.diagnosis.experiments.plan import Experimenting, Kind, experimenting
from exporter.diagnosis.judge import judge
from exporter.diagnosis.packets import Packets, real_addresses
from exporter.diagnosis.report import report
from exporter.diagnosis.seen import Seen
from exporter.diagnosis.service_evidence import connections_of_service
from exporter.diagnosis.vantages import facts_of
from exporter.diagnosis.words import shown
from exporter.inspector import own_stack
from exporter.language import Language, speaking
from exporter.observations import Probe, Verdict
from exporter.observations import as_json as to_json
from exporter.prepare import VantageProcesses, make_prober, make_vantages
from exporter.probe.round import Prober
from exporter.probe.walk import Vantage
from exporter.probe.way import Deadline
from exporter.probe_command import accounts_job, targets_named
from exporter.settings import Settings
from exporter.settings_errors import ConfigurationError
from exporter.settings_file import load
from exporter.until_signal import until_signal
from exporter.vocabulary import Cause
from exporter.wire.pseudonyms import Pseudonyms
from exporter.wire.reading_files import both_sides, connections_in

#: The whole ends within 150 s: the round within this, its accounts and holds too, and experiments by then, seconds.
ROUND_SECONDS, HOLD_SECONDS, ACCOUNT_SECONDS, ALL_SECONDS = 60.0, 60.0, 75.0, 135.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What `diagnose` was asked for."""

    names: Sequence[str] = ()
    config: Path | None = None
    as_json: bool = False
    report: Path | None = None
    packets: Path | None = None
    with_addresses: bool = False
    allowlist: str | None = None
    service: str | None = None
    replay: Path | None = None
    record: Path | None = None
    captures: Sequence[Path] = ()
    inside: Path | None = None
    outside: Path | None = None
    language: str = Language.ENGLISH


def run_diagnose(wishes: Wishes, env: Mapping[str, str]) -> int:
    """Exit status: 0 all verdicts healthy, 1 one isn't. Raises ConfigurationError."""
    if wishes.captures or wishes.inside or wishes.outside:
        return _from_packets(wishes, env)
    if wishes.packets is not None:
        raise ConfigurationError(["--packets: there are packets only with --capture, or --inside and --outside"])
    if wishes.replay is not None:
        return _judged(_replayed(wishes, env), wishes)
    settings = load(wishes.config, env)
    targets = targets_named(settings, wishes.names)
    prober = make_prober(settings, once=True)
    processes = VantageProcesses()
    try:
        vantages = make_vantages(settings, env, processes)
        if os.geteuid() == 0:
            drop_capabilities()
        forbid_core_dumps()
        accounts = accounts_job(settings, env, prober, vantages)
        run = Diagnosis(settings, prober, vantages, targets, accounts, Printing(wishes))
        status = asyncio.run(until_signal(run.run()))
        return 130 if status is None else status
    finally:
        processes.close()


def _from_packets(wishes: Wishes, env: Mapping[str, str]) -> int:
    """Judged from captures alone; 2 where one couldn't be read whole."""
    if (wishes.inside is None) != (wishes.outside is None):
        raise ConfigurationError(["--inside and --outside belong together: one capture of each side of the gateway"])
    settings = load(wishes.config, env)
    if os.geteuid() == 0:
        drop_capabilities()
    forbid_core_dumps()
    connections, warnings = connections_in(wishes.captures, settings)
    packets = Packets(wishes.captures, wishes.inside, wishes.outside)
    if wishes.inside is not None and wishes.outside is not None:
        packets.both = both_sides(wishes.inside, wishes.outside, settings)
        connections, warnings = [*connections, *packets.both.connections], [*warnings, *packets.both.warnings]
    asked = {target.name for target in targets_named(settings, wishes.names)} if wishes.names else None
    kept = tuple(each for each in connections if asked is None or each.target in asked)
    private = tuple(str(network) for network in settings.probe.private_networks)
    seen = Seen(connections=kept, two_sided=wishes.inside is not None, private_networks=private)
    status = _judged(seen, wishes, packets)
    for warning in warnings:
        click.echo(warning, err=True)
    return 2 if warnings else status


def _replayed(wishes: Wishes, env: Mapping[str, str]) -> Seen:
    assert wishes.replay is not None
    seen = recording.read(wishes.replay)
    if wishes.config is not None:
        settings = load(wishes.config, env)
        private = tuple(str(network) for network in settings.probe.private_networks)
        seen = replace(seen, vantages=facts_of(settings) | dict(seen.vantages), private_networks=private)
    if wishes.names:
        known = {probe.target for probe in seen.probes}
        if missing := [name for name in wishes.names if name not in known]:
            raise ConfigurationError([f"{name}: not in {wishes.replay}" for name in missing])
        seen = replace(seen, probes=tuple(probe for probe in seen.probes if probe.target in wishes.names))
    return seen


def _judged(seen: Seen, wishes: Wishes, packets: Packets | None = None) -> int:
    printing = Printing(wishes, packets or Packets())
    printing.begin(seen)
    printing.print([each.verdict for each in judge(seen)])
    return printing.finish(seen)


@dataclass(slots=True)
class Printing:
    """What goes where: verdicts once each, and at the end what was asked for besides."""

    wishes: Wishes
    packets: Packets = field(default_factory=Packets)
    verdicts: list[Verdict] = field(default_factory=list)
    _probes: dict[tuple[str, str], Probe] = field(default_factory=dict)

    def begin(self, seen: Seen) -> None:
        """The probes that verdicts are about."""
        self._probes = {(probe.target, probe.vantage): probe for probe in seen.probes}

    def progress(self, text: str) -> None:
        """What is under way, on a terminal's stderr."""
        if sys.stderr.isatty():
            click.echo(click.style(f"{text}…", dim=True), err=True)

    def print(self, verdicts: Sequence[Verdict]) -> None:
        """Verdicts that are final."""
        for verdict in verdicts:
            self.verdicts.append(verdict)
            if self.wishes.as_json:
                click.echo(to_json(verdict))
            else:
                text = shown(verdict, self._probes.get((verdict.target, verdict.vantage)))
                click.echo(text, err=self.wishes.allowlist is not None)
        sys.stdout.flush()

    def finish(self, seen: Seen) -> int:
        """Writes report, recording and rules; the exit status."""
        wishes = self.wishes
        if wishes.record is not None:
            _write(wishes.record, "--record", "\n".join(recording.lines(seen)) + "\n")
        if wishes.report is not None or wishes.packets is not None:
            self._report(seen)
        if wishes.allowlist is not None:
            rules = allowlist(wishes.allowlist, self.verdicts, seen.probes, seen.connections)
            as_json = json.dumps({"allowlist": wishes.allowlist, "rules": rules})
            click.echo(as_json if wishes.as_json else rules, nl=wishes.as_json)
        return 0 if all(verdict.cause is Cause.HEALTHY for verdict in self.verdicts) else 1

    def _report(self, seen: Seen) -> None:
        """The page, and the packets beside it: the same pseudonyms stand in both."""
        wishes, packets = self.wishes, self.packets
        packets.choose(seen, self.verdicts)
        servers = real_addresses(each for listed in packets.by_verdict for each in listed)
        names = Pseudonyms(plain=wishes.with_addresses, taken=servers)
        if wishes.packets is not None:
            _write(wishes.packets, "--packets", packets.file(names))
        if wishes.report is not None:
            beside = wishes.packets.name if wishes.packets is not None else None
            with speaking(Language(wishes.language)):
                page = report(seen, self.verdicts, packets=packets, names=names, beside=beside)
            _write(wishes.report, "--report", page)


def _write(path: Path, option: str, content: str | bytes) -> None:
    try:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    except OSError as error:
        raise ConfigurationError([f"{option}: {path}: {error.strerror}"]) from error


@dataclass(slots=True)
class Diagnosis:
    """One run from the first packet to the last verdict."""

    settings: Settings
    prober: Prober
    vantages: Sequence[Vantage]
    targets: Sequence[Target]
    accounts: AccountsJob
    printing: Printing

    async def run(self) -> int:
        """See `run_diagnose`."""
        began = self.prober.tools.clock()
        seen, holds = await self._round()
        self.printing.begin(seen)
        seen = await self._experiments(seen, holds, began + ALL_SECONDS)
        return self.printing.finish(seen)

    async def _round(self) -> tuple[Seen, asyncio.Task[list[Experiment]]]:
        """Probes, accounts and wire evidence; holds go on beside the experiments."""
        self.printing.progress(f"{len(self.targets)} targets from {len(self.vantages)} vantages")
        holds = asyncio.create_task(self._hold())
        wire = asyncio.create_task(connections_of_service(self.printing.wishes.service, self.settings))
        signing_in = asyncio.create_task(self._try_accounts())
        deadline = Deadline(self.prober.tools.clock() + ROUND_SECONDS)
        probes = [walked.probe async for walked in self.prober.round(self.targets, self.vantages, deadline)]
        await signing_in
        results = self.accounts.state.results_at
        with_accounts = [replace(probe, accounts=results(probe.target, probe.vantage)) for probe in probes]
        order = {target.name: number for number, target in enumerate(self.targets)}
        seen = Seen(
            probes=tuple(sorted(with_accounts, key=lambda probe: order[probe.target])),
            connections=tuple(await wire),
            vantages=facts_of(self.settings),
            private_networks=tuple(str(network) for network in self.settings.probe.private_networks),
            own_stack=own_stack(),
        )
        return seen, holds

    async def _try_accounts(self) -> None:
        """Each account from each of its vantages, with one forced token request; what isn't over in time is left."""
        wanted = {target.name for target in self.targets}

        async def one(account: Account) -> None:
            these = [target for name, target in account.targets.items() if name in wanted]
            own = [vantage for vantage in self.vantages if vantage.name in account.vantages]
            for number, vantage in enumerate(own):
                await self.accounts.try_from(account, vantage, these, force=number == 0, ahead=False)

        try:
            async with asyncio.timeout(ACCOUNT_SECONDS):
                await asyncio.gather(*(one(account) for account in self.accounts.accounts))
        except TimeoutError:
            pass

    async def _hold(self) -> list[Experiment]:
        """The configured targets kept idle, from every vantage."""
        known = self.settings.all_targets()
        asked = {target.name for target in self.targets}
        seconds = min(self.settings.probe.hold.duration, HOLD_SECONDS)
        targets = [known[name] for name in self.settings.probe.hold.targets if name in asked]
        if targets:
            self.printing.progress(f"holding {len(targets)} targets for {seconds:g} s")
        accounts, skew = self.accounts.accounts, self.prober.skew
        return await hold_all(targets, self.vantages, self.prober.tools, seconds, accounts, skew)

    async def _experiments(self, seen: Seen, holds: asyncio.Task[list[Experiment]], until: float) -> Seen:
        """Makes experiments, and prints each verdict once nothing more can change it."""
        work = self._experimenting()
        troubles = list(work.troubles(seen))
        waiting: dict[tuple[str, str], set[Kind]] = {}
        for trouble in troubles:
            waiting.setdefault((trouble.probe.target, trouble.probe.vantage), set()).add(trouble.kind)
        held = {name for name in self.settings.probe.hold.targets if not holds.done()}
        open_ways = {(p.target, p.vantage) for p in seen.probes if p.target in held} | waiting.keys()
        self._print(seen, except_for=open_ways)
        if troubles:
            self.printing.progress(
                f"{len(waiting)} ways fail or are slow: trying again with one thing changed at a time"
            )
        async for progress in work.run(seen, troubles, until):
            seen = replace(seen, experiments=(*seen.experiments, *progress.made))
            if not progress.over:
                continue
            for way, kinds in waiting.items():
                kinds.discard(progress.kind)
                if not kinds and way[0] not in held:
                    open_ways.discard(way)
            self._print(seen, except_for=open_ways)
        seen = replace(seen, experiments=(*seen.experiments, *await self._holds_by(holds, until)))
        self._print(seen, except_for=set())
        return seen

    async def _holds_by(self, holds: asyncio.Task[list[Experiment]], until: float) -> list[Experiment]:
        left = max(until - self.prober.tools.clock(), 0.1)
        try:
            return await asyncio.wait_for(holds, left)
        except TimeoutError:
            return []

    def _print(self, seen: Seen, *, except_for: set[tuple[str, str]]) -> None:
        """Verdicts of ways that nothing more is tried on, once each; accounts' when all is over."""
        printed = {(v.target, v.vantage) for v in self.printing.verdicts if v.account is None}
        over = not except_for and not any(v.account is not None for v in self.printing.verdicts)
        verdicts = [each.verdict for each in judge(seen)]
        new = [v for v in verdicts if v.account is None and (v.target, v.vantage) not in except_for | printed]
        self.printing.print([*new, *(v for v in verdicts if over and v.account is not None)])

    def _experimenting(self) -> Experimenting:
        presented: set[tuple[str, str]] = set()

        def once(target: str, vantage: str) -> bool:
            """One more worthless token for each vantage: they are refused sign-ins of everyone behind the gateway."""
            first = not any(vantage == other for _, other in presented)
            presented.add((target, vantage))
            return first

        budget = ExperimentBudget(PER_ROUND)
        return experimenting(self.settings, self.prober.tools, self.vantages, budget, once)
