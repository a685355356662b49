"""`probe`: one round now, as JSON Lines or as a table that fills while it runs."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from exporter.accounts.configured import Account, make_accounts
from exporter.accounts.job import AccountsJob
from exporter.accounts.sign_in_policy import SignInPolicy
from exporter.capabilities import drop_capabilities, forbid_core_dumps
from exporter.catalogue import Target
from exporter.clean import raw_text
from exporter.metrics.account_tally import succeeded
from exporter.metrics.accounts import AccountsState
from exporter.observations import as_json as to_json
from exporter.prepare import VantageProcesses, make_prober, make_vantages
from exporter.probe import record as recording
from exporter.probe.round import Prober, Walked
from exporter.probe.walk import Vantage
from exporter.settings import Settings
from exporter.settings_errors import ConfigurationError, nearest
from exporter.settings_file import load
from exporter.table import LiveTable
from exporter.vocabulary import AccountKind, Outcome


def run_probe(
    names: Sequence[str],
    *,
    vantage: str | None,
    config: Path | None,
    env: Mapping[str, str],
    as_json: bool,
    raw: bool,
    record: Path | None,
) -> int:
    """Exit status: 0 all ok, 1 something isn't. Raises ConfigurationError."""
    settings = load(config, env)
    targets = targets_named(settings, names)
    if vantage is not None and vantage not in [each.name for each in settings.vantages]:
        raise ConfigurationError(
            [f"--vantage: {vantage}: no such vantage{nearest(vantage, [v.name for v in settings.vantages])}"]
        )
    prober = make_prober(settings, once=True)
    prober.record = record is not None
    processes = VantageProcesses()
    try:
        vantages = make_vantages(settings, env, processes, vantage)
        if os.geteuid() == 0:
            drop_capabilities()
        forbid_core_dumps()
        accounts = accounts_job(settings, env, prober, vantages)
        with raw_text(raw):
            return asyncio.run(_round(prober, targets, vantages, settings, accounts, as_json=as_json, record=record))
    finally:
        processes.close()


def accounts_job(
    settings: Settings, env: Mapping[str, str], prober: Prober, vantages: Sequence[Vantage]
) -> AccountsJob:
    """The configured accounts, for a command. Raises ConfigurationError where a secret can't be had."""
    names = [vantage.name for vantage in vantages]
    accounts = make_accounts(settings, env, prober.tools, names, lambda: prober.skew)
    policy = SignInPolicy(settings.probe.canary_interval, prober.randomness)
    job = AccountsJob(accounts, vantages, prober.tools, AccountsState(), policy, lambda: prober.skew, say_waiting=True)
    job.configure()
    return job


def targets_named(settings: Settings, names: Sequence[str]) -> list[Target]:
    """The targets of those names, or all. Raises ConfigurationError naming those that aren't known."""
    if not names:
        return list(settings.targets().values())
    known = settings.all_targets()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigurationError([f"{name}: no such target{nearest(name, known)}" for name in unknown])
    return [known[name] for name in dict.fromkeys(names)]


async def _round(
    prober: Prober,
    targets: Sequence[Target],
    vantages: Sequence[Vantage],
    settings: Settings,
    accounts: AccountsJob,
    *,
    as_json: bool,
    record: Path | None,
) -> int:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    known = settings.all_targets()
    healthy, walked_all = True, []
    try:
        with LiveTable(enabled=not as_json) as table:
            async for walked in _with_accounts(prober.round(targets, vantages), accounts, targets):
                walked_all.append(walked)
                healthy = healthy and is_healthy(walked, settings)
                table.add(walked.probe)
                if as_json:
                    click.echo(to_json(walked.probe))
                    sys.stdout.flush()
    except asyncio.CancelledError:
        return 130
    if record is not None:
        _write_recording(record, walked_all, known)
    return 0 if healthy else 1


async def _with_accounts(
    walks: AsyncIterator[Walked], job: AccountsJob, targets: Sequence[Target]
) -> AsyncIterator[Walked]:
    """Each probe with its accounts' sign-ins, which go on beside the round; those that need none come at once."""
    trying = asyncio.ensure_future(_try_all(job, targets))
    waiting: list[Walked] = []
    try:
        async for walked in walks:
            if any(walked.probe.target in account.targets for account in job.accounts):
                waiting.append(walked)
            else:
                yield walked
        await trying
        for walked in waiting:
            results = job.state.results_at(walked.probe.target, walked.probe.vantage)
            yield replace(walked, probe=replace(walked.probe, accounts=results))
    finally:
        trying.cancel()


async def _try_all(job: AccountsJob, targets: Sequence[Target]) -> None:
    """Every account from each of its vantages, at the targets of this round."""
    wanted = {target.name for target in targets}

    async def one(account: Account) -> None:
        these = [target for name, target in account.targets.items() if name in wanted]
        for vantage in job.vantages:
            if these and vantage.name in account.vantages:
                await job.try_from(account, vantage, these, ahead=False)

    await asyncio.gather(*(one(account) for account in job.accounts))


def is_healthy(walked: Walked, settings: Settings) -> bool:
    """Whether the path is ok and no configured OAuth account was refused."""
    oauth = {account.name for account in settings.accounts if account.kind is not AccountKind.APP_PASSWORD}
    refused = any(each.name in oauth and not succeeded(each) for each in walked.probe.accounts)
    return walked.probe.outcome is Outcome.OK and not refused


def _write_recording(path: Path, walked_all: Sequence[Walked], known: Mapping[str, Target]) -> None:
    lines = [recording.header()]
    for walked in walked_all:
        target = known[walked.probe.target]
        for found, recorder in zip(walked.walks, walked.recorders, strict=True):
            described = {
                "name": target.name, "protocol": target.protocol, "host": found.host,
                "port": target.port, "starttls": target.starttls, "path": target.path,
            }  # fmt: skip
            phases = [json.loads(to_json(result)) for result in found.phases]
            signatures = found.identity.signatures if found.identity else None
            lines.append(recording.walk_line(described, phases, signatures, recorder))
    try:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError([f"--record: {path}: {error.strerror}"]) from error
