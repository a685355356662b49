"""The inspector's work without a kernel: which filter is in force when, who counts as a client, what is told."""

import functools
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar

import pytest

from exporter.inspector import own_stack
from exporter.inspector_config import config_of
from exporter.observations import Connection
from exporter.protocols.ja4 import stack_of
from exporter.settings import InspectSettings, Settings
from exporter.settings_vantage import VantageSettings
from exporter.wire import watched
from exporter.wire.interface_state import Interface
from exporter.wire.kernel_filter import Link, packet_filter
from exporter.wire.live import QUIET, SECOND, Inspection
from exporter.wire.ring import BLOCK, CaptureForbidden, InterfaceMissing, Statistics
from exporter.wire.watched import BUSY, BUSY_SECONDS, InspectorConfig, filter_spec
from tests.wire.bpf_machine import run
from tests.wire.conversation import START, Conversation
from tests.wire.flights import Talk
from tests.wire.packets_by_hand import ACK, PSH, ethernet, ip, record, segment, udp
from tests.wire.test_tunnel import tunnelled

NAME = "login.microsoftonline.com"


class FakeCapture:
    """Packets and counts as a test wants them."""

    made: ClassVar[list["FakeCapture"]] = []
    fails: OSError | None = None

    def __init__(
        self, name: str, make_filter: Any, *, blocks: int = 8, promiscuous: bool = False, join: Any = None
    ) -> None:
        if FakeCapture.fails is not None:
            raise FakeCapture.fails
        self.name, self._make_filter, self.join, self.blocks = name, make_filter, join, blocks
        self.waiting: list[tuple[int, bytes]] = []
        self.passed = self.dropped = self.filters = 0
        self.there, self.closed = True, False
        self.refilter()
        FakeCapture.made.append(self)

    def refilter(self) -> None:
        self.program = self._make_filter(Link.ETHERNET, False)
        self.filters += 1

    def packets(self) -> Iterator[tuple[Any, ...]]:
        waiting, self.waiting = self.waiting, []
        for moment, frame in waiting:
            yield moment, 1, frame, 0, len(frame), len(frame), self.name, None

    def statistics(self) -> Statistics:
        found = Statistics(self.passed, self.dropped)
        self.passed = self.dropped = 0
        return found

    def is_there(self) -> bool:
        return self.there

    def close(self) -> None:
        self.closed = True

    def lets_pass(self, packet: bytes) -> bool:
        return run(self.program, ethernet(packet)) > 0


@pytest.fixture
def captures(monkeypatch):
    monkeypatch.setattr(watched, "Capture", FakeCapture)
    monkeypatch.setattr(FakeCapture, "made", [])
    monkeypatch.setattr(FakeCapture, "fails", None)
    return FakeCapture.made


def inspection(*interfaces: Interface, **config: Any) -> tuple[Inspection, list[Connection]]:
    told: list[Connection] = []
    made = Inspection(InspectorConfig(**({"privacy": "plain"} | config)), told.append)
    made.watch(interfaces or (Interface("eth1", "inside"),))
    made.tick(0.0, START)
    return made, told


def counts(made: Inspection, metric: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(value for _, value in sample.labels): sample.value
        for sample in made.counted.samples()
        if sample.metric == metric and sample.value
    }


@functools.cache
def flights(name: str) -> list[Any]:
    """The very same bytes, each time."""
    return Talk(name=name).shake().says(True, b"GET / HTTP/1.1\r\n\r\n").says(False, b"x" * 700).flights


def frames(name: str = NAME, client: str = "10.0.0.1", port: int = 443) -> list[tuple[int, bytes]]:
    made = Conversation(client=(client, 40_000), server=("192.0.2.1", port)).opens().plays(flights(name)).closes()
    return [(frame[0], frame[1]) for frame in made.frames()]


DATA = record(23, bytes(700))


def reply(server: str = "192.0.2.1") -> bytes:
    return segment(ACK | PSH, DATA, server_port=443, server=server, to_server=False)


