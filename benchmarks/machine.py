"""The machine measured on: what it is, how busy it is, and what a process has used of it (proc(5))."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

_TICK = 1 / os.sysconf("SC_CLK_TCK")


class NotPossible(Exception):
    """A benchmark can't be run here; the message says what it needs."""


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds (user and system), of which its first thread's; resident MiB: now, and at most so far."""

    cpu: float
    first_thread: float
    rss: float
    peak: float


def describe_machine() -> str:
    """One line: processor, cores, kernel, Python."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")
    system = f"Linux {platform.release()}, Python {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, {system}. Ratios count within one run only."


def describe_load() -> str:
    """Load averages of 1, 5 and 15 minutes."""
    return ", ".join(f"{average:.2f}" for average in os.getloadavg())


def used_by(pid: int) -> Used:
    """What a process has used since its start. Raises OSError where it has ended."""
    sizes = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    rss, peak = (int(sizes[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return Used(_cpu(f"/proc/{pid}/stat"), _cpu(f"/proc/{pid}/task/{pid}/stat"), rss, peak)


def _cpu(path: str) -> float:
    fields = Path(path).read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK
