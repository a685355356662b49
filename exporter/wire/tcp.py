"""What a segment does to its connection: opening, bytes, closing."""

import mmap
from typing import Final

from exporter.vocabulary import ClosedBy
from exporter.wire.capture_file import Buffer
from exporter.wire.flow import BEHIND, SEQUENCE_MASK, SKIMMED, TEXT, TUNNEL, Flow, Half
from exporter.wire.reading import let_go, missing, read_part, read_unanswered
from exporter.wire.streams import count_segment, receive, skip_filtered, skip_hole

FIN: Final = 1
SYN: Final = 2
RST: Final = 4
ACK: Final = 16


def take(
    half: Half, time: int, sequence: int, acknowledgment: int, flags: int,
    buffer: Buffer, begin: int, end: int, length: int,
) -> None:  # fmt: skip
    """A segment of this direction; its captured payload is buffer[begin:end], `length` what it was on the wire.

    `Flow.closed` and `is_over` tell what it came to.
    """
    if time > half.last:
        half.last = time
    if flags & SYN:
        _syn(half, time, sequence, acknowledgment, flags)
        sequence = sequence + 1 & SEQUENCE_MASK
    if flags & RST:
        _reset(half, time, sequence, acknowledgment, flags)
        return
    if flags & ACK:
        acked = half.acked
        if acked < 0:
            half.acked = half.acked_first = acknowledgment
        elif acknowledgment != acked and (acknowledgment - acked & SEQUENCE_MASK) < BEHIND:
            half.acked = acknowledgment
        if half.flow.filtered:
            skip_filtered(half.peer, time)
    if length:
        _payload(half, time, sequence, buffer, begin, end, length)
    else:
        half.claimed = sequence
    if flags & FIN:
        _fin(half, time, sequence + length & SEQUENCE_MASK, acknowledgment, alone=length == 0)


def is_over(flow: Flow) -> bool:
    """Reset, or closed on both sides and known to both."""
    if flow.reset:
        return True
    client, server = flow.client, flow.server
    if not (client.fin and server.fin):
        return False
    # The acknowledgment of the last FIN is one of those that a filter takes out.
    return flow.filtered or (_knows_end(client, server) and _knows_end(server, client))


def _knows_end(half: Half, peer: Half) -> bool:
    """Whether this side acknowledged the other's FIN."""
    return half.acked >= 0 and 0 < (half.acked - peer.high & SEQUENCE_MASK) < BEHIND


def make_room(flow: Flow) -> None:
    """It goes on without the bytes that are kept of it."""
    for half in (flow.client, flow.server):
        while half.waiting:
            skip_hole(half)
        let_go(half)


def flush(flow: Flow) -> None:
    """Nothing more comes: what waits for something missing is read without it."""
    for half in (flow.client, flow.server):
        while half.waiting:
            skip_hole(half)
    if flow.text is not None:
        read_unanswered(flow)
    for half in (flow.client, flow.server):
        if half.part:
            read_part(half)
    if flow.odd_reset is not None and flow.closed is None:
        flow.closed_at, flow.closed = flow.odd_reset


def _syn(half: Half, time: int, sequence: int, acknowledgment: int, flags: int) -> None:
    flow, first = half.flow, sequence + 1 & SEQUENCE_MASK
    if half.first == first:
        if half.from_client and flow.syn is None:  # its answer overtook it in the capture
            flow.syn = time
        else:
            flow.retransmissions += 1
    elif half.high < 0 or half.first is None:
        half.begins_at(first)
    if flags & ACK and not half.from_client and flow.syn_ack is None:
        client = flow.client
        if client.first is None or client.first == acknowledgment:
            flow.syn_ack = time
            client.begins_at(acknowledgment)


def _reset(half: Half, time: int, sequence: int, acknowledgment: int, flags: int) -> None:
    """A reset counts when the other side must believe it (RFC 5961, 3); any other only if nothing follows it."""
    flow, peer = half.flow, half.peer
    who = ClosedBy.RESET_CLIENT if half.from_client else ClosedBy.RESET_SERVER
    if flow.syn_ack is None and flow.syn is not None and not half.from_client and half.high < 0:
        believed = bool(flags & ACK) and acknowledgment == flow.client.first
    else:
        believed = sequence in (half.high, half.high + 1 & SEQUENCE_MASK, peer.acked) or half.high < 0
    if not believed:
        if flow.odd_reset is None:
            flow.odd_reset = (time, who)
        return
    flow.reset = True
    _note_ends(half, time, sequence, acknowledgment, flags)
    if flow.closed is None:
        flow.closed, flow.closed_at = _farewell_before(half, sequence, acknowledgment, flags) or who, time


def _farewell_before(half: Half, sequence: int, acknowledgment: int, flags: int) -> ClosedBy | None:
    """Who had sent a FIN that the capture has behind the reset or not at all: the reset's numbers count it."""
    if _is_behind_unseen_fin(half, sequence):
        return _closer(half)
    return _closer(half.peer) if flags & ACK and _is_behind_unseen_fin(half.peer, acknowledgment) else None


def _is_behind_unseen_fin(half: Half, sequence: int) -> bool:
    """Whether a number counts a FIN of this direction that the capture lacks, or has later."""
    return not half.fin and half.high >= 0 and (sequence - half.high & SEQUENCE_MASK) == 1


def _closer(half: Half) -> ClosedBy:
    return ClosedBy.CLIENT if half.from_client else ClosedBy.SERVER


def _note_ends(half: Half, time: int, sequence: int, acknowledgment: int, flags: int) -> None:
    """Where both directions end by a reset that was believed. Bytes that the capture lacks are counted in it."""
    peer = half.peer
    if half.high >= 0:
        ahead = sequence - half.high & SEQUENCE_MASK
        if 1 < ahead < BEHIND:
            half.reaches(sequence, time)
        half.ended = ahead < BEHIND
    peer.ended = bool(flags & ACK) and peer.high >= 0 and (acknowledgment - peer.high & SEQUENCE_MASK) <= 1


def _fin(half: Half, time: int, end: int, acknowledgment: int, *, alone: bool) -> None:
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
        first = half.peer if _is_behind_unseen_fin(half.peer, acknowledgment) else half  # it may be an answer
        flow.closed, flow.closed_at = _closer(first), time
    elif half.peer.fin and not flow.reset and _was_answered(half, acknowledgment):
        flow.closed = _closer(half)


def _was_answered(half: Half, acknowledgment: int) -> bool:
    """The other side's FIN, seen before, knew of this one, and not this one of it: the capture has them the wrong way
    round."""
    knew = 0 < (acknowledgment - half.peer.high & SEQUENCE_MASK) < BEHIND
    return not knew and _knows_end(half.peer, half)


def _payload(half: Half, time: int, sequence: int, buffer: Buffer, begin: int, end: int, length: int) -> None:
    flow = half.flow
    if half.high < 0:
        half.high = half.head = sequence
        half.synchronized = False
    if sequence == half.high:
        half.reaches(sequence + length & SEQUENCE_MASK, time)
    else:
        count_segment(half, sequence, length, time)
    flow.odd_reset = None
    stage = half.stage
    if stage == SKIMMED:
        return
    data: bytes | bytearray = buffer[begin:end]
    if half.from_client and stage in (TEXT, TUNNEL):
        data = bytearray(data)
        if isinstance(buffer, mmap.mmap):  # the capture's ring: a password may stand there
            buffer[begin:end] = b"x" * len(data)
    if data:
        receive(half, sequence, data, time)
    if end - begin < length and not half.waiting:
        missing(half, sequence + length & SEQUENCE_MASK)