def test_a_command_is_told_the_same_connections_and_counts_packets_alone(captures):
    """Of each connection one object is made, instead of one for each moment that a counter waits for."""
    told: dict[bool, list[Connection]] = {True: [], False: []}
    for counting, connections in told.items():
        made = Inspection(InspectorConfig(privacy="plain"), connections.append, counting=counting)
        made.watch([Interface("eth1", "inside")])
        made.tick(0.0, START)
        capture = captures[-1]
        capture.waiting, capture.passed = frames(), 9
        made.read()
        made.tick(1.0, START + SECOND)
        made.finish()
        assert bool(counts(made, "outlook_wire_connections_total")) is counting
        assert counts(made, "outlook_wire_packets_total") == {("eth1",): 9.0}
    assert told[True] == told[False] != []


class TestFilter:
    def test_where_little_passes_any_servers_replies_do(self, captures):
        inspection()
        assert captures[0].lets_pass(reply())

    def test_where_much_passes_only_those_of_servers_that_were_named(self, captures):
        made, _ = inspection()
        (capture,) = captures
        capture.waiting = frames()
        made.read()
        capture.passed = int(BUSY) + 100
        made.tick(1.0, START + SECOND)
        assert capture.lets_pass(reply("192.0.2.1"))  # by its ClientHello
        assert capture.lets_pass(reply("52.96.0.1"))  # of the published networks
        assert not capture.lets_pass(reply("198.51.100.9"))
        filters = capture.filters
        made.read()
        assert capture.filters == filters
        capture.waiting = [(START, ethernet(dns_answer("outlook.live.com", "198.51.100.9")))]
        made.read()
        assert capture.filters == filters + 1
        assert capture.lets_pass(reply("198.51.100.9"))  # by a DNS answer

    def test_and_for_a_while_then(self, captures):
        made, _ = inspection()
        (capture,) = captures
        capture.passed = int(BUSY) + 100
        made.tick(1.0, START + SECOND)
        made.tick(2.0, START + 2 * SECOND)
        assert not capture.lets_pass(reply())
        made.tick(BUSY_SECONDS + 2.0, START + 62 * SECOND)
        assert capture.lets_pass(reply())

    def test_configured_networks_are_known(self, captures):
        made, _ = inspection(servers=(ip_network("198.51.100.0/24"),))
        captures[0].passed = int(BUSY) + 100
        made.tick(1.0, START + SECOND)
        assert captures[0].lets_pass(reply("198.51.100.9"))

    def test_with_all_nothing_is_narrowed(self, captures):
        made, _ = inspection(everything=True)
        captures[0].passed = 10 * int(BUSY)
        made.tick(1.0, START + SECOND)
        assert captures[0].lets_pass(reply())
        assert captures[0].filters == 1

    def test_ports_of_custom_targets(self, captures):
        from exporter.catalogue import Target
        from exporter.vocabulary import Protocol

        target = Target(name="own", protocol=Protocol.IMAP, hosts=("mail.example",), port=10_993, custom=True)
        inspection(targets={"own": target})
        assert captures[0].lets_pass(segment(ACK | PSH, DATA, server_port=10_993))

    def test_a_client_that_asks_a_proxy(self, captures):
        """Of what it says to the proxy and through it enough passes, also where much does, but for the sign-in then."""
        proxies = {
            "proxied": "http://192.0.2.8:3128", "tls": "https://proxy.example", "socks": "socks5h://192.0.2.9",
        }  # fmt: skip
        vantages = tuple(VantageSettings(name=name, proxy=proxy) for name, proxy in proxies.items())
        config = config_of(Settings(vantages=vantages), None)
        assert config.proxies == {3_128, 1_080}
        for busy in (False, True):
            made, told = inspection(proxies=config.proxies)
            capture = captures[-1]
            if busy:
                capture.passed = int(BUSY) + 100
                made.tick(1.0, START + SECOND)
            passing = [(time, frame) for time, frame, *_ in tunnelled().frames() if run(capture.program, frame)]
            assert len(passing) < len(tunnelled().frames())
            capture.waiting = passing
            made.read()
            made.finish()
            [seen] = told
            assert (seen.target, seen.server_port, seen.outcome) == ("imap_office365", 3_128, "established")
            assert (seen.auth is None) == busy


