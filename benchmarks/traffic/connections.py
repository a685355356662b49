"""One connection: which packets pass when, and what is true of it.

Times are microseconds, as the capture point near the client sees them; the truth is told in the words of the contract.
"""

import random
from dataclasses import dataclass
from enum import StrEnum

from benchmarks.traffic.dialogues import Line, SignIn
from benchmarks.traffic.handshakes import Handshake
from benchmarks.traffic.packets import ACK, FIN, PSH, RST, SYN, Ends, Framer, text

#: How long it takes the client to answer what has come.
_THINKS = 300
_SECOND = 1_000_000
_RETRANSMITTED_AFTER = 200_000
#: Records of application data have this much content.
_RECORD = 8_192


class Fate(StrEnum):
    """How a connection fares, beside what its handshake decides."""

    COMPLETE = "complete"
    NO_SYN_ACK = "no_syn_ack"
    REFUSED = "refused"
    HELLO_UNANSWERED = "hello_unanswered"
    HELLO_RESET = "hello_reset"
    RESET_IN_HANDSHAKE = "reset_in_handshake"


class Trouble(StrEnum):
    """What happens to the segments of the ClientHello on their way."""

    NONE = "none"
    REPEATED = "repeated"  # the server's acknowledgement got lost
    LATE = "late"  # lost before it came here
    REORDERED = "reordered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to happen. `clear_text`: before TLS; `sign_in`: behind it; then the server sends `bulk` bytes."""

    ends: Ends
    handshake: Handshake
    fate: Fate
    trouble: Trouble
    start: int
    round_trip: int
    bulk: int
    odd_cuts: int = 0
    two_records: bool = False
    clear_text: tuple[Line, ...] = ()
    sign_in: SignIn | None = None


@dataclass(slots=True, kw_only=True)
class Truth:
    """In the contract's words; `None` where an inspector can't know. Times are seconds."""

    client: str
    client_port: int
    server: str
    server_port: int
    vlan: list[int]
    sni: str | None = None
    outcome: str
    tls_version: str | None = None
    cipher: str | None = None
    group: str | None = None
    client_family: str | None = None
    certificate_issuer: str | None = None
    tcp_handshake_seconds: float | None = None
    tls_handshake_seconds: float | None = None
    bytes_sent: int | None = None
    bytes_received: int | None = None
    auth: dict[str, str] | None = None
    kind: str = ""
    trouble: str = ""


@dataclass(slots=True)
class _Side:
    framer: Framer
    sequence: int
    payload: int = 0


class Conversation:
    """Collects the packets of one connection, as (µs, frame)."""

    def __init__(self, plan: Plan, generator: random.Random) -> None:
        self.plan = plan
        self.generator = generator
        self.packets: list[tuple[int, bytes]] = []
        self.time = plan.start
        self._client = _Side(Framer(plan.ends, from_client=True), generator.getrandbits(32))
        self._server = _Side(Framer(plan.ends, from_client=False), generator.getrandbits(32))

    def send(self, from_client: bool, flags: int, payload: bytes = b"") -> None:
        side, other = self._sides(from_client)
        acknowledged = other.sequence if flags & ACK else 0
        frame = side.framer.frame(flags, side.sequence, acknowledged, payload)
        self.packets.append((self.time, frame))
        side.sequence += len(payload) + bool(flags & (SYN | FIN))
        side.payload += len(payload)

    def again(self, *, at: int) -> None:
        """The last packet once more."""
        self.packets.append((at, self.packets[-1][1]))

    def payload(self, from_client: bool) -> int:
        """Bytes sent so far."""
        return self._sides(from_client)[0].payload

    def _sides(self, from_client: bool) -> tuple[_Side, _Side]:
        return (self._client, self._server) if from_client else (self._server, self._client)


