"""What a direction's bytes are: text, TLS records, or something else.

Called with bytes in order. Each way either consumes what it gets, or leaves it in `Half.part`; so `head` and `part`
together always reach to the last byte in order.
"""

from typing import Final

from exporter.vocabulary import Protocol
from exporter.wire.clear_text import ClearText
from exporter.wire.flow import (
    BEHIND,
    FIRST,
    MAX_REASSEMBLY,
    RECORDS,
    SEQUENCE_MASK,
    SKIMMED,
    TEXT,
    TUNNEL,
    Flow,
    Half,
)  # fmt: skip
from exporter.wire.servers import mail_protocol
from exporter.wire.socks import Socks, begins_socks
from exporter.wire.story import ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, TlsStory
from exporter.wire.trace import MAX_RECORDS
from exporter.wire.tunnel import CONNECT, Tunnel

RECORD_HEADER: Final = 5
#: The longest that any version allows (TLS 1.2: 2^14 + 2048), RFC 5246, 6.2.3.
MAX_RECORD: Final = 16_384 + 2_048
#: Records behind the handshake that are kept of a connection that isn't mail: enough for its first reply.
FEW_RECORDS: Final = 12
#: TLS' heartbeat (RFC 6520) among the record types.
_LAST_KIND: Final = 24
_GREETINGS: Final = {b"220": Protocol.SMTP, b"* O": Protocol.IMAP, b"* P": Protocol.IMAP, b"+OK": Protocol.POP}


def consume(half: Half, data: bytes | bytearray, time: int) -> None:
    """Bytes that follow those taken before."""
    stage = half.stage
    if stage == RECORDS:
        _records(half, data, time)
    elif stage == TEXT:
        _text(half, data, time)
    elif stage == FIRST:
        _first(half, data, time)
    elif stage == TUNNEL:
        _tunnel(half, data, time)
    else:
        _move(half, len(data))


def missing(half: Half, until: int) -> None:
    """The bytes up to this sequence number will never come."""
    if half.opened is not None and half.flow.tls is not None and not _is_behind(until, half.head):
        kind, length, begun = half.opened  # it ends with what is missing, not when the next is seen
        half.opened = None
        half.flow.tls.record(half.from_client, kind, length, None, begun, half.last)
    if not _is_behind(half.head + len(half.part), until):
        return
    half.flow.missed = True
    if not read_part(half) or _is_behind(half.head, until):
        half.head = until
        _lose(half)


def read_part(half: Half) -> bool:
    """Reads what is there of a record whose rest won't come. True where the next one's place is known."""
    part, half.part = half.part, b""
    tls = half.flow.tls
    if tls is None or half.stage != RECORDS or not half.synchronized or len(part) < RECORD_HEADER:
        return False
    length = part[3] << 8 | part[4]
    tls.record(half.from_client, part[0], length, bytes(part[RECORD_HEADER:]), half.part_time, half.last)
    tls.incomplete_message(half.from_client, half.last)
    _move(half, RECORD_HEADER + length)
    return True


def let_go(half: Half) -> None:
    """What is kept of it is read as far as it goes, as if nothing more came."""
    half.flow.missed = True
    end = half.head + len(half.part) & SEQUENCE_MASK
    if half.part and not read_part(half):
        half.head = end
        _lose(half)
    tls = half.flow.tls
    if tls is not None:
        tls.incomplete_message(half.from_client, half.last)


def read_unanswered(flow: Flow) -> None:
    """The client's TLS behind a STARTTLS whose answer the capture lacks."""
    part = flow.client.part
    if flow.client.stage == TEXT and looks_like_record(part):
        begin_tls(flow)
        flow.client.synchronized, flow.client.part = True, b""
        _records(flow.client, bytes(part), flow.client.part_time)


def begin_tls(flow: Flow) -> None:
    """From here on both sides' bytes are records."""
    mail = flow.text is not None or mail_protocol(flow.service_port) is not None
    flow.tls = TlsStory(MAX_RECORDS if mail else FEW_RECORDS, brief=not mail)
    for half in (flow.client, flow.server):
        half.stage = RECORDS


def begin_text(flow: Flow, protocol: Protocol) -> None:
    """From here on both sides' bytes are mail's text."""
    flow.text = ClearText(protocol)
    for half in (flow.client, flow.server):
        half.stage = TEXT