def dns_answer(name: str, address: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = labels + b"\0\0\1\0\1"
    answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + ip_address(address).packed
    return ip("10.0.0.53", "10.0.0.1", 17, udp(53, 999, b"\0\1\x81\x80\0\1\0\1\0\0\0\0" + question + answer))


class TestClients:
    def test_are_counted_inside_and_not_again_outside(self, captures):
        made, told = inspection(Interface("eth1", "inside"), Interface("eth0", "outside"))
        for capture in captures:
            capture.waiting = frames(client="10.0.0.1" if capture.name == "eth1" else "203.0.113.5")
        made.read()
        made.tick(1.0, START + SECOND)
        assert {each.interface for each in told} == {"eth1", "eth0"}
        assert counts(made, "outlook_wire_clients") == {("sign_in_work", "healthy"): 1}

    def test_outside_where_nothing_else_is_looked_at(self, captures):
        made, _ = inspection(Interface("eth0", "outside"))
        captures[0].waiting = frames()
        made.read()
        assert counts(made, "outlook_wire_clients") == {("sign_in_work", "healthy"): 1}

    def test_our_own_prober_is_none_but_its_connections_are_told(self, captures):
        (hello,) = {stack_of(each.ja4) for each in told_of(captures)}
        made, told = inspection(own_stack=hello)
        captures[-1].waiting = frames()
        made.read()
        assert len(told) == 1
        assert counts(made, "outlook_wire_clients") == {}
        assert sum(counts(made, "outlook_wire_connections_total").values()) == 1

    def test_what_our_own_prober_is_known_by(self):
        stack = own_stack()
        assert stack is not None
        assert len(stack) == 25
        assert stack_of(f"t13d3012h1_{stack}") == stack_of(f"t13i301200_{stack}") == stack
        assert stack_of(None) is None

    def test_ignored_ones_are_passed_over(self, captures):
        made, told = inspection(ignored_clients=(ip_network("10.0.0.0/30"),))
        captures[0].waiting = frames(client="10.0.0.1") + frames(client="10.0.0.4")
        made.read()
        assert [each.client for each in told] == ["10.0.0.4"]
        assert sum(counts(made, "outlook_wire_connections_total").values()) == 1

    def test_addresses_are_told_as_configured(self, captures):
        made, told = inspection(privacy="off")
        captures[0].waiting = frames()
        made.read()
        assert told[0].client is None
        assert counts(made, "outlook_wire_clients") == {("sign_in_work", "healthy"): 1}


def told_of(captures) -> list[Connection]:
    made, told = inspection()
    captures[-1].waiting = frames()
    made.read()
    return told


class TestTwoSides:
    """Both sides of a gateway that translates addresses, live."""

    SIDES = Interface("eth1", "inside"), Interface("eth0", "outside")

    def both(self, captures, inside, outside, later: float = 1.0) -> tuple[Inspection, list[Connection]]:
        made, told = inspection(*self.SIDES)
        captures[0].waiting, captures[1].waiting = inside, outside
        made.read()
        made.tick(later, START + int(later * SECOND))
        return made, told

    def test_the_inside_waits_for_its_counterpart(self, captures):
        made, told = inspection(*self.SIDES)
        captures[0].waiting = frames()
        made.read()
        made.tick(1.0, START + SECOND)
        assert told == []
        captures[1].waiting = frames(client="203.0.113.5")
        made.read()
        made.tick(2.0, START + 2 * SECOND)
        assert [(each.interface, each.tampering) for each in told] == [("eth0", ()), ("eth1", ())]

    def test_but_not_for_ever(self, captures):
        made, told = self.both(captures, frames(), [], later=13.0)
        made.tick(26.0, START + 26 * SECOND)
        assert [(each.interface, each.tampering) for each in told] == [("eth1", ())]  # outside it may still be open

    def test_what_was_done_is_told_and_counted(self, captures):
        """A reset that only the client saw."""
        hello = flights(NAME)[0][1]
        server = ("192.0.2.1", 443)
        inside = Conversation(client=("10.0.0.1", 40_000), server=server).opens().says(True, hello).resets(False)
        outside = Conversation(client=("203.0.113.5", 50_000), server=server).opens().wait(1.0).resets(True)
        made, told = self.both(
            captures,
            [(frame[0], frame[1]) for frame in inside.frames()],
            [(frame[0], frame[1]) for frame in outside.frames()],
            later=3.0,
        )
        (seen,) = [each for each in told if each.interface == "eth1"]
        assert {each.kind for each in seen.tampering} == {"hello_not_forwarded", "reset_forged"}
        assert counts(made, "outlook_wire_tampering_total") == {
            ("sign_in_work", "hello_not_forwarded"): 1,
            ("sign_in_work", "reset_forged"): 1,
        }

    def test_a_client_that_is_reset_while_the_server_goes_on_waiting(self, captures):
        hello = flights(NAME)[0][1]
        server = ("192.0.2.1", 443)
        inside = Conversation(client=("10.0.0.1", 40_000), server=server).opens().says(True, hello).resets(False)
        outside = Conversation(client=("203.0.113.5", 50_000), server=server).opens()
        theirs = hello[:11] + bytes(32) + hello[43:]  # another client's random
        another = Conversation(client=("203.0.113.5", 50_001), server=server).wait(0.5).opens().says(True, theirs)
        both = [(f[0], f[1]) for f in sorted([*outside.frames(), *another.frames()], key=lambda frame: frame[0])]
        made, told = self.both(captures, [(frame[0], frame[1]) for frame in inside.frames()], both)
        assert told == []
        made.tick(14.0, START + 14 * SECOND)
        (seen,) = [each for each in told if each.interface == "eth1"]
        assert {each.kind for each in seen.tampering} == {"hello_not_forwarded", "reset_forged"}

    def test_and_at_the_end_too(self, captures):
        hello = flights(NAME)[0][1]
        server = ("192.0.2.1", 443)
        inside = Conversation(client=("10.0.0.1", 40_000), server=server).opens().says(True, hello).resets(False)
        outside = Conversation(client=("203.0.113.5", 50_000), server=server).opens()
        seen_there, seen_here = ([(frame[0], frame[1]) for frame in each.frames()] for each in (outside, inside))
        made, told = self.both(captures, seen_here, seen_there)
        made.finish()
        (seen,) = [each for each in told if each.interface == "eth1"]
        assert {each.kind for each in seen.tampering} == {"hello_not_forwarded", "reset_forged"}

    @pytest.mark.parametrize("dropped", [0, 5])
    def test_a_syn_that_never_left_unless_packets_were_lost(self, captures, dropped):
        made, told = inspection(*self.SIDES, servers=(ip_network("192.0.2.0/24"),))
        syn = Conversation(client=("10.0.0.1", 40_000)).segment(True, 2)
        captures[0].waiting = [(frame[0], frame[1]) for frame in syn.frames()]
        made.read()
        captures[1].passed, captures[1].dropped = 10, dropped
        for second in range(1, 30):
            made.tick(float(second), START + second * SECOND)
        (seen,) = told
        assert seen.outcome == "no_answer"
        assert [each.kind for each in seen.tampering] == ([] if dropped else ["syn_not_forwarded"])

    def test_at_the_end_all_is_told(self, captures):
        made, told = self.both(captures, frames(), [])
        made.finish()
        assert [each.interface for each in told] == ["eth1"]

    def test_of_the_inside_alone_nothing_waits(self, captures):
        made, told = inspection()
        captures[0].waiting = frames()
        made.read()
        assert len(told) == 1


class TestInterfaces:
    def test_one_that_is_not_there_is_tried_again(self, captures, monkeypatch):
        monkeypatch.setattr(FakeCapture, "fails", InterfaceMissing(19, "eth1: no such interface"))
        made, _ = inspection()
        assert [state.problem for state in made.states()] == ["eth1: no such interface"]
        monkeypatch.setattr(FakeCapture, "fails", None)
        assert not made.tick(0.5, START)  # not yet
        assert made.tick(1.0, START)
        assert [(state.open, state.problem) for state in made.states()] == [(True, None)]

    def test_where_the_right_is_missing_there_is_no_hurry(self, captures, monkeypatch):
        monkeypatch.setattr(FakeCapture, "fails", CaptureForbidden(1, "eth1: reading packets needs CAP_NET_RAW"))
        made, _ = inspection()
        monkeypatch.setattr(FakeCapture, "fails", None)
        assert not made.tick(29.0, START)
        assert made.tick(30.0, START)

    def test_one_that_goes_is_closed_and_its_counts_stay(self, captures):
        made, _ = inspection()
        captures[0].passed, captures[0].dropped = 10, 3
        made.tick(1.0, START + SECOND)
        captures[0].there = False
        assert made.tick(2.0, START + 2 * SECOND)
        assert captures[0].closed
        assert counts(made, "outlook_wire_packets_total") == {("eth1",): 7}
        assert counts(made, "outlook_wire_packets_dropped_total") == {("eth1",): 3}

    def test_one_that_leaves_the_list_tells_what_was_open(self, captures):
        made, told = inspection()
        captures[0].waiting = frames()[:-3]  # not closed
        made.read()
        assert told == []
        made.tick(1.0, START + SECOND)
        assert counts(made, "outlook_wire_connections_open") == {("sign_in_work", "eth1"): 1}
        made.watch([Interface("eth2")])
        assert [each.target for each in told] == ["sign_in_work"]
        assert captures[0].closed
        assert counts(made, "outlook_wire_connections_open") == {}

    def test_the_same_list_again_changes_nothing(self, captures):
        made, _ = inspection()
        made.watch([Interface("eth1", "inside")])
        made.tick(1.0, START)
        assert len(captures) == 1


def test_a_connection_that_stays_open_tells_its_sign_in_once_it_is_quiet(captures):
    """Push mail's: they go on for hours."""
    made, told = inspection()
    talk = Talk(name="imap-mail.outlook.com").shake()
    talk.says(False, b"* OK The Microsoft Exchange IMAP4 service is ready. [" + b"x" * 100 + b"]\r\n")
    talk.says(True, b"a1 AUTHENTICATE XOAUTH2 " + b"x" * 2_000 + b"\r\n").says(
        False, b"a1 OK AUTHENTICATE completed.\r\n"
    )
    talk.says(True, b"a2 SELECT INBOX\r\n").says(False, b"* 3 EXISTS\r\n" + b"* x" * 150 + b"\r\na2 OK done\r\n")
    talk.says(True, b"a3 IDLE\r\n").says(False, b"+ IDLE accepted\r\n")
    conversation = Conversation().opens().plays(talk.flights)
    captures[0].waiting = [(frame[0], frame[1]) for frame in conversation.frames()]
    made.read()
    attempts = "outlook_wire_auth_attempts_total"
    made.tick(1.0, conversation.now + SECOND)
    assert counts(made, attempts) == {}
    for second in range(2, QUIET // SECOND + 8):
        made.tick(float(second), conversation.now + second * SECOND)
    assert counts(made, attempts) == {("imap", "eth1", "token", "accepted"): 1}
    assert counts(made, "outlook_wire_clients") == {("imap", "healthy"): 1}
    assert told == []
    made.finish()
    assert len(told) == 1
    assert counts(made, attempts) == {("imap", "eth1", "token", "accepted"): 1}


def test_every_filter_is_one_the_assembler_takes():
    for addresses in (None, [], [ip_address("192.0.2.1").packed, ip_address("2001:db8::1").packed] * 80):
        for link in Link:
            packet_filter(filter_spec(InspectorConfig(), addresses, link, loopback=True))


def test_the_rings_size_is_the_configurations(captures):
    inspection(
        Interface("eth1", "inside"), ring_mib=config_of(Settings(inspect=InspectSettings(ring_mib=32)), None).ring_mib
    )
    assert [capture.blocks * BLOCK for capture in captures] == [32 << 20]


def test_the_bound_of_bytes_that_wait_is_the_configurations(captures):
    settings = Settings(inspect=InspectSettings(reassembly_mib=3, max_connections=7))
    made, _ = inspection(Interface("eth1", "inside"), max_held=config_of(settings, None).max_held, max_connections=7)
    assert made.watched["eth1"].tracker.config.max_held == 3 << 20
    made.finish()
    assert counts(made, "outlook_wire_reassembly_limit_bytes") == {("eth1",): 3 << 20}
    assert counts(made, "outlook_wire_connections_limit") == {("eth1",): 7}
