"""Machine code says what the sources say, and is never loaded for others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from exporter import compiled
from scripts.compile_wire import missing
from tests.conftest import NOT_IN_CI
from tests.wire.conversation import SECOND
from tests.wire.frames import Frame, pcap
from tests.wire.test_mutations import STORIES, conversation

ROOT = Path(__file__).parents[2]
WHERE = """
from importlib import import_module
from exporter.compiled import MODULES
print(*{import_module("exporter." + name.replace("/", ".")).__file__.rpartition(".")[2] for name in MODULES})
"""


def python(*arguments: str, interpreted: bool = False) -> str:
    environment = {name: value for name, value in os.environ.items() if name != compiled.INTERPRETED}
    if interpreted:
        environment[compiled.INTERPRETED] = "1"
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def many() -> list[Frame]:
    """Every story in segments of several sizes, side by side."""
    frames: list[Frame] = []
    for number, story in enumerate(STORIES):
        for mss in (1, 50, 1_448):
            made = conversation(story, mss)
            made.client = (f"10.0.{number}.1", 1_024 + mss)
            frames += [(frame[0] + number * SECOND, frame[1]) for frame in made.frames()]
    return sorted(frames, key=lambda frame: frame[0])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_compiled_and_interpreted_say_the_same(tmp_path: Path):
    if (reason := missing()) is not None:
        pytest.skip(f"{NOT_IN_CI}{reason}")
    said = python("scripts/compile_wire.py")
    assert said == ""
    assert python("-c", WHERE).strip() == "so"
    assert python("-c", WHERE, interpreted=True).strip() == "py"
    file = tmp_path / "many.pcap"
    file.write_bytes(pcap(many()))
    arguments = ("-m", "exporter", "inspect", str(file), "--json", "--summary")
    told = python(*arguments)
    assert told == python(*arguments, interpreted=True)
    assert len(told.splitlines()) == 3 * len(STORIES) + 1


def test_other_sources_have_another_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before = compiled.digest()
    for name in compiled.MODULES:
        copy = tmp_path / f"{name}.py"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((ROOT / "exporter" / f"{name}.py").read_bytes())
    monkeypatch.setattr(compiled, "_SOURCES", tmp_path)
    assert compiled.digest() == before
    with (tmp_path / "wire" / "tcp.py").open("a") as edited:
        edited.write("\n# edited\n")
    assert compiled.digest() != before
    assert compiled.directory.__wrapped__() is None


def test_a_build_that_was_broken_off_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compiled, "place", lambda: tmp_path)
    monkeypatch.delenv(compiled.INTERPRETED, raising=False)
    before = list(sys.path)
    directory = compiled.directory.__wrapped__  # as a new process would ask
    assert directory() is None
    assert sys.path == before
    (tmp_path / "whole").touch()
    monkeypatch.setattr(sys, "path", list(before))
    assert directory() == tmp_path
    monkeypatch.setenv(compiled.INTERPRETED, "1")
    assert directory() is None


def test_what_is_missing_is_told_and_nothing_fails(tmp_path: Path):
    """As on a machine without a compiler."""
    script = "import sys, scripts.compile_wire as c; c.missing = lambda: 'there is no C compiler'; c.main()"
    without = (
        f"import exporter.compiled as m, pathlib; m.place = lambda: pathlib.Path({str(tmp_path / 'x')!r}); {script}"
    )
    assert "interpreted, at a third of the speed: there is no C compiler" in python("-c", without)
