"""What `inspect` reads from: files and standard input, opened first, ended by a signal, with progress on a terminal."""

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
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
                opened.append(("standard input", _unbuffered(0)))
            else:
                opened.append((name, _unbuffered(Path(name))))
        except OSError as error:
            problems.append(f"{name}: {error.strerror}")
    if problems:
        raise ConfigurationError(problems)
    return opened


def _unbuffered(file: Path | int) -> BinaryIO:
    """Read to its end by the caller; what no buffer keeps back can be waited for. Raises OSError."""
    return open(file, "rb", buffering=0, closefd=file != 0)


class Reading:
    """A stream as `pieces` reads it. A signal ends it between two pieces, or while it waits for a pipe.

    A handler alone can't: a signal that comes between the look for it and the read would be waited out. So it waits for
    the stream and for the interpreter's own note of a signal (`signal.set_wakeup_fd`), whichever is first.
    """

    def __init__(self, progress: Callable[[], str]) -> None:
        self._progress = progress
        self._stream: BinaryIO | None = None
        self._signalled: int | None = None
        self._poll = select.poll()
        self._shown = 0.0
        self._terminal = sys.stderr.isatty()

    def of(self, stream: BinaryIO) -> "Reading":
        """From now on its bytes come from this stream, which keeps none back in a buffer of its own."""
        if self._stream is not None:
            self._poll.unregister(self._stream)
        self._stream = stream
        self._poll.register(stream, select.POLLIN)
        return self

    def ends_at(self, *numbers: signal.Signals) -> None:
        """These signals end it; what was read is still worked off, so nothing is left half done."""
        self._signalled, note = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(note, warn_on_full_buffer=False)
        self._poll.register(self._signalled, select.POLLIN)
        for number in numbers:
            signal.signal(number, lambda *_: None)  # so that the interpreter takes note of it

    def read(self, count: int) -> bytes:
        """What is there of at most `count` bytes. Raises StoppedError, once for each signal, and OSError."""
        assert self._stream is not None
        self._show()
        if self._signalled is not None and self._signalled in dict(self._poll.poll()):
            os.read(self._signalled, 1)
            raise StoppedError
        return self._stream.read(count) or b""

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
