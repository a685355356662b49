"""The scripts behind `make`, beside stand-ins for what they would install: what they say, and that they end well."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
NEW_PYTHON = f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\nexec {sys.executable} "$@"\n'
OLD_PYTHON = '#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n'


class Scripts:
    """Copies of our scripts in a directory where programs can be replaced."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.programs = directory / "bin"
        self.programs.mkdir()
        for script in SCRIPTS.iterdir():
            shutil.copy(script, directory)

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def run(self, name: str, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.programs}:{environment.pop('PATH', os.environ['PATH'])}"
        return subprocess.run(
            [str(self.directory / name), *args],
            env={"PATH": path, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def scripts(tmp_path: Path) -> Scripts:
    return Scripts(tmp_path)


def test_an_old_python_is_named_and_what_to_install(scripts: Scripts, tmp_path: Path) -> None:
    old = scripts.write("bin/old-python", OLD_PYTHON)

    run = scripts.run("make-venv", str(tmp_path / "venv"), PYTHON=str(old))

    assert run.returncode == 1
    assert "Python 3.11 or newer is needed, and here is Python 3.9.2." in run.stderr
    assert "apt-get install python3 python3-venv" in run.stderr
    assert not (tmp_path / "venv").exists()


def test_a_missing_venv_is_named_before_it_is_installed(scripts: Scripts, tmp_path: Path) -> None:
    python = scripts.write("bin/bare-python", NEW_PYTHON)
    scripts.write("apt-install", '#!/bin/sh\necho "asked for $*"\nexit 1\n')
    package = f"python3.{sys.version_info.minor}-venv"

    run = scripts.run("make-venv", str(tmp_path / "venv"), PYTHON=str(python))

    named, asked = run.stdout.splitlines()
    assert named.endswith(f"has no venv; it is in the Debian package {package}.")
    assert asked == f"asked for {package}"
    assert f"install it with: apt-get install {package}" in run.stderr
    assert run.returncode == 1


def test_a_venv_that_works_is_left_as_it_is(scripts: Scripts) -> None:
    here = Path(sys.prefix)
    before = (here / "pyvenv.cfg").stat().st_mtime_ns

    run = scripts.run("make-venv", str(here), PYTHON="/nonexistent")

    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert (here / "pyvenv.cfg").stat().st_mtime_ns == before


def test_packages_are_named_before_they_are_installed(scripts: Scripts) -> None:
    scripts.write("bin/dpkg-query", '#!/bin/sh\n[ "$4" = squid ] || echo installed\n')
    scripts.write("apt-install", '#!/bin/sh\necho "installing $*"\n')

    run = scripts.run("install-test-packages")

    assert run.stdout.splitlines() == [
        "install-test-packages: the tests need these Debian packages, none of which is started: squid",
        "installing squid",
    ]
    assert run.returncode == 0


def test_what_cannot_be_installed_is_said_and_tests_go_on(scripts: Scripts) -> None:
    scripts.write("bin/dpkg-query", "#!/bin/sh\nexit 1\n")
    scripts.write("apt-install", "#!/bin/sh\nexit 1\n")

    run = scripts.run("install-test-packages")

    assert "some are missing; the tests that need them are skipped, and say so." in run.stdout
    assert run.returncode == 0


def test_nothing_is_installed_where_nothing_is_missing(scripts: Scripts) -> None:
    scripts.write("bin/dpkg-query", "#!/bin/sh\necho installed\n")
    scripts.write("apt-install", "#!/bin/sh\necho installing\n")

    assert scripts.run("install-test-packages").stdout == ""


def test_without_root_and_sudo_the_command_is_told(scripts: Scripts) -> None:
    scripts.write("bin/id", "#!/bin/sh\necho 1000\n")
    scripts.write("bin/apt-get", "#!/bin/sh\necho called\n")
    scripts.write("bin/sudo", "#!/bin/sh\nexit 1\n")

    run = scripts.run("apt-install", "squid", "curl")

    assert run.stderr == "neither root nor sudo: install by hand: apt-get install squid curl\n"
    assert (run.returncode, run.stdout) == (1, "")
