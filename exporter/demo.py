"""`demo`: the real service against the embedded Outlook.com, behind a gateway that misbehaves while one watches."""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import yaml
from rich.console import Console

from exporter.demo_clients import DemoClients
from exporter.inspector import own_stack
from exporter.inspector_config import config_of
from exporter.lab.accounts import accounts_on
from exporter.lab.faults import FAULTS, VARIANTS, fault_named
from exporter.lab.lab import Lab
from exporter.logs import configure_logs
from exporter.observations import as_json as to_json
from exporter.probe.round import Walked
from exporter.run_command import serve
from exporter.service import Service
from exporter.settings import parse_listen
from exporter.settings_errors import ConfigurationError, nearest
from exporter.table import rows_table
from exporter.vocabulary import Cause, Outcome

#: A round of the demo, seconds.
INTERVAL = 10.0
#: What the gateway does, two rounds each.
STORY = (
    None,
    Cause.SNI_RESET,
    None,
    Cause.TLS_INTERCEPTED,
    None,
    Cause.STARTTLS_STRIPPED,
    None,
    Cause.TCP_DROPPED,
    None,
    Cause.BLOCK_PAGE,
    None,
    Cause.SERVICE_OUTAGE,
)
ROUNDS_EACH = 2


class LabThread:
    """The lab on a thread and event loop of its own, as if it were elsewhere."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._error: BaseException | None = None
        self.lab: Lab | None = None
        self._thread = threading.Thread(target=self._run, name="lab", daemon=True)

    def start(self) -> Lab:
        """Starts it. Raises OSError where loopback has no free ports."""
        self._thread.start()
        self._ready.wait(20)
        if self.lab is None:
            raise OSError(f"the embedded Outlook.com didn't start: {self._error}")
        return self.lab

    def set_fault(self, name: str | None) -> None:
        """Switches the gateway's fault and waits until it is in force."""
        assert self.lab is not None
        asyncio.run_coroutine_threadsafe(self.lab.set_fault(name), self._loop).result(5)

    def begin(self, visits: Coroutine[Any, Any, None]) -> None:
        """Runs something there; nobody waits for it."""
        asyncio.run_coroutine_threadsafe(visits, self._loop)

    def stop(self) -> None:
        """Ends it within a second."""
        if self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(1.0)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._live())
        except Exception as error:
            self._error = error
        finally:
            self._ready.set()
            self._loop.close()

    async def _live(self) -> None:
        self._stop = asyncio.Event()
        async with Lab.start(self._directory) as lab:
            self.lab = lab
            self._ready.set()
            await self._stop.wait()


class Story:
    """Walks through the faults, or holds one; prints a table a round."""

    def __init__(self, lab: LabThread, fault: str | None, *, as_json: bool) -> None:
        self._lab, self._held, self._as_json = lab, fault, as_json
        self._round = 0
        self._console = Console(stderr=False)

    def tell(self, walked: list[Walked]) -> None:
        """Called after each round."""
        if self._as_json:
            for each in walked:
                click.echo(to_json(each.probe))
            sys.stdout.flush()
        else:
            self._print(walked)
        self._round += 1
        if self._held is None and self._round % ROUNDS_EACH == 0:
            self._lab.set_fault(STORY[(self._round // ROUNDS_EACH) % len(STORY)])

    def _print(self, walked: list[Walked]) -> None:
        fault = self._lab.lab.fault if self._lab.lab else None
        doing = fault_named(fault).shows if fault else "The gateway behaves."
        bad = [each.probe for each in walked if each.probe.outcome is not Outcome.OK]
        self._console.print(f"\n[bold]{datetime.now(UTC):%H:%M:%S}[/bold] {doing} ({fault or 'healthy'})")
        if bad:
            self._console.print(
                rows_table(sorted(bad, key=lambda probe: (probe.target, probe.vantage)), self._console.width)
            )
        self._console.print(f"{len(walked) - len(bad)} of {len(walked)} ways to Outlook.com work.")


def run_demo(*, listen: str, once: bool, fault: str | None, as_json: bool) -> int:
    """The `demo` command: 0, or 1 with --once where something wasn't ok."""
    known = [*FAULTS, *VARIANTS]
    if fault is not None and fault not in known:
        raise ConfigurationError([f"--fault: {fault}: no such fault{nearest(fault, known)}"])
    try:
        parse_listen(listen)
    except ValueError as error:
        raise ConfigurationError([f"--listen: {error}"]) from error
    configure_logs()
    with tempfile.TemporaryDirectory(prefix="outlook-demo-") as directory, contextlib.ExitStack() as stack:
        thread = LabThread(Path(directory))
        lab = thread.start()
        stack.callback(thread.stop)
        if fault is not None:
            thread.set_fault(fault)
        return _serve(thread, lab, Path(directory), listen, once=once, fault=fault, as_json=as_json)


def _serve(
    thread: LabThread,
    lab: Lab,
    directory: Path,
    listen: str,
    *,
    once: bool,
    fault: str | None,
    as_json: bool,
) -> int:
    config = directory / "demo.yml"
    content = lab.configuration()
    content["accounts"] = accounts_on(lab, directory)
    content["probe"] |= {"interval": INTERVAL, "canary_interval": "30s", "canaries_per_hour": 10_000}
    content["diagnosis"] = {"experiments_per_hour": 10_000}
    clients = DemoClients(lab, directory)
    config.write_text(yaml.safe_dump(content | clients.configuration()))
    os.environ["SSL_CERT_FILE"] = str(lab.trust_store())  # this process is the demo's alone
    story = Story(thread, fault, as_json=as_json)
    seen: list[Walked] = []

    def on_round(walked: list[Walked]) -> None:
        seen[:] = walked
        clients.tell(service.inspector.mirror, config_of(service.plan.settings, own_stack()))
        story.tell(walked)
        thread.begin(clients.visitors.visit())

    environment = {**os.environ, "STATE_DIRECTORY": str(directory)}  # what is kept of accounts goes with the demo
    clients.start(config, environment)
    try:
        service = Service(config, environment, listen=listen, on_round=on_round)
        thread.begin(clients.visitors.visit())
        serve(service, rounds=1 if once else None, announce=_announcer(as_json=as_json, clients=clients.words))
    finally:
        clients.stop()
    return 1 if once and any(each.probe.outcome is not Outcome.OK for each in seen) else 0


def _announcer(*, as_json: bool, clients: str) -> Callable[[str], None]:
    def announce(url: str) -> None:
        click.echo(json.dumps({"url": url, "clients": clients}) if as_json else f"Status page: {url}\n{clients}")
        sys.stdout.flush()

    return announce
