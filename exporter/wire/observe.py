"""From what was followed to the contract's `Connection`."""

import socket
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from exporter.catalogue import Target
from exporter.clean import clean
from exporter.observations import Connection, WireAlert, WireAuth
from exporter.protocols.http import is_microsoft_host
from exporter.vocabulary import ClosedBy, ConnectionOutcome, Protocol
from exporter.wire.attempts import Goal
from exporter.wire.clear_text import ClearSignIn
from exporter.wire.flow import Flow
from exporter.wire.inference.infer import infer
from exporter.wire.outcome import SECOND, acknowledged_more
from exporter.wire.replies import application_data, first_reply, request_and_reply
from exporter.wire.servers import mail_protocol
from exporter.wire.story import ALERT_LENGTHS, APPLICATION_DATA, TLS13, TlsStory
from exporter.wire.trace import Record, Trace, TraceEnd

#: A capture that goes on so long without another packet of a connection saw its silence, nanoseconds.
QUIET: Final = 30 * SECOND
#: Hosts whose answer to a request is a token, or the refusal of one.
_SIGN_IN: Final = frozenset({"sign_in_work", "sign_in_personal"})
_HTTPS: Final = 443
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=8_192)
def address_text(address: bytes) -> str:
    """A packed address in its usual form."""
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)


