"""The process that looks at packets: enters the sandbox, then reads, counts and tells until its channel closes."""

import gc
import os
import select
import signal
import socket
import time
from collections.abc import Container, Iterable
from datetime import UTC, datetime
from types import FrameType
from typing import NoReturn

from exporter.capabilities import die_with_parent
from exporter.metrics.samples import Labels, Sample
from exporter.observations import Connection
from exporter.vocabulary import ConnectionOutcome, Protocol
from exporter.wire import messages
from exporter.wire.inference.infer import infer
from exporter.wire.interface_state import Interface
from exporter.wire.kernel_memory import KernelMemory, kernel_memory
from exporter.wire.live import Inspection
from exporter.wire.outbox import MAX_CONNECTIONS, MAX_FOR_COMMAND, Outbox
from exporter.wire.privacy import Privacy
from exporter.wire.ring import BLOCK_MILLISECONDS
from exporter.wire.sandbox import call_process, enter, keep_only_raw
from exporter.wire.trace import Record, Trace, TraceEnd
from exporter.wire.watched import InspectorConfig, filter_spec

#: Counts and everything that rests on time are looked after so often, seconds.
TICK = 1.0
#: Connections a second that are told to a service, which lists the latest few; a command is told them all.
TOLD_EACH_SECOND = 200


class _Stop(BaseException):
    """SIGTERM while nothing was going on."""


class Worker:
    """Everything between a channel and an inspection. `all_told`: a command's: no limit to the connections that are
    told, and of packets alone counts, at the end."""

    def __init__(self, config: InspectorConfig, channel: socket.socket, run: str, *, all_told: bool) -> None:
        self.inspection = Inspection(config, self._tell, counting=not all_told)
        self._number = config.worker
        self._channel = channel
        self._run = run
        self._outbox = Outbox(channel, limit=MAX_FOR_COMMAND if all_told else MAX_CONNECTIONS)
        self._left = TOLD_EACH_SECOND
        self._all_told = all_told
        self._sandbox = self._filter = ""
        self._told: dict[tuple[str, str, Labels], float] = {}
        self._version: object = None
        self._waiting = self._stopped = False

    def begin(self, sandbox: str, interfaces: Iterable[Interface], memory: KernelMemory | None = None) -> None:
        """Says hello, and opens the interfaces. `memory`: of the kernel's filter, where it may have one."""
        self._sandbox = sandbox
        self.inspection.memory = memory
        self._filter = "classic BPF" if memory is None else "eBPF"
        self.inspection.watch(interfaces)
        self._tell_all()

    def serve(self) -> None:
        """Until the other end closes. Raises OSError where it closes in the middle of a message of ours."""
        next_tick = 0.0
        while not self._stopped:
            ready = self._wait(max(next_tick - time.monotonic(), 0.0))
            troubled = False
            for descriptor, events in ready:
                if descriptor != self._channel.fileno():
                    troubled |= bool(events & ~select.POLLIN)
                elif events & ~select.POLLOUT and not self._take_order():
                    return
            self.inspection.read()
            if troubled or time.monotonic() >= next_tick:
                self._tick()
                next_tick = time.monotonic() + TICK
            self._outbox.flush()

    def finish(self) -> None:
        """Tells what is still open, and waits a moment for it to be taken."""
        select.select([], [], [], BLOCK_MILLISECONDS / 1_000 + 0.01)  # what came last is in a block not handed over yet
        self.inspection.finish()
        self._tell_counts()
        self._channel.settimeout(0.5)
        deadline = time.monotonic() + 0.5
        while self._outbox.waits and time.monotonic() < deadline:
            self._outbox.flush()
            select.select([], [self._channel], [], 0.05)

    def stop(self, number: int, frame: FrameType | None) -> None:
        """The handler of SIGTERM: what is being worked at is finished."""
        self._stopped = True
        if self._waiting:
            raise _Stop

    def _wait(self, seconds: float) -> list[tuple[int, int]]:
        poll = self._poll()
        self._waiting = True
        try:
            return [] if self._stopped else poll.poll(seconds * 1_000)
        except _Stop:
            return []
        finally:
            self._waiting = False

    def _poll(self) -> "select.poll":
        """Made anew each time: interfaces come and go, and there are few."""
        poll = select.poll()
        poll.register(self._channel, select.POLLIN | (select.POLLOUT if self._outbox.waits else 0))
        for watched in self.inspection.watched.values():
            if watched.capture is not None:
                poll.register(watched.capture, select.POLLIN)
        return poll

    def _take_order(self) -> bool:
        """One order; False at the end of the conversation. Whoever gives one knows nothing yet, and is told all."""
        data = self._channel.recv(messages.MAX_MESSAGE)
        if not data:
            return False
        interfaces = messages.read_order(data)
        if interfaces is not None:
            self.inspection.watch(interfaces)
            self._told = {}
            self._tell_all()
        return True

    def _tick(self) -> None:
        self._left = TOLD_EACH_SECOND
        if self.inspection.tick(time.monotonic(), time.time_ns()):
            self._tell_interfaces()
        if not self._all_told and not self._outbox.has_state:  # a command sums up at the end
            self._tell_counts()

    def _tell(self, connection: Connection) -> None:
        self._left -= 1
        if self._all_told or self._left >= 0:
            self._outbox.put_connection(messages.connection(self._number, connection))
        else:
            self._outbox.lost += 1

    def _tell_all(self) -> None:
        self.inspection.tick(time.monotonic(), time.time_ns())
        self._outbox.put_state([messages.hello(self._number, self._run, self._sandbox, self._filter)])
        self._tell_interfaces()
        self._tell_counts()

    def _tell_interfaces(self) -> None:
        self._outbox.put_state([messages.interface_states(self._number, self.inspection.states())])

    def _tell_counts(self) -> None:
        self._outbox.put_state(messages.samples(self._number, self._changed()))
        if self._outbox.lost:
            self._outbox.put_state([messages.lost(self._number, self._outbox.lost)])

    def _changed(self) -> list[Sample]:
        """What counts another number than when it was told last."""
        counted, told = self.inspection.counted, self._told
        version = counted.version()
        if version is self._version and told:
            return []
        self._version = version
        found = [each for each in counted.samples() if told.get((each.metric, each.suffix, each.labels)) != each.value]
        told.update({(each.metric, each.suffix, each.labels): each.value for each in found})
        return found