def packets_of(plan: Plan, pool: bytes, generator: random.Random) -> tuple[list[tuple[int, bytes]], Truth]:
    """The packets in no certain order, and the truth. `pool`: random bytes, at least 64 KiB, that look encrypted."""
    talk = Conversation(plan, generator)
    ends, handshake = plan.ends, plan.handshake
    truth = Truth(
        client=text(ends.client),
        client_port=ends.client_port,
        server=text(ends.server),
        server_port=ends.server_port,
        vlan=[] if ends.vlan is None else [ends.vlan],
        outcome="established",
        kind=handshake.kind,
        trouble=plan.trouble,
    )
    if not _connect(talk, truth):
        return talk.packets, truth
    _clear_text(talk)
    truth.sni, truth.client_family = handshake.name, "openssl"
    if _handshake(talk, truth):
        if _sign_in(talk, truth, pool):
            _bulk(talk, pool)
        _close(talk)
    if plan.fate is not Fate.HELLO_UNANSWERED:  # of that one no end is seen
        truth.bytes_sent, truth.bytes_received = talk.payload(True), talk.payload(False)
    return talk.packets, truth


def _connect(talk: Conversation, truth: Truth) -> bool:
    plan = talk.plan
    talk.send(True, SYN)
    if plan.fate is Fate.NO_SYN_ACK:
        for seconds in (1, 3):
            talk.again(at=plan.start + seconds * _SECOND)
        truth.outcome = "no_answer"
        return False
    talk.time += plan.round_trip
    if plan.fate is Fate.REFUSED:
        talk.send(False, RST | ACK)
        truth.outcome = "refused"
        return False
    talk.send(False, SYN | ACK)
    truth.tcp_handshake_seconds = plan.round_trip / _SECOND
    talk.time += 50
    talk.send(True, ACK)
    return True


def _clear_text(talk: Conversation) -> None:
    for from_client, line in talk.plan.clear_text:
        talk.time += _THINKS if from_client else talk.plan.round_trip
        talk.send(from_client, PSH | ACK, line.encode())


def _handshake(talk: Conversation, truth: Truth) -> bool:
    """Whether the connection goes on behind it."""
    plan, handshake = talk.plan, talk.plan.handshake
    begun, *rest = range(len(handshake.flights))
    hello_seen = _hello(talk, handshake.flights[begun][1])
    if plan.fate is Fate.HELLO_UNANSWERED:
        for milliseconds in (300, 900, 2_100):
            talk.again(at=talk.time + milliseconds * 1_000)
        truth.outcome = "hello_unanswered"
        return False
    if plan.fate is Fate.HELLO_RESET:
        talk.time += plan.round_trip
        talk.send(False, RST | ACK)
        truth.outcome = "hello_reset"
        return False
    last = max(index for index in rest if handshake.flights[index][0]) if handshake.established else -1
    truth.tls_version, truth.cipher = handshake.version, handshake.cipher
    truth.certificate_issuer, truth.group = handshake.issuer, handshake.group
    for index in rest:
        from_client, data = handshake.flights[index]
        talk.time += _THINKS if from_client else plan.round_trip
        if plan.fate is Fate.RESET_IN_HANDSHAKE and from_client:
            talk.send(False, RST | ACK)
            truth.outcome = "handshake_failed"
            return False
        sent = _segments(talk, from_client, data)
        if index == last:
            truth.tls_handshake_seconds = (sent - hello_seen) / _SECOND
    if not handshake.established:
        talk.time += _THINKS
        talk.send(not handshake.flights[-1][0], RST | ACK)  # whoever got the alert
        truth.outcome = "handshake_failed"
        return False
    return True


