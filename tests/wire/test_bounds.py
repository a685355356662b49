"""What is kept is bounded, and true connections are still told in a flood."""

import random
import tracemalloc

import pytest

from exporter.observations import Connection
from exporter.vocabulary import ConnectionOutcome
from exporter.wire.attempts import MAX_CLIENTS, REMEMBERED, Attempts
from exporter.wire.flow import MAX_REASSEMBLY
from exporter.wire.tracker import Tracker, TrackerConfig
from tests.wire.conversation import START, Conversation, inspect, one
from tests.wire.flights import Talk, healthy
from tests.wire.frames import ACK, ETHERNET, PSH, SYN, TCP, Frame, ethernet, ip, tcp


def syn(number: int, time: int) -> Frame:
    client = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return time, ethernet(ip(client, "192.0.2.1", TCP, tcp(1_024 + number % 60_000, 993, number, 0, SYN)))


def feed(tracker: Tracker, frame: Frame) -> None:
    time, data, *_ = frame
    tracker.packet(time, ETHERNET, data, 0, len(data), len(data))


def test_a_flood_of_syns_is_bounded_and_true_connections_are_told():
    found: list[Connection] = []
    tracker = Tracker(TrackerConfig(everything=True, max_connections=500), found.append)
    true = iter(Conversation(client=("172.16.0.1", 5_000), now=START).opens().plays(healthy()).closes().frames())
    tracemalloc.start()
    for number in range(10_000):
        feed(tracker, syn(number, START + number * 1_000))
        if number % 300 == 0 and (frame := next(true, None)) is not None:
            feed(tracker, frame)
        assert len(tracker) <= 500
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    for frame in true:
        feed(tracker, frame)
    assert used < 10_000_000
    assert tracker.counts.evicted == 10_001 - 500
    assert [connection.outcome for connection in found] == [ConnectionOutcome.ESTABLISHED]


def test_closing_ones_are_given_up_first_then_unanswered_syns_then_long_silent_ones():
    found: list[Connection] = []
    tracker = Tracker(TrackerConfig(everything=True, max_connections=3), found.append)
    open_ = Conversation(client=("172.16.0.1", 1)).opens().plays(healthy())
    closing = Conversation(client=("172.16.0.2", 2), now=open_.now).opens().plays(healthy()).segment(True, 17)
    for frame in [*open_.frames(), *closing.frames(), syn(1, closing.now), syn(2, closing.now + 1)]:
        feed(tracker, frame)
    assert [connection.client for connection in found] == ["172.16.0.2"]
    feed(tracker, syn(3, closing.now + 2))
    assert tracker.counts.evicted == 2
    assert len(found) == 1  # a SYN without answer in a flood isn't told
    tracker.finish()
    assert ("172.16.0.1", ConnectionOutcome.ESTABLISHED) in [(each.client, each.outcome) for each in found]


def test_a_flood_of_hellos_with_random_names():
    chance = random.Random(1)
    found: list[Connection] = []
    tracker = Tracker(TrackerConfig(everything=True, max_connections=200), found.append)
    tracemalloc.start()
    hello = Talk(name="aaaaaaaaaaaaaaaaaaaaaa.example").shake().flights[0][1]
    for number in range(1_500):
        name = "".join(chance.choices("abcdefgh", k=22)).encode()
        other = hello.replace(b"a" * 22, name)
        made = Conversation(client=("10.0.0.1", 1_024 + number), now=START + number * 10_000)
        for frame in made.opens().segment(True, PSH | ACK, other).frames():
            feed(tracker, frame)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(tracker) <= 200
    assert used < 12_000_000


def test_bytes_behind_a_hole_are_bounded():
    conversation = Conversation().opens()
    conversation.next[True] += 10  # a hole that nothing fills
    for _ in range(200):
        conversation.segment(True, PSH | ACK, b"\x17\x03\x03\x05\xa3" + bytes(1_443))
    tracker = Tracker(TrackerConfig(everything=True), lambda connection: None)
    for frame in conversation.frames():
        feed(tracker, frame)
        halves = tracker._table.halves.values()
        assert all(half.held + len(half.part) <= MAX_REASSEMBLY + 1_448 for half in halves)


