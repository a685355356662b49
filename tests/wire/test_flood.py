"""A million SYNs from random addresses cost little memory, and true connections go on being counted."""

import random
import resource
import struct
from pathlib import Path

import pytest

from exporter.wire.interface_state import Interface
from exporter.wire.live import Inspection
from exporter.wire.messages import Kind
from exporter.wire.watched import InspectorConfig
from tests.probe.namespaces import inside, root
from tests.wire.conversation import START, Conversation
from tests.wire.flights import Talk
from tests.wire.packets_by_hand import SYN, ethernet, segment
from tests.wire.test_process import children, is_open, keeper
from tests.wire.test_ring import pair, sent

ETHERNET = 1
MEBIBYTE = 1 << 20
LIMIT = 200 * MEBIBYTE
NAME = "imap-mail.outlook.com"


def syns(count: int, seed: int = 1):
    """Frames with random source addresses, ports and sequence numbers: one template, written over."""
    chance = random.Random(seed)
    frame = bytearray(ethernet(segment(SYN, server_port=993)))
    for _ in range(count):
        struct.pack_into(">I", frame, 26, chance.getrandbits(32))
        struct.pack_into(">H", frame, 34, 1_024 + chance.getrandbits(15))
        struct.pack_into(">I", frame, 38, chance.getrandbits(32))
        yield bytes(frame)


def resident(pid: int | str = "self") -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def true_connection(number: int, begins: int):
    flights = Talk(name=NAME).shake().flights
    made = Conversation(client=(f"172.16.{number >> 8}.{number & 255}", 5_000), now=begins)
    return made.opens().plays(flights).closes().frames()


@pytest.mark.slow
def test_a_million_syns_in_ten_seconds():
    """100,000 a second, with a true connection every tenth of a second."""
    before = resident()
    inspection = Inspection(InspectorConfig(), lambda connection: None)
    inspection.watch([Interface("none0", "inside")])
    tracker = inspection.watched["none0"].tracker
    every, step = 10_000, 10_000  # SYNs between true connections; nanoseconds between SYNs
    waiting: list[tuple[int, bytes]] = []
    for number, frame in enumerate(syns(1_000_000)):
        now = START + number * step
        if number % every == 0:
            waiting += [(each[0], each[1]) for each in true_connection(number // every, now)]
        while waiting and waiting[0][0] <= now:
            moment, own = waiting.pop(0)
            tracker.packet(moment, ETHERNET, own, 0, len(own), len(own))
        tracker.packet(now, ETHERNET, frame, 0, len(frame), len(frame))
    for moment, own in waiting:
        tracker.packet(moment, ETHERNET, own, 0, len(own), len(own))
    used = resident() - before
    counted = {
        dict(sample.labels)["outcome"]: sample.value
        for sample in inspection.counted.samples()
        if sample.metric == "outlook_wire_connections_total" and dict(sample.labels)["target"] == "imap"
    }
    print(f"{used / MEBIBYTE:.0f} MiB")
    assert counted.get("established") == 100
    assert used < LIMIT, f"{used / MEBIBYTE:.0f} MiB"
    assert len(tracker) <= 16_384
    assert tracker.counts.evicted > 900_000


@root
def test_a_flood_on_the_wire():
    """Smaller, through the whole process: each packet is counted, seen or dropped; and connections amidst it are told."""
    flood = list(syns(20_000, seed=2))

    def tries():
        with keeper(Interface("eth0", "inside"), config=InspectorConfig()) as (heard, pid):
            heard.until(Kind.INTERFACES, is_open)
            (worker,) = children(pid)
            before = resident(worker)
            for number in range(5):  # whichever a busy machine lets through
                inside(right, sent, flood[number::5])
                inside(right, sent, [frame[1] for frame in true_connection(number, START)])
                inside(right, sent, flood[number::5])
            seen = heard.until(Kind.CONNECTION, lambda seen: seen.target == "imap", seconds=60)
            total = 0.0
            while total < 2 * len(flood):
                heard.next(30)
                names = ("packets_total", "packets_dropped_total")
                total = sum(heard.samples.get(f"outlook_wire_{name} {{'interface': 'eth0'}}", 0) for name in names)
            return seen.sni, seen.outcome, resident(worker) - before

    with pair() as (left, right):
        name, outcome, used = inside(left, tries)
    assert (name, outcome) == (NAME, "established")
    assert used < LIMIT
