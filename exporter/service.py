"""`run`: rounds on a schedule, the state they fill, and the web server that shows it.

The prober's event loop is the main thread's; the web server has a thread of its own. The service holds no capability
and needs not be root: what needs a right (entering a network namespace) is done by vantage processes, forked first.
"""

import asyncio
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog

from exporter.accounts.configured import make_accounts
from exporter.accounts.job import AccountsJob
from exporter.accounts.sign_in_policy import SignInPolicy
from exporter.asked_diagnosis import AskedDiagnosis
from exporter.catalogue import Target
from exporter.change_log import ChangeLog
from exporter.client_side import client_side_covered, may_cover_client_side
from exporter.diagnosis.experiments.budget import ExperimentBudget
from exporter.diagnosis.experiments.hold import hold_all
from exporter.diagnosis.experiments.plan import Experimenting, experimenting
from exporter.diagnosis.job import DiagnosisJob
from exporter.diagnosis.keep import VerdictKeeper
from exporter.diagnosis.seen import Seen
from exporter.diagnosis.vantages import facts_of
from exporter.history.recorder import make_history
from exporter.inspector import InspectorPart, own_stack
from exporter.metrics.accounts import AccountsState
from exporter.metrics.verdicts import VerdictSamples
from exporter.observations import Connection, Probe
from exporter.prepare import VantageProcesses, make_prober, make_vantages
from exporter.probe.canary_policy import CanaryPolicy
from exporter.probe.round import ROUND_SECONDS, Prober, Walked
from exporter.probe.vantage_process import VantageError
from exporter.probe.walk import Vantage
from exporter.probe.way import Deadline
from exporter.schedule import Schedule, watch_loop_delay
from exporter.settings import Settings
from exporter.settings_errors import ConfigurationError
from exporter.settings_file import load
from exporter.state import State
from exporter.vocabulary import AuthOutcome, Mechanism, Outcome

#: How long another thread may hold the interpreter while a phase's clock runs, seconds.
SWITCH_INTERVAL = 0.0005


@dataclass(slots=True)
class Plan:
    """What is probed: taken over whole at a reload."""

    settings: Settings
    targets: dict[str, Target]
    vantages: list[Vantage]
    prober: Prober
    accounts: AccountsJob
    experimenting: Experimenting


