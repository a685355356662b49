"""The demo's clients, and who watches them: an inspector on loopback where it has the right, else a capture made."""

import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exporter.lab.lab import Lab
from exporter.lab.visitors import Visitors
from exporter.metrics.wire import InterfaceCounts
from exporter.metrics.wire_mirror import WireMirror
from exporter.wire.decode import LinkType
from exporter.wire.interface_state import Interface, InterfaceState
from exporter.wire.live import Inspection
from exporter.wire.messages import Kind, Message
from exporter.wire.sandbox import may_read_packets
from exporter.wire.tracker import Tracker
from exporter.wire.watched import InspectorConfig

LIVE = "Clients are read live from loopback."
CAPTURED = "Clients are read from a capture made on the spot: reading loopback's packets needs CAP_NET_RAW."
#: How long an inspector has to end, seconds.
_STOP_SECONDS = 2.0


class DemoClients:
    """`words`: how they are watched."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.live = may_read_packets()
        self.words = LIVE if self.live else CAPTURED
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._captured = None if self.live else _Captured()
        self.visitors = Visitors(lab, None if self._captured is None else self._captured.take)

    def configuration(self) -> dict[str, Any]:
        """The configuration's `inspect`. The prober, and the gateway's other side, are no clients."""
        if not self.live:
            return {}
        socket, interfaces = str(self._directory / "inspector.sock"), [{"name": "lo", "side": "inside"}]
        return {"inspect": {"interfaces": interfaces, "socket": socket, "ignored_clients": ["127.0.0.1/32"]}}

    def start(self, config: Path, env: Mapping[str, str]) -> None:
        """Starts the inspector as a unit of its own: a process with threads can't fork one."""
        if self.live:
            command = [sys.executable, "-m", "exporter", "run", "--only", "inspector", "--config", str(config)]
            self._process = subprocess.Popen(command, env=dict(env), stderr=subprocess.DEVNULL)

    def tell(self, mirror: WireMirror, config: InspectorConfig) -> None:
        """After a round: what the capture told goes where an inspector's messages would."""
        if self._captured is not None:
            self._captured.tell(mirror, config)

    def stop(self) -> None:
        """Ends the inspector."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


class _Captured:
    """Frames as they are made, and an inspection of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames: list[tuple[int, bytes]] = []
        self._inspection: Inspection | None = None
        self._tracker: Tracker | None = None
        self._packets = 0

    def take(self, moment: int, frame: bytes) -> None:
        """From the lab's thread."""
        with self._lock:
            self._frames.append((moment, frame))

    def tell(self, mirror: WireMirror, config: InspectorConfig) -> None:
        """From the service's: what is new is read, and told."""
        interface = Interface("capture", "inside")
        if self._inspection is None or self._tracker is None:
            self._inspection = Inspection(config, lambda seen: mirror.take(Message(0, Kind.CONNECTION, seen)))
            self._tracker = self._inspection.tracker(interface)
            mirror.take(Message(0, Kind.HELLO, ("demo", "")))
            state = InterfaceState(name=interface.name, side=interface.side, open=True)
            mirror.take(Message(0, Kind.INTERFACES, (state,)))
        with self._lock:
            frames, self._frames = self._frames, []
        for moment, frame in frames:
            self._inspection.set_time(moment)
            self._tracker.packet(moment, LinkType.ETHERNET, frame, 0, len(frame), len(frame), interface.name)
        self._packets += len(frames)
        counted = self._inspection.counted
        counts = InterfaceCounts(
            packets=self._packets, tracked=len(self._tracker), max_tracked=config.max_connections,
            held=self._tracker.held, max_held=config.max_held,
        )  # fmt: skip
        counted.counters(interface.name, counts)
        mirror.take(Message(0, Kind.SAMPLES, list(counted.samples())))
