"""A TCP connection written segment by segment, and what the tracker says of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from itertools import pairwise

from exporter.observations import Connection
from exporter.wire.capture_file import CaptureFile
from exporter.wire.tracker import Tracker, TrackerConfig
from tests.wire.flights import Flight
from tests.wire.frames import ACK, FIN, PSH, RST, SYN, TCP, Frame, ethernet, ip, pcap, tcp

SECOND, MILLISECOND = 1_000_000_000, 1_000_000
START = 1_790_000_000 * SECOND


@dataclass(frozen=True)
class Sent:
    """A segment: when, by whom, and its fields."""

    time: int
    from_client: bool
    sequence: int
    acknowledgment: int
    flags: int
    payload: bytes = b""


@dataclass
class Conversation:
    """Grows by its methods, a millisecond a segment unless `wait` says otherwise."""

    client: tuple[str, int] = ("10.0.0.1", 40_000)
    server: tuple[str, int] = ("192.0.2.1", 993)
    first: tuple[int, int] = (1_000, 9_000)  # initial sequence numbers
    mss: int = 1_448
    now: int = START
    vlan: tuple[int, ...] = ()
    sent: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.next = {True: self.first[0], False: self.first[1]}

    def wait(self, seconds: float) -> "Conversation":
        self.now += round(seconds * SECOND)
        return self

    def segment(self, from_client: bool, flags: int, payload: bytes = b"", **fields: int) -> "Conversation":
        """One segment; sequence numbers go on from it, unless `sequence` is given."""
        sequence = fields.get("sequence", self.next[from_client])
        acknowledgment = fields.get("acknowledgment", self.next[not from_client] if flags & ACK else 0)
        self.sent.append(Sent(self.now, from_client, sequence % 2**32, acknowledgment % 2**32, flags, payload))
        if "sequence" not in fields:
            self.next[from_client] += len(payload) + (1 if flags & SYN else 0) + (1 if flags & FIN else 0)
        self.now += MILLISECOND
        return self

    def opens(self) -> "Conversation":
        return self.segment(True, SYN).segment(False, SYN | ACK).segment(True, ACK)

    def says(self, from_client: bool, data: bytes) -> "Conversation":
        """In segments of at most `mss` bytes, each acknowledged."""
        for start in range(0, len(data), self.mss):
            self.segment(from_client, PSH | ACK, data[start : start + self.mss])
        return self.segment(not from_client, ACK)

    def plays(self, flights: Iterable[Flight]) -> "Conversation":
        for from_client, data in flights:
            self.says(from_client, data)
        return self

    def closes(self, from_client: bool = True) -> "Conversation":
        self.segment(from_client, FIN | ACK).segment(not from_client, FIN | ACK)
        return self.segment(from_client, ACK)

    def resets(self, from_client: bool) -> "Conversation":
        return self.segment(from_client, RST | ACK)

    def frames(self) -> list[Frame]:
        return [self.frame(sent) for sent in self.sent]

    def frame(self, sent: Sent) -> Frame:
        here, there = (self.client, self.server) if sent.from_client else (self.server, self.client)
        segment = tcp(here[1], there[1], sent.sequence, sent.acknowledgment, sent.flags, sent.payload)
        return sent.time, ethernet(ip(here[0], there[0], TCP, segment), vlan=self.vlan)

    def without(self, *places: int) -> "Conversation":
        """As captured without these segments."""
        return replace(self, sent=[sent for place, sent in enumerate(self.sent) if place not in places])


def inspect(frames: Sequence[Frame], **config: object) -> list[Connection]:
    """What is told of the frames, read as a capture file."""
    return inspect_file(pcap(frames, nano=True), **config)


def inspect_file(data: bytes, **config: object) -> list[Connection]:
    found: list[Connection] = []
    tracker = Tracker(TrackerConfig(**({"everything": True, "patience": 60.0} | config)), found.append)  # type: ignore[arg-type]
    tracker.packets(CaptureFile(BytesIO(data)).packets())
    tracker.finish()
    return found


def one(conversation: Conversation, **config: object) -> Connection:
    """The one connection that is told."""
    (connection,) = inspect(conversation.frames(), **config)
    return connection


def pieces(data: bytes, places: Iterable[int]) -> list[bytes]:
    bounds = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(bounds)]