class Service:
    """The parts, wired. `on_round` is told each round's probes (the demo prints them)."""

    def __init__(
        self,
        config: Path | None,
        env: Mapping[str, str],
        *,
        listen: str | None = None,
        on_round: Callable[[list[Walked]], None] | None = None,
    ) -> None:
        self._config, self._env = config, env
        self._processes = VantageProcesses(missing=_vantage_missing)
        self._on_round = on_round
        self._log = structlog.get_logger()
        self._listen = listen
        self.state = State()
        self.accounts = AccountsState()
        self.state.sources["accounts"] = self.accounts
        self.state.listings["accounts"] = self.accounts.standings
        self.verdicts = VerdictKeeper()
        self.state.sources["verdicts"] = VerdictSamples(self.verdicts.current)
        self.state.listings["verdicts"] = self.verdicts.current
        settings = load(config, env)
        self.history = make_history(settings, env)
        self.state.sources["history"] = self.history
        self._changes = ChangeLog(self.history)
        spent = partial(self.state.set_budget, "experiments")
        self.diagnosis = DiagnosisJob(self.verdicts, self._changes.verdict, spent)
        self.inspector = InspectorPart(settings)  # forked before anything secret is read
        self.state.sources["wire"] = self.inspector.mirror
        self.state.listings["connections"] = self.inspector.mirror.connections
        self.state.listings["clients"] = self.inspector.mirror.clients
        self.plan = self._make_plan(settings)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rounds = 0
        self._round_ended = asyncio.Event()
        self._rounding = asyncio.Lock()
        self._asked = AskedDiagnosis(self.diagnosis, self.state, self.round, self._ways, self._now)
        self._schedule = Schedule(self.state.record_task)

    def _make_plan(self, settings: Settings) -> Plan:
        vantages = make_vantages(settings, self._env, self._processes)
        prober = make_prober(settings, once=False)
        accounts = self._make_accounts(settings, vantages, prober)
        plan = Plan(
            settings, settings.targets(), vantages, prober, accounts, _make_experimenting(settings, vantages, prober)
        )
        plan.accounts.configure()
        self.state.configure(plan.targets.values(), vantages)
        self.diagnosis.configure((target, vantage.name) for target in plan.targets for vantage in vantages)
        self.inspector.configure(settings)
        self.state.client_side_covered = client_side_covered(vantages, self.inspector.mirror)
        self.state.record_reload(True)
        return plan

    def _make_accounts(self, settings: Settings, vantages: list[Vantage], prober: Prober) -> AccountsJob:
        names = [vantage.name for vantage in vantages]
        interval = settings.probe.canary_interval
        prober.needs_canary = lambda key: not self._has_working_account(key, 2 * interval)
        return AccountsJob(
            make_accounts(settings, self._env, prober.tools, names, lambda: prober.skew),
            vantages,
            prober.tools,
            self.accounts,
            SignInPolicy(interval, prober.randomness),
            skew=lambda: prober.skew,
            ended=self._changes.account,
        )

    def _has_working_account(self, key: tuple[str, str], within: float) -> bool:
        """Whether an account was accepted there lately: it proves more than the canary's refusal."""
        now = datetime.now(UTC)
        return any(
            result.mechanism is Mechanism.TOKEN
            and result.outcome is AuthOutcome.ACCEPTED
            and result.time is not None
            and (now - result.time).total_seconds() < within
            for result in self.accounts.results_at(*key)
        )

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Names the prober's event loop, to which the pages' requests are handed over."""
        self._loop = loop
        self.inspector.attach(loop, self._cover)

    def _cover(self) -> None:
        """The inspector came or went, or a vantage may have."""
        self.state.client_side_covered = client_side_covered(self.plan.vantages, self.inspector.mirror)

    async def run(self, *, rounds: int | None = None) -> None:
        """Probes until cancelled, or for so many rounds."""
        sys.setswitchinterval(SWITCH_INTERVAL)
        watch = asyncio.create_task(watch_loop_delay(self.state.observe_loop_delay))
        try:
            if not may_cover_client_side(self.plan.settings):
                self._log.warning("clients' side not covered", hint="vantage create NAME --inside IF")
            self._schedule.every("probe", self.plan.settings.probe.interval, self.round, at_once=True)
            self._schedule_accounts(at_once=True)
            self._schedule_holds()
            self._schedule.start()
            self.history.start()
            await self._enough(rounds)
        finally:
            watch.cancel()
            with suppress(Exception):
                self._schedule.stop()
            await self.diagnosis.stop()
            self._asked.stop()
            self.history.stop()

    def _schedule_accounts(self, *, at_once: bool = False) -> None:
        """A job of its own: sign-ins may be slow, and their pace is their policies'."""
        if self.plan.accounts.accounts:
            self._schedule.every("accounts", self.plan.settings.probe.interval, self._try_accounts, at_once=at_once)

    async def _try_accounts(self) -> None:
        await self.plan.accounts.run()

    def _schedule_holds(self) -> None:
        """Connections kept idle for a long time: a job of its own, off while no target is named."""
        if self.plan.settings.probe.hold.targets:
            self._schedule.every("hold", self.plan.settings.probe.hold.every, self._hold, at_once=True)

    async def _hold(self) -> None:
        plan, names = self.plan, self.plan.settings.probe.hold.targets
        known = plan.settings.all_targets()
        held = await hold_all(
            [known[name] for name in names], plan.vantages, plan.prober.tools, plan.settings.probe.hold.duration,
            plan.accounts.accounts, plan.prober.skew,
        )  # fmt: skip
        self.diagnosis.take_holds(held)

    async def _enough(self, rounds: int | None) -> None:
        """Returns after so many rounds; never, where that is not limited."""
        while rounds is None or self._rounds < rounds:
            self._round_ended.clear()
            await self._round_ended.wait()

    async def round(self) -> None:
        """One round of everything, into the state; where one is under way, its end is awaited instead."""
        is_first = not self._rounding.locked()
        async with self._rounding:
            if is_first:
                await self._round()

    async def _round(self) -> None:
        plan = self.plan
        deadline = Deadline(plan.prober.tools.clock() + ROUND_SECONDS)
        walked_all = []
        try:
            async for walked in plan.prober.round(plan.targets.values(), plan.vantages, deadline):
                self.take(walked, plan)
                walked_all.append(walked)
        finally:  # a round that failed has ended too; the schedule counts it
            self._rounds += 1
            self._round_ended.set()
        self._cover()
        self._diagnose(plan)
        if self._on_round is not None:
            self._on_round(walked_all)

    def _diagnose(self, plan: Plan) -> None:
        """What the latest probes mean; experiments go on beside the rounds."""
        if plan is not self.plan:
            return
        wire = self.state.listings.get("connections")
        seen = Seen(
            probes=self.state.latest(),
            connections=tuple(each for each in wire() if isinstance(each, Connection)) if wire is not None else (),
            vantages=facts_of(plan.settings),
            private_networks=tuple(str(network) for network in plan.settings.probe.private_networks),
            own_stack=own_stack(),
        )
        self.diagnosis.round_ended(seen, plan.experimenting, plan.settings.probe.interval)

    def take(self, walked: Walked, plan: Plan) -> None:
        """One probe into state, log and the canary's policy."""
        probe = walked.probe
        if accounts := self.accounts.results_at(probe.target, probe.vantage):
            probe = replace(probe, accounts=accounts)
        if plan is not self.plan and (probe.target not in self.plan.targets):
            return
        change = self.state.record_probe(probe)
        self.history.probe(probe)
        if change is not None:
            self._changes.outcome(change)
        self._tell_policy(walked, plan)

    def _tell_policy(self, walked: Walked, plan: Plan) -> None:
        policy = plan.prober.policy
        if not isinstance(policy, CanaryPolicy):
            return
        now = plan.prober.tools.clock()
        key = (walked.probe.target, walked.probe.vantage)
        if walked.presented:
            match walked.probe.auth.outcome:
                case AuthOutcome.EXPECTED_REFUSAL:
                    policy.answered(key, now)
                case AuthOutcome.THROTTLED:
                    policy.throttled(key, now, walked.probe.retry_after_seconds)
                case _:
                    policy.failed(key, now)
        elif walked.probe.outcome is Outcome.THROTTLED:
            policy.throttled(key, now, walked.probe.retry_after_seconds)
        self.state.set_budget("canaries", policy.remaining(now))

    # What the web pages ask of us, on their own thread.

    async def probe_now(self, target: str, vantage: str, deadline: float) -> Probe:
        """See web.control.Control."""
        assert self._loop is not None
        future = asyncio.run_coroutine_threadsafe(self._probe_now(target, vantage, deadline), self._loop)
        return await asyncio.wrap_future(future)

    async def _probe_now(self, target: str, vantage: str, deadline: float) -> Probe:
        plan = self.plan
        seen_from = next(each for each in plan.vantages if each.name == vantage)
        until = Deadline(plan.prober.tools.clock() + deadline, Outcome.SKIPPED)
        walked = await plan.prober.probe(plan.targets[target], seen_from, until)
        self._tell_policy(walked, plan)
        return replace(walked.probe, accounts=self.accounts.results_at(target, vantage))

    async def diagnose(self) -> str:
        """See web.control.Control."""
        assert self._loop is not None
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._diagnose_now(), self._loop))

    async def _diagnose_now(self) -> str:
        return self._asked.begin()

    def _ways(self) -> int:
        return len(self.plan.targets) * len(self.plan.vantages)

    def _now(self) -> float:
        return self.plan.prober.tools.clock()

    async def reload(self) -> list[str]:
        """See web.control.Control."""
        assert self._loop is not None
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self.take_over_configuration(), self._loop))

    async def take_over_configuration(self) -> list[str]:
        """Reads the configuration again; a bad one leaves the old one running, and its problems are returned."""
        try:
            settings = load(self._config, self._env)
            plan = self._make_plan(settings)
        except ConfigurationError as error:
            self.state.record_reload(False)
            for problem in error.problems:
                self._log.error("configuration refused", problem=problem)
            return error.problems
        plan.prober.continue_from(self.plan.prober)
        plan.experimenting.budget.continue_from(self.plan.experimenting.budget)
        plan.accounts.continue_from(self.plan.accounts)
        self.plan = plan
        self._schedule.every("probe", settings.probe.interval, self.round)
        self._schedule_accounts()
        self._schedule_holds()
        self.inspector.warn()
        self._log.info("configuration taken over", targets=len(plan.targets), vantages=len(plan.vantages))
        return []

    def targets(self) -> Mapping[str, Target]:
        """See web.control.Control."""
        return self.plan.targets

    def vantages(self) -> Sequence[str]:
        """See web.control.Control."""
        return [vantage.name for vantage in self.plan.vantages]

    @property
    def ready(self) -> bool:
        """Whether there is something to show: a first result, or a first round that failed without one."""
        return self._rounds > 0 or bool(self.state.latest())

    @property
    def listen(self) -> str:
        """ADDRESS:PORT in force; `--listen` wins over the configuration."""
        return self._listen or self.plan.settings.listen

    @property
    def allowed_hosts(self) -> Collection[str]:
        """See web.control.Control."""
        return self.plan.settings.allowed_hosts

    @property
    def language(self) -> str:
        """See web.control.Control."""
        return self.plan.settings.language

    def close(self) -> None:
        """Ends the inspector and the vantage processes."""
        self.inspector.close()
        self._processes.close()


def _make_experimenting(settings: Settings, vantages: Sequence[Vantage], prober: Prober) -> Experimenting:
    """One more worthless token is within the canaries' hourly budget, and an interval from the last one there."""

    def may_sign_in(target: str, vantage: str) -> bool:
        return prober.policy.take((f"{target} experiment", vantage), (), prober.tools.clock())

    budget = ExperimentBudget(settings.diagnosis.experiments_per_hour)
    return experimenting(settings, prober.tools, vantages, budget, may_sign_in)


def _vantage_missing(error: VantageError) -> None:
    structlog.get_logger().warning("vantage not there yet", reason=str(error))
