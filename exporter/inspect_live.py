"""`inspect --interface`: clients' connections as they happen, until a signal.

Who reads packets is a process of its own, as in the service; this one gives up every right and prints what it tells.
"""

import os
import select
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

import click

from exporter.capabilities import drop_capabilities, forbid_core_dumps
from exporter.inspect_summary import Summary
from exporter.inspect_table import header, lines
from exporter.inspector_config import config_of
from exporter.metrics.samples import Sample
from exporter.observations import Connection
from exporter.settings_errors import ConfigurationError
from exporter.settings_file import load
from exporter.wire import messages
from exporter.wire.connection_json import connection_json
from exporter.wire.interface_state import Interface, InterfaceState
from exporter.wire.messages import Kind, Message
from exporter.wire.sandbox import may_read_packets
from exporter.wire.tracker import Counts
from exporter.wire.worker import fork_worker

#: What is still to come when a signal asked to stop comes within so long, seconds.
STOP_SECONDS = 1.5
#: Who looks for a moment wants to see all: packets that wait to be looked at, of each interface.
RING_MIB = 64
_STOPPED, _FAILED = 0, 2
_GRANT = "reading packets needs CAP_NET_RAW: start it as root, or give it to this Python by setcap cap_net_raw+ep"


def run_live(
    interfaces: Sequence[Interface],
    *,
    config: Path | None,
    env: Mapping[str, str],
    as_json: bool,
    summary: bool,
    everything: bool,
) -> int:
    """0 when a signal ended it, 2 where an interface can't be read. Raises ConfigurationError."""
    settings = load(config, env)
    if not may_read_packets():
        raise ConfigurationError([f"inspect --interface: {_GRANT}"])
    ring = max(settings.inspect.ring_mib, RING_MIB)
    watched = replace(config_of(settings, None), privacy="plain", everything=everything, workers=1, ring_mib=ring)
    channel, pid = fork_worker(watched, interfaces)
    drop_capabilities()
    forbid_core_dumps()
    listener = _Listener(channel, as_json=as_json)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, listener.stop)
    try:
        status = listener.listen()
    finally:
        channel.close()
        os.waitpid(pid, 0)
    if (summary or not as_json) and status == _STOPPED:
        click.echo(listener.summary.as_json() if as_json else listener.summary.as_text())
    return status


class _Listener:
    """Prints what the worker tells."""

    def __init__(self, channel: socket.socket, *, as_json: bool) -> None:
        self.summary = Summary()
        self._channel = channel
        self._as_json = as_json
        self._counts: dict[tuple[str, str], float] = {}
        self._states: dict[str, InterfaceState] = {}
        self._lost = 0
        self._ended = "the worker ended"
        self._stopped = False

    def stop(self, number: int, frame: FrameType | None) -> None:
        """The handler of signals: the worker is told by the end of the conversation, and tells what is open."""
        if not self._stopped:
            self._stopped = True
            self._channel.shutdown(socket.SHUT_WR)

    def listen(self) -> int:
        """Until the worker ends, or an interface can't be opened at the start."""
        while data := self._next():
            if self._as_json and (seen := messages.read_connection_line(data)) is not None:
                self.summary.add(seen.target, seen.outcome)
                sys.stdout.write(seen.line + "\n")
                continue
            message = messages.read_message(data)
            if message is not None and not self._take(message):
                return _FAILED
        self._sum_up()
        if self._stopped:
            return _STOPPED
        click.echo(f"inspect: {self._ended}", err=True)
        return _FAILED

    def _take(self, message: Message) -> bool:
        """False where it makes no sense to go on."""
        match message.kind:
            case Kind.CONNECTION:
                self._found(message.content)
            case Kind.SAMPLES:
                self._counts.update({_key(sample): sample.value for sample in message.content})
            case Kind.LOST:
                self._lost = message.content
            case Kind.DOWN:
                self._ended = message.content
            case Kind.INTERFACES:
                return self._interfaces(message.content)
        return True

    def _interfaces(self, states: Sequence[InterfaceState]) -> bool:
        for state in states:
            known = self._states.get(state.name)
            if known is not None and known.problem == state.problem:
                continue
            self._states[state.name] = state
            if state.problem is not None:
                click.echo(f"inspect: {state.problem}", err=True)
                if known is None:
                    return False
            elif known is not None or sys.stderr.isatty():
                click.echo(f"inspect: reading {state.name}; Ctrl-C ends it", err=True)
        return True

    def _found(self, connection: Connection) -> None:
        if self.summary.connections == 0 and not self._as_json:
            click.echo(header())
        self.summary.add(connection.target, connection.outcome)
        if self._as_json:
            sys.stdout.write(connection_json(connection) + "\n")
        else:
            click.echo(lines(connection))

    def _next(self) -> bytes:
        """A message; empty at the end. What was printed is seen before anybody waits."""
        try:
            return self._channel.recv(messages.MAX_MESSAGE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sys.stdout.flush()
        ready, _, _ = select.select([self._channel], [], [], STOP_SECONDS if self._stopped else None)
        return self._channel.recv(messages.MAX_MESSAGE) if ready else b""

    def _sum_up(self) -> None:
        self.summary.add_counts(
            Counts(
                packets=self._total("outlook_wire_packets_total"),
                evicted=self._total("outlook_wire_connections_evicted_total"),
                let_go=self._total("outlook_wire_reassembly_let_go_total"),
            )
        )
        self.summary.dropped = self._total("outlook_wire_packets_dropped_total")
        if self._lost:
            click.echo(
                f"inspect: {self._lost} connections weren't shown: they came faster than they were read", err=True
            )

    def _total(self, metric: str) -> int:
        return int(sum(value for (name, _), value in self._counts.items() if name == metric))


def _key(sample: Sample) -> tuple[str, str]:
    return sample.metric + sample.suffix, str(sample.labels)
