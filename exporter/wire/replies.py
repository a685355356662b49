"""When the server first answered behind the handshake, from the lengths of records alone.

In TLS 1.3 session tickets look like application data. They come in one length, right behind the client's Finished, and
before anything else of the server's: a run of equal ones at the front, or one that another record follows before the
client speaks again.
"""

from collections.abc import Sequence
from typing import Final

from exporter.wire.story import ALERT_LENGTHS, APPLICATION_DATA, TLS13, LoggedRecord

#: TLS 1.3's shortest ticket (a session id within) and the longest seen (JSSE puts the session into it), as records.
SHORTEST_TICKET: Final = 60
LONGEST_TICKET: Final = 2_500
#: Equal records at the front that are tickets; more of them are something else.
MAX_TICKETS: Final = 4
#: HTTP/2's SETTINGS, their acknowledgment and WINDOW_UPDATE are shorter, and no answer to a request.
HTTP2_PREFACE: Final = 120


def first_reply(records: Sequence[LoggedRecord], version: str | None) -> int | None:
    """When the server's first application record passed that isn't a ticket, nanoseconds.

    `records`: as `application_data` gives them.
    """
    for index, (_, from_client, _, _) in enumerate(records):
        if not from_client:
            return _past_ticket(records, index, version)[0]
    return None


def request_and_reply(records: Sequence[LoggedRecord], version: str | None, *, http2: bool) -> tuple[int, int] | None:
    """When the client's first request ended, and when the answer to it began, nanoseconds."""
    asked: int | None = None
    for index, (time, from_client, _, _) in enumerate(records):
        if from_client:
            asked = time
        elif asked is not None:
            reply, _, _, length = _past_ticket(records, index, version)
            if not http2 or length >= HTTP2_PREFACE:
                return asked, reply
    return None


def application_data(log: Sequence[LoggedRecord], version: str | None) -> list[LoggedRecord]:
    """Of what passed behind the handshake, that which may be words: no alert, no tickets that are told by their run."""
    records = [record for record in log if record[2] == APPLICATION_DATA]
    if version != TLS13:
        return records
    return _without_equal_tickets([record for record in records if record[3] not in ALERT_LENGTHS])


def _without_equal_tickets(records: list[LoggedRecord]) -> list[LoggedRecord]:
    """Two or more equal records of the server's at its beginning."""
    places = [index for index, (_, from_client, _, _) in enumerate(records) if not from_client]
    lengths = [records[place][3] for place in places]
    if not lengths or not SHORTEST_TICKET <= lengths[0] <= LONGEST_TICKET:
        return records
    equal = next((count for count, length in enumerate(lengths) if length != lengths[0]), len(lengths))
    if not 2 <= equal <= MAX_TICKETS:
        return records
    tickets = places[:equal]
    return [record for place, record in enumerate(records) if place not in tickets]


def _past_ticket(records: Sequence[LoggedRecord], index: int, version: str | None) -> LoggedRecord:
    """The reply itself, where what stands at `index` may be a single ticket in front of it."""
    record = records[index]
    if version != TLS13 or index + 1 == len(records) or not SHORTEST_TICKET <= record[3] <= LONGEST_TICKET:
        return record
    following = records[index + 1]
    first_of_server = all(from_client for _, from_client, _, _ in records[:index])
    return following if first_of_server and not following[1] else record
