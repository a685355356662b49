"""What a segment does to its connection: opening, bytes, closing."""

import mmap

from exporter.vocabulary import ClosedBy
from exporter.wire.capture_file import Buffer
from exporter.wire.flow import BEHIND, SEQUENCE_MASK, Flow, Half, Stage
from exporter.wire.reading import consume, missing, read_part, read_unanswered
from exporter.wire.segments import Segment
from exporter.wire.streams import count_segment, receive, skip_hole

FIN, SYN, RST, ACK = 1, 2, 4, 16


def take(half: Half, time: int, segment: Segment, buffer: Buffer) -> None:
    """A segment of this direction. `Flow.closed` and `is_over` tell what it came to."""
    if time > half.last:
        half.last = time
    flags, sequence = segment.flags, segment.sequence
    if flags & SYN:
        _syn(half, time, segment)
        sequence = sequence + 1 & SEQUENCE_MASK
    if flags & RST:
        _reset(half, time, segment)
        return
    if flags & ACK:
        if half.acked < 0:
            half.acked = half.acked_first = segment.acknowledgment
        elif (segment.acknowledgment - half.acked & SEQUENCE_MASK) < BEHIND:
            half.acked = segment.acknowledgment
    if segment.length:
        _payload(half, time, sequence, segment, buffer)
    else:
        half.claimed = sequence
    if flags & FIN:
        _fin(half, time, sequence + segment.length & SEQUENCE_MASK, alone=segment.length == 0)


def is_over(flow: Flow) -> bool:
    """Reset, or closed on both sides and known to both."""
    if flow.reset:
        return True
    client, server = flow.client, flow.server
    return client.fin and server.fin and _knows_end(client, server) and _knows_end(server, client)


def _knows_end(half: Half, peer: Half) -> bool:
    """Whether this side acknowledged the other's FIN."""
    return half.acked >= 0 and 0 < (half.acked - peer.high & SEQUENCE_MASK) < BEHIND


def flush(flow: Flow) -> None:
    """Nothing more comes: what waits for something missing is read without it."""
    for half in (flow.client, flow.server):
        while half.waiting:
            skip_hole(half, consume, missing)
    read_unanswered(flow)
    for half in (flow.client, flow.server):
        if half.part:
            read_part(half)
    if flow.odd_reset is not None and flow.closed is None:
        flow.closed_at, flow.closed = flow.odd_reset


def _syn(half: Half, time: int, segment: Segment) -> None:
    flow, first = half.flow, segment.sequence + 1 & SEQUENCE_MASK
    if half.first == first:
        flow.retransmissions += 1
    elif half.high < 0 or half.first is None:
        half.begins_at(first)
    if segment.flags & ACK and not half.from_client and flow.syn_ack is None:
        client = flow.client
        if client.first is None or client.first == segment.acknowledgment:
            flow.syn_ack = time
            client.begins_at(segment.acknowledgment)


def _reset(half: Half, time: int, segment: Segment) -> None:
    """A reset counts when the other side must believe it (RFC 5961, 3); any other only if nothing follows it."""
    flow, peer = half.flow, half.peer
    who = ClosedBy.RESET_CLIENT if half.from_client else ClosedBy.RESET_SERVER
    if flow.syn_ack is None and flow.syn is not None and not half.from_client and half.high < 0:
        believed = bool(segment.flags & ACK) and segment.acknowledgment == flow.client.first
    else:
        believed = segment.sequence in (half.high, half.high + 1 & SEQUENCE_MASK, peer.acked) or half.high < 0
    if not believed:
        if flow.odd_reset is None:
            flow.odd_reset = (time, who)
        return
    flow.reset = True
    if flow.closed is None:
        flow.closed, flow.closed_at = who, time


def _fin(half: Half, time: int, end: int, *, alone: bool) -> None:
    """`alone`: without payload, which counts as a retransmission by itself."""
    flow = half.flow
    if half.fin:
        flow.retransmissions += alone
        return
    half.fin = True
    if half.high < 0:
        half.high = end
    elif end != half.high:
        count_segment(half, end, 0, time)
    if flow.closed is None:
        first = half.peer.from_client if _answers_unseen_fin(half) else half.from_client
        flow.closed, flow.closed_at = (ClosedBy.CLIENT if first else ClosedBy.SERVER), time


def _answers_unseen_fin(half: Half) -> bool:
    """Its FIN acknowledges one of the other side that the capture lacks."""
    peer = half.peer
    return not peer.fin and half.acked >= 0 and peer.high >= 0 and (half.acked - peer.high & SEQUENCE_MASK) == 1


def _payload(half: Half, time: int, sequence: int, segment: Segment, buffer: Buffer) -> None:
    flow = half.flow
    if half.high < 0:
        half.high = half.head = sequence
        half.synchronized = False
    count_segment(half, sequence, segment.length, time)
    flow.odd_reset = None
    if half.stage == Stage.SKIMMED:
        return
    data: bytes | bytearray = buffer[segment.start : segment.end]
    if half.stage == Stage.TEXT and half.from_client:
        data = bytearray(data)
        if isinstance(buffer, mmap.mmap):  # the capture's ring: a password may stand there
            buffer[segment.start : segment.end] = b"x" * len(data)
    if data:
        receive(half, sequence, data, time, consume, missing)
    if len(data) < segment.length and not half.waiting:
        missing(half, sequence + segment.length & SEQUENCE_MASK)
