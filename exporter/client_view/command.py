"""The programs `ip` and `tc` (iproute2), run with a time-out; what they say on failure becomes one clear line."""

import json
import os
import subprocess
from typing import Any

#: How long one command may take, seconds; each takes milliseconds.
TIMEOUT = 10.0
_SEARCHED = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


class ClientViewError(Exception):
    """`vantage create|remove` can't do it; the message is one line for the administrator."""


def run(program: str, *words: str) -> str:
    """The output of `program words`. Raises ClientViewError with its own words."""
    done = _done(program, *words)
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise ClientViewError(f"{program} {' '.join(words)}: {said or f'exit status {done.returncode}'}")
    return done.stdout


def attempt(program: str, *words: str) -> bool:
    """Runs it where failing means that there is nothing to do; whether it worked."""
    return _done(program, *words).returncode == 0


def ask(program: str, *words: str) -> list[dict[str, Any]]:
    """The objects that `program -j words` prints; none where it fails (no such device)."""
    done = _done(program, "-j", *words)
    if done.returncode or not done.stdout.strip():
        return []
    try:
        return [each for each in json.loads(done.stdout) if isinstance(each, dict) and each]
    except ValueError as error:
        raise ClientViewError(f"{program} -j {' '.join(words)}: no JSON; iproute2 5.0 or newer is needed") from error


def _done(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": _SEARCHED, "LC_ALL": "C"}
    try:
        return subprocess.run(
            [program, *words],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise ClientViewError(f"{program} is not installed (Debian package iproute2)") from None
    except subprocess.TimeoutExpired:
        raise ClientViewError(f"{program} {' '.join(words)}: no end within {TIMEOUT:.0f} s") from None
