"""Field by field against Wireshark, on real handshakes of eight TLS stacks, as captured and mutated."""

import random
import struct
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from exporter.observations import Connection
from exporter.protocols.tls_names import alert_name, cipher_name
from exporter.vocabulary import ConnectionOutcome
from exporter.wire.capture_file import CaptureFile
from tests.wire.conversation import inspect_file
from tests.wire.frames import Frame, pcap
from tests.wire.oracle import Seen, dissect
from tests.wire.real_captures import PORTS, make_capture

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(240)]

MICROSECONDS = 2e-6  # a difference of two rounded times
FIN_OR_RESET = 0x05


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_capture(tmp_path_factory.mktemp("stacks"))


@pytest.fixture(scope="module")
def frames(capture: Path) -> list[Frame]:
    read = CaptureFile(BytesIO(capture.read_bytes())).packets()
    return [(time, bytes(buffer[start:end])) for time, _, buffer, start, end, *_ in read]


def pairs(file: Path) -> Iterator[tuple[Connection, Seen]]:
    """Ours and Wireshark's, of the same connections; there are no others."""
    ours = {(c.client, c.client_port, c.server, c.server_port): c for c in inspect_file(file.read_bytes())}
    theirs = {seen.key: seen for seen in dissect(file, PORTS)}
    assert set(ours) == set(theirs)
    for key, connection in ours.items():
        yield connection, theirs[key]  # type: ignore[index] # in files the client's address is always told


def same_facts(ours: Connection, theirs: Seen) -> None:
    assert ours.sni == theirs.name
    assert ours.tls_version == theirs.version
    assert ours.cipher == (cipher_name(theirs.cipher) if theirs.cipher is not None else None)
    worst = max(theirs.alerts, key=lambda alert: alert[1], default=None)
    if worst is not None:
        assert ours.alert is not None
        assert (ours.alert.sender, ours.alert.name) == (worst[0], alert_name(worst[2]))
    else:
        assert ours.alert is None or ours.alert.encrypted


def test_every_stack_came_to_something(capture: Path):
    """The capture is worth comparing: all versions, refusals in clear and encrypted, all outcomes of a handshake."""
    connections = inspect_file(capture.read_bytes())
    outcomes = Counter(connection.outcome for connection in connections)
    assert outcomes[ConnectionOutcome.ESTABLISHED] > 50
    assert outcomes[ConnectionOutcome.HANDSHAKE_FAILED] > 20
    assert outcomes[ConnectionOutcome.REFUSED] >= 2
    assert len({connection.ja4 for connection in connections}) >= 6  # a machine without Java or Go has fewer stacks
    assert {connection.tls_version for connection in connections} >= {"TLSv1.2", "TLSv1.3"}
    assert any(c.alert and c.alert.encrypted for c in connections)
    assert any(c.alert and c.alert.name == "unknown_ca" and c.tls_version == "TLSv1.3" for c in connections)
    assert {"x25519", "secp384r1"} <= {connection.group for connection in connections}
    assert all(c.sni is None for c in connections if c.outcome is ConnectionOutcome.INCOMPLETE)  # the wait for servers


def test_as_captured(capture: Path):
    for ours, theirs in pairs(capture):
        same_facts(ours, theirs)
        assert ours.retransmissions == theirs.retransmissions
        if theirs.syn is not None and theirs.syn_ack is not None:
            assert ours.tcp_handshake_seconds == pytest.approx(theirs.syn_ack - theirs.syn, abs=MICROSECONDS)
        if theirs.finished is not None and theirs.first_payload is not None:
            assert ours.tls_handshake_seconds == pytest.approx(theirs.finished - theirs.first_payload, abs=MICROSECONDS)
        else:
            assert ours.tls_handshake_seconds is None


# ---- mutations ---------------------------------------------------------------------------------------------------------


def written(tmp_path: Path, frames: list[Frame]) -> Path:
    file = tmp_path / "mutated.pcap"
    file.write_bytes(pcap(frames))
    return file


