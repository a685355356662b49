"""Captures of real gateways are never tidy: clocks differ, one side begins late or ends early, a direction is missing.

Each capture is written packet by packet, read as `diagnose` reads it, and judged.
"""

import ssl
from collections.abc import Iterable
from pathlib import Path

import pytest

from exporter.diagnosis.judge import judge
from exporter.diagnosis.seen import Seen
from exporter.observations import Verdict
from exporter.settings import Settings
from exporter.vocabulary import Cause, Responsible, Tampering
from exporter.wire.reading_files import both_sides, connections_in
from tests.wire.conversation import SECOND, START, Conversation
from tests.wire.flights import Flight, Talk
from tests.wire.frames import ACK, PSH, RST, SYN, pcap

WORK, PERSONAL = "login.microsoftonline.com", "login.live.com"
IMAP = "imap-mail.outlook.com"  # its address tells its name, for those that never come to say it
SERVERS = {IMAP: "52.97.1.1", WORK: "20.190.160.1", PERSONAL: "20.190.160.9", "www.bing.com": "20.190.160.1"}
GATEWAY, UNKNOWN = Responsible.GATEWAY, Responsible.UNKNOWN


def flights(name: str, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> list[Flight]:
    """A handshake with a random of its own, and a word each."""
    return Talk(name=name, version=version).shake().says(True, b"x" * 300).says(False, b"y" * 900).flights


def talk(
    name: str, *, at: float = 0.0, client: tuple[str, int] = ("10.0.0.7", 40_000), isn: int = 1_000
) -> Conversation:
    port = 993 if name == IMAP else 443
    conversation = Conversation(client=client, server=(SERVERS[name], port), first=(isn, 9_000))
    conversation.now = START + round(at * SECOND)
    return conversation


def outside(name: str, *, at: float = 0.001, port: int = 61_000) -> Conversation:
    """Beyond a gateway that translates addresses and rewrites sequence numbers."""
    return talk(name, at=at, client=("198.51.100.7", port), isn=777_000)


def write(path: Path, conversations: Iterable[Conversation], *, clock: float = 0.0) -> Path:
    frames = [(frame[0] + round(clock * SECOND), frame[1]) for each in conversations for frame in each.frames()]
    path.write_bytes(pcap(sorted(frames, key=lambda frame: frame[0]), nano=True))
    return path


class Pair:
    """Two captures of one gateway, and what is said of them."""

    def __init__(self, directory: Path, inside: list[Conversation], out: list[Conversation], clock: float = 0.0):
        own, other = directory / "in.pcap", directory / "out.pcap"
        self.sides = both_sides(write(own, inside), write(other, out, clock=clock), Settings())
        self.seen = Seen(connections=tuple(self.sides.connections), two_sided=True)
        self.verdicts = [each.verdict for each in judge(self.seen)]

    @property
    def tampering(self) -> set[Tampering]:
        return {found.kind for each in self.sides.connections for found in each.tampering}

    def of(self, target: str, vantage: str = "wire:inside") -> Verdict:
        (only,) = [each for each in self.verdicts if (each.target, each.vantage) == (target, vantage)]
        return only


def passing(name: str, *, at: float = 0.0, port: int = 40_000) -> tuple[Conversation, Conversation]:
    """A connection that goes through untouched."""
    spoken = flights(name)
    inside = talk(name, at=at, client=("10.0.0.7", port)).opens().plays(spoken).closes()
    return inside, outside(name, at=at + 0.001, port=port + 20_000).opens().plays(spoken).closes()


def terminated(name: str, *, at: float = 0.0, port: int = 40_000) -> tuple[Conversation, Conversation]:
    """A gateway with a handshake of its own on each side."""
    inside = talk(name, at=at, client=("10.0.0.7", port)).opens().plays(flights(name, ssl.TLSVersion.TLSv1_2)).closes()
    out = outside(name, at=at + 0.005, port=port + 20_000).opens().plays(flights(name)).closes()
    return inside, out


class TestTwoSides:
    def test_untouched(self, tmp_path):
        inside, out = passing(WORK)
        pair = Pair(tmp_path, [inside], [out])
        assert pair.tampering == set()
        assert pair.of("sign_in_work").cause is Cause.HEALTHY

    @pytest.mark.parametrize("clock", [0.0, 2.0, 90.0, -3_600.0])
    def test_a_proxy_that_terminates_whatever_the_clocks_say(self, tmp_path, clock):
        """No ClientHello is common to both sides: that many connections begin in the same rhythm tells the clocks."""
        made = [terminated(WORK), terminated(WORK, at=1.7, port=40_001), terminated(PERSONAL, at=7.1, port=40_002)]
        pair = Pair(tmp_path, [one for one, _ in made], [two for _, two in made], clock)
        assert Tampering.TERMINATED in pair.tampering
        for each in pair.sides.connections:
            if each.interface == "inside":
                assert any("another ClientHello left" in (found.detail or "") for found in each.tampering)
        assert (pair.of("sign_in_work").cause, pair.of("sign_in_work").responsible) == (Cause.TLS_INTERCEPTED, GATEWAY)

    def test_inside_there_are_only_syns_and_outside_other_traffic(self, tmp_path):
        syns = talk(IMAP).segment(True, SYN)
        for wait in (1.0, 2.0):
            syns.wait(wait).segment(True, SYN, sequence=syns.first[0])
        fine = passing(PERSONAL, at=2.0, port=40_005)
        pair = Pair(tmp_path, [syns, fine[0]], [fine[1]])
        only = pair.of("imap")
        assert (only.cause, only.responsible) == (Cause.TCP_DROPPED, GATEWAY)
        assert pair.of("sign_in_personal").cause is Cause.HEALTHY

    def test_inside_there_are_only_syns_and_the_other_capture_is_of_another_day(self, tmp_path):
        syns = talk(IMAP).segment(True, SYN).wait(1.0).segment(True, SYN, sequence=1_000)
        syns.wait(3.0).segment(True, SYN, sequence=1_000)
        pair = Pair(tmp_path, [syns], [passing(PERSONAL, at=86_400.0)[1]])
        assert pair.tampering == set()
        assert pair.of("imap").cause is not Cause.HEALTHY
        assert pair.of("imap").responsible is not GATEWAY

    def test_the_outside_lacks_the_servers_direction_and_the_server_itself_resets(self, tmp_path):
        """Asymmetric routing: what wasn't seen there says nothing."""
        spoken = flights(WORK)[:1]
        inside = talk(WORK).opens().plays(spoken).resets(False)
        out = outside(WORK).opens().plays(spoken).resets(False)
        out.sent = [each for each in out.sent if each.from_client]
        pair = Pair(tmp_path, [inside], [out])
        assert pair.tampering == set()
        assert pair.of("sign_in_work").responsible is not GATEWAY

    def test_the_outside_lacks_the_clients_direction(self, tmp_path):
        inside, out = passing(WORK)
        out.sent = [each for each in out.sent if not each.from_client]
        assert Pair(tmp_path, [inside], [out]).tampering == set()

    def test_the_outside_began_late(self, tmp_path):
        inside, out = passing(WORK)
        first = passing(PERSONAL, at=0.5, port=40_009)
        out.sent = out.sent[6:]
        assert Pair(tmp_path, [inside, first[0]], [out, first[1]]).tampering == set()

    def test_the_outside_ended_early(self, tmp_path):
        """Words that were said behind the end of one capture aren't lost."""
        spoken = flights(WORK)
        inside = talk(WORK).opens().plays(spoken).wait(5.0).says(True, spoken[-1][1]).closes()
        out = outside(WORK).opens().plays(spoken)
        pair = Pair(tmp_path, [inside], [out])
        assert pair.tampering == set()
        assert pair.of("sign_in_work").cause is Cause.HEALTHY

    def test_connections_that_begin_long_behind_its_end(self, tmp_path):
        """Established inside, nowhere outside: that would be a gateway that answers itself, were it captured."""
        early, late = passing(WORK), passing(PERSONAL, at=600.0, port=40_013)
        assert Pair(tmp_path, [early[0], late[0]], [early[1]]).tampering == set()

    def test_an_idle_connection_that_the_gateway_cuts_while_both_are_captured(self, tmp_path):
        spoken = flights(WORK)
        inside = talk(WORK).opens().plays(spoken).wait(400.0).resets(False)
        out = outside(WORK).opens().plays(spoken)
        later = passing(PERSONAL, at=500.0, port=40_011)
        assert Pair(tmp_path, [inside, later[0]], [out, later[1]]).tampering == {Tampering.IDLE_CUT}

    def test_the_gateways_own_probes_outside_are_nobodys_counterpart(self, tmp_path):
        spoken = flights(WORK)[:1]
        inside = talk(WORK).opens().plays(spoken).resets(False)
        out = outside(WORK).opens().wait(2.0).resets(True)
        own = outside(WORK, at=0.4, port=61_009).opens().plays(flights(WORK)).closes()
        assert Pair(tmp_path, [inside], [out, own]).tampering == {Tampering.HELLO_NOT_FORWARDED, Tampering.RESET_FORGED}


class TestOneTap:
    def judged(self, path: Path, conversations: list[Conversation]) -> list[Verdict]:
        connections, warnings = connections_in([write(path, conversations)], Settings())
        assert warnings == []
        return [each.verdict for each in judge(Seen(connections=tuple(connections)))]

    @pytest.mark.parametrize("from_client", [True, False])
    def test_one_direction_of_what_works_is_no_fault(self, tmp_path, from_client):
        several = [passing(WORK, at=n * 1.0, port=40_000 + n)[0] for n in range(4)]
        for each in several:
            each.sent = [sent for sent in each.sent if sent.from_client is from_client]
        assert {each.cause for each in self.judged(tmp_path / "one.pcap", several)} <= {Cause.HEALTHY}

    def test_a_flight_that_never_ends_because_the_segments_are_too_long(self, tmp_path):
        spoken = flights(WORK)
        stuck = []
        for number in range(3):
            each = talk(WORK, at=number * 40.0, client=("10.0.0.7", 41_000 + number)).opens().plays(spoken[:1])
            sequence = each.next[False] + 1_400  # the first of the server's segments is lost, and what comes is its end
            each.segment(False, PSH | ACK, spoken[1][1][-200:], sequence=sequence)
            for wait in (0.4, 0.8, 1.6, 3.2):
                each.wait(wait).segment(False, PSH | ACK, spoken[1][1][-200:], sequence=sequence)
            stuck.append(each.wait(10.0).segment(True, RST))
        for verdict in self.judged(tmp_path / "mtu.pcap", stuck):
            assert verdict.cause is not Cause.HEALTHY
            assert verdict.responsible is not GATEWAY
