"""Network namespaces for one test: unique names, made with `ip`, removed also when the test fails."""

import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from exporter.capabilities import enter_network_namespace
from tests.in_child import Result, in_child

_numbers = itertools.count()

#: Tests with this mark are skipped, with a reason, where namespaces can't be made (tests/conftest.py).
root = pytest.mark.root


def ip(*words: str) -> str:
    """`ip WORDS`; its output. Fails the test with what it said on stderr."""
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
    return done.stdout


def unique_name() -> str:
    """A name no other test, of this process or another, uses."""
    return f"oaet{os.getpid()}-{next(_numbers)}"


@contextmanager
def namespace() -> Iterator[str]:
    """An empty network namespace with its loopback up."""
    name = unique_name()
    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        ip("netns", "del", name)


@contextmanager
def linked(left: str, right: str) -> Iterator[None]:
    """Two namespaces joined by `eth0` in each: 10.77.0.1 and fd77::1 on the left, 10.77.0.2 and fd77::2 right."""
    ip("-n", left, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", right)
    for where, number in ((left, 1), (right, 2)):
        ip("-n", where, "address", "add", f"10.77.0.{number}/24", "dev", "eth0")
        ip("-n", where, "-6", "address", "add", f"fd77::{number}/64", "dev", "eth0", "nodad")
        ip("-n", where, "link", "set", "eth0", "up")
    yield


def inside(where: str, function: Callable[..., Result], *arguments: Any) -> Result:
    """Calls the function in a forked child that has entered the namespace; its result, or its exception, comes back."""

    def entered() -> Result:
        descriptor = os.open(Path("/run/netns") / where, os.O_RDONLY)
        enter_network_namespace(descriptor)
        os.close(descriptor)
        return function(*arguments)

    return in_child(entered)
