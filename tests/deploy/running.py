"""A program run to its end."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Done:
    """How it ended, and both its outputs."""

    status: int
    output: str


def done(*words: object, cwd: Path = ROOT) -> Done:
    """Runs it for at most 100 s."""
    command = [str(word) for word in words]
    found = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, cwd=cwd)
    return Done(found.returncode, found.stdout + found.stderr)
