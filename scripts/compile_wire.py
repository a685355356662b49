"""The work of scripts/compile-wire, in the environment's own Python."""

import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
#: -O1 is as fast as -O3 here, and compiles in two thirds of its time.
SETUP = """
from mypyc.build import mypycify
from setuptools import setup

setup(name="wire", packages=[], ext_modules=mypycify(
    ["--ignore-missing-imports", "--config-file=", *{files}], opt_level="1", debug_level="0", group_name="outlook_wire"
))
"""
SECONDS = 900


def missing() -> str | None:
    """What isn't there, in words."""
    if find_spec("mypyc") is None:
        return "mypy is not installed in this environment"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler ({compiler}; Debian package gcc)"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "Python's headers are missing (Debian package python3-dev)"
    return None


def build(target: Path, modules: tuple[str, ...]) -> str | None:
    """Fills the directory; the last words of a compiler that failed."""
    with TemporaryDirectory(prefix="compile-wire-") as directory:
        work = Path(directory)
        shutil.copytree(ROOT / "exporter", work / "exporter", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        files = [f"exporter/{name}.py" for name in modules]
        (work / "setup.py").write_text(SETUP.format(files=files))
        command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", str(work / "made")]
        done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=SECONDS, check=False)
        if done.returncode:
            return (done.stdout + done.stderr).strip()[-2_000:]
        target.parent.mkdir(parents=True, exist_ok=True)
        for old in target.parent.iterdir():
            shutil.rmtree(old)
        shutil.copytree(work / "made", target)
        (target / "whole").touch()
    return None


def main() -> None:
    sys.path.insert(0, str(ROOT))
    from exporter.compiled import MODULES, place

    target = place()
    if (target / "whole").exists():
        return
    reason = missing() or build(target, MODULES)
    if reason is not None:
        print(f"compile-wire: the inspector's hot modules are interpreted, at a third of the speed: {reason}")


if __name__ == "__main__":
    main()