def moment(time: int) -> datetime:
    """Nanoseconds since 1970 as a datetime."""
    return _EPOCH + timedelta(microseconds=time // 1_000)


def seconds_between(begun: int | None, ended: int | None) -> float | None:
    """None where either is unknown, or the order of packets is not that of time. At 0 are packets without any."""
    return None if begun is None or not ended or ended < begun else (ended - begun) / SECOND


def goal_of(flow: Flow) -> Goal:
    """What the client came for."""
    return server_name(flow) or flow.server_address, flow.service_port


def server_name(flow: Flow) -> str | None:
    """The name that the client asked for, in lower case, for comparison."""
    hello = flow.tls.client_hello if flow.tls is not None else None
    return hello.server_name.lower() if hello is not None and hello.server_name is not None else None


def read_replies(flow: Flow) -> None:
    """When the server answered, kept beside the records that tell it."""
    tls = flow.tls
    if tls is None or tls.established is None:
        return
    records = application_data(tls.log, tls.version)
    flow.first_reply = seconds_between(tls.established, first_reply(records, tls.version))
    http2 = tls.client_hello is not None and b"h2" in tls.client_hello.alpn
    if not tls.brief and (times := request_and_reply(records, tls.version, http2=http2)) is not None:
        flow.token_response = seconds_between(*times)


def sign_ins_of(flow: Flow, now: int, target: Target | None) -> tuple[WireAuth, ...]:
    """Attempts to sign in, read in clear or inferred from records."""
    if flow.text is not None and flow.text.sign_ins:
        return tuple(map(_clear_sign_in, flow.text.sign_ins))
    if flow.tls is None or not _client_spoke(flow.tls):
        return ()
    trace = trace_of(flow, now, target)
    return infer(trace) if trace is not None else ()


def _client_spoke(tls: TlsStory) -> bool:
    """Whether the client said a word inside TLS; in TLS 1.3 its farewell looks like one."""
    short = ALERT_LENGTHS if tls.version == TLS13 else ()
    return any(
        from_client and kind == APPLICATION_DATA and length not in short for _, from_client, kind, length in tls.log
    )


def _clear_sign_in(sign_in: ClearSignIn) -> WireAuth:
    seconds = seconds_between(sign_in.asked, sign_in.answered)
    return WireAuth(mechanism=sign_in.mechanism, outcome=sign_in.outcome, seconds=seconds)


def trace_of(flow: Flow, now: int, target: Target | None) -> Trace | None:
    """What inference reads: of mail inside TLS whose handshake was seen."""
    tls, text = flow.tls, flow.text
    protocol = text.protocol if text is not None else mail_protocol(flow.service_port)
    if protocol is None and target is not None and target.protocol in (Protocol.IMAP, Protocol.POP, Protocol.SMTP):
        protocol = target.protocol
    if protocol is None or tls is None or tls.established is None or tls.server_hello is None or tls.version is None:
        return None
    gap = flow.gap if flow.gap is not None and flow.gap >= tls.established else None
    log = [record for record in tls.log if gap is None or record[0] < gap]
    end = TraceEnd.GAP if gap is not None else _trace_end(flow, tls, now)
    begun = tls.established
    records = [Record((time - begun) / SECOND, from_client, kind, length) for time, from_client, kind, length in log]
    return Trace(
        protocol=protocol,
        tls_version=tls.version,
        cipher=tls.server_hello.cipher,
        records=records,
        end=end,
        quiet=(now - log[-1][0]) / SECOND if log and end is TraceEnd.CAPTURE_ENDED else 0.0,
        finished_length=tls.client.finished_length,
        microsoft=target is not None and is_microsoft_host(target.host),
        banner_length=text.banner_length if text is not None else None,
        ehlo_reply_length=text.ehlo_reply_length if text is not None else None,
        starttls=text is not None,
    )


def _trace_end(flow: Flow, tls: TlsStory, now: int) -> TraceEnd:
    if tls.enough:
        return TraceEnd.FULL
    if flow.closed in (ClosedBy.CLIENT, ClosedBy.RESET_CLIENT):
        return TraceEnd.CLIENT_CLOSED
    if flow.closed in (ClosedBy.SERVER, ClosedBy.RESET_SERVER):
        return TraceEnd.SERVER_CLOSED
    return TraceEnd.SILENCE if now - flow.last >= QUIET else TraceEnd.CAPTURE_ENDED


def connection_of(flow: Flow, outcome: ConnectionOutcome, *, target: str | None, retry_of: int) -> Connection:
    """The observation, with what is known by now."""
    tls = flow.tls
    hello = tls.client_hello if tls is not None else None
    server_hello = tls.server_hello if tls is not None else None
    if not flow.settled:
        read_replies(flow)
    sign_ins = flow.sign_ins
    server = address_text(flow.server_address)
    return Connection(
        start=moment(flow.start),
        end=moment(flow.last),
        client=address_text(flow.client_address),
        client_port=flow.client_port,
        server=server,
        server_port=flow.server_port,
        ip_version=4 if len(flow.server_address) == 4 else 6,
        vlan=flow.vlan,
        interface=flow.interface,
        target=target,
        sni=hello.server_name if hello is not None else None,
        outcome=outcome,
        alert=_alert(flow, tls, outcome) if tls is not None else None,
        tls_version=tls.version if tls is not None else None,
        cipher=server_hello.cipher if server_hello is not None else None,
        group=tls.group if tls is not None else None,
        ja4=hello.ja4 if hello is not None else None,
        client_family=hello.family if hello is not None else None,
        certificate_issuer=_issuer(tls.certificate_issuer, server) if tls is not None else None,
        tcp_handshake_seconds=seconds_between(flow.syn, flow.syn_ack),
        tls_handshake_seconds=seconds_between(tls.hello_begun, tls.client.finished) if tls is not None else None,
        first_reply_seconds=flow.first_reply,
        auth=sign_ins[-1] if sign_ins else None,
        attempts=sign_ins if len(sign_ins) > 1 else (),
        bytes_sent=flow.client.payload if _has_end(flow, from_client=True) else None,
        bytes_received=flow.server.payload if _has_end(flow, from_client=False) else None,
        closed_by=flow.closed,
        retry_of=retry_of,
        retransmissions=flow.retransmissions,
        reply_seconds=flow.token_response if target in _SIGN_IN else None,
        refusal=flow.text.refusal if flow.text is not None else None,
        server_ttl=flow.server.ttl or None,
        reset_ttl=flow.server.reset_ttl or None,
        resumed=tls.resumed if tls is not None else None,
        hello_retry=_hello_retry(flow, tls) if tls is not None else None,
    )


@lru_cache(maxsize=512)
def _issuer(text: str | None, server: str) -> str | None:
    """The issuer's name as it may be shown."""
    return clean(text, keep=(server,)) if text is not None else None


def _alert(flow: Flow, tls: TlsStory, outcome: ConnectionOutcome) -> WireAlert | None:
    """In clear, or as far as it is told by its place; where bytes are missing, places tell nothing."""
    if tls.alert is not None or outcome is ConnectionOutcome.INCOMPLETE:
        return tls.alert
    return tls.encrypted_alert(established=outcome is ConnectionOutcome.ESTABLISHED, closed_at=flow.closed_at)


def _hello_retry(flow: Flow, tls: TlsStory) -> bool | None:
    """That there was none is known where the server's bytes were seen from the first to its hello."""
    if tls.hello_retry or (tls.server_hello is not None and flow.server.first is not None):
        return tls.hello_retry
    return None


def _has_end(flow: Flow, *, from_client: bool) -> bool:
    """A FIN ends its own direction, a reset both: where it tells the number, or nothing seems to be missing."""
    half = flow.client if from_client else flow.server
    if half.fin or half.ended:
        return True
    if not flow.reset and flow.closed is not (ClosedBy.RESET_SERVER if from_client else ClosedBy.RESET_CLIENT):
        return False  # and a reset with a number of elsewhere doesn't tell how far its own sender was
    if flow.filtered and not _ends_are_seen(flow, from_client):
        return False
    return half.last > 0 and not acknowledged_more(half.peer, half)


def _ends_are_seen(flow: Flow, from_client: bool) -> bool:
    """Whether the kernel's filter lets the last segment pass: up to the handshake's end it does, and behind it a
    client's, which has PSH, at ports of which it knows that they are servers'."""
    if flow.tls is None or flow.tls.established is None:
        return True
    return from_client and (flow.server_port == _HTTPS or mail_protocol(flow.server_port) is not None)
