"""Recordings replayed: what somebody sends in becomes a test. Each file of tests/recordings must give its phases again."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from exporter.catalogue import Target
from exporter.vocabulary import Protocol
from tests.probe.scripted import hear

RECORDINGS = Path(__file__).parent / "recordings"
#: Phases that happen below the recorded conversation.
BELOW = {"dns", "connect", "proxy", "tls"}


def replay(line: dict[str, Any]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The phases as recorded, and as the conversation gives them again."""
    described = line["target"]
    target = Target(
        name=described["name"],
        protocol=Protocol(described["protocol"]),
        hosts=(described["host"],),
        port=described["port"],
        starttls=described["starttls"],
        path=described["path"],
    )
    recorded = [
        (p["phase"], p["outcome"]) for p in line["phases"] if p["phase"] not in BELOW and p["outcome"] != "skipped"
    ]
    script = [said["text"].encode() for said in line["said"] if said["from"] == "server" and said["text"]]
    canary = any(phase in ("auth", "token") for phase, _ in recorded)
    told = asyncio.run(hear(target, *script, genuine=line["signatures"], canary=canary))
    return recorded, told.outcomes()


@pytest.mark.parametrize("path", sorted(RECORDINGS.glob("*.jsonl")), ids=lambda path: path.stem)
def test_recordings_give_their_phases_again(path):
    _, *lines = path.read_text().splitlines()
    assert lines
    for line in lines:
        recorded, again = replay(json.loads(line))
        assert again == recorded
