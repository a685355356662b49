"""Messages on their way out: in order, bounded, never waited for."""

import socket

import pytest

from exporter.wire.outbox import MAX_CONNECTIONS, MAX_FOR_COMMAND, Outbox
from exporter.wire.watched import InspectorConfig
from exporter.wire.worker import Worker


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def received(sock) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(sock.recv(65_536))
        except BlockingIOError:
            return found


def test_messages_come_as_they_were_put(ends):
    outbox = Outbox(ends[0])
    outbox.put_state([b"1", b"2"])
    outbox.put_connection(b"c")
    assert outbox.waits
    outbox.flush()
    assert received(ends[1]) == [b"c", b"1", b"2"]
    assert not outbox.waits


def test_where_nobody_reads_the_oldest_connections_are_lost_and_counted(ends):
    outbox = Outbox(ends[0], limit=10)
    big = b"x" * 60_000
    for _ in range(100):  # more than the kernel takes
        outbox.put_connection(big)
        outbox.flush()
    assert outbox.lost > 50
    got = len(received(ends[1]))
    outbox.flush()
    assert got + len(received(ends[1])) + outbox.lost >= 100 - 10
    assert outbox.lost < 100


def test_counts_wait_and_are_not_added_to(ends):
    outbox = Outbox(ends[0])
    outbox.put_state([b"x" * 60_000] * 20)
    outbox.flush()
    assert outbox.has_state
    received(ends[1])
    for _ in range(20):
        outbox.flush()
        received(ends[1])
    assert not outbox.has_state


def test_the_end_is_told(ends):
    outbox = Outbox(ends[0])
    ends[1].close()
    outbox.put_state([b"1"])
    with pytest.raises(OSError, match="Broken pipe"):
        outbox.flush()


def test_a_message_that_never_fits_is_no_obstacle(ends):
    outbox = Outbox(ends[0])
    outbox.put_connection(b"x" * (1 << 22))
    outbox.put_connection(b"c")
    outbox.flush()
    assert received(ends[1]) == [b"c"]
    assert outbox.lost == 1


@pytest.mark.parametrize(("all_told", "limit"), [(True, MAX_FOR_COMMAND), (False, MAX_CONNECTIONS)])
def test_a_command_that_prints_all_loses_none_of_a_burst(ends, all_told: bool, limit: int):
    worker = Worker(InspectorConfig(), ends[0], "run", all_told=all_told)
    for _ in range(limit + 5):
        worker._outbox.put_connection(b"c")
    assert worker._outbox.lost == 5
