"""The inspector as part of `run`: forked first where the right is there, or a unit of its own that is talked to."""

import asyncio
import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from exporter.inspector_config import config_of, interfaces_of
from exporter.logs import configure_logs
from exporter.metrics.wire_mirror import WireMirror
from exporter.probe.failures import PhaseFailure
from exporter.probe.tls import TlsClient
from exporter.protocols.client_hello import read_client_hello
from exporter.protocols.ja4 import stack_of
from exporter.settings import Settings
from exporter.settings_errors import ConfigurationError
from exporter.settings_file import load
from exporter.unix_socket import listening, tell_systemd
from exporter.wire import messages
from exporter.wire.link import InspectorLink
from exporter.wire.messages import Kind
from exporter.wire.process import Keeper, fork_keeper, keep_until_signal
from exporter.wire.reading import RECORD_HEADER
from exporter.wire.sandbox import may_read_packets
from exporter.wire.watched import InspectorConfig

#: What to do where the right is missing.
GRANT = (
    "CAP_NET_RAW is missing: give it by AmbientCapabilities=CAP_NET_RAW in the unit, or by setcap cap_net_raw+ep to "
    "this Python; or run the inspector as a unit of its own (run --only inspector), its socket named in inspect.socket"
)


class _Caught:
    """A stream that keeps what is sent first, and goes no further."""

    def __init__(self) -> None:
        self.data = b""

    async def send(self, data: bytes) -> float:
        self.data = data
        raise ConnectionAbortedError

    async def receive(self) -> bytes:
        return b""

    def close(self) -> None: ...


@functools.cache
def own_stack() -> str | None:
    """What makes our prober's ClientHello known among others; None where that can't be told."""
    caught = _Caught()
    try:
        TlsClient().handshake(caught, "outlook.office365.com").send(None)  # it never waits, so no loop is needed
    except (OSError, PhaseFailure):
        pass
    hello = read_client_hello(caught.data[RECORD_HEADER:])
    return stack_of(hello.stack.ja4) if hello is not None else None


def _config(settings: Settings) -> InspectorConfig:
    return config_of(settings, own_stack())


class InspectorPart:
    """The service's inspector, if it has one. Make it before anything secret is read and before rights are given up."""

    def __init__(self, settings: Settings) -> None:
        self.mirror = WireMirror()
        self._link: InspectorLink | None = None
        self._settings = settings
        self._begun_with = _config(settings)
        inspect = settings.inspect
        if inspect.socket is not None:
            self._link = InspectorLink(self.mirror, path=inspect.socket)
        elif inspect.interfaces and may_read_packets():
            channel, pid = fork_keeper(self._begun_with, [])
            self._link = InspectorLink(self.mirror, channel=channel, pid=pid)
        self._could = self._link is not None or not inspect.interfaces

    def configure(self, settings: Settings) -> None:
        """At the start, and at each reload."""
        self._settings = settings
        self.mirror.expected = self._link is not None or bool(settings.inspect.interfaces)
        self.mirror.show_clients = settings.privacy.client_addresses != "off"
        if self._link is not None:
            self._link.watch(interfaces_of(settings))

    def attach(self, loop: asyncio.AbstractEventLoop, changed: Callable[[], None]) -> None:
        """From now on it is heard; `changed` is called when it comes, goes, or reads other interfaces."""
        if self._link is not None:
            self._link.attach(loop, changed)

    def warn(self) -> None:
        """A line for what isn't as the configuration wants it."""
        log, settings = structlog.get_logger(), self._settings
        if self._link is None and settings.inspect.interfaces:
            names = ", ".join(interface.name for interface in settings.inspect.interfaces)
            reason = "restart the service to begin to inspect" if self._could else GRANT
            log.warning("inspector not started", interfaces=names, reason=reason)
        elif self._link is not None and settings.inspect.socket is None and _config(settings) != self._begun_with:
            log.warning("inspector keeps its targets, servers and privacy", hint="restart the service to change them")

    def close(self) -> None:
        """Ends it."""
        if self._link is not None:
            self._link.close()


def run_inspector(config: Path | None, env: Mapping[str, str]) -> int:
    """`run --only inspector`: until a signal. Raises ConfigurationError."""
    configure_logs()
    settings = load(config, env)
    path = settings.inspect.socket
    if path is None:
        raise ConfigurationError(["inspect.socket: must name the Unix socket at which the service finds the inspector"])
    if not may_read_packets():
        raise ConfigurationError([f"--only inspector: {GRANT}"])
    try:
        with listening(path, 0o660) as listener:
            tell_systemd()
            keeper = Keeper(_config(settings), interfaces_of(settings), listener=listener, watch=_logged())
            structlog.get_logger().info("inspector listening", socket=str(path))
            keep_until_signal(keeper)
    except OSError as error:
        raise ConfigurationError([f"inspect.socket: {error.strerror or error}"]) from error
    return 0


def _logged() -> Callable[[bytes], None]:
    """A line for each change that matters to whoever runs the unit."""
    log = structlog.get_logger()
    told: dict[tuple[int, str], str | None] = {}

    def watch(data: bytes) -> None:
        if b'"kind":"connection"' in data[:64] or b'"kind":"samples"' in data[:64]:
            return
        message = messages.read_message(data)
        if message is None:
            return
        if message.kind is Kind.DOWN:
            log.warning("worker ended", worker=message.worker, reason=message.content)
        elif message.kind is Kind.INTERFACES:
            for state in message.content:
                if told.get((message.worker, state.name), "") != state.problem:
                    told[message.worker, state.name] = state.problem
                    line = log.info if state.problem is None else log.warning
                    line("interface", name=state.name, open=state.open, reason=state.problem)

    return watch
