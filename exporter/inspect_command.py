"""`inspect`: the connections in captures, as JSON Lines or as a table."""

import gc
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import click

from exporter.capabilities import drop_capabilities, forbid_core_dumps
from exporter.inspect_input import Reading, StoppedError, open_inputs
from exporter.inspect_summary import Summary
from exporter.inspect_table import header, row
from exporter.observations import Connection
from exporter.wire.capture_file import CaptureDamagedError, CaptureFile, NotACaptureError
from exporter.wire.connection_json import connection_json
from exporter.wire.tracker import Tracker, TrackerConfig
from exporter.wire.tracker_config import PATIENCE_IN_FILES

#: A file that goes on so soon behind the one before is its continuation, as `tcpdump -C` writes them, nanoseconds.
CONTINUES = 60_000_000_000
#: Of the environment's variables that belong to the configuration.
PREFIX = "OUTLOOK_EXPORTER_"
#: Lines of JSON are written so many at a time, unless somebody waits for each.
LINES = 64
#: Objects that may wait for the garbage collector; connections that are over don't need it.
GARBAGE = 100_000
_READ_WHOLE, _NOT_READ, _STOPPED = 0, 2, 130


def run_inspect(
    files: Sequence[str],
    *,
    config: Path | None,
    env: Mapping[str, str],
    as_json: bool,
    summary: bool,
) -> int:
    """Exit status: 0 all was read whole, 2 something wasn't. Raises ConfigurationError."""
    tracked = _tracked(config, env)
    inputs = open_inputs(files)
    if os.geteuid() == 0:
        drop_capabilities()
    forbid_core_dumps()
    gc.freeze()
    gc.set_threshold(GARBAGE)
    # Of a pipe, or at a terminal, somebody may wait for each.
    at_once = sys.stdout.isatty() or not all(Path(name).is_file() for name in files)
    inspection = Inspection(tracked, as_json=as_json, at_once=at_once)
    inspection.reading.ends_at(signal.SIGTERM, signal.SIGINT)
    status = _READ_WHOLE
    try:
        for name, stream in inputs:
            if not inspection.read(name, stream):
                status = _NOT_READ
    except StoppedError:
        status = _STOPPED
    inspection.finish()
    if summary or not as_json:
        click.echo(inspection.summary.as_json() if as_json else inspection.summary.as_text())
    return status


def _tracked(config: Path | None, env: Mapping[str, str]) -> TrackerConfig:
    """What is followed. Reading a configuration takes longer than many a capture, so without one that is left out."""
    if config is None and not any(name.startswith(PREFIX) for name in env):
        return TrackerConfig(everything=True, patience=PATIENCE_IN_FILES)
    from exporter.inspector_config import files_config_of
    from exporter.settings_file import load

    return files_config_of(load(config, env))


class Inspection:
    """One run over all files; what is found is printed as it is found, and `at_once` isn't kept back either."""

    def __init__(self, config: TrackerConfig, *, as_json: bool, at_once: bool = True) -> None:
        self.summary = Summary()
        self.reading = Reading(self._progress)
        self._config = config
        self._as_json, self._at_once = as_json, at_once
        self._tracker = Tracker(config, self._found)
        self._lines: list[str] = []

    def read(self, name: str, stream: BinaryIO) -> bool:
        """One file. False where it is damaged or no capture, which is told on stderr. Raises StoppedError."""
        try:
            capture = CaptureFile(self.reading.of(stream))
            try:
                self._follow(capture)
            finally:
                self.summary.dropped += capture.dropped
        except NotACaptureError as error:
            return self._warn(f"{name}: not a capture: {error}")
        except CaptureDamagedError as error:
            return self._warn(f"{name}: {error}; what came before it was read")
        except BrokenPipeError:
            raise  # of our own output
        except OSError as error:
            return self._warn(f"{name}: {error.strerror}")
        return True

    def finish(self) -> None:
        """What is open is told as far as it got."""
        self._tracker.finish()
        self.summary.add_counts(self._tracker.counts)
        self.reading.clear()
        self._write()

    def _follow(self, capture: CaptureFile) -> None:
        packets = capture.packets()
        first = next(packets, None)
        if first is None:
            return
        if not 0 <= first[0] - self._tracker.now <= CONTINUES:
            self._tracker.finish()
            self.summary.add_counts(self._tracker.counts)
            self._tracker = Tracker(self._config, self._found)
        capture.skim(self._tracker.skimmer)
        self._tracker.packet(*first)
        self._tracker.packets(packets)

    def _found(self, connection: Connection) -> None:
        self.reading.clear()
        if self.summary.connections == 0 and not self._as_json:
            click.echo(header())
        self.summary.add(connection.target, connection.outcome)
        if self._as_json:
            self._lines.append(connection_json(connection))
            if self._at_once or len(self._lines) == LINES:
                self._write()
        else:
            click.echo(row(connection))

    def _write(self) -> None:
        if self._lines:
            sys.stdout.write("\n".join(self._lines) + "\n")
            self._lines.clear()
        sys.stdout.flush()

    def _warn(self, text: str) -> bool:
        self.summary.damaged += 1
        self.reading.clear()
        self._write()  # in its place among the lines
        click.echo(text, err=True)
        return False

    def _progress(self) -> str:
        return f"{self._tracker.counts.packets:,} packets, {self.summary.connections:,} connections"
