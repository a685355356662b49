"""`run`: rounds on a schedule, the state they fill, and the web server that shows it.

The prober's event loop is the main thread's; the web server has a thread of its own. The service holds no capability
and needs not be root: what needs a right (entering a network namespace) is done by vantage processes, forked first.
"""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog

from exporter.accounts.configured import make_accounts
from exporter.accounts.job import AccountsJob
from exporter.accounts.sign_in_policy import SignInPolicy
from exporter.capabilities import drop_capabilities, forbid_core_dumps
from exporter.catalogue import Target
from exporter.diagnosis.experiments.budget import ExperimentBudget
from exporter.diagnosis.experiments.hold import hold_all
from exporter.diagnosis.experiments.plan import Experimenting, experimenting
from exporter.diagnosis.job import DiagnosisJob
from exporter.diagnosis.keep import VerdictChange, VerdictKeeper
from exporter.diagnosis.seen import Seen
from exporter.diagnosis.vantages import facts_of
from exporter.history.recorder import make_history
from exporter.inspector import InspectorPart, own_stack, run_inspector
from exporter.logs import configure_logs
from exporter.metrics.accounts import AccountsState
from exporter.metrics.verdicts import VerdictSamples
from exporter.metrics.wire_mirror import WireMirror
from exporter.observations import AccountResult, Connection, Probe
from exporter.prepare import VantageProcesses, make_prober, make_vantages
from exporter.probe.canary_policy import CanaryPolicy
from exporter.probe.round import ROUND_SECONDS, Prober, Walked
from exporter.probe.vantage_process import VantageError
from exporter.probe.walk import Vantage
from exporter.probe.way import Deadline
from exporter.schedule import Schedule, watch_loop_delay
from exporter.settings import Settings, parse_listen
from exporter.settings_errors import ConfigurationError
from exporter.settings_file import load
from exporter.state import Change, State
from exporter.vocabulary import AuthOutcome, Cause, Mechanism, Outcome
from exporter.web.app import create_app
from exporter.web.server import WebServer
from exporter.web.web_config import WebConfig

#: How long another thread may hold the interpreter while a phase's clock runs, seconds.
SWITCH_INTERVAL = 0.0005
#: Objects that may wait for the garbage collector: the interpreter's 700 have it run through every handshake.
GARBAGE = 20_000
#: A diagnosis that a page asks for: how often at most, how long, and how often it tells; seconds.
DIAGNOSE_EVERY, DIAGNOSE_SECONDS, PROGRESS_EVERY, DONE_SHOWN = 60.0, 150.0, 0.5, 10.0


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
        self._account_outcomes: dict[tuple[str, str, str], AuthOutcome] = {}
        self._listen = listen
        self.state = State()
        self.accounts = AccountsState()
        self.state.sources["accounts"] = self.accounts
        self.state.listings["accounts"] = self.accounts.standings
        self.verdicts = VerdictKeeper()
        self.state.sources["verdicts"] = VerdictSamples(self.verdicts.current)
        self.state.listings["verdicts"] = self.verdicts.current
        spent = partial(self.state.set_budget, "experiments")
        self.diagnosis = DiagnosisJob(self.verdicts, self._verdict_changed, spent)
        settings = load(config, env)
        self.history = make_history(settings, env)
        self.state.sources["history"] = self.history
        self.inspector = InspectorPart(settings)  # forked before anything secret is read
        self.state.sources["wire"] = self.inspector.mirror
        self.state.listings["connections"] = self.inspector.mirror.connections
        self.state.listings["clients"] = self.inspector.mirror.clients
        self.plan = self._make_plan(settings)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rounds = 0
        self._round_ended = asyncio.Event()
        self._rounding = asyncio.Lock()
        self._diagnosing: asyncio.Task[None] | None = None
        self._diagnosed_at = float("-inf")
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
            ended=self._account_ended,
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

    def _account_ended(self, target: str, vantage: str, result: AccountResult) -> None:
        """A line for each change of an account's outcome."""
        before = self._account_outcomes.get((result.name, target, vantage))
        self._account_outcomes[result.name, target, vantage] = result.outcome
        if before is result.outcome or (before is None and result.outcome is AuthOutcome.ACCEPTED):
            return
        level = self._log.info if result.outcome is AuthOutcome.ACCEPTED else self._log.warning
        level(
            "account changed",
            account=result.name,
            target=target,
            vantage=vantage,
            before=before,
            after=result.outcome,
            cause=result.cause,
            error=result.error,
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
            if self._diagnosing is not None:
                self._diagnosing.cancel()
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

    def _verdict_changed(self, change: VerdictChange) -> None:
        """Into history and log."""
        self.history.verdict(change)
        verdict = change.verdict
        healthy = verdict.cause is Cause.HEALTHY
        self._log_change(
            "verdict",
            healthy=healthy,
            target=verdict.target,
            vantage=verdict.vantage,
            account=verdict.account,
            before=", ".join(change.before) or None,
            cause=verdict.cause,
            responsible=verdict.responsible,
            confidence=verdict.confidence,
            remedy=None if healthy else verdict.remedy,
        )

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
            self._outcome_changed(change)
        self._tell_policy(walked, plan)

    def _outcome_changed(self, change: Change) -> None:
        """Into history and log."""
        self.history.changed(change)
        self._log_change(
            "outcome changed",
            healthy=change.after is Outcome.OK,
            target=change.target,
            vantage=change.vantage,
            before=change.before,
            after=change.after,
            phase=change.after_phase,
            detail=change.detail,
        )

    def _log_change(self, event: str, *, healthy: bool, **fields: object) -> None:
        """A line for what is another than `before`; a healthy start is no news."""
        if healthy and fields["before"] is None:
            return
        level = self._log.info if healthy else self._log.warning
        level(event, **fields)

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
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._begin_diagnosing(), self._loop))

    async def _begin_diagnosing(self) -> str:
        now = self.plan.prober.tools.clock()
        if self._diagnosing is not None and not self._diagnosing.done():
            return "a diagnosis is under way already"
        if (left := self._diagnosed_at + DIAGNOSE_EVERY - now) > 0:
            return f"the last one began less than {DIAGNOSE_EVERY:.0f} s ago: try again in {left:.0f} s"
        self._diagnosed_at = now
        self._diagnosing = asyncio.create_task(self._diagnose_now())
        return ""

    async def _diagnose_now(self) -> None:
        """A round, and every experiment that it calls for, within the hour's budget; progress for the pages."""
        tell, clock = partial(setattr, self.state, "progress"), self.plan.prober.tools.clock
        before, until = self.state.recorded, clock() + DIAGNOSE_SECONDS
        ways = len(self.plan.targets) * len(self.plan.vantages)
        try:
            self.diagnosis.look_again()
            round_ = asyncio.ensure_future(self.round())
            while not round_.done():
                tell(f"Probing: {min(self.state.recorded - before, ways)} of {ways} ways")
                await asyncio.wait([round_], timeout=PROGRESS_EVERY)
            while self.diagnosis.busy and clock() < until:
                tell("Experiments: what fails is tried in other ways, to see where and why")
                await asyncio.sleep(PROGRESS_EVERY)
            tell("Done: what stands here is of now")
            await asyncio.sleep(DONE_SHOWN)
        finally:
            tell("")

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


