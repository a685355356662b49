"""What a fresh machine relies on: pinned dependencies with their reasons, licences, a wheel that has everything."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from exporter import cli

ROOT = Path(__file__).parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text()
PROJECT = tomllib.loads(PYPROJECT)["project"]
RUNTIME = PROJECT["dependencies"]
EXTRAS = PROJECT["optional-dependencies"]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock", "requirements-native.lock")


def pins(lock: str) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def unmet(requirements: list[str], lock: str) -> list[str]:
    pinned = pins(lock)

    def met(requirement: Requirement) -> bool:
        version = pinned.get(canonicalize_name(requirement.name))
        return version is not None and requirement.specifier.contains(version)

    return [text for text in requirements if not met(Requirement(text))]


def closure(requirements: list[str]) -> Iterator[str]:
    """Names of the installed packages that these requirements bring here, by their own metadata."""
    queue, seen = [Requirement(text) for text in requirements], set[tuple[str, frozenset[str]]]()
    while queue:
        requirement = queue.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        yield name
        for text in metadata.requires(name) or []:
            child = Requirement(text)
            wanted = [child.marker.evaluate({"extra": extra}) for extra in extras or {""}] if child.marker else [True]
            if any(wanted):
                queue.append(child)


@pytest.mark.parametrize("dependency", [*RUNTIME, *(each for extra in EXTRAS.values() for each in extra)])
def test_a_dependency_says_why_it_is_there(dependency: str) -> None:
    line = next(line for line in PYPROJECT.splitlines() if line.strip().startswith(f'"{dependency}"'))
    assert re.search(r'",\s+# \w+.{6,}', line), f"{line.strip()} has no comment that says why"


def test_each_dependency_is_pinned() -> None:
    assert unmet(RUNTIME, "requirements.lock") == []
    assert unmet(RUNTIME + EXTRAS["dev"], "requirements-dev.lock") == []
    build = tomllib.loads(PYPROJECT)["build-system"]["requires"]
    assert unmet(build, "requirements-build.lock") == []


def test_a_pin_that_is_missing_is_noticed() -> None:
    assert unmet(["apscheduler<3", "nobody-has-this"], "requirements.lock") == ["apscheduler<3", "nobody-has-this"]


def test_the_lock_holds_what_the_dependencies_need() -> None:
    assert set(closure(RUNTIME)) <= set(pins("requirements.lock"))
    assert set(closure(EXTRAS["dev"])) <= set(pins("requirements-dev.lock"))


def test_tests_run_on_the_versions_that_ship() -> None:
    runtime, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    assert runtime.items() <= dev.items()
    assert "scapy" not in runtime


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_hashes_and_no_index(lock: str) -> None:
    text = (ROOT / lock).read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(entries) == len(pins(lock)) > 0
    for entry in entries:
        assert "--hash=sha256:" in entry, entry
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", text)


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports, but for those that only a type checker reads."""
    names = set()
    tree = ast.parse(path.read_text())
    checked = {
        id(each)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for each in node.body
    }
    for node in ast.walk(tree):
        if id(node) in checked:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def test_only_the_packet_process_imports_scapy() -> None:
    files = [path for path in (ROOT / "exporter").rglob("*.py") if "wire" not in path.relative_to(ROOT).parts]
    assert len(files) > 10
    assert [str(path) for path in files if "scapy" in imported(path)] == []


def test_what_the_service_imports_is_declared() -> None:
    declared = {canonicalize_name(Requirement(text).name) for text in RUNTIME}
    packages = metadata.packages_distributions()
    foreign = {
        canonicalize_name(distribution)
        for path in (ROOT / "exporter").rglob("*.py")
        for name in imported(path) - {"exporter", "scapy"}
        if name not in sys.stdlib_module_names
        for distribution in packages.get(name, [name])
    }
    # pydantic is pydantic-settings' own face.
    assert foreign - declared - {"pydantic", "pydantic-core"} == set()


COPYLEFT = re.compile(r"\bA?GPL|GNU (Affero )?General Public", re.IGNORECASE)


def licence(name: str) -> str:
    fields = metadata.metadata(name)
    classifiers = [text for text in fields.get_all("Classifier") or [] if text.startswith("License ::")]
    named = [*(fields.get_all("License-Expression") or []), *(fields.get_all("License") or []), *classifiers]
    # Some put the whole text into License: its first line names it.
    return " | ".join(text.strip().partition("\n")[0] for text in named)


@pytest.mark.parametrize("name", sorted(set(closure(RUNTIME))))
def test_no_runtime_package_is_under_the_gpl(name: str) -> None:
    assert licence(name), f"{name} doesn't say its licence"
    assert not COPYLEFT.search(licence(name)), licence(name)


@pytest.mark.parametrize("words", ["GPL-2.0-only", "AGPL-3.0", "GNU General Public License v3 (GPLv3)"])
def test_a_gpl_licence_is_recognised(words: str) -> None:
    assert COPYLEFT.search(words)
    assert not COPYLEFT.search("LGPL-2.1 | MIT | Apache-2.0")


def test_the_readme_names_the_two_commands_and_every_other() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
    assert [name for name in cli.main.commands if f"`{name}`" not in readme] == []


@pytest.mark.slow
def test_the_wheel_has_every_file_of_the_package(tmp_path: Path) -> None:
    # setuptools writes beside its sources, so it gets a copy.
    source = tmp_path / "source"
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "exporter", source / "exporter", ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", tmp_path, source], check=True, timeout=100)

    (wheel,) = tmp_path.glob("*.whl")
    packed = zipfile.ZipFile(wheel).namelist()
    written = {str(path.relative_to(source)) for path in (source / "exporter").rglob("*") if path.is_file()}
    assert written - set(packed) == set()
    assert [name for name in packed if not name.startswith("exporter/") and ".dist-info/" not in name] == []
