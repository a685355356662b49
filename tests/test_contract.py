"""The quick outside look that the contract's owners give us: ../shared/check_contract.py, where it is beside the tree."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import NOT_IN_CI

ROOT = Path(__file__).parent.parent
CHECK = ROOT.parent / "shared" / "check_contract.py"


@pytest.mark.parametrize("part", ["prober", "accounts", "inspector", "verdict"])
def test_the_contract_is_kept(part: str):
    if not CHECK.exists():
        pytest.skip(f"{NOT_IN_CI}{CHECK} is not beside this tree")
    command = [sys.executable, str(CHECK), "--part", part, "--exporter", f"{sys.executable} -m exporter"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=110, check=False)
    assert done.returncode == 0, done.stdout
