"""The inspector's processes: a keeper that starts workers, and starts them again, and relays what they say.

The keeper has CAP_NET_RAW to hand on, and loads what needs more before it has only that; it reads no packet and parses
nothing that comes from one: messages pass it whole.
A worker that ends is started again after a second, then two, up to a minute. It is either forked by `run` before the
service gives up its rights, talking over a socket pair and ending with it; or it is a unit of its own, listening on a
Unix socket to which services connect.
"""

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from types import FrameType
from typing import NoReturn

from exporter.capabilities import die_with_parent
from exporter.wire import messages
from exporter.wire.interface_state import Interface
from exporter.wire.kernel_memory import KernelMemory
from exporter.wire.sandbox import call_process, keep_only_raw
from exporter.wire.watched import InspectorConfig
from exporter.wire.worker import kernel_memory_for, live, warm_up

#: How long a worker that ended waits to be started again, seconds: doubled up to the last, until one lives so long.
FIRST_WAIT, LAST_WAIT = 1.0, 60.0
#: How long workers have to end, seconds.
STOP_SECONDS = 1.0
#: Services at once: one, another while it is replaced, and somebody who looks.
MAX_SERVICES = 4


class _Stop(BaseException):
    """SIGTERM or SIGINT."""


@dataclass(slots=True)
class _Child:
    """A worker's process; `pid` None while it waits to be started again. `memory`: of its filter in the kernel."""

    number: int
    memory: KernelMemory | None
    pid: int | None = None
    channel: socket.socket | None = None
    started: float = 0.0
    wait: float = FIRST_WAIT
    due: float = 0.0


