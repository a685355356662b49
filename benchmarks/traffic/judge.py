"""What an inspector said of a generated capture, against the truth."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.figures import quantile

#: Compared word by word.
FIELDS = (
    "outcome", "sni", "tls_version", "cipher", "group", "client_family", "certificate_issuer",
    "tcp_handshake_seconds", "bytes_sent", "bytes_received", "vlan",
)  # fmt: skip
#: The capture's clock has microseconds.
PRECISION = 1.5e-6
#: Examples kept of what was wrong.
EXAMPLES = 5

Key = tuple[str, int, str, int]


@dataclass(slots=True)
class Verdict:
    """`named`: connections whose name is on the wire, and how many of them were named right, and wrong."""

    connections: int = 0
    missing: int = 0
    named: int = 0
    right_names: int = 0
    wrong_names: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    sign_ins: Counter[str] = field(default_factory=Counter)

    @property
    def recall(self) -> float:
        return self.right_names / self.named

    @property
    def handshake_errors(self) -> tuple[float, float]:
        """Seconds by which the time of the TLS handshake is off: median, and the largest."""
        return quantile(self.errors, 0.5), max(self.errors, default=float("nan"))


def key_of(connection: dict[str, Any]) -> Key:
    return connection["client"], connection["client_port"], connection["server"], connection["server_port"]


def judge(said: Iterable[dict[str, Any]], truths: Path) -> Verdict:
    """Of an inspector's connections as the contract writes them."""
    by_key = {key_of(connection): connection for connection in said}
    verdict = Verdict()
    with truths.open() as lines:
        for line in lines:
            _judge_one(verdict, by_key, json.loads(line))
    return verdict


def _judge_one(verdict: Verdict, by_key: dict[Key, dict[str, Any]], truth: dict[str, Any]) -> None:
    verdict.connections += 1
    verdict.named += truth["sni"] is not None
    found = by_key.get(key_of(truth))
    if found is None:
        verdict.missing += 1
        return
    verdict.right_names += truth["sni"] is not None and found["sni"] == truth["sni"]
    verdict.wrong_names += found["sni"] not in (None, truth["sni"])
    for name in FIELDS:
        if name in ("bytes_sent", "bytes_received") and truth[name] is None:
            continue  # nothing was sent, or no end was seen
        if not _same(found[name], truth[name]):
            verdict.wrong[name] += 1
            if len(verdict.examples) < EXAMPLES:
                verdict.examples.append(f"{name}: {found[name]!r}, truly {truth[name]!r} ({truth})")
    if truth["auth"] is not None:
        verdict.sign_ins[_sign_in(found["auth"], truth["auth"])] += 1
    if truth["tls_handshake_seconds"] is not None:
        took = found["tls_handshake_seconds"]
        verdict.errors.append(abs(took - truth["tls_handshake_seconds"]) if took is not None else float("inf"))


def _sign_in(said: dict[str, Any] | None, true: dict[str, str]) -> str:
    """How well it was told: unknown is no error."""
    if said is None:
        return "missing"
    told = [said[name] for name in ("mechanism", "outcome") if said[name] != "unknown"]
    right = [value for name, value in true.items() if said[name] == value]
    return "wrong" if len(right) < len(told) else ("unknown", "in part", "right")[len(told)]


def _same(said: Any, true: Any) -> bool:
    if isinstance(true, float):
        return isinstance(said, float) and abs(said - true) < PRECISION
    return bool(said == true)
