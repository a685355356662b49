"""The service's end: hears the inspector on its event loop, and connects again where it is a unit of its own."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from exporter.metrics.wire_mirror import WireMirror
from exporter.wire import messages
from exporter.wire.interface_state import Interface, InterfaceState
from exporter.wire.messages import Kind, Message

#: Messages that are read at once; then others have their turn, for the loop times probes too.
AT_ONCE = 20
#: How long before it is tried again to connect, seconds: doubled up to the last.
FIRST_WAIT, LAST_WAIT = 0.5, 4.0
#: How long a forked inspector has to end, seconds.
STOP_SECONDS = 1.5


class InspectorLink:
    """`channel`, `pid`: of a forked inspector; `path`: where one listens."""

    def __init__(
        self,
        mirror: WireMirror,
        *,
        channel: socket.socket | None = None,
        pid: int | None = None,
        path: Path | None = None,
    ) -> None:
        self._mirror = mirror
        self._channel = channel
        self._pid = pid
        self._path = path
        self._changed: Callable[[], None] = lambda: None
        self._log = structlog.get_logger()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._order = messages.order([])
        self._wait = FIRST_WAIT
        self._retry: asyncio.TimerHandle | None = None
        self._problems: dict[str, str | None] = {}
        self._told_why = ""
        self._runs: dict[int, str] = {}

    def attach(self, loop: asyncio.AbstractEventLoop, changed: Callable[[], None]) -> None:
        """From now on it is heard on this loop. `changed`: called when it came, went, or reads other interfaces."""
        self._loop, self._changed = loop, changed
        if self._channel is not None:
            self._listen(self._channel)
        elif self._path is not None:
            self._connect()

    def watch(self, interfaces: Iterable[Interface]) -> None:
        """The interfaces to inspect; told again to an inspector that is connected to later."""
        self._order = messages.order(interfaces)
        self._send_order()

    def close(self) -> None:
        """Ends a forked inspector. Idempotent."""
        if self._retry is not None:
            self._retry.cancel()
        self._leave()
        self._path = None
        if self._pid is not None:
            pid, self._pid = self._pid, None
            _wait_for(pid)

    # ---- the channel -------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        assert self._path is not None
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        channel.setblocking(False)
        try:
            channel.connect(str(self._path))
        except OSError as error:
            channel.close()
            self._not_there(
                f"{self._path}: {error.strerror or error}; is its unit started, and may this user reach it?"
            )
            return
        self._wait = FIRST_WAIT
        self._listen(channel)

    def _not_there(self, why: str) -> None:
        if why != self._told_why:
            self._told_why = why
            self._log.warning("inspector not reached", reason=why)
        assert self._loop is not None
        self._retry = self._loop.call_later(self._wait, self._connect)
        self._wait = min(2 * self._wait, LAST_WAIT)

    def _listen(self, channel: socket.socket) -> None:
        assert self._loop is not None
        channel.setblocking(False)
        self._channel = channel
        self._loop.add_reader(channel, self._hear)
        self._send_order()

    def _send_order(self) -> None:
        if self._channel is not None and self._loop is not None:
            try:
                self._channel.send(self._order)
            except OSError:  # the end is noticed where it is read
                pass

    def _hear(self) -> None:
        for _ in range(AT_ONCE):
            assert self._channel is not None
            try:
                data = self._channel.recv(messages.MAX_MESSAGE)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._cut()
                return
            message = messages.read_message(data)
            if message is not None:
                self._take(message)

    def _leave(self) -> None:
        if self._channel is not None:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(self._channel)
            self._channel.close()
            self._channel = None

    def _cut(self) -> None:
        self._leave()
        self._mirror.unreachable()
        self._changed()
        if self._path is not None:
            self._not_there(f"{self._path}: closed the connection")
        else:
            self._log.error("inspector has ended", hint="restart the service")

    # ---- what it says ------------------------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        self._mirror.take(message)
        match message.kind:
            case Kind.INTERFACES:
                self._tell_interfaces(message.content)
                self._changed()
            case Kind.DOWN:
                self._log.warning("inspector's worker ended", worker=message.worker, reason=message.content)
                self._changed()
            case Kind.HELLO if self._runs.get(message.worker) != message.content[0]:
                self._told_why = ""
                self._runs[message.worker], sandbox, packet_filter = message.content
                self._log.info("inspector up", worker=message.worker, system_calls=sandbox, filter=packet_filter)
                self._changed()

    def _tell_interfaces(self, states: Iterable[InterfaceState]) -> None:
        """A line for each change."""
        for state in states:
            if self._problems.get(state.name, "") == state.problem:
                continue
            self._problems[state.name] = state.problem
            if state.problem is None:
                self._log.info("interface inspected", interface=state.name, side=state.side)
            else:
                self._log.warning("interface not inspected", reason=state.problem, interface=state.name)


def _wait_for(pid: int) -> None:
    """Its channel is closed, so it ends by itself; it may be another user's by now, so that only asking is certain."""
    deadline = time.monotonic() + STOP_SECONDS
    try:
        os.kill(pid, signal.SIGTERM)
    except (PermissionError, ProcessLookupError):
        pass
    try:
        while os.waitpid(pid, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                return
            time.sleep(0.01)
    except ChildProcessError:
        pass
