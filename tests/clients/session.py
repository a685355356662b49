"""Runs a client against a place through a forwarder: what passed, and what the server says happened."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from exporter.vocabulary import AuthOutcome, Mechanism
from exporter.wire.trace import Trace, TraceEnd
from tests.clients import python_clients, scripted
from tests.clients.foreign_programs import FOREIGN
from tests.clients.forwarder import forwarder
from tests.clients.job import Command, Job
from tests.clients.place import Place
from tests.clients.programs import PROGRAMS
from tests.clients.truth import Attempt, Truth

#: A client gets so long (seconds): delays of refusals are part of what is recorded.
_PATIENCE = 40.0
_APPLICATION_DATA = 23
#: A record of TLS 1.3 that is no longer than this is an alert (RFC 8446 6).
_ALERT = 19
#: What the server writes into its log behind the connection's end is there after this (seconds).
_LOG = 0.6


@dataclass(frozen=True, slots=True)
class Session:
    """One connection of a run. `decidable` is False where nobody could tell from lengths on words not known."""

    client: str
    server: str
    tls: str
    flavour: str
    trace: Trace
    truth: Truth
    decidable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A client's run: which, with what options, presenting what, right or wrong."""

    client: str
    mechanism: Mechanism
    right: bool
    options: tuple[str, ...] = ()


async def record(place: Place, run: Run, directory: Path) -> list[Session]:
    """The connections of a run at a place; what never got through its handshake is left out."""
    directory.mkdir()  # noqa: ASYNC240
    secret = place.secrets[run.mechanism]
    async with forwarder(place.protocol, place.port) as passing:
        job = Job(
            protocol=place.protocol, port=passing.port, starttls=place.starttls, user=place.user, directory=directory,
            secret=secret if run.right else _wrong(secret), mechanism=run.mechanism, options=run.options,
        )  # fmt: skip
        await _play(run.client, job)
        try:
            async with asyncio.timeout(4):
                await passing.idle()
        except TimeoutError:
            pass
    await asyncio.sleep(_LOG)
    return [
        Session(
            run.client,
            place.server,
            place.tls,
            _flavour(run),
            trace,
            _seen(run, trace, place.truth(each.source)),
            run.client not in scripted.UNDECIDABLE,
        )
        for each in passing.recordings
        if (trace := each.trace(microsoft=place.microsoft)) is not None
    ]


def _seen(run: Run, trace: Trace, truth: Truth) -> Truth:
    """Whose client hangs up before the answer passes was abandoned on the wire, whatever the server logs."""
    data = [record for record in trace.records if record.content_type == _APPLICATION_DATA and record.length > _ALERT]
    if run.client not in scripted.ABRUPT or not data or not data[-1].from_client:
        return truth
    return (Attempt(run.mechanism, AuthOutcome.ABANDONED),)


def _flavour(run: Run) -> str:
    return " ".join((run.mechanism, "right" if run.right else "wrong", *run.options))


def _wrong(secret: str) -> str:
    """Of the same length."""
    return secret[:-6] + "".join(chr(ord(each) ^ 1) for each in secret[-6:])


async def _play(client: str, job: Job) -> None:
    if (program := (PROGRAMS | FOREIGN).get(client)) is not None:
        await _start(program(job), job.directory)
        return
    name, function = python_clients.CLIENTS[job.protocol]
    try:
        if client == name:
            await asyncio.to_thread(function, job)
        else:
            script = scripted.SCRIPTS[job.protocol][client](job)
            await asyncio.to_thread(
                scripted.run, job, script, hang_up=client in scripted.ABRUPT, persistent=client in scripted.PERSISTENT
            )
    except python_clients.ERRORS:
        pass  # a client that fails is what is looked at


async def _start(command: Command, directory: Path) -> None:
    arguments = command.arguments
    if command.terminal:
        quoted = " ".join("'" + each.replace("'", "'\\''") + "'" for each in arguments)
        arguments = ["script", "-qec", quoted, "/dev/null"]
    log = (directory / "client.log").open("wb")
    child = await asyncio.create_subprocess_exec(
        *arguments, stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log, cwd=directory,
        env=os.environ | {"LC_ALL": "C.UTF-8"} | command.environment, start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_PATIENCE):
            await child.communicate(command.stdin.encode())
    except TimeoutError:
        print(f"{arguments[0]} had to be ended", file=sys.stderr)
        child.kill()
        await child.wait()
    finally:
        log.close()


__all__ = ["Run", "Session", "TraceEnd", "record"]
