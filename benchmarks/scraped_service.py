"""The service as `run` makes it, with more targets in its state until a scrape has enough series.

`python -m benchmarks.scraped_service CONFIG ADDRESS:PORT SERIES`; at its end (SIGTERM) one line of JSON for each
probe made, on stdout: when it began (Unix seconds), its outcome, and its phases' seconds by name.
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.scraper import series
from exporter.metrics.exposition import Exposition
from exporter.observations import Probe
from exporter.probe.round import Walked
from exporter.run_command import serve
from exporter.service import Service

#: Targets added before the series are counted again.
_STEP = 5


class Filled:
    """Keeps the probes made; `take` is called after each round.

    All that was added is renewed each time, so that a scrape finds nothing rendered before.
    """

    def __init__(self, config: Path, listen: str, wanted: int) -> None:
        self.probes: list[Probe] = []
        self.service = Service(config, os.environ, listen=listen, on_round=self.take)
        self._wanted = wanted
        self._added: list[str] = []

    def take(self, walked: list[Walked]) -> None:
        """The first round's probes are left out: they warm up."""
        if self._added:
            self.probes += [each.probe for each in walked]
        like = walked[0].probe
        self._renew(like)
        while not self._added or self._series() < self._wanted:
            self._add()
            self._renew(like)

    def _series(self) -> int:
        return series(Exposition(self.service.state).page("").body.decode())

    def _add(self) -> None:
        plan = self.service.plan
        self._added += [f"more-{len(self._added) + number}" for number in range(_STEP)]
        first = next(iter(plan.targets.values()))
        more = [replace(first, name=name) for name in self._added]
        self.service.state.configure([*plan.targets.values(), *more], plan.vantages)

    def _renew(self, like: Probe) -> None:
        for name in self._added:
            self.service.state.record_probe(replace(like, target=name))


def main() -> None:
    """See the module."""
    config, listen, wanted = sys.argv[1:]
    filled = Filled(Path(config), listen, int(wanted))
    serve(filled.service)
    for probe in filled.probes:
        seconds = {result.phase: result.seconds for result in probe.phases}
        print(json.dumps([probe.time.timestamp(), str(probe.outcome), seconds]))


if __name__ == "__main__":
    main()
