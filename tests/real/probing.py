"""The product driven from outside: `python -m exporter probe --json`, its lines, its exit status, its memory."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from exporter.vocabulary import Outcome, Phase

ROOT = Path(__file__).parents[2]
OUTCOMES = frozenset(Outcome)


class Line:
    """One probe line of the contract."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields

    def __getitem__(self, key: str) -> Any:
        return self.fields[key]

    def __repr__(self) -> str:
        return json.dumps(self.fields, indent=1)

    def phase(self, phase: Phase) -> dict[str, Any]:
        """That phase of the walk."""
        return next(each for each in self.fields["phases"] if each["phase"] == phase)

    def outcomes(self) -> dict[str, str]:
        """Phase → outcome, in the order walked."""
        return {each["phase"]: each["outcome"] for each in self.fields["phases"]}


@dataclass(frozen=True, slots=True)
class Run:
    """A finished `probe`: its lines by (target, vantage), and what the kernel says of the process."""

    lines: dict[tuple[str, str], Line]
    status: int
    stdout: bytes
    stderr: str
    seconds: float
    peak_bytes: int

    def __getitem__(self, target: str) -> Line:
        """The line of a target probed from the only vantage."""
        [line] = [line for (name, _), line in self.lines.items() if name == target]
        return line


def probe(
    targets: Sequence[Mapping[str, Any]],
    *,
    root_file: Path,
    genuine: bool = True,
    vantages: Sequence[Mapping[str, Any]] = (),
    timeout: str = "5s",
    arguments: Sequence[str] = (),
    limit_seconds: float = 75,
) -> Run:
    """One round over `targets` (as in probe.custom). The machine trusts `root_file`.

    With `genuine`, it also counts as Microsoft's root; without, the built-in ones do, as on an appliance.
    """
    configuration: dict[str, Any] = {
        "probe": {"custom": [dict(target) for target in targets], "timeout": timeout, "canaries_per_hour": 1000},
    }
    if genuine:
        configuration["identity"] = {"roots_file": str(root_file)}
    if vantages:
        configuration["vantages"] = [dict(vantage) for vantage in vantages]
    with TemporaryDirectory(prefix="real-probe-") as directory:
        file = Path(directory) / "config.yml"
        file.write_text(yaml.safe_dump(configuration))
        command = [sys.executable, "-m", "exporter", "probe", *(str(target["name"]) for target in targets)]
        env = {"PATH": os.environ["PATH"], "SSL_CERT_FILE": str(root_file), "HOME": directory, "LANG": "C.UTF-8"}
        return _run([*command, "--json", "--config", str(file), *arguments], env, Path(directory), limit_seconds)


def _run(command: Sequence[str], env: Mapping[str, str], directory: Path, limit_seconds: float) -> Run:
    """Runs it with its output in files, so that its memory can be watched while it runs."""
    begin = time.monotonic()
    out, err = directory / "stdout", directory / "stderr"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        child = subprocess.Popen(
            command, cwd=ROOT, env=dict(env), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )
        status, peak_bytes = _wait(child, begin + limit_seconds)
    stdout_bytes, stderr_text = out.read_bytes(), err.read_text(errors="replace")
    assert status in (0, 1), f"exit status {status}\n{stderr_text}"
    assert "Traceback" not in stderr_text, stderr_text
    lines = [Line(json.loads(line)) for line in stdout_bytes.splitlines()]
    by_name = {(line["target"], line["vantage"]): line for line in lines}
    assert len(by_name) == len(lines), "a target and vantage was printed twice"
    return Run(by_name, status, stdout_bytes, stderr_text, time.monotonic() - begin, peak_bytes)


def _wait(child: subprocess.Popen[bytes], deadline: float) -> tuple[int, int]:
    """Exit status and peak resident memory in bytes; a child that outlives the deadline is killed and fails.

    The peak is the kernel's VmHWM, read while the child runs: wait4's ru_maxrss begins with the size of this process,
    which forked it.
    """
    peak = 0
    while child.poll() is None:
        peak = max(peak, _high_water(child.pid))
        if time.monotonic() > deadline:
            child.kill()
            child.wait()
            raise AssertionError("probe didn't end in time")
        time.sleep(0.01)
    assert peak, "the child's memory was never seen"
    return child.returncode, peak


def _high_water(pid: int) -> int:
    """Peak resident memory of a process so far, bytes; 0 where it has just ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)