class Keeper:
    """`services`: connected ones. `listener`: where more come from; None: it all ends with the last of them.

    `watch`: told each message before it is relayed (a unit of its own writes a log).

    Made before rights are given up: workers' filters are loaded then (`kernel_memory`), also those of later starts.
    """

    def __init__(
        self,
        config: InspectorConfig,
        interfaces: Iterable[Interface],
        *,
        services: Sequence[socket.socket] = (),
        listener: socket.socket | None = None,
        watch: Callable[[bytes], None] | None = None,
    ) -> None:
        self._config = replace(config, group=os.getpid())
        self._order = messages.order(interfaces)
        self._services = list(services)
        self._stale: set[socket.socket] = set()
        self._listener = listener
        self._watch = watch
        self._children = [_Child(number, kernel_memory_for(config)) for number in range(config.workers)]

    def keep(self) -> None:
        """Until a signal, or until nobody is left to tell."""
        try:
            while self._services or self._listener is not None:
                self._start_those_due()
                self._wait()
        finally:
            self._stop()

    # ---- workers -----------------------------------------------------------------------------------------------------

    def _start_those_due(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.pid is None and now >= child.due:
                self._start(child, now)

    def _start(self, child: _Child, now: float) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        config = replace(self._config, worker=child.number)
        interfaces = messages.read_order(self._order) or []
        pid = os.fork()
        if pid == 0:
            live(config, theirs, interfaces, parent, child.memory, all_told=False)
        theirs.close()
        ours.setblocking(False)
        child.pid, child.channel, child.started = pid, ours, now

    def _ended(self, child: _Child) -> None:
        """It is gone, or about to be."""
        assert child.pid is not None and child.channel is not None  # noqa: PT018
        child.channel.close()
        _end(child.pid, signal.SIGKILL)
        lived = time.monotonic() - child.started
        child.wait = FIRST_WAIT if lived > LAST_WAIT else min(2 * child.wait, LAST_WAIT)
        child.pid, child.channel = None, None
        child.due = time.monotonic() + child.wait / 2
        self._relay(messages.down(child.number, "it has ended"))

    # ---- between workers and services --------------------------------------------------------------------------------

    def _wait(self) -> None:
        poll = select.poll()
        for service in self._services:
            poll.register(service, select.POLLIN | (select.POLLOUT if service in self._stale else 0))
        if self._listener is not None:
            poll.register(self._listener, select.POLLIN)
        running = [child for child in self._children if child.channel is not None]
        for child in running:
            assert child.channel is not None
            poll.register(child.channel, select.POLLIN)
        ready = dict(poll.poll(self._patience()))
        for child in running:
            if child.channel is not None and child.channel.fileno() in ready:
                self._hear(child, child.channel)
        for service in list(self._services):
            if events := ready.get(service.fileno(), 0):
                self._attend(service, events)
        if self._listener is not None and self._listener.fileno() in ready:
            self._accept(self._listener)

    def _patience(self) -> float | None:
        """Milliseconds until a worker is due again."""
        due = [child.due for child in self._children if child.pid is None]
        return max(min(due) - time.monotonic(), 0.0) * 1_000 + 1 if due else None

    def _hear(self, child: _Child, channel: socket.socket) -> None:
        for _ in range(256):  # then the others
            try:
                data = channel.recv(messages.MAX_MESSAGE)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._ended(child)
                return
            self._relay(data)

    def _relay(self, data: bytes) -> None:
        if self._watch is not None:
            self._watch(data)
        for service in list(self._services):
            if service in self._stale:
                continue
            try:
                service.send(data)
            except BlockingIOError:  # told everything again once it reads
                self._stale.add(service)
            except OSError:
                self._leave(service)

    def _attend(self, service: socket.socket, events: int) -> None:
        if events & select.POLLOUT:
            self._stale.discard(service)
            self._tell_workers()
        if events & ~select.POLLOUT:
            try:
                data = service.recv(messages.MAX_MESSAGE)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._leave(service)
            elif messages.read_order(data) is not None:
                self._order = data
                self._tell_workers()

    def _tell_workers(self) -> None:
        """The latest order once more makes them tell everything."""
        for child in self._children:
            if child.channel is not None:
                try:
                    child.channel.send(self._order)
                except OSError:  # it has ended, or is full of orders
                    pass

    def _accept(self, listener: socket.socket) -> None:
        service, _ = listener.accept()
        service.setblocking(False)
        if len(self._services) >= MAX_SERVICES:
            service.close()
        else:
            self._services.append(service)

    def _leave(self, service: socket.socket) -> None:
        self._services.remove(service)
        self._stale.discard(service)
        service.close()

    def _stop(self) -> None:
        """Workers tell what is open, and end."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for child in self._children:
            if child.pid is not None:
                os.kill(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while any(child.pid for child in self._children) and time.monotonic() < deadline:
            for child in self._children:
                if child.pid is not None and child.channel is not None:
                    select.select([child.channel], [], [], 0.02)
                    self._hear(child, child.channel)
        for child in self._children:
            if child.pid is not None:
                _end(child.pid, signal.SIGKILL)


def _end(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def _stop_by_signal(number: int, frame: FrameType | None) -> NoReturn:
    raise _Stop


def fork_keeper(config: InspectorConfig, interfaces: Iterable[Interface]) -> tuple[socket.socket, int]:
    """Forks the inspector: our end of its channel, and its pid. Call before secrets are read and threads start."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _live_as_keeper(config, interfaces, theirs, parent)
    theirs.close()
    return ours, pid


def _live_as_keeper(
    config: InspectorConfig, interfaces: Iterable[Interface], channel: socket.socket, parent: int
) -> NoReturn:
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the service decides
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _stop_by_signal)
        call_process("oae-keeper")
        warm_up()  # nobody may not read where the interpreter lies
        keeper = Keeper(config, interfaces, services=[channel])
        keep_only_raw()
        die_with_parent(signal.SIGTERM, parent)
        channel.setblocking(False)
        try:
            keeper.keep()
        except _Stop:
            pass
    except BaseException:  # a traceback would go to the parent's stderr, and its cleaning up must not run here
        os._exit(1)
    os._exit(0)


def keep_until_signal(keeper: Keeper) -> None:
    """In this process, until SIGTERM or SIGINT. Gives up every right but CAP_NET_RAW first."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop_by_signal)
    warm_up()
    keep_only_raw()
    try:
        keeper.keep()
    except _Stop:
        pass