def may_cover_client_side(settings: Settings) -> bool:
    """Whether something is configured that sees what clients see."""
    return _has_client_vantage(settings) or any(each.side == "inside" for each in settings.inspect.interfaces)


def client_side_covered(vantages: Iterable[Vantage], mirror: WireMirror) -> bool:
    """Whether something does: a process on their side that is there, or an inside interface that is being read."""
    return any(each.problem is not None and each.problem() is None for each in vantages) or mirror.covers_inside()


def _has_client_vantage(settings: Settings) -> bool:
    return any(each.network_namespace or each.vantage_socket for each in settings.vantages)


def run_service(config: Path | None, env: Mapping[str, str], *, listen: str | None, only: str | None) -> int:
    """The `run` command. Raises ConfigurationError."""
    if only == "inspector":
        return run_inspector(config, env)
    configure_logs()
    forbid_core_dumps()  # before the first secret is read
    service = Service(config, env, listen=_checked(listen))
    drop_capabilities()  # root's, or those that the unit gave for the inspector
    for warning in service.plan.settings.warnings():
        structlog.get_logger().warning(warning)
    service.inspector.warn()
    return serve(service)


def _checked(listen: str | None) -> str | None:
    """The option's value. Raises ConfigurationError where it is no address."""
    try:
        if listen is not None:
            parse_listen(listen)
    except ValueError as error:
        raise ConfigurationError([f"--listen: {error}"]) from error
    return listen


def serve(service: Service, *, rounds: int | None = None, announce: Callable[[str], None] | None = None) -> int:
    """Web server and rounds until a signal, or for so many rounds; 0. Raises ConfigurationError."""
    path = service.plan.settings.web_config
    web_config = WebConfig(path) if path is not None else None
    web = WebServer(create_app(service.state, service, web_config=web_config), service.listen, web_config)
    try:
        asyncio.run(_until_signal(service, web, announce or _log_address, rounds))
    finally:
        web.stop()
        service.close()
    return 0


def _vantage_missing(error: VantageError) -> None:
    structlog.get_logger().warning("vantage not there yet", reason=str(error))


def _log_address(url: str) -> None:
    structlog.get_logger().info("listening", url=url)


def _spare_the_collector() -> None:
    """What was imported never becomes garbage: it isn't looked through again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)


async def _until_signal(service: Service, web: WebServer, announce: Callable[[str], None], rounds: int | None) -> None:
    loop = asyncio.get_running_loop()
    service.attach(loop)
    _spare_the_collector()
    try:
        announce(web.start())
    except OSError as error:
        raise ConfigurationError([f"listen: {service.listen}: {error.strerror or error}"]) from error
    task = asyncio.create_task(service.run(rounds=rounds))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    reloads: set[asyncio.Task[list[str]]] = set()

    def reload() -> None:
        reloading = asyncio.create_task(service.take_over_configuration())
        reloads.add(reloading)
        reloading.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    with suppress(asyncio.CancelledError):
        await task
