"""A TCP connection as it is followed: two directions, each with its sequence numbers and the bytes still waited for.

Sequence numbers are 32 bits and wrap (RFC 9293, 3.4): they are only ever subtracted, and the difference's top bit tells
before from behind.
"""

from typing import TYPE_CHECKING, Final

from exporter.observations import WireAuth
from exporter.vocabulary import ClosedBy
from exporter.wire.clear_text import ClearText
from exporter.wire.socks import Socks
from exporter.wire.story import TlsStory
from exporter.wire.tunnel import Tunnel

if TYPE_CHECKING:  # see fast_path
    from mypy_extensions import i64

SEQUENCE_MASK: Final = 0xFFFF_FFFF
#: A difference as large as this is one backwards.
BEHIND: Final = 0x8000_0000


#: Bytes kept of one direction of a connection while segments or a record's rest are waited for.
MAX_REASSEMBLY: Final = 16_384
#: What a direction's bytes are read as (`Half.stage`): nothing, for there is nothing more to learn from them; something
#: that the first bytes will tell; mail in clear; TLS.
SKIMMED: Final = 0
FIRST: Final = 1
TEXT: Final = 2
RECORDS: Final = 3
#: And a client's request to a proxy.
TUNNEL: Final = 4


class Held:
    """Bytes that began to wait for others, of all connections of one tracker, since their sum was looked at."""

    __slots__ = ("added",)

    def __init__(self) -> None:
        self.added: i64 = 0


class Waiting:
    """A segment that came before one in front of it."""

    __slots__ = ("data", "sequence", "time")

    def __init__(self, sequence: int, data: bytes | bytearray, time: int) -> None:
        self.sequence = sequence
        self.data = data
        self.time = time


class Half:
    """One direction of a connection.

    `first`: sequence number of its first byte, None where no SYN told. `high`: behind the last byte seen, -1 before the
    first; `wraps`: how often it passed 2^32. `head`: the first byte not consumed; `part`: the bytes from there on that
    have come. `acked`, `acked_first`: what this side acknowledged of the other, latest and first, -1 where nothing.
    """

    __slots__ = (
        "acked", "acked_first", "claimed", "ended", "fin", "first", "flow", "from_client", "head", "held", "high",
        "high_time", "holes", "last", "mss", "opened", "part", "part_time", "peer", "place", "plain", "reset_ttl",
        "stage", "synchronized", "together", "ttl", "waiting", "wraps",
    )  # fmt: skip

    def __init__(self, flow: "Flow", from_client: bool, together: Held) -> None:
        self.flow = flow
        self.together = together
        self.peer: Half = self
        self.from_client = from_client
        self.stage = FIRST
        self.first: int | None = None
        self.high: i64 = -1
        self.high_time: i64 = 0
        self.wraps: i64 = 0
        self.holes: list[tuple[int, int, int]] = []  # begin, end, when it was seen
        self.head: i64 = 0
        self.part: bytes | bytearray = b""
        self.part_time = 0  # when the byte at `head` came
        self.waiting: list[Waiting] = []
        self.held = 0  # bytes in `waiting`
        self.synchronized = True  # a record or line begins at `head`
        self.opened: tuple[int, int, int] | None = None  # type, length, begin of a record whose end is still to come
        self.fin = False
        self.ended = False  # a reset told that there is nothing behind `high`
        self.acked: i64 = -1
        self.acked_first: i64 = -1
        self.claimed: i64 = -1  # the number that its latest segment without payload gave for the next byte
        self.last: i64 = 0  # time of its latest segment
        self.ttl = self.reset_ttl = 0  # or hop limit, of its SYN and of its first reset
        self.mss = 0  # that its SYN asks for, where it is an answer
        self.place: str | None = None  # where its segments are seen first: a forwarded packet passes several interfaces
        self.plain: i64 = 0  # what may be passed over: nothing, 1 acknowledgments, 2 payload too

    @property
    def payload(self) -> int | None:
        """Bytes of payload by sequence numbers, None where their beginning wasn't seen."""
        if self.first is None or self.high < 0:
            return None
        return (self.wraps << 32) + self.high - self.first

    def begins_at(self, sequence: int) -> None:
        """Its first byte has this number, a SYN or the other side's answer to it says."""
        if self.first is None:
            self.first = sequence
        if self.high < 0:
            self.high = self.head = sequence

    def reaches(self, end: "i64", time: "i64") -> None:
        """Bytes up to `end` were seen, or are known to have been sent."""
        if end < self.high:
            self.wraps += 1
        self.high = end
        self.high_time = time


