"""What is kept of a TLS conversation for inference: lengths, directions and times of its records, nothing else.

The connection tracker fills it, `exporter.wire.inference` reads it. Pure data, so that tests write traces by hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from exporter.vocabulary import Protocol

#: Records kept of one connection: sign-in is over long before; what comes later is mail.
MAX_RECORDS = 64


class TraceEnd(StrEnum):
    """Why a trace ends where it does."""

    CLIENT_CLOSED = "client_closed"  # the client's FIN or RST came first
    SERVER_CLOSED = "server_closed"
    SILENCE = "silence"  # nothing more for the capture's idle time
    FULL = "full"  # MAX_RECORDS were kept; the conversation went on
    CAPTURE_ENDED = "capture_ended"
    GAP = "gap"  # segments are missing from here on


#: Ends behind which more may have been said: what wasn't seen may have been there all the same.
OPEN_ENDS = frozenset({TraceEnd.CAPTURE_ENDED, TraceEnd.GAP, TraceEnd.FULL})


class Record(NamedTuple):
    """A TLS record behind the client's Finished: `length` is its header's field, `time` its last byte's, seconds since
    the handshake's end. (Since 1970 they would be off by a quarter of a microsecond.)"""

    time: float
    from_client: bool
    content_type: int  # 23 application data, 21 alert, 22 handshake (TLS 1.2 renegotiation, tickets)
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One connection's records from the end of its handshake.

    `finished_length`: header length field of the client's record that carried its Finished (TLS 1.3: calibrates
    padding); None where unknown. `microsoft`: the server is known, by name or address, to speak Microsoft's words.
    `banner_length`, `ehlo_reply_length`: bytes of SMTP's, read in clear before STARTTLS; they fix sizes behind it.
    `starttls`: TLS began inside the conversation (587, 143, 110), so that the client speaks first behind it.
    `records` are in the order in which they were sent, as sequence and acknowledgement numbers tell it where a capture
    has another. They have no hole: where segments are missing they end, with `end` GAP; what came behind is left out.
    `quiet`: how long nothing is known to have come behind the last record, seconds; 0 where that isn't known.
    """

    protocol: Protocol
    tls_version: str  # "TLSv1.2", "TLSv1.3"
    cipher: str  # IANA name
    records: Sequence[Record]
    end: TraceEnd
    quiet: float = 0.0
    finished_length: int | None = None
    microsoft: bool = False
    banner_length: int | None = None
    ehlo_reply_length: int | None = None
    starttls: bool = False
