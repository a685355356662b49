"""Ladders: what is the same on both sides, what is missing on one, what was rewritten; and the page made of them."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exporter.diagnosis.ladder import MAX_ROWS, Ladder, ladder
from exporter.diagnosis.ladder_known import known_ladder
from exporter.diagnosis.ladder_picture import drawn
from exporter.diagnosis.ladder_steps import Step, steps_of
from exporter.observations import Connection, TamperingSeen
from exporter.vocabulary import ClosedBy, ConnectionOutcome, Tampering
from exporter.wire.excerpt import excerpts
from tests.diagnosis.test_captures import IMAP, PERSONAL, SERVERS, WORK, flights, outside, passing, talk, write
from tests.diagnosis.test_passive import seen as connection
from tests.wire.conversation import Conversation, inspect
from tests.wire.frames import PSH, RST, SYN

ROOT = Path(__file__).parents[2]


def steps(path: Path, conversation: Conversation) -> list[Step]:
    (excerpt,) = excerpts(write(path, [conversation]), inspect(conversation.frames()))
    return steps_of(excerpt, excerpt.connection)


def both(tmp_path: Path, inside: Conversation, out: Conversation | None, **more: Any) -> Ladder:
    there = steps(tmp_path / "out.pcap", out) if out is not None else []
    return ladder(steps(tmp_path / "in.pcap", inside), there, **more)


def shown(made: Ladder) -> list[tuple[str, str | None]]:
    return [(row.step.kind, row.missing) for row in made.rows]


class TestRows:
    def test_what_passes_is_seen_on_both_sides_whatever_was_rewritten(self, tmp_path):
        made = both(tmp_path, *passing(WORK))
        assert {missing for _, missing in shown(made)} == {None}
        assert all(row.inside and row.outside for row in made.rows)
        assert [kind for kind, _ in shown(made)][:4] == ["syn", "syn-ack", "ack", "data"]
        assert made.rows[3].step.label == f"ClientHello {WORK}"

    def test_the_outside_s_clock_is_set_right(self, tmp_path):
        inside, out = passing(WORK)
        (excerpt,) = excerpts(write(tmp_path / "out.pcap", [out], clock=120.0), inspect(write_frames(out, 120.0)))
        made = ladder(steps(tmp_path / "in.pcap", inside), steps_of(excerpt, excerpt.connection))
        assert max(row.seconds for row in made.rows) < 1.0
        assert [row.seconds for row in made.rows] == sorted(row.seconds for row in made.rows)

    def test_a_hello_that_stays_and_a_reset_that_the_gateway_made(self, tmp_path):
        inside = talk(WORK).opens().plays(flights(WORK)[:1])
        inside.sent.pop()  # nobody acknowledged it
        made = both(tmp_path, inside.resets(False), outside(WORK).opens().wait(0.01).resets(True))
        assert shown(made)[3:] == [("data", "outside"), ("rst", "outside"), ("rst", "inside")]
        assert [row.step.from_client for row in made.rows[3:]] == [True, False, True]

    def test_a_syn_that_stays_is_one_row_however_often_it_was_sent(self, tmp_path):
        syns = talk(IMAP).segment(True, SYN)
        for wait in (1.0, 2.0, 4.0):
            syns.wait(wait).segment(True, SYN, sequence=1_000)
        made = both(tmp_path, syns, None)
        assert shown(made) == [("syn", "outside"), ("syn", "outside")]
        assert made.rows[1].step.count == 3

    def test_where_the_other_side_was_not_captured_nothing_is_missing(self, tmp_path):
        made = both(tmp_path, talk(IMAP).segment(True, SYN), None, covered=False)
        assert shown(made) == [("syn", None)]

    def test_a_direction_that_goes_another_way_is_not_missing(self, tmp_path):
        inside, out = passing(WORK)
        out.sent = [each for each in out.sent if each.from_client]
        made = both(tmp_path, inside, out)
        assert {missing for _, missing in shown(made)} == {None}
        assert any("no packet from the server" in note for note in made.notes)

    def test_a_terminated_connection_is_two(self, tmp_path):
        inside = talk(WORK).opens().plays(flights(WORK)).closes()
        made = both(tmp_path, inside, outside(WORK, at=0.3).opens().plays(flights(WORK)).closes(), same=False)
        assert {missing for _, missing in shown(made)} == {None}
        assert not any(row.inside and row.outside for row in made.rows)

    def test_segments_cut_otherwise_are_the_same_bytes(self, tmp_path):
        inside, out = passing(WORK)
        spoken = flights(WORK)
        inside = talk(WORK)
        inside.mss = 700
        out = outside(WORK)
        out.mss = 1_300
        made = both(tmp_path, inside.opens().plays(spoken).closes(), out.opens().plays(spoken).closes())
        assert {missing for _, missing in shown(made)} == {None}

    def test_a_long_one_is_cut_in_its_middle(self, tmp_path):
        talking = talk(WORK).opens()
        for number in range(60):
            talking.says(number % 2 == 0, bytes([65 + number % 20]) * 10)
        made = ladder(steps(tmp_path / "in.pcap", talking), None)
        assert len(made.rows) == MAX_ROWS
        assert made.left_out > 0

    def test_a_keep_alive_is_no_row(self, tmp_path):
        inside, _ = passing(WORK)
        at = inside.next[True] - 2
        inside.segment(True, PSH | 16, b"\0", sequence=at)
        assert not any(row.step.again for row in ladder(steps(tmp_path / "in.pcap", inside), None).rows)

    def test_distances_are_told(self, tmp_path):
        inside = talk(WORK).opens().plays(flights(WORK)[:1]).resets(False)
        own = steps(tmp_path / "in.pcap", inside)
        far = [replace(step, ttl=44) if step.kind == "syn-ack" else step for step in own]
        assert any("another machine sent it" in note for note in ladder(far, None).notes)
        assert any("may be the server's own" in note for note in ladder(own, None).notes)
        near = [replace(step, ttl=62) if step.kind == "syn-ack" else step for step in own]
        assert any("it proves nothing alone" in note for note in ladder(near, None).notes)


def write_frames(conversation: Conversation, clock: float):
    return [(frame[0] + round(clock * 1e9), frame[1]) for frame in conversation.frames()]


class TestWithoutPackets:
    @pytest.mark.parametrize("outcome", list(ConnectionOutcome))
    def test_every_outcome_is_drawn(self, outcome):
        made = known_ladder(connection(outcome=outcome))
        assert made.rows[0].step.kind == "syn"
        assert not made.of_packets
        drawn(made)

    @pytest.mark.parametrize(
        ("kind", "missing"),
        [
            (Tampering.SYN_NOT_FORWARDED, ["syn"]),
            (Tampering.HELLO_NOT_FORWARDED, ["data"]),
            (Tampering.RESET_FORGED, ["rst"]),
        ],
    )
    def test_what_the_gateway_did(self, kind, missing):
        outcome = ConnectionOutcome.NO_ANSWER if kind is Tampering.SYN_NOT_FORWARDED else ConnectionOutcome.HELLO_RESET
        done = replace(
            connection(outcome=outcome, closed_by=ClosedBy.RESET_SERVER), tampering=(TamperingSeen(kind=kind),)
        )
        made = known_ladder(done)
        assert made.two_sided
        assert [row.step.kind for row in made.rows if row.missing == "outside"] == missing

    def test_an_answer_that_went_no_further_stands_outside_alone(self):
        lost = (TamperingSeen(kind=Tampering.SYN_NOT_FORWARDED, direction="to_client"),)
        made = known_ladder(replace(connection(outcome=ConnectionOutcome.NO_ANSWER), tampering=lost))
        assert [(row.inside is None, row.outside is None, row.step.kind) for row in made.rows] == [
            (False, False, "syn"), (True, False, "syn-ack"),
        ]  # fmt: skip


class TestPicture:
    def test_everything_is_inside_and_crosses_stand_at_the_gateway(self, tmp_path):
        inside = talk(WORK).opens().plays(flights(WORK)[:1]).resets(False)
        picture = drawn(both(tmp_path, inside, outside(WORK).opens()))
        for rung in picture.rungs:
            assert 0 < rung.y < picture.height
            for arrow in rung.arrows:
                assert 0 < min(arrow.x1, arrow.x2) < max(arrow.x1, arrow.x2) <= picture.width
        assert [rung.cross for rung in picture.rungs if rung.cross] == [picture.near]


class TestCommand:
    def run(self, tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "exporter", "diagnose", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    def captures(self, tmp_path: Path) -> tuple[Path, Path]:
        hello = flights(WORK)[:1]
        reset = talk(WORK, client=("10.66.7.8", 40_000)).opens().plays(hello).resets(False)
        fine = passing(PERSONAL, at=1.0, port=40_100)
        inside = write(tmp_path / "in.pcap", [reset, fine[0]])
        return inside, write(tmp_path / "out.pcap", [outside(WORK).opens().wait(0.5).resets(True), fine[1]])

    def test_a_page_and_its_packets_without_a_client(self, tmp_path):
        inside, out = self.captures(tmp_path)
        page, packets = tmp_path / "page.html", tmp_path / "page.pcapng"
        words = ["--inside", inside, "--outside", out, "--report", page, "--packets", packets, "--json"]
        done = self.run(tmp_path, *map(str, words))
        assert done.returncode == 1, done.stderr
        assert {json.loads(line)["cause"] for line in done.stdout.splitlines()} == {"sni_reset", "healthy"}
        text = page.read_text()
        for expected in (
            "no such packet was seen here",
            "Its sequence numbers are others outside",
            "(NAT)",
            SERVERS[WORK],
            "192.0.2.1",
            "203.0.113.1",
            "page.pcapng",
        ):
            assert expected in text
        assert re.search(r"2026-09-21 \d\d:\d\d:\d\d\.\d{3}", text)
        for client in ("10.66.7.8", "198.51.100.7"):
            assert client not in text
        found = inspect_pcapng(packets)
        assert {(each.client, each.sni) for each in found} >= {("192.0.2.1", WORK)}
        assert not {each.client for each in found} & {"10.66.7.8", "198.51.100.7"}

    def test_with_addresses_where_they_are_asked_for(self, tmp_path):
        inside, out = self.captures(tmp_path)
        page = tmp_path / "page.html"
        words = ["--inside", inside, "--outside", out, "--report", page, "--with-addresses"]
        self.run(tmp_path, *map(str, words))
        assert "10.66.7.8:40000" in page.read_text()

    def test_one_capture_has_no_gateway_in_its_picture(self, tmp_path):
        inside, _ = self.captures(tmp_path)
        page, packets = tmp_path / "page.html", tmp_path / "page.pcapng"
        words = ["--capture", inside, "--report", page, "--packets", packets]
        assert self.run(tmp_path, *map(str, words)).returncode == 1
        assert "gateway</text>" not in page.read_text()
        assert "ClientHello login.microsoftonline.com" in page.read_text()
        assert inspect_pcapng(packets)[0].interface == "capture"

    def test_packets_need_captures(self, tmp_path):
        done = self.run(tmp_path, "--packets", str(tmp_path / "x.pcapng"))
        assert (done.returncode, done.stderr.splitlines()) == (
            2, ["--packets: there are packets only with --capture, or --inside and --outside"],
        )  # fmt: skip


def inspect_pcapng(path: Path) -> list[Connection]:
    from tests.wire.conversation import inspect_file

    return inspect_file(path.read_bytes())


def test_a_reset_of_a_syn_is_the_servers_row(tmp_path):
    made = ladder(steps(tmp_path / "in.pcap", talk(IMAP).segment(True, SYN).segment(False, RST | 16)), None)
    assert [(row.step.kind, row.step.from_client) for row in made.rows] == [("syn", True), ("rst", False)]
