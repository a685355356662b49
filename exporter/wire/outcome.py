"""How far a connection got, by the contract's definitions: a pure function of what was followed, and of the time."""

from typing import Final

from exporter.vocabulary import ClosedBy, ConnectionOutcome
from exporter.wire.clear_text import StartTls
from exporter.wire.flow import BEHIND, SEQUENCE_MASK, Flow, Half
from exporter.wire.story import TLS13, TlsStory

SECOND: Final = 1_000_000_000
#: A SYN that got nothing back for so long has no answer, nanoseconds.
NO_ANSWER: Final = 3 * SECOND
#: A hello, or a handshake, without another byte of the server for so long is over.
SILENCE: Final = 5 * SECOND
#: How long a half-closed connection, and one in which nothing is said, is kept, nanoseconds.
LINGER: Final = 60 * SECOND
#: And an open one: push connections are silent for half an hour (RFC 2177), some for an hour.
IDLE: Final = 7_200 * SECOND
#: Behind a reset that nobody had to believe: where nothing follows it was believed all the same.
ODD_RESET: Final = 2 * SECOND


#: Outcomes that say that something didn't come, which a capture with holes can't say.
_UNLESS_UNSEEN = frozenset(
    {
        ConnectionOutcome.HELLO_UNANSWERED,
        ConnectionOutcome.HELLO_RESET,
        ConnectionOutcome.HANDSHAKE_FAILED,
        ConnectionOutcome.NOT_TLS,
    }
)
#: Outcomes that silence brings about, unless someone closed.
_BY_SILENCE = frozenset(
    {ConnectionOutcome.NO_ANSWER, ConnectionOutcome.HELLO_UNANSWERED, ConnectionOutcome.HANDSHAKE_FAILED}
)


def outcome_of(flow: Flow, now: int, *, filtered: bool = False) -> ConnectionOutcome:
    """The furthest point reached by `now`, nanoseconds. `filtered`: the capture lacks segments on purpose."""
    outcome = _furthest(flow, now)
    has_holes = flow.syn is None if filtered else _has_unseen(flow)
    if outcome in _UNLESS_UNSEEN and has_holes and not _is_certain(flow, outcome):
        return ConnectionOutcome.INCOMPLETE
    return outcome


def _is_certain(flow: Flow, outcome: ConnectionOutcome) -> bool:
    """Whether it was said, not concluded from what didn't come."""
    if outcome is ConnectionOutcome.NOT_TLS:
        text = flow.text
        return text is None or text.over or text.starttls is StartTls.REFUSED
    return outcome is ConnectionOutcome.HANDSHAKE_FAILED and _is_fatal(flow.tls)


def _is_fatal(tls: TlsStory | None) -> bool:
    return tls is not None and tls.alert is not None and tls.alert.level == "fatal"


def closed_by(flow: Flow, outcome: ConnectionOutcome) -> ClosedBy | None:
    """Who ended it, and how. Where the other side wasn't captured though it was there, that may have been the one."""
    if flow.answered and not (flow.client.last and flow.server.last):
        return None
    return ClosedBy.TIMEOUT if flow.closed is None and outcome in _BY_SILENCE else flow.closed


def _furthest(flow: Flow, now: int) -> ConnectionOutcome:
    if flow.tls is not None:
        return _of_tls(flow, flow.tls, now)
    if flow.other:
        return ConnectionOutcome.NOT_TLS
    if flow.text is not None and flow.text.spoken:
        ended = flow.closed is not None or flow.text.starttls is StartTls.REFUSED or now - flow.last >= SILENCE
        return ConnectionOutcome.NOT_TLS if ended else ConnectionOutcome.INCOMPLETE
    if flow.syn is None:
        return ConnectionOutcome.INCOMPLETE
    if flow.syn_ack is None and not _went_on_unseen(flow):
        return _of_unanswered(flow, now)
    if flow.closed in (ClosedBy.SERVER, ClosedBy.RESET_SERVER) and flow.syn_ack is not None:
        return ConnectionOutcome.HELLO_RESET
    return ConnectionOutcome.INCOMPLETE


def deadline(flow: Flow, patience: int) -> int:
    """When to give up waiting for another segment, nanoseconds. `patience`: added where silence is an outcome."""
    if flow.odd_reset is not None:
        return flow.odd_reset[0] + ODD_RESET
    if flow.closed is not None:
        return flow.last + LINGER
    if flow.syn is not None and flow.syn_ack is None and not _went_on_unseen(flow):
        return flow.syn + NO_ANSWER + patience
    if flow.tls is not None and flow.tls.established is None and flow.tls.hello_ended is not None:
        return _waits_since(flow, flow.tls) + SILENCE + patience
    return flow.last + (LINGER if flow.tls is None and flow.text is None and flow.syn is not None else IDLE)


