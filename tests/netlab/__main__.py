"""`python -m tests.netlab SCENARIO [PLACE PROGRAM…]`: brings a scenario up (root), runs a program at client, gateway,
provider or internet, or a shell at the client, and takes everything down again. `list` names the scenarios.
"""

import subprocess
import sys

from tests.netlab.lab import net_lab
from tests.netlab.scenarios import SCENARIOS


def main() -> int:
    """The program's exit status."""
    if len(sys.argv) < 2 or sys.argv[1] not in SCENARIOS:
        print("\n".join(f"{each.name:24}{each.cause:28}{each.responsible}" for each in SCENARIOS.values()))
        return 0 if sys.argv[1:] == ["list"] else 2
    place, *words = sys.argv[2:] or ["client", "bash"]
    with net_lab() as lab:
        lab.apply(SCENARIOS[sys.argv[1]])
        print(f"configuration: {lab.configuration()}", file=sys.stderr)
        return subprocess.run(lab.network.command(place, *words), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
