"""When a token request and its answer passed the client's interface: by the records' order, for their content is
encrypted (RFC 8446 5.1: the client's first record of type application_data is its Finished, the second the request).
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

_SYN, _APPLICATION_DATA = 0x02, 23


@dataclass(slots=True)
class _Talk:
    """The client's segments by offset from its SYN; the server's data segments by time, seconds."""

    first: int
    sent: dict[int, tuple[bytes, float]] = field(default_factory=dict)
    received: list[float] = field(default_factory=list)

    def seconds(self) -> float | None:
        """From the request's last segment to the answer's; None where they weren't seen whole."""
        ends = self._application_data()
        if len(ends) < 3:
            return None
        request, goodbye = ends[1], ends[2]  # the third is close_notify
        answered = [when for when in self.received if request < when < goodbye]
        return max(answered) - request if answered else None

    def _application_data(self) -> list[float]:
        """When each of the client's records of that type was whole."""
        data, reached = b"", []
        while (segment := self.sent.get(len(data) + 1)) is not None:
            data += segment[0]
            reached.append((len(data), segment[1]))
        place, found = 0, []
        while place + 5 <= len(data):
            kind, _, length = struct.unpack_from(">BHH", data, place)
            place += 5 + length
            if kind == _APPLICATION_DATA and (ends := [time for end, time in reached if end >= place]):
                found.append(ends[0])
        return found


def token_times(frames: Iterable[tuple[int, bytes]], port: int) -> dict[int, float]:
    """Seconds of the token request of each connection to `port`, by the client's port; Ethernet and IPv4."""
    talks: dict[int, _Talk] = {}
    for when, frame in frames:
        head = 14 + (frame[14] & 0x0F) * 4
        source, target, number = struct.unpack_from(">HHI", frame, head)
        (total,) = struct.unpack_from(">H", frame, 16)
        payload = frame[head + (frame[head + 12] >> 4) * 4 : 14 + total]
        if target == port and frame[head + 13] & _SYN:
            talks[source] = _Talk(number)
        elif target == port and source in talks and payload:
            talks[source].sent.setdefault((number - talks[source].first) & 0xFFFFFFFF, (payload, when / 1e9))
        elif source == port and target in talks and payload:
            talks[target].received.append(when / 1e9)
    return {client: seconds for client, talk in talks.items() if (seconds := talk.seconds()) is not None}