def fork_worker(config: InspectorConfig, interfaces: Iterable[Interface]) -> tuple[socket.socket, int]:
    """Forks a worker alone, which tells every connection: our end of its channel, and its pid."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        live(config, theirs, interfaces, parent, kernel_memory_for(config), all_told=True)
    theirs.close()
    return ours, pid


def kernel_memory_for(config: InspectorConfig) -> KernelMemory | None:
    """For `live`: loaded by who still may, else None. It is for one worker, and then for the next in its place."""
    return kernel_memory(filter_spec(config, ()))


def live(
    config: InspectorConfig, channel: socket.socket, interfaces: Iterable[Interface], parent: int,
    memory: KernelMemory | None, *, all_told: bool,
) -> NoReturn:  # fmt: skip
    """The forked child's whole life. It ends with its parent, or when the other end closes."""
    status = 1
    worker = Worker(config, channel, f"{os.getpid()}.{time.time_ns()}", all_told=all_told)
    try:
        _begin(config, {channel.fileno(), *(memory.descriptors if memory is not None else ())})
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
        signal.signal(signal.SIGTERM, worker.stop)
        keep_only_raw()
        die_with_parent(signal.SIGKILL, parent)  # behind the change of identity, which clears it
        sandbox = enter(keep_raw=True)
        worker.begin(sandbox.value, interfaces, memory)
        try:
            worker.serve()
        except (BrokenPipeError, ConnectionResetError):
            pass
        worker.finish()
        status = 0
    except (BrokenPipeError, ConnectionResetError, ProcessLookupError):
        status = 0
    except BaseException as error:
        _tell_end(channel, config.worker, error)
    os._exit(status)


def _begin(config: InspectorConfig, kept: Container[int]) -> None:
    """Everything that needs a file is done before none can be opened; what isn't `kept` is closed."""
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for descriptor in [int(name) for name in os.listdir("/proc/self/fd")]:
        if descriptor > 2 and descriptor not in kept:
            try:
                os.close(descriptor)
            except OSError:  # the listing's own
                pass
    call_process(f"oae-inspect/{config.worker}")
    warm_up()
    gc.collect()
    gc.freeze()  # what was before us never becomes garbage


def warm_up() -> None:
    """What is imported or read at first use: it is used now, by who may still read files; forked children have it."""
    now = datetime.now(UTC)
    example = Connection(
        start=now, end=now, client="192.0.2.1", client_port=1, server="192.0.2.2", server_port=993, ip_version=4,
        outcome=ConnectionOutcome.ESTABLISHED,
    )  # fmt: skip
    Privacy("hashed").apply(example)
    messages.read_message(messages.connection(0, example))
    for protocol in (Protocol.IMAP, Protocol.SMTP, Protocol.POP):
        records = [Record(1.0, from_client, 23, 60) for from_client in (False, True, False, True)]
        infer(
            Trace(
                protocol=protocol, tls_version="TLSv1.3", cipher="TLS_AES_128_GCM_SHA256",
                records=records, end=TraceEnd.CLIENT_CLOSED,
            )
        )  # fmt: skip


def _tell_end(channel: socket.socket, number: int, error: BaseException) -> None:
    """The kind of mistake and its place, never its words: they may quote what was seen."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{os.path.basename(place.tb_frame.f_code.co_filename)}:{place.tb_lineno}" if place is not None else "?"
    reason = error.strerror or "" if isinstance(error, OSError) else ""
    try:
        channel.send(messages.down(number, f"{type(error).__name__} at {where} {reason}".strip()))
    except OSError:
        pass