def skim(flow: Flow) -> None:
    """Nothing more is to be learned from its bytes."""
    flow.may_pass(2 if flow.closed is None else 0)
    for half in (flow.client, flow.server):
        half.stage = SKIMMED
        half.part = b""
        half.waiting = []
        half.held = 0


def looks_like_record(data: bytes | bytearray) -> bool:
    """Whether these are a TLS record's first bytes."""
    return (
        len(data) >= RECORD_HEADER and CHANGE_CIPHER_SPEC <= data[0] <= _LAST_KIND and data[1] == 3 and data[2] <= 4
        and data[3] << 8 | data[4] <= MAX_RECORD
    )  # fmt: skip


def _is_behind(sequence: int, other: int) -> bool:
    """Whether a sequence number comes before the other."""
    return 0 < (other - sequence & SEQUENCE_MASK) < BEHIND


def _move(half: Half, count: int) -> None:
    half.head = half.head + count & SEQUENCE_MASK


def _append(half: Half, data: bytes | bytearray, time: int) -> bytes | bytearray:
    if half.part:
        return half.part + data
    half.part_time = time
    return data


# ---- the first bytes -------------------------------------------------------------------------------------------------


def _first(half: Half, data: bytes | bytearray, time: int) -> None:
    """Bytes at a port where nothing is known yet."""
    data = _append(half, data, time)
    half.part = b""
    flow = half.flow
    if looks_like_record(data):
        half.synchronized = True
        begin_tls(flow)
        _records(half, data, half.part_time)
    elif not half.synchronized:
        _move(half, len(data))  # the middle of something
    elif half.from_client and (length := _old_hello(data)):
        begin_tls(flow)
        assert flow.tls is not None
        flow.tls.old_hello(half.part_time, time)
        _move(half, length)
        _records(half, data[length:], time)
    elif len(data) < RECORD_HEADER and _may_be_tls(data):
        half.part = data
    elif not half.from_client and data[:3] in _GREETINGS and flow.client.stage == FIRST:
        begin_text(flow, _GREETINGS[bytes(data[:3])])
        _text(half, data, time)
    elif half.from_client and flow.tunnel is None and CONNECT.startswith(data[: len(CONNECT)]):
        if len(data) < len(CONNECT):
            half.part = data
            return
        _begin_tunnel(half, Tunnel(), data)
    elif half.from_client and flow.tunnel is None and begins_socks(data):
        _begin_tunnel(half, Socks(filtered=flow.filtered), data)
    else:
        flow.other = True
        skim(flow)
        _move(half, len(data))


def _begin_tunnel(half: Half, tunnel: Tunnel | Socks, data: bytes | bytearray) -> None:
    flow = half.flow
    flow.tunnel = tunnel
    for each in (flow.client, flow.server):
        each.stage = TUNNEL
    _tunnel(half, data, half.part_time)


def _tunnel(half: Half, data: bytes | bytearray, time: int) -> None:
    """Up to where the tunnel begins: from there on both sides' bytes are as at a port where nothing is known yet."""
    flow = half.flow
    tunnel = flow.tunnel
    assert tunnel is not None
    data = bytes(_append(half, data, time))
    taken = tunnel.client(data) if half.from_client else tunnel.server(data)
    _move(half, taken)
    half.part = data[taken:]
    if tunnel.failed or not half.synchronized or len(half.part) > MAX_REASSEMBLY:
        flow.other = True
        skim(flow)
    elif tunnel.opened:
        for each in (flow.client, flow.server):
            each.stage = FIRST
        for each in (flow.client, flow.server):
            part, each.part = each.part, b""
            if part:
                consume(each, part, each.part_time)
    elif not half.from_client and flow.client.part:  # what waited for this answer
        waited, flow.client.part = flow.client.part, b""
        _tunnel(flow.client, waited, flow.client.part_time)


def _may_be_tls(data: bytes | bytearray) -> bool:
    """Whether more bytes could make it a record, or a ClientHello in SSL 2.0's form."""
    tls = CHANGE_CIPHER_SPEC <= data[0] <= _LAST_KIND and (len(data) < 2 or data[1] == 3)
    old = data[0] & 0x80 and (len(data) < 3 or data[2] == 1)
    return bool(tls or old)


