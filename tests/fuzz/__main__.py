"""`python -m tests.fuzz TARGET [libFuzzer's options]`: fuzzes with atheris, until it finds something or is stopped.

atheris isn't among our dependencies: `pip install atheris`. Options are those of libFuzzer, such as -max_total_time=60;
without a directory of inputs it begins with the target's seeds.
"""

import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory


def main() -> None:
    try:
        atheris = import_module("atheris")
    except ImportError:
        sys.exit("tests.fuzz: atheris is not installed (pip install atheris)")
    with atheris.instrument_imports(include=["exporter"]):
        from tests.fuzz.targets import TARGETS
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz [{'|'.join(TARGETS)}] [options of libFuzzer]")
    target = TARGETS[sys.argv.pop(1)]
    with TemporaryDirectory(prefix="fuzz-") as directory:
        for number, seed in enumerate(target.seeds()):
            (Path(directory) / f"seed-{number}").write_bytes(seed)
        atheris.Setup([*sys.argv, directory], target.run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