class Flow:
    """One connection. Times are nanoseconds of the capture's clock, addresses packed."""

    __slots__ = (
        "answered",
        "bucket",
        "client",
        "client_address",
        "client_port",
        "closed",
        "closed_at",
        "closing",
        "decided",
        "filtered",
        "first_reply",
        "gap",
        "interface",
        "missed",
        "named",
        "odd_reset",
        "other",
        "reset",
        "retransmissions",
        "server",
        "server_address",
        "server_port",
        "settled",
        "sign_ins",
        "start",
        "syn",
        "syn_ack",
        "text",
        "tls",
        "token_response",
        "tunnel",
        "unreachable",
        "vlan",
    )  # fmt: skip

    def __init__(
        self, client: tuple[bytes, int], server: tuple[bytes, int], start: int, vlan: tuple[int, ...],
        interface: str | None, together: Held,
    ) -> None:  # fmt: skip
        """`together`: of all connections of its tracker."""
        self.client_address, self.client_port = client
        self.server_address, self.server_port = server
        self.start = start
        self.vlan = vlan
        self.interface = interface
        self.client = Half(self, True, together)
        self.server = Half(self, False, together)
        self.client.peer, self.server.peer = self.server, self.client
        self.syn: int | None = None  # time of the first
        self.syn_ack: int | None = None
        self.filtered = False  # the capture lacks segments on purpose
        self.answered = False  # the server said something, or the client went on as if
        self.named = False  # its hello was looked at
        self.retransmissions = 0
        self.closed: ClosedBy | None = None
        self.closed_at: int | None = None
        self.odd_reset: tuple[int, ClosedBy] | None = None  # time and sender of a reset that nobody had to believe
        self.closing = False  # it counts among those
        self.reset = False  # a reset ended it, or came behind a FIN
        self.unreachable = False
        self.gap: int | None = None  # when records began to be missing
        self.missed = False  # bytes that had to be read never came
        self.other = False  # something else than TLS was spoken
        self.tls: TlsStory | None = None
        self.text: ClearText | None = None
        self.tunnel: Tunnel | Socks | None = None  # the server is a proxy
        self.decided = False  # its outcome was told
        self.settled = False  # what follows of records was read, and isn't kept
        self.sign_ins: tuple[WireAuth, ...] = ()
        self.first_reply: float | None = None  # seconds
        self.token_response: float | None = None  # of a sign-in host, seconds
        self.bucket = -1  # of the timers

    def release(self) -> None:
        """It is over: what refers to each other is freed at once, without waiting for the garbage collector."""
        self.client.peer = self.server.peer = _NOBODY
        self.client = self.server = _NOBODY

    def may_pass(self, plain: int) -> None:
        """What of both directions may be passed over from now on, as in `Half.plain`."""
        self.client.plain = self.server.plain = plain

    @property
    def held(self) -> int:
        """Bytes kept while others are waited for."""
        client, server, tls = self.client, self.server, self.tls
        held = client.held + len(client.part) + server.held + len(server.part)
        return held if tls is None else held + len(tls.client.message) + len(tls.server.message)

    @property
    def service_port(self) -> int:
        """Where the client wants to go: through a proxy, the port that it asked for."""
        tunnel = self.tunnel
        return self.server_port if tunnel is None or tunnel.port is None else tunnel.port

    @property
    def last(self) -> int:
        """Time of the latest segment of either side."""
        return max(self.client.last, self.server.last)


_NOBODY: Final = Flow((b"", 0), (b"", 0), 0, (), None, Held()).client
