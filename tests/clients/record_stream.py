"""One direction of a connection cut into TLS records, or clear text before the first of them: bytes in, records out.

It shares no code with the inspector: what it says is what the inspector's tracker is held against.
"""

from dataclasses import dataclass, field

#: A record's header (RFC 8446 5.1): type, version, length.
_HEADER = 5
_HANDSHAKE = 22


@dataclass(slots=True)
class RecordStream:
    """`feed` returns the records that are whole now, as (content type, length field, fragment)."""

    clear: bytearray = field(default_factory=bytearray)
    _buffer: bytearray = field(default_factory=bytearray)
    _began: bool = False

    def feed(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """Clear text ends at the first handshake record: no line of a mail protocol has a byte 22."""
        if not self._began:
            start = data.find(bytes([_HANDSHAKE]))
            if start < 0:
                self.clear += data
                return []
            self.clear += data[:start]
            self._began, data = True, data[start:]
        self._buffer += data
        found = []
        while len(self._buffer) >= _HEADER:
            length = int.from_bytes(self._buffer[3:5])
            if len(self._buffer) < _HEADER + length:
                break
            found.append((self._buffer[0], length, bytes(self._buffer[_HEADER : _HEADER + length])))
            del self._buffer[: _HEADER + length]
        return found