def _hello(talk: Conversation, data: bytes) -> int:
    """Sends it with its troubles; when its first byte was seen."""
    talk.time += _THINKS
    generator, plan = talk.generator, talk.plan
    data = data[:11] + generator.randbytes(32) + data[43:]  # a random of its own
    if plan.two_records:
        data = _two_records(data, generator.randrange(4, len(data) - 9))
    cuts = sorted(generator.sample(range(1, len(data)), plan.odd_cuts))
    size = plan.ends.segment_size
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    pieces = [piece[at : at + size] for piece in pieces for at in range(0, len(piece), size)]
    first = len(talk.packets)
    for piece in pieces:
        talk.time += 20
        last = piece is pieces[-1]
        talk.send(True, ACK | PSH if plan.odd_cuts or last else ACK, piece)
    sent = talk.packets[first:]
    which = generator.randrange(len(sent))
    if plan.trouble is Trouble.REPEATED:
        talk.time += _RETRANSMITTED_AFTER
        talk.packets.append((talk.time, sent[which][1]))
    elif plan.trouble is Trouble.LATE:
        talk.time += _RETRANSMITTED_AFTER
        talk.packets[first + which] = (talk.time, sent[which][1])
    elif plan.trouble is Trouble.REORDERED and len(sent) > 1:
        one, other = sent[-2], sent[-1]
        talk.packets[-2:] = [(other[0], one[1]), (one[0], other[1])]
    return talk.packets[first][0]


def _two_records(data: bytes, at: int) -> bytes:
    """The record's content as two records, cut at that place of it."""
    head, body = data[:3], data[5:]
    return head + at.to_bytes(2) + body[:at] + head + (len(body) - at).to_bytes(2) + body[at:]


def _segments(talk: Conversation, from_client: bool, data: bytes) -> int:
    """When the last of them was sent."""
    size = talk.plan.ends.segment_size
    sent = talk.time
    for at in range(0, len(data), size):
        talk.time += 10
        last = at + size >= len(data)
        talk.send(from_client, ACK | PSH if last else ACK, data[at : at + size])
        sent = talk.time
        if last or at // size % 2:
            talk.time += 5
            talk.send(not from_client, ACK)
    return sent


def _sign_in(talk: Conversation, truth: Truth, pool: bytes) -> bool:
    """In records of the lengths that those lines would have; whether the connection goes on behind it."""
    plan = talk.plan
    if plan.sign_in is None:
        return True
    truth.auth = {"mechanism": plan.sign_in.mechanism, "outcome": plan.sign_in.outcome}
    for from_client, line in plan.sign_in.lines:
        talk.time += _THINKS if from_client else plan.round_trip
        _segments(talk, from_client, _record(_protected(len(line), plan.handshake), pool))
    return plan.sign_in.outcome == "accepted"


def _protected(length: int, handshake: Handshake) -> int:
    """Of a record with so much content (RFC 8446 5.2, 5288, 7905, 5246 6.2.3.2)."""
    cipher = handshake.cipher or ""
    if handshake.version == "TLSv1.3":
        return length + 17
    if "CBC" in cipher:
        return 16 + (length + 20) // 16 * 16 + 16  # IV; content, SHA-1 and at least a byte of padding
    return length + (16 if "CHACHA20" in cipher else 24)


def _record(length: int, pool: bytes) -> bytes:
    return b"\x17\x03\x03" + length.to_bytes(2) + pool[:length]


def _bulk(talk: Conversation, pool: bytes) -> None:
    """A question and a long answer, in records of TLS."""
    plan, generator = talk.plan, talk.generator
    talk.time += _THINKS
    _segments(talk, True, _record(_protected(60, plan.handshake), pool))
    talk.time += plan.round_trip
    records = []
    for _ in range(0, plan.bulk, _RECORD):
        at = generator.randrange(len(pool) - _RECORD - 24)
        records.append(b"\x17\x03\x03" + (_RECORD + 24).to_bytes(2) + pool[at : at + _RECORD + 24])
    _segments(talk, False, b"".join(records))


def _close(talk: Conversation) -> None:
    talk.time += _THINKS
    talk.send(True, FIN | ACK)
    talk.time += talk.plan.round_trip
    talk.send(False, FIN | ACK)
    talk.time += 50
    talk.send(True, ACK)