def _of_unanswered(flow: Flow, now: int) -> ConnectionOutcome:
    if flow.closed is ClosedBy.RESET_SERVER:
        return ConnectionOutcome.REFUSED
    if flow.unreachable:
        return ConnectionOutcome.UNREACHABLE
    assert flow.syn is not None
    gave_up = flow.closed is not None
    return ConnectionOutcome.NO_ANSWER if gave_up or now - flow.syn >= NO_ANSWER else ConnectionOutcome.INCOMPLETE


def _of_tls(flow: Flow, tls: TlsStory, now: int) -> ConnectionOutcome:
    if tls.is_complete() or (flow.filtered and _finished_unseen(flow, tls)):
        return ConnectionOutcome.ESTABLISHED
    over = flow.closed is not None or now - _waits_since(flow, tls) >= SILENCE
    refused_unseen = not flow.server.last and _is_fatal(tls)  # what the client refused was of the other direction
    if tls.server.spoke is not None or refused_unseen:
        return ConnectionOutcome.HANDSHAKE_FAILED if over or _is_fatal(tls) else ConnectionOutcome.INCOMPLETE
    if flow.other or (over and _has_no_hello_behind_text(flow, tls)):
        return ConnectionOutcome.NOT_TLS
    if not over or (flow.server.high_time and not flow.server.synchronized):  # it said something, in its middle
        return ConnectionOutcome.INCOMPLETE
    if flow.closed in (ClosedBy.SERVER, ClosedBy.RESET_SERVER):
        return ConnectionOutcome.HELLO_RESET
    return ConnectionOutcome.HELLO_UNANSWERED


def _finished_unseen(flow: Flow, tls: TlsStory) -> bool:
    """At ports of which it knows nothing the kernel's filter keeps a client's large records: a certificate's, with the
    Finished behind it. Behind TLS 1.3's ServerHello a client that fails sends no more than an alert."""
    hello = tls.server_hello
    if hello is None or hello.hello_retry_request or tls.version != TLS13 or tls.server.spoke is None:
        return False
    unseen = [end - begin & SEQUENCE_MASK for begin, end, opened in flow.client.holes if opened >= tls.server.spoke]
    return max(unseen, default=0) >= tls.finished_size


def _has_no_hello_behind_text(flow: Flow, tls: TlsStory) -> bool:
    """The server agreed to STARTTLS, and the client left without a word of TLS: it was offered and not used."""
    by_server = flow.closed in (ClosedBy.SERVER, ClosedBy.RESET_SERVER)
    return flow.text is not None and flow.text.spoken and tls.client.spoke is None and not by_server


def _waits_since(flow: Flow, tls: TlsStory) -> int:
    """When the last byte passed that the server had to answer, or answered."""
    return max(tls.hello_ended or 0, flow.server.high_time, tls.client.spoke or 0, flow.start)


def _went_on_unseen(flow: Flow) -> bool:
    """The client went on as one does who has an answer: only its direction was captured."""
    return flow.client.acked >= 0 or flow.server.high >= 0


def _has_unseen(flow: Flow) -> bool:
    """Bytes passed that the capture lacks: it has a direction only, holes, or acknowledgments of more than it has."""
    client, server, tls = flow.client, flow.server, flow.tls
    if tls is not None and tls.hello_begun is None and (tls.client.spoke is not None or tls.server.spoke is not None):
        return True
    if not client.last or not server.last or client.holes or server.holes or flow.missed:
        return True
    return acknowledged_more(client, server) or acknowledged_more(server, client)


def acknowledged_more(half: Half, peer: Half) -> bool:
    """`half` did beyond the last byte that was seen of `peer`, and its FIN; or `peer` says itself that it sent more."""
    if peer.first is None and not peer.high_time:  # none of its bytes, and not where they begin
        return half.acked - half.acked_first & SEQUENCE_MASK > (1 if peer.fin else 0)
    if peer.claimed >= 0 and 1 < (peer.claimed - peer.high & SEQUENCE_MASK) < BEHIND:
        return True
    return half.acked >= 0 and 1 < (half.acked - peer.high & SEQUENCE_MASK) < BEHIND
