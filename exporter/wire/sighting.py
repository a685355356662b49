"""A connection with what only a comparison of two captures needs: never printed, never leaves this package."""

from collections.abc import Callable
from typing import NamedTuple

from exporter.observations import Connection
from exporter.wire.clear_text import StartTls
from exporter.wire.flow import BEHIND, SEQUENCE_MASK, Flow
from exporter.wire.outcome import SECOND


class Sighting(NamedTuple):
    """One side's view. `random`, `session_id`: of the ClientHello; `hello_size`: of its message, bytes.

    `server_spoke`, `client_spoke`: when each side's last byte passed, seconds; `starttls`, `banner_length`,
    `ehlo_reply_length`: of mail in clear; `sent`, `received`: payload as far as it was seen, whether it ended or not;
    `acknowledged`: of `sent`, by the server's side, where that was seen; `server_mss`: the segment size
    that the server's SYN asks for; `asked_port`: where the client asked a proxy to lead it, None without one.
    """

    connection: Connection
    random: bytes | None
    hello_size: int | None
    starttls: StartTls | None
    banner_length: int | None
    ehlo_reply_length: int | None
    spoken: bool
    sent: int
    received: int
    client_spoke: float
    server_spoke: float
    closed_at: float | None
    acknowledged: int | None = None
    server_mss: int | None = None
    asked_port: int | None = None


SightingCallback = Callable[[Sighting], None]


def sighting_of(flow: Flow, connection: Connection) -> Sighting:
    """What was seen of a connection that is over."""
    hello = flow.tls.client_hello if flow.tls is not None else None
    text = flow.text
    return Sighting(
        connection=connection,
        random=hello.random if hello is not None and len(hello.random) == 32 else None,
        hello_size=hello.size if hello is not None else None,
        starttls=text.starttls if text is not None else None,
        banner_length=text.banner_length if text is not None else None,
        ehlo_reply_length=text.ehlo_reply_length if text is not None else None,
        spoken=text is not None and text.spoken,
        sent=flow.client.payload or 0,
        received=flow.server.payload or 0,
        client_spoke=flow.client.high_time / SECOND,
        server_spoke=flow.server.high_time / SECOND,
        closed_at=None if flow.closed_at is None else flow.closed_at / SECOND,
        acknowledged=_acknowledged(flow),
        server_mss=flow.server.mss or None,
        asked_port=flow.tunnel.port if flow.tunnel is not None else None,
    )


def _acknowledged(flow: Flow) -> int | None:
    """Bytes of the client's payload. (A FIN counts as one: nobody minds.)"""
    first, acked = flow.client.first, flow.server.acked
    if first is None or acked < 0:
        return None
    count = acked - first & SEQUENCE_MASK
    return count if count < BEHIND else 0