def split(frame: Frame, size: int) -> list[Frame]:
    """A TCP segment as several of at most `size` bytes; IPv4 without options, as on loopback."""
    time, data, *_ = frame
    header = 34 + (data[46] >> 4) * 4
    payload = data[header:]
    if data[12:14] != b"\x08\x00" or data[23] != 6 or len(payload) <= size:
        return [frame]
    (sequence,) = struct.unpack_from(">I", data, 38)
    parts: list[Frame] = []
    for start in range(0, len(payload), size):
        part = payload[start : start + size]
        last = start + size >= len(payload)
        head = bytearray(data[:header])
        head[16:18] = struct.pack(">H", header - 14 + len(part))
        head[38:42] = struct.pack(">I", sequence + start & 0xFFFF_FFFF)
        head[47] &= 0xFF if last else 0xF6  # FIN and PSH are the last one's
        parts.append((time + len(parts) * 1_000, bytes(head) + part))
    return parts


@pytest.mark.parametrize("size", [1_000, 300, 77])
def test_resegmented(tmp_path: Path, frames: list[Frame], size: int):
    for ours, theirs in pairs(written(tmp_path, [part for frame in frames for part in split(frame, size)])):
        same_facts(ours, theirs)
        assert ours.retransmissions == theirs.retransmissions


def ports(frame: Frame) -> frozenset[bytes]:
    return frozenset({frame[1][34:36], frame[1][36:38]})


def test_repeated_later(tmp_path: Path, frames: list[Frame]):
    """Many a segment comes again, long enough after to be a retransmission."""
    chance = random.Random(4)
    ends = {ports(frame): frame[0] for frame in reversed(frames) if frame[1][47] & FIN_OR_RESET}  # each one's first
    again: list[Frame] = [
        (frame[0] + 20_000_000, frame[1])
        for frame in frames
        # behind the end nobody counts, and newer versions of Wireshark take a SYN there for another connection
        if chance.random() < 0.3 and frame[0] + 20_000_000 < ends.get(ports(frame), 0)
    ]
    assert again
    for ours, theirs in pairs(written(tmp_path, sorted([*frames, *again], key=lambda frame: frame[0]))):
        same_facts(ours, theirs)
        # Wireshark takes an old segment for one out of order where it comes within the round trip of a newer one
        assert theirs.retransmissions <= ours.retransmissions <= theirs.retransmissions + theirs.out_of_order


def test_cut_in_the_middle(tmp_path: Path, frames: list[Frame]):
    middle = frames[len(frames) // 3 : len(frames) * 2 // 3]
    for ours, theirs in pairs_of_both(written(tmp_path, middle)):
        same_facts(ours, theirs)


def pairs_of_both(file: Path) -> Iterator[tuple[Connection, Seen]]:
    """Of those that both see: Wireshark counts the last acknowledgment of a connection as one too."""
    ours = {(c.client, c.client_port, c.server, c.server_port): c for c in inspect_file(file.read_bytes())}
    theirs = {seen.key: seen for seen in dissect(file, PORTS)}
    both = set(ours) & set(theirs)
    assert len(both) >= len(ours) - 1
    return ((ours[key], theirs[key]) for key in both)  # type: ignore[index]


@pytest.mark.parametrize("seed", [1, 2])
def test_dropped_by_the_capture(tmp_path: Path, frames: list[Frame], capture: Path, seed: int):
    """What is told agrees with the whole capture, and is never less than what Wireshark finds in the part.

    A client that resets behind its Finished acknowledges nothing: where the capture lost the server's, no trace is left
    that it came; nor of a lost refusal. That happens to one in several hundred.
    """
    chance = random.Random(seed)
    whole = {(c.client, c.client_port, c.server_port): c for c in inspect_file(capture.read_bytes())}
    traceless: list[Connection] = []
    for ours, theirs in pairs_of_both(written(tmp_path, [frame for frame in frames if chance.random() > 0.04])):
        full = whole[ours.client, ours.client_port, ours.server_port]
        if ours.outcome not in (full.outcome, ConnectionOutcome.INCOMPLETE):
            traceless.append(ours)
        assert ours.sni in (full.sni, None)
        assert ours.tls_version in (full.tls_version, None)
        if theirs.name is not None:
            assert ours.sni == theirs.name
        if theirs.version is not None:
            assert ours.tls_version == theirs.version
    assert len(traceless) <= 2
    expected = {ConnectionOutcome.HANDSHAKE_FAILED, ConnectionOutcome.NO_ANSWER}
    assert {connection.outcome for connection in traceless} <= expected
