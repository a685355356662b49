"""What every test has: skips that CI doesn't let pass, and the rights and programs that a test may need.

A skip says what is missing. Where CI=true everything is installed by `make test`, so there a skip is a failure: it
would hide a missing install step or right. A test that CI truly can't run says so by a reason that begins with
`NOT_IN_CI`.
"""

import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

NOT_IN_CI = "not in CI: "
SEARCHED = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", "/sbin"))

# A machine that others use too is no reason to fail. (Hypothesis has a profile of its own for CI, which says this too.)
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if os.environ.get("CI") != "true":
    settings.load_profile("shared machine")

#: The programs that a Debian package gives, where they have another name.
PROGRAMS = {
    "dnsmasq-base": "dnsmasq",
    "dovecot-imapd": "dovecot",
    "dovecot-pop3d": "dovecot",
    "iproute2": "ip",
    "mitmproxy": "mitmdump",
    "nftables": "nft",
    "nginx-light": "nginx",
}


def require_program(name: str, package: str | None = None) -> str:
    """The program's path, sbin searched too; skips the test, naming the Debian package, where it isn't there."""
    path = shutil.which(name, path=SEARCHED)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian package {package or name})")
    return path


@pytest.fixture
def closes_histories(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Files that a test opened are closed behind it, as the service does at its end."""
    from exporter.history.store import Store

    opened: list[Store] = []
    begin = Store.__init__

    def open_and_remember(store: Store, path: Path, max_bytes: int) -> None:
        begin(store, path, max_bytes)
        opened.append(store)

    monkeypatch.setattr(Store, "__init__", open_and_remember)
    yield
    for store in opened:
        store.close()


@pytest.fixture
def needs_package() -> Callable[[str], str]:
    """`needs_package("dovecot-imapd")`: the path of the package's program, or the test is skipped."""
    return lambda package: require_program(PROGRAMS.get(package, package), package)


@functools.cache
def missing_right() -> str | None:
    """Why this process can't make network namespaces; None when it can."""
    if os.geteuid() != 0:
        return "needs root"
    unshare = shutil.which("unshare", path=SEARCHED)
    if unshare is None:
        return "unshare is not installed (Debian package util-linux)"
    tried = subprocess.run([unshare, "--net", "--mount", "true"], capture_output=True, text=True, timeout=10)
    return None if tried.returncode == 0 else f"needs the right to make network namespaces: {tried.stderr.strip()}"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("root") and (reason := missing_right()):
        pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not hasattr(report, "wasxfail"):
        _fail_if_skipped_in_ci(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped_in_ci(report)
    return report


def _fail_if_skipped_in_ci(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.outcome != "skipped" or os.environ.get("CI") != "true":
        return
    # pytest keeps a skip as (file, line, "Skipped: reason").
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(NOT_IN_CI):
        report.outcome = "failed"
        report.longrepr = f"skipped, but CI has all that tests need: {reason}"
