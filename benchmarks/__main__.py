"""`python -m benchmarks [bias|cost|scrape|tokens|inspector] [--quick]`: Markdown on stdout, only temporary files.

Only loopback and network namespaces of its own are talked to; both end with the run, also when it fails.
"""

import argparse
import signal
import sys
from collections.abc import Callable
from types import FrameType

from benchmarks import bias, cost, inspector, scrape, tokens
from benchmarks.machine import NotPossible, describe_load, describe_machine

#: A benchmark is given up after so many seconds.
LIMIT, QUICK_LIMIT = 600, 150
#: The one that writes captures of a million packets, and has tshark read them.
INSPECTOR_LIMIT, QUICK_INSPECTOR_LIMIT = 1_800, 300

BENCHMARKS: dict[str, Callable[[bool], str]] = {
    "bias": bias.measure,
    "cost": cost.measure,
    "scrape": scrape.measure,
    "tokens": tokens.measure,
    "inspector": inspector.measure,
}


def main() -> int:
    """Measures what is asked for, one after another; 0, or 1 where something couldn't be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("which", nargs="?", choices=list(BENCHMARKS), help="only this one (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer samples: a look, not a measurement")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGALRM, _stop)
    print(describe_machine())
    failed = False
    for name, measure in BENCHMARKS.items():
        if arguments.which not in (None, name):
            continue
        signal.alarm(_limit(name, arguments.quick))
        print(f"\n## {name}\n\nLoad before: {describe_load()}\n", flush=True)
        try:
            print(measure(arguments.quick), flush=True)
        except NotPossible as reason:
            print(f"Not measured: {reason}", flush=True)
            failed = True
    return int(failed)


def _limit(name: str, quick: bool) -> int:
    if name == "inspector":
        return QUICK_INSPECTOR_LIMIT if quick else INSPECTOR_LIMIT
    return QUICK_LIMIT if quick else LIMIT


def _stop(number: int, _frame: FrameType | None) -> None:
    """Unwinds, so that every server and namespace is removed."""
    signal.alarm(0)
    sys.exit(f"benchmarks: ended by {signal.Signals(number).name} (SIGALRM: the time limit)")


if __name__ == "__main__":
    sys.exit(main())
