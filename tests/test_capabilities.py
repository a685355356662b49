"""Capabilities are given up for good, in a child process that a test can afford to lose."""

import os
import subprocess
import sys
import textwrap

import pytest

from exporter.capabilities import enter_network_namespace, held_capabilities


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.root
def test_root_keeps_its_uid_and_loses_every_set() -> None:
    told = run("""
        import os
        from exporter.capabilities import drop_capabilities, held_capabilities
        assert held_capabilities() != 0
        drop_capabilities()
        assert held_capabilities() == 0
        wanted = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")
        for line in open("/proc/self/status"):
            if line.startswith(wanted):
                print(*line.split())
        print(os.getuid())
    """)
    assert told.splitlines() == [
        *(f"{name}: 0000000000000000" for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")),
        "NoNewPrivs: 1",
        "0",
    ]


@pytest.mark.root
def test_a_program_started_afterwards_has_none_either() -> None:
    told = run("""
        import subprocess
        from exporter.capabilities import drop_capabilities
        drop_capabilities()
        print(subprocess.run(["grep", "CapEff", "/proc/self/status"], capture_output=True, text=True).stdout)
    """)
    assert told.split() == ["CapEff:", "0000000000000000"]


@pytest.mark.root
def test_what_needed_a_capability_is_refused() -> None:
    told = run("""
        import os, socket
        from exporter.capabilities import drop_capabilities
        drop_capabilities()
        for attempt in (lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW), lambda: os.setuid(12345)):
            try:
                attempt()
            except PermissionError as error:
                print(error.errno)
    """)
    assert told.split() == ["1", "1"]


@pytest.mark.root
def test_a_thread_that_keeps_its_own_is_told_of() -> None:
    told = run("""
        import threading
        from exporter.capabilities import drop_capabilities
        done = threading.Event()
        threading.Thread(target=done.wait).start()
        try:
            drop_capabilities()
        except OSError as error:
            print(error.strerror)
        done.set()
    """)
    assert "before threads start" in told


def test_dropping_twice_or_without_any_is_no_error() -> None:
    told = run("""
        from exporter.capabilities import drop_capabilities, held_capabilities
        drop_capabilities()
        drop_capabilities()
        print(held_capabilities())
    """)
    assert told == "0"


def test_no_core_dumps() -> None:
    told = run("""
        import ctypes, resource
        from exporter.capabilities import forbid_core_dumps
        forbid_core_dumps()
        print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))  # PR_GET_DUMPABLE
    """)
    assert told == "(0, 0) 0"


def test_another_parent_than_expected_has_ended() -> None:
    told = run("""
        import signal
        from exporter.capabilities import die_with_parent
        try:
            die_with_parent(signal.SIGKILL, parent=999_999_999)
        except ProcessLookupError as error:
            print(error.strerror)
    """)
    assert told == "the parent has ended"


def test_a_file_that_is_no_namespace_cannot_be_entered() -> None:
    descriptor = os.open("/dev/null", os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="setns: "):
            enter_network_namespace(descriptor)
    finally:
        os.close(descriptor)


def test_a_process_that_is_gone() -> None:
    with pytest.raises(FileNotFoundError):
        held_capabilities(2**22 + 1)  # beyond the highest pid (PID_MAX_LIMIT)
