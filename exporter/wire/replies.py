"""When the server first answered behind the handshake, from the lengths of records alone.

In TLS 1.3 session tickets look like application data. They come in one length, right behind the client's Finished, and
before anything else of the server's: a run of equal ones at the front, or one that another record follows before the
client speaks again.
"""

from collections.abc import Sequence
from typing import NamedTuple

from exporter.wire.story import ALERT_LENGTHS, APPLICATION_DATA, TLS13, LoggedRecord

#: TLS 1.3's shortest ticket (a session id within) and the longest seen (JSSE puts the session into it), as records.
TICKET_LENGTHS = range(60, 2_500)
#: Equal records at the front that are tickets; more of them are something else.
MAX_TICKETS = 4
#: HTTP/2's SETTINGS, their acknowledgment and WINDOW_UPDATE are shorter, and no reply.
HTTP2_PREFACE = 120


class Reply(NamedTuple):
    """Times of a server's first reply, and of the client's last record before it (None: the server spoke first)."""

    time: int
    asked: int | None


def first_reply(log: Sequence[LoggedRecord], version: str | None, http2: bool, server_first: bool) -> Reply | None:
    """`log`: what passed behind the handshake. `server_first`: the server greets (mail inside TLS from the start)."""
    records = [record for record in log if record.kind == APPLICATION_DATA]
    if version == TLS13:
        records = _without_equal_tickets([record for record in records if record.length not in ALERT_LENGTHS])
    if http2:
        records = [r for r in records if r.from_client or r.length >= HTTP2_PREFACE] if _has_long(records) else records
    asked: int | None = None
    for index, record in enumerate(records):
        if record.from_client:
            asked = record.time
            if server_first:
                return None
        elif asked is not None or server_first:
            return Reply(_past_ticket(records, index, version).time, asked)
    return None


def _has_long(records: Sequence[LoggedRecord]) -> bool:
    return any(not record.from_client and record.length >= HTTP2_PREFACE for record in records)


def _without_equal_tickets(records: list[LoggedRecord]) -> list[LoggedRecord]:
    """Two or more equal records of the server's at its beginning."""
    server = [record for record in records if not record.from_client]
    if not server or server[0].length not in TICKET_LENGTHS:
        return records
    equal = 1
    while equal < len(server) and server[equal].length == server[0].length:
        equal += 1
    if not 2 <= equal <= MAX_TICKETS:
        return records
    tickets = set(map(id, server[:equal]))
    return [record for record in records if id(record) not in tickets]


def _past_ticket(records: Sequence[LoggedRecord], index: int, version: str | None) -> LoggedRecord:
    """The reply itself, where what stands at `index` may be a single ticket in front of it."""
    record = records[index]
    first_of_server = all(earlier.from_client for earlier in records[:index])
    if version == TLS13 and first_of_server and record.length in TICKET_LENGTHS and index + 1 < len(records):
        following = records[index + 1]
        if not following.from_client:
            return following
    return record
