"""The demo's clients, as a capture tells of them; and the capture, made without reading anybody's packets."""

import asyncio
from collections import Counter

import pytest

from exporter.lab.lab import Lab
from exporter.lab.recorder import carried
from exporter.lab.visitors import Visitors
from exporter.observations import Connection
from exporter.settings import Settings
from exporter.vocabulary import Cause
from exporter.wire.decode import LinkType, decode
from exporter.wire.segments import Segment
from exporter.wire.tracker import Tracker, TrackerConfig


@pytest.fixture
async def lab(tmp_path):
    async with Lab.start(tmp_path) as running:
        yield running


async def told(lab: Lab, fault: str | None = None) -> dict[str | None, Connection]:
    """Each target's connection, read from the frames of one visit."""
    frames: list[tuple[int, bytes]] = []
    await lab.set_fault(fault)
    await Visitors(lab, lambda moment, frame: frames.append((moment, frame))).visit()
    targets = Settings.model_validate({"probe": {"custom": lab.configuration()["probe"]["custom"]}}).all_targets()
    found: list[Connection] = []
    tracker = Tracker(TrackerConfig(targets=targets), found.append)
    for moment, frame in frames:
        tracker.packet(moment, LinkType.ETHERNET, frame, 0, len(frame), len(frame))
    tracker.finish()
    return {each.target: each for each in found}


def sign_in(connection: Connection) -> tuple[str, str] | None:
    return (connection.auth.mechanism, connection.auth.outcome) if connection.auth is not None else None


async def test_in_health(lab):
    seen = await told(lab)
    assert set(seen) == {"imap", "imap_office365", "smtp", "sign_in_work"}
    assert {each.outcome for each in seen.values()} == {"established"}
    assert sign_in(seen["imap"]) == ("password", "refused")
    assert sign_in(seen["imap_office365"]) == ("token", "accepted")
    assert sign_in(seen["smtp"]) == ("password", "refused")
    assert seen["sign_in_work"].reply_seconds is not None
    assert {each.client for each in seen.values()} == {"127.77.0.1", "127.77.0.2", "127.77.0.3"}
    assert {each.client_family for each in seen.values()} == {"openssl"}


@pytest.mark.parametrize(
    ("fault", "target", "outcome"),
    [
        (Cause.SNI_RESET, "sign_in_work", "hello_reset"),
        (Cause.TLS_INTERCEPTED, "imap", "handshake_failed"),
    ],
)
async def test_behind_a_gateway_that_misbehaves(lab, fault, target, outcome):
    seen = await told(lab, fault)
    assert seen[target].outcome == outcome


async def test_by_themselves_they_need_nobody(lab):
    await Visitors(lab, None).visit()
    assert lab.counts["handshake"] >= 4


async def test_frames_are_of_a_connection_that_could_be():
    """SYN, SYN-ACK and FINs; sequence numbers that fit; segments that do, too."""
    received = b""

    async def serve(reader, writer):
        nonlocal received
        received = await reader.readexactly(5_000)
        writer.write(b"y" * 3_000)
        writer.close()

    frames: list[bytes] = []
    over = asyncio.Event()

    def take(moment: int, frame: bytes) -> None:
        frames.append(frame)
        if sum(segment_of(each).flags & 1 for each in frames) == 2:
            over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    there = server.sockets[0].getsockname()[:2]
    reader, writer = await asyncio.open_connection(*await carried(("127.77.0.9", 4_000), there, take))
    writer.write(b"x" * 5_000)
    assert await reader.read() == b"y" * 3_000
    writer.close()
    await writer.wait_closed()
    server.close()
    async with asyncio.timeout(5):
        await over.wait()
    assert received == b"x" * 5_000
    segments = [segment_of(frame) for frame in frames]
    assert [each.flags for each in segments[:3]] == [0x02, 0x12, 0x10]
    assert max(each.length for each in segments) <= 1_400
    sent = Counter({each.source_port: 0 for each in segments})
    expected: dict[int, int] = {}
    for each in segments:
        assert expected.setdefault(each.source_port, each.sequence) == each.sequence
        expected[each.source_port] = each.sequence + each.length + bool(each.flags & 3)
        sent[each.source_port] += each.length
    assert sent == {4_000: 5_000, there[1]: 3_000}


def segment_of(frame: bytes) -> Segment:
    decoded = decode(LinkType.ETHERNET, frame, 0, len(frame), len(frame))
    assert isinstance(decoded, Segment)
    return decoded


async def test_where_nobody_listens():
    with pytest.raises(OSError, match="Connect"):
        await carried(("127.77.0.9", 4_000), ("127.0.0.1", 1), lambda moment, frame: None)
