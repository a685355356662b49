"""When the server first answered behind the handshake, from the lengths of records alone.

In TLS 1.3 session tickets look like application data. They come in one length, right behind the client's Finished, and
before anything else of the server's: a run of equal ones at the front, or one that another record follows before the
client speaks again.
"""

from collections.abc import Sequence

from exporter.wire.story import ALERT_LENGTHS, APPLICATION_DATA, TLS13, LoggedRecord

#: TLS 1.3's shortest ticket (a session id within) and the longest seen (JSSE puts the session into it), as records.
TICKET_LENGTHS = range(60, 2_500)
#: Equal records at the front that are tickets; more of them are something else.
MAX_TICKETS = 4
#: HTTP/2's SETTINGS, their acknowledgment and WINDOW_UPDATE are shorter, and no answer to a request.
HTTP2_PREFACE = 120


def first_reply(log: Sequence[LoggedRecord], version: str | None) -> int | None:
    """When the server's first application record passed that isn't a ticket, nanoseconds. `log`: behind the handshake."""
    records = _application_data(log, version)
    for index, record in enumerate(records):
        if not record.from_client:
            return _past_ticket(records, index, version).time
    return None


def request_and_reply(log: Sequence[LoggedRecord], version: str | None, *, http2: bool) -> tuple[int, int] | None:
    """When the client's first request ended, and when the answer to it began, nanoseconds."""
    asked: int | None = None
    records = _application_data(log, version)
    for index, record in enumerate(records):
        if record.from_client:
            asked = record.time
        elif asked is not None:
            reply = _past_ticket(records, index, version)
            if not http2 or reply.length >= HTTP2_PREFACE:
                return asked, reply.time
    return None


def _application_data(log: Sequence[LoggedRecord], version: str | None) -> list[LoggedRecord]:
    records = [record for record in log if record.kind == APPLICATION_DATA]
    if version != TLS13:
        return records
    return _without_equal_tickets([record for record in records if record.length not in ALERT_LENGTHS])


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
