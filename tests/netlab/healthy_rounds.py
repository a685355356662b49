"""`python -m tests.netlab.healthy_rounds ROUNDS` (root): false alarms of a healthy network on a bad line.

The provider's router loses 1 % of all packets and holds each for up to 50 ms. The product's own rounds, experiments and
verdicts, without the waiting between rounds, several sites at once.
"""

import asyncio
import os
import sys
from collections import Counter
from pathlib import Path

from exporter.logs import configure_logs
from exporter.service import Service
from exporter.vocabulary import Cause
from tests.netlab.lab import NetLab, net_lab
from tests.netlab.weather import bad_line

LOSS, JITTER = 0.01, 0.05
#: Services that probe side by side, each with verdicts of its own.
SITES = 8


def false_alarms(lab: NetLab, rounds: int) -> Counter[str]:
    """Verdicts that name a fault, by target, vantage and cause, over so many rounds."""
    config = lab.configuration()
    command = ["env", f"SSL_CERT_FILE={lab.directory / 'trust.pem'}", sys.executable, "-m", __spec__.name, "run"]
    done = lab.network.run("gateway", *command, str(config), str(rounds), check=False, timeout=1_800)
    assert done.returncode == 0, done.stderr
    return Counter(line for line in done.stdout.splitlines() if line)


async def _site(config: Path, rounds: int) -> list[str]:
    service = Service(config, os.environ)
    told: list[str] = []
    service.diagnosis.told = lambda change: told.extend(
        [f"{change.verdict.target} {change.verdict.vantage}: {change.verdict.cause}, {change.verdict.responsible}"]
        if change.verdict.cause is not Cause.HEALTHY
        else []
    )
    try:
        for _ in range(rounds):
            await service.round()
        if service.diagnosis._running is not None:
            await asyncio.wait([service.diagnosis._running], timeout=90)
    finally:
        await service.diagnosis.stop()
        service.close()
    return told


async def _sites(config: Path, rounds: int) -> list[str]:
    found = await asyncio.gather(*(_site(config, -(-rounds // SITES)) for _ in range(SITES)))
    return [line for lines in found for line in lines]


def main() -> int:
    """0 where there was no false alarm."""
    if sys.argv[1] == "run":
        configure_logs()
        print("\n".join(asyncio.run(_sites(Path(sys.argv[2]), int(sys.argv[3])))))
        return 0
    rounds = int(sys.argv[1])
    with net_lab() as lab, bad_line(lab.network, "provider", LOSS, JITTER):
        alarms = false_alarms(lab, rounds)
    print(
        f"{rounds} rounds with {LOSS:.0%} loss and up to {JITTER * 1e3:g} ms jitter: {sum(alarms.values())} false alarms"
    )
    for line, count in alarms.most_common():
        print(f"  {count} times {line}")
    return int(bool(alarms))


if __name__ == "__main__":
    sys.exit(main())