def test_a_record_that_never_ends_is_bounded():
    conversation = Conversation().opens().segment(True, PSH | ACK, b"\x16\x03\x01\x47\xff\x01\x00\xff\xff")
    for _ in range(100):
        conversation.segment(True, PSH | ACK, bytes(1_448))
    tracker = Tracker(TrackerConfig(everything=True), lambda connection: None)
    for frame in conversation.frames():
        feed(tracker, frame)
        assert all(len(half.part) <= MAX_REASSEMBLY + 1_448 for half in tracker._table.halves.values())
        flows = tracker._table.flows()
        assert all(flow.tls is None or len(flow.tls.client.message) <= 16_384 for flow in flows)


def test_a_long_mail_connection_keeps_few_records():
    talk = Talk().shake()
    for _ in range(100):
        talk.says(True, b"a NOOP\r\n").says(False, b"a OK\r\n")
    tracker = Tracker(TrackerConfig(everything=True), lambda connection: None)
    for frame in Conversation().opens().plays(talk.flights).frames():
        feed(tracker, frame)
        assert all(flow.tls is None or len(flow.tls.log) <= 64 for flow in tracker._table.flows())


# ---- coming back -------------------------------------------------------------------------------------------------------


def attempt(number: int, when: float, *, good: bool = False, client: str = "10.0.0.1") -> list[Frame]:
    made = Conversation(client=(client, 2_000 + number), server=("192.0.2.1", 443)).wait(when).opens()
    return (made.plays(healthy()).closes() if good else made.says(True, healthy()[0][1]).resets(False)).frames()


def test_attempts_that_failed_before_are_counted():
    frames = [frame for n in range(4) for frame in attempt(n, n * 10.0)] + attempt(9, 45.0, good=True)
    assert [connection.retry_of for connection in inspect(frames)] == [0, 1, 2, 3, 4]


def test_only_of_this_client_and_lately():
    frames = [*attempt(1, 0), *attempt(2, 1, client="10.0.0.2"), *attempt(3, 400), *attempt(4, 401)]
    assert [connection.retry_of for connection in inspect(frames)] == [0, 0, 0, 1]


def test_healthy_connections_side_by_side_are_no_retries():
    frames = [frame for n in range(3) for frame in attempt(n, n, good=True)]
    assert [connection.retry_of for connection in inspect(frames)] == [0, 0, 0]


def test_clients_that_are_remembered_are_bounded():
    attempts = Attempts()
    for number in range(MAX_CLIENTS + 5):
        for _ in range(50):
            attempts.remember(number.to_bytes(4), ("x", 1), number)
    assert attempts.earlier((0).to_bytes(4), ("x", 1), 10) == 0
    assert attempts.earlier((MAX_CLIENTS + 4).to_bytes(4), ("x", 1), REMEMBERED) == 32


def behind_a_hole(number: int) -> tuple[Frame, Frame]:
    """A client's SYN, and 15,000 bytes of it that wait for some before them."""
    client, at = ".".join(map(str, number.to_bytes(4))), START + number * 1_000
    opens = ethernet(ip(client, "192.0.2.1", TCP, tcp(5_000, 993, number, 0, SYN)))
    goes_on = ethernet(ip(client, "192.0.2.1", TCP, tcp(5_000, 993, number + 100, 1, ACK, bytes(15_000))))
    return (at, opens), (at + 500, goes_on)


