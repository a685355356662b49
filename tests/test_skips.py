"""A skip tells its reason; where CI=true it is a failure, so that a missing package can't hide (tests/conftest.py)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")
CONFIGURATION = "[pytest]\nmarkers = root: needs root\naddopts = -ra -p no:cacheprovider\n"
TESTS = """
import pytest

def test_passes(): pass
def test_lacks_a_program(needs_package): needs_package("no-such-program")
def test_not_for_ci(): pytest.skip("not in CI: asks a person")
@pytest.mark.xfail(reason="known")
def test_known(): assert False
"""


def pytest_here(directory: Path, tests: str, *arguments: str, ci: str) -> str:
    (directory / "conftest.py").write_text(CONFTEST.read_text())
    (directory / "pytest.ini").write_text(CONFIGURATION)
    (directory / "test_it.py").write_text(tests)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", "pytest.ini", "--rootdir", ".", *arguments],
        cwd=directory,
        env=os.environ | {"CI": ci},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return run.stdout


def test_a_skip_says_what_is_missing(tmp_path: Path) -> None:
    output = pytest_here(tmp_path, TESTS, ci="")

    assert "no-such-program is not installed (Debian package no-such-program)" in output
    assert "1 passed, 2 skipped, 1 xfailed" in output


@pytest.mark.parametrize("workers", ["0", "2"])  # `make test` has two
def test_in_ci_a_skip_fails_unless_ci_truly_lacks_it(tmp_path: Path, workers: str) -> None:
    output = pytest_here(tmp_path, TESTS, "-n", workers, ci="true")

    assert "skipped, but CI has all that tests need: no-such-program is not installed" in output
    assert "1 failed, 1 passed, 1 skipped, 1 xfailed" in output


@pytest.mark.parametrize(
    ("skip", "workers"),
    [("pytest.skip('no tool', allow_module_level=True)", "0"), ("pytest.importorskip('nothing')", "2")],
)
def test_in_ci_a_skipped_file_fails(tmp_path: Path, skip: str, workers: str) -> None:
    output = pytest_here(tmp_path, f"import pytest\n{skip}\n", "-n", workers, ci="true")

    assert "skipped, but CI has all that tests need" in output
    assert "1 error" in output


def test_a_test_that_needs_root_is_skipped_without_it(tmp_path: Path) -> None:
    tests = """
import os, pytest
os.geteuid = lambda: 1000

@pytest.mark.root
def test_namespace(): raise AssertionError("ran")
"""
    assert "1 skipped" in pytest_here(tmp_path, tests, ci="")
