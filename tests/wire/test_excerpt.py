"""Packets as they may be shown: what is kept of payload, and the file made of them as tshark reads it."""

import itertools
import json
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.observations import Connection
from exporter.wire.excerpt import HEAD, TAIL, Excerpt, excerpts, kind_of
from exporter.wire.excerpt_file import Entry, pcapng
from exporter.wire.pseudonyms import Pseudonyms
from exporter.wire.shown_payload import ShownPayload
from exporter.wire.tcp_options import has_timestamps, mss_of
from tests.conftest import require_program
from tests.wire.conversation import Conversation, inspect
from tests.wire.flights import Flight, Talk
from tests.wire.frames import ACK, ICMP, PSH, SYN, TCP, Frame, ethernet, icmp_error, ip, pcap, tcp

NAME, SECRET = "imap-mail.outlook.com", b"a1 LOGIN someone@outlook.com correct-horse"


def flights(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> list[Flight]:
    return Talk(name=NAME, version=version).shake().says(True, SECRET).says(False, b"a1 NO").flights


def read(path: Path, frames: list[Frame]) -> list[Excerpt]:
    path.write_bytes(pcap(frames, nano=True))
    return excerpts(path, inspect(frames))


def one(path: Path, conversation: Conversation) -> Excerpt:
    (only,) = read(path, conversation.frames())
    return only


def taken(from_client: bool, *segments: tuple[int, bytes]) -> tuple[bytes, list[str]]:
    shown = ShownPayload(from_client)
    parts: list[bytes] = []
    names: list[str] = []
    for position, data in segments:
        part, what = shown.take(position, data)
        assert len(part) == len(data)
        parts.append(part)
        names += what
    return b"".join(parts), names


class TestPayload:
    def test_a_client_hello_is_shown_and_what_follows_is_not(self):
        said = [data for from_client, data in flights() if from_client]
        whole = b"".join(said)
        shown, names = taken(True, (0, whole))
        hello = 5 + int.from_bytes(whole[3:5])
        assert shown[:hello] == whole[:hello]
        assert names[0] == "ClientHello"
        assert all(byte == 0 for byte in shown[-40:])

    def test_a_server_of_tls_1_2_shows_its_certificate_and_a_client_not(self):
        said = flights(ssl.TLSVersion.TLSv1_2)
        server = b"".join(data for from_client, data in said if not from_client)
        shown, names = taken(False, (0, server))
        assert {"ServerHello", "Certificate", "ServerHelloDone"} <= set(names)
        assert b"Lab CA" in shown
        certificate = b"\x16\x03\x03\x00\x09\x0b\x00\x00\x05Alice"
        hello = flights()[0][1]
        shown, names = taken(True, (0, hello + certificate))
        assert b"Alice" not in shown
        assert names == ["ClientHello", "Certificate"]

    def test_text_is_never_shown_and_tls_behind_it_is(self):
        hello = flights()[0][1]
        shown, names = taken(True, (0, b"EHLO me\r\n"), (9, SECRET), (9 + len(SECRET), hello))
        assert shown == bytes(9 + len(SECRET)) + hello
        assert names == ["ClientHello"]

    def test_a_hello_sent_again_is_shown_again(self):
        hello = flights()[0][1]
        shown, names = taken(True, (0, hello), (0, hello), (len(hello), SECRET), (0, SECRET))
        assert shown == hello * 2 + bytes(2 * len(SECRET))
        assert names == ["ClientHello", "ClientHello again"]

    def test_an_alert_in_clear_has_its_name(self):
        hello = flights()[0][1]
        assert taken(True, (0, hello), (len(hello), b"\x15\x03\x03\x00\x02\x02\x30"))[1][-1] == "alert unknown_ca"

    @given(st.lists(st.integers(0, 3_000), max_size=6), st.booleans())
    def test_however_it_is_cut_no_more_is_shown(self, cuts, from_client):
        """A header in two segments is known for one when its second part comes: the first stays hidden."""
        whole = b"".join(data for each, data in _FLIGHTS if each is from_client)
        places = sorted({0, *(6 + cut % (len(whole) - 6) for cut in cuts), len(whole)})
        pieces = [(begin, whole[begin:end]) for begin, end in itertools.pairwise(places)]
        shown, at_once = taken(from_client, *pieces)[0], taken(from_client, (0, whole))[0]
        differing = [place for place in range(len(whole)) if shown[place] != at_once[place]]
        assert len(differing) <= 4 * len(places)
        assert all(shown[place] == 0 for place in differing)

    @given(st.lists(st.tuples(st.integers(0, 100), st.binary(max_size=60)), max_size=8), st.booleans())
    def test_whatever_comes(self, segments, from_client):
        taken(from_client, *segments)

    def test_no_secret_in_any_cut(self):
        """Behind a hole the borders of records aren't known: then nothing is shown."""
        whole = b"".join(data for each, data in _FLIGHTS if each)
        shown, _ = taken(True, (0, whole[:300]), (400, whole[400:]))
        assert shown[300:] == bytes(len(whole) - 400)


_FLIGHTS = flights()


class TestReading:
    def test_a_connection_with_its_places_in_the_stream(self, tmp_path):
        talk = Conversation(first=(4_294_967_290, 9_000)).opens().plays(_FLIGHTS).closes()  # wraps
        excerpt = one(tmp_path / "one.pcap", talk)
        kinds = [kind_of(each) for each in excerpt]
        assert kinds[:3] == ["syn", "syn-ack", "ack"]
        assert kinds.count("fin") == 2
        assert [each.number for each in excerpt] == list(range(1, len(talk.sent) + 1))
        data = [each for each in excerpt if each.from_client and each.length]
        assert data[0].position == 0
        assert data[1].position == data[0].length

    def test_only_what_was_asked_for_and_ports_used_twice_are_two(self, tmp_path):
        first = Conversation().opens().resets(False)
        second = Conversation(now=first.now + 5_000_000_000, first=(70_000, 5)).opens().closes()
        other = Conversation(client=("10.0.0.9", 1_234)).opens().closes()
        frames = sorted([*first.frames(), *second.frames(), *other.frames()], key=lambda frame: frame[0])
        path = tmp_path / "two.pcap"
        path.write_bytes(pcap(frames, nano=True))
        wanted = [each for each in inspect(frames) if each.client == "10.0.0.1"]
        found = excerpts(path, wanted)
        assert [len(list(each)) for each in found] == [len(first.sent), len(second.sent)]

    def test_a_long_one_has_its_beginning_and_its_end(self, tmp_path):
        talk = Conversation().opens()
        for _ in range(200):
            talk.says(True, b"x" * 100)
        excerpt = one(tmp_path / "long.pcap", talk.closes())
        assert (len(excerpt.head), len(excerpt.tail)) == (HEAD, TAIL)
        assert excerpt.left_out == len(talk.sent) - HEAD - TAIL
        assert kind_of(list(excerpt)[-1]) == "ack"

    def test_a_packet_on_its_way_through_a_router_is_one(self, tmp_path):
        talk = Conversation().opens().closes()
        frames = []
        for frame in talk.frames():
            packet = bytearray(frame[1])
            packet[22] -= 1  # the time to live
            frames += [(frame[0], frame[1]), (frame[0] + 10_000, bytes(packet))]
        path = tmp_path / "any.pcap"
        path.write_bytes(pcap(frames, nano=True))
        (excerpt,) = excerpts(path, inspect(talk.frames()))
        assert len(list(excerpt)) == len(talk.sent)

    def test_an_icmp_error_is_of_the_connection_it_quotes(self, tmp_path):
        talk = Conversation().segment(True, SYN)
        quoted = ip("10.0.0.1", "192.0.2.1", TCP, tcp(40_000, 993, 1_000, 0, SYN))
        error = ethernet(ip("10.0.0.254", "10.0.0.1", ICMP, icmp_error(3, 13, quoted)))
        (excerpt,) = read(tmp_path / "icmp.pcap", [*talk.frames(), (talk.now, error)])
        assert [kind_of(each) for each in excerpt] == ["syn", "icmp"]

    def test_options_of_a_syn(self):
        options = bytes.fromhex("020405b40101080a0000000100000000")
        assert mss_of(options) == 1_460
        assert has_timestamps(options)
        assert mss_of(b"") is None
        assert not has_timestamps(b"\x02\x04\x05")  # cut

    @given(st.binary(max_size=40))
    def test_whatever_options(self, options):
        mss_of(options)
        has_timestamps(options)

    def test_a_file_that_is_none(self, tmp_path):
        (only,) = excerpts(tmp_path / "absent", inspect(Conversation().opens().closes().frames()))
        assert list(only) == []


def tshark(path: Path, *words: str) -> list[dict[str, Any]]:
    command = [require_program("tshark"), "-r", str(path), "-T", "json", "-o", "tcp.check_checksum:TRUE", "-o",
               "ip.check_checksum:TRUE", *words]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [each["_source"]["layers"] for each in json.loads(done.stdout)]


class TestFile:
    @pytest.mark.parametrize("client", ["10.1.2.3", "fd00::7"])
    def test_wireshark_reads_it_and_finds_nobody_in_it(self, tmp_path, client):
        server = "2603:1026::1" if ":" in client else "52.97.1.1"
        talk = Conversation(client=(client, 40_000), server=(server, 993))
        talk.opens().plays(_FLIGHTS).says(True, SECRET).closes()
        excerpt = one(tmp_path / "in.pcap", talk)
        names = Pseudonyms(taken=[server])
        entries: list[Entry] = [("inside", excerpt, packet, f"frame {packet.number}") for packet in excerpt]
        path = tmp_path / "out.pcapng"
        path.write_bytes(pcapng(entries, names, program="test"))
        content = path.read_bytes()
        for secret in (SECRET, b"correct-horse", client.encode()):
            assert secret not in content
        layers = tshark(path)
        assert len(layers) == len(talk.sent)
        for each in layers:
            assert each["tcp"]["tcp.checksum.status"] == "1"
            assert client not in json.dumps(each)
            assert server in json.dumps(each)
            assert "_ws.malformed" not in each
        assert NAME in json.dumps(layers[3]["tls"])
        assert layers[0]["frame"]["frame.interface_id_tree"]["frame.interface_name"] == "inside"

    def test_the_same_pseudonym_for_the_same_client_and_none_that_is_a_servers(self):
        names = Pseudonyms(taken=["192.0.2.1"])
        first = names.address("inside", "10.0.0.1")
        assert (first, names.address("inside", "10.0.0.1")) == ("192.0.2.2", "192.0.2.2")
        assert names.address("outside", "10.0.0.1") == "203.0.113.1"
        assert names.port("inside", "10.0.0.1", 40_000) == names.port("inside", "10.0.0.1", 40_000)
        plain = Pseudonyms(plain=True)
        assert (plain.address("inside", "10.0.0.1"), plain.port("inside", "10.0.0.1", 7)) == ("10.0.0.1", 7)

    def test_an_icmp_error_quotes_the_pseudonym(self, tmp_path):
        talk = Conversation().segment(True, SYN)
        quoted = ip("10.0.0.1", "192.0.2.1", TCP, tcp(40_000, 993, 1_000, 0, SYN))
        error = ethernet(ip("10.0.0.254", "10.0.0.1", ICMP, icmp_error(3, 13, quoted)))
        (excerpt,) = read(tmp_path / "icmp.pcap", [*talk.frames(), (talk.now, error)])
        path = tmp_path / "out.pcapng"
        path.write_bytes(pcapng([("capture", excerpt, each, "") for each in excerpt], Pseudonyms(), program="test"))
        layers = tshark(path)
        assert layers[1]["icmp"]["icmp.checksum.status"] == "1"
        assert '10.0.0.1"' not in json.dumps(layers)
        assert "10.0.0.254" in json.dumps(layers[1])

    def test_nothing_is_a_file_too(self, tmp_path):
        path = tmp_path / "none.pcapng"
        path.write_bytes(pcapng([], Pseudonyms(), program="test"))
        assert tshark(path) == []

    def test_ours_reads_it(self, tmp_path):
        talk = Conversation().opens().says(True, _FLIGHTS[0][1]).segment(False, PSH | ACK, b"").resets(False)
        excerpt = one(tmp_path / "in.pcap", talk)
        path = tmp_path / "out.pcapng"
        path.write_bytes(pcapng([("inside", excerpt, each, "") for each in excerpt], Pseudonyms(), program="test"))
        found: list[Connection] = []
        from exporter.wire.capture_file import CaptureFile
        from exporter.wire.tracker import Tracker, TrackerConfig

        tracker = Tracker(TrackerConfig(everything=True), found.append)
        with path.open("rb") as stream:
            tracker.packets(CaptureFile(stream).packets())
        tracker.finish()
        (again,) = found
        assert (again.outcome, again.sni, again.interface) == ("hello_reset", NAME, "inside")