def test_bytes_of_all_connections_together_are_bounded():
    """16 KiB each of 16,384 connections would be 256 MiB; those that wait longest go on without what is missing."""
    found: list[Connection] = []
    limit = 4 << 20
    tracker = Tracker(TrackerConfig(everything=True, max_held=limit), found.append)
    most = 0
    for number in range(500):
        for frame in behind_a_hole(number):
            feed(tracker, frame)
        most = max(most, tracker.held)
    assert limit / 2 < most <= 1.25 * limit + 15_000
    assert tracker.held == sum(flow.held for flow in tracker._table.flows())
    assert len(tracker) == 500
    assert 0 < tracker.counts.let_go <= 500 - tracker.held // 15_000
    true = Conversation(client=("172.16.0.1", 5_000), now=START + 7_000_000).opens().plays(healthy()).closes()
    for frame in true.frames():
        feed(tracker, frame)
    assert [connection.outcome for connection in found] == [ConnectionOutcome.ESTABLISHED]


@pytest.mark.parametrize("before", [0, 35])
def test_each_interface_has_a_bound_of_its_own_for_bytes_that_wait(before):
    """If they were counted together, `there` would look whenever enough were added, and only at its own."""
    limit = 4 << 20
    here, there = (Tracker(TrackerConfig(everything=True, max_held=limit), lambda connection: None) for _ in range(2))
    turns = [there] * before + ([here] * 35 + [there] * 35) * 18  # 70 of them are a quarter of the limit
    for number, tracker in enumerate(turns):
        for frame in behind_a_hole(number):
            feed(tracker, frame)
        assert max(here.held, there.held) <= 1.25 * limit + 15_000
    assert min(here.counts.let_go, there.counts.let_go) > 0


# ---- time ----------------------------------------------------------------------------------------------------------------


def test_moments_of_counting_come_when_something_is_known():
    moments: list[tuple[str, ConnectionOutcome]] = []
    tracker = Tracker(
        TrackerConfig(everything=True),
        lambda connection: moments.append(("finished", connection.outcome)),
        decided=lambda connection: moments.append(("decided", connection.outcome)),
    )
    made = Conversation().opens().plays(healthy())
    for frame in made.frames():
        feed(tracker, frame)
    assert moments == [("decided", ConnectionOutcome.ESTABLISHED)]
    assert tracker.open_connections() == {"imap": 1}
    feed(tracker, syn(1, made.now))
    tracker.expire(made.now + 7_000_000_000)
    assert len(moments) == 1
    tracker.expire(made.now + 9_100_000_000)  # three seconds and the patience of five
    assert moments[1:] == [("decided", ConnectionOutcome.NO_ANSWER), ("finished", ConnectionOutcome.NO_ANSWER)]
    tracker.expire(made.now + 8_000 * 10**9)
    assert moments[3:] == [("finished", ConnectionOutcome.ESTABLISHED)]
    assert len(tracker) == 0
    tracker.finish()
    assert len(moments) == 4


def test_sequence_numbers_wrap():
    plain = one(Conversation().opens().plays(healthy()).closes())
    for first in range(2**32 - 1_500, 2**32 + 3, 97):
        wrapped = one(Conversation(first=(first, first + 13)).opens().plays(healthy()).closes())
        assert (wrapped.bytes_sent, wrapped.bytes_received) == (plain.bytes_sent, plain.bytes_received)
        assert (wrapped.outcome, wrapped.retransmissions) == (plain.outcome, 0)


def test_more_than_four_gigabytes():
    made = Conversation().opens().plays(healthy())
    frames = made.frames()
    count, step = 66_000, 65_535 - 40
    for number in range(count):  # super-segments, cut by a short snap length
        segment = tcp(993, 40_000, made.next[False] + number * step, made.next[True], ACK)
        frames.append(
            (made.now + number * 1_000, ethernet(ip("192.0.2.1", "10.0.0.1", TCP, segment, total=65_535)), 65_549)
        )
    made.now += count * 1_000
    made.next[False] += count * step
    (connection,) = inspect([*frames, *made.closes().frames()[len(made.sent) - 3 :]])
    assert connection.bytes_received == sum(len(data) for side, data in healthy() if not side) + count * step
    assert connection.bytes_received > 2**32
    assert connection.retransmissions == 0
