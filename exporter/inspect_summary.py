"""What `inspect` saw in all: the last line of `--summary`."""

import json
from collections import Counter
from dataclasses import asdict

from exporter.wire.tracker_config import Counts

#: Where an outcome is counted of connections that go to none of the targets.
OTHER = "other"


class Summary:
    """Adds up over files."""

    def __init__(self) -> None:
        self.connections = 0
        self.dropped = 0
        self.damaged = 0
        self._counts: Counter[str] = Counter()
        self._outcomes: dict[str, Counter[str]] = {}

    def add(self, target: str | None, outcome: str) -> None:
        """One more connection."""
        self.connections += 1
        named = target or OTHER
        if named not in self._outcomes:
            self._outcomes[named] = Counter()
        self._outcomes[named][outcome] += 1

    def add_counts(self, counts: Counts) -> None:
        """What a tracker saw besides connections."""
        self._counts.update(asdict(counts))

    def as_json(self) -> str:
        """One line: packets, connections, outcomes by target; what was lost, damaged, or not read."""
        content = {
            "packets": self._counts["packets"],
            "connections": self.connections,
            "outcomes": {target: dict(sorted(found.items())) for target, found in sorted(self._outcomes.items())},
            "dropped": self.dropped,
            "damaged": self.damaged,
            **{
                name: self._counts[name]
                for name in ("undecoded", "cut", "fragments", "slow", "quic", "evicted", "let_go", "elsewhere")
            },
        }
        return json.dumps({"summary": content})

    def as_text(self) -> str:
        """The same for people."""
        of_target = (
            f"{target}: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(found.items()))
            for target, found in sorted(self._outcomes.items())
        )
        counted = f"{self._counts['packets']} packets, {self.connections} connections"
        lost = ", ".join(
            f"{number} {name}"
            for name, number in (
                ("dropped", self.dropped), ("undecoded", self._counts["undecoded"]), ("cut", self._counts["cut"]),
                ("fragments", self._counts["fragments"]), ("QUIC", self._counts["quic"]),
                ("evicted", self._counts["evicted"]), ("without what waited", self._counts["let_go"]),
            )
            if number
        )  # fmt: skip
        return "\n".join((counted + (f" ({lost})" if lost else ""), *of_target))
