"""What `inspect` reads from: files and standard input, opened first, ended by a signal, with progress on a terminal."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from exporter.configuration_error import ConfigurationError

#: How often progress is shown, seconds.
PROGRESS = 0.25
STDIN = "-"


class StoppedError(Exception):
    """A signal asked to stop."""


def open_inputs(names: Sequence[str]) -> list[tuple[str, BinaryIO]]:
    """All of them before the first is read, while the right to read them is still held. Raises ConfigurationError."""
    opened: list[tuple[str, BinaryIO]] = []
    problems = []
    for name in names:
        try:
            if name == STDIN:
                opened.append(("standard input", sys.stdin.buffer))
            else:
                opened.append((name, Path(name).open("rb", buffering=0)))  # noqa: SIM115 -- read to its end by the caller
        except OSError as error:
            problems.append(f"{name}: {error.strerror}")
    if problems:
        raise ConfigurationError(problems)
    return opened


class Reading:
    """A stream as `pieces` reads it. A signal ends it between two pieces, or while it waits for a pipe."""

    def __init__(self, progress: Callable[[], str]) -> None:
        self._progress = progress
        self._stream: BinaryIO | None = None
        self._stopped = self._waiting = False
        self._shown = 0.0
        self._terminal = sys.stderr.isatty()

    def of(self, stream: BinaryIO) -> "Reading":
        """From now on its bytes come from this stream."""
        self._stream = stream
        return self

    def read(self, count: int) -> bytes:
        """What is there of at most `count` bytes. Raises StoppedError, OSError."""
        assert self._stream is not None
        if self._stopped:
            raise StoppedError
        self._show()
        read = getattr(self._stream, "read1", self._stream.read)
        self._waiting = True
        try:
            return bytes(read(count) or b"")
        finally:
            self._waiting = False

    def stop(self, number: int, frame: FrameType | None) -> None:
        """The handler of SIGTERM and SIGINT: what was read is still worked off, so nothing is left half done."""
        self._stopped = True
        if self._waiting:
            raise StoppedError

    def _show(self) -> None:
        if self._terminal and time.monotonic() - self._shown > PROGRESS:
            self._shown = time.monotonic()
            sys.stderr.write(f"\r{self._progress()}\x1b[K")
            sys.stderr.flush()

    def clear(self) -> None:
        """The line of progress makes room for others."""
        if self._shown:
            self._shown = 0.0
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