def _old_hello(data: bytes | bytearray) -> int:
    """The length of a ClientHello in SSL 2.0's form (RFC 5246, E.2); 0 where it is none, or not all there."""
    if len(data) < RECORD_HEADER or not data[0] & 0x80 or data[2] != 1 or data[3] not in (0, 2, 3):
        return 0
    length = 2 + ((data[0] & 0x7F) << 8 | data[1])
    return length if length <= len(data) else 0


# ---- text ------------------------------------------------------------------------------------------------------------


def _text(half: Half, data: bytes | bytearray, time: int) -> None:
    """Up to where the text ends, which the other side may have to say first."""
    data = bytearray(_append(half, data, time))
    flow = half.flow
    text = flow.text
    assert text is not None
    taken = text.client(data, time) if half.from_client else text.server(data, time)
    _move(half, taken)
    half.part = data[taken:]
    if text.over or len(half.part) > MAX_REASSEMBLY:
        flow.other = True
        skim(flow)
    elif text.upgraded:
        begin_tls(flow)
        half.synchronized = True
        _drop_commands(flow.client)
        for each in (flow.client, flow.server):
            part, each.part = bytes(each.part), b""
            _records(each, part, each.part_time)
    elif not half.from_client and flow.client.part:  # what waited for this answer
        waited, flow.client.part = flow.client.part, b""
        _text(flow.client, waited, flow.client.part_time)


def _drop_commands(client: Half) -> None:
    """Of what a client sent in clear behind its STARTTLS: the server throws it away (RFC 3207, 4.2), and nobody reads
    it here either."""
    text = client.part
    end = 0
    while end < len(text) and not CHANGE_CIPHER_SPEC <= text[end] <= _LAST_KIND:
        newline = text.find(b"\n", end)
        end = len(text) if newline < 0 else newline + 1
    if isinstance(text, bytearray):  # a password may stand there
        text[:end] = b"x" * end
    _move(client, end)
    client.part = text[end:]


# ---- records ---------------------------------------------------------------------------------------------------------


def _records(half: Half, chunk: bytes | bytearray, time: int) -> None:
    """Record by record. Bodies are waited for as long as something in clear can be in them."""
    tls = half.flow.tls
    assert tls is not None
    if half.opened is not None:
        kind, length, begun = half.opened
        half.opened = None
        tls.record(half.from_client, kind, length, None, begun, time)
    begun = half.part_time if half.part else time
    data: bytes | bytearray = half.part + chunk if half.part else chunk
    half.part = b""
    if not half.synchronized:
        if not looks_like_record(data):
            _move(half, len(data))
            return
        half.synchronized = True
    position, size = 0, len(data)
    while size - position >= RECORD_HEADER:
        kind, length = data[position], data[position + 3] << 8 | data[position + 4]
        if not CHANGE_CIPHER_SPEC <= kind <= _LAST_KIND or data[position + 1] != 3 or length > MAX_RECORD:
            _not_a_record(half, size)
            return
        end = position + RECORD_HEADER + length
        clear = (tls.established is None and kind != APPLICATION_DATA) or kind == ALERT
        if end > size:
            if clear and size - position < MAX_REASSEMBLY:
                break
            half.opened = None if clear else (kind, length, begun)
            if half.opened is not None and half.flow.filtered:  # its end may be one of the segments that never come
                half.opened = None
                tls.record(half.from_client, kind, length, None, begun, time)
        if end <= size or clear:
            body = bytes(data[position + RECORD_HEADER : end]) if clear else None
            tls.record(half.from_client, kind, length, body, begun, time)
        position, begun = end, time
    _move(half, position)
    half.part, half.part_time = data[position:], begun
    if position < size:
        half.together.added += len(chunk)


def _not_a_record(half: Half, size: int) -> None:
    """Either this was never TLS, or its beginning was missed."""
    flow, tls = half.flow, half.flow.tls
    assert tls is not None
    side = tls.client if half.from_client else tls.server
    if side.spoke is None and half.first is not None:
        flow.other = True
        skim(flow)
    _move(half, size)
    _lose(half)


def _lose(half: Half) -> None:
    """Where the next record begins is no longer known."""
    half.synchronized, half.opened = False, None
    flow, tls = half.flow, half.flow.tls
    if flow.gap is None or (tls is not None and (tls.established is None or flow.gap < tls.established)):
        flow.gap = half.last
    if tls is not None and tls.server_hello is None:
        tls.hello_retry = None  # it may have been among what is missing
