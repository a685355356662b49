"""What of a direction's payload may be shown to others: TLS' handshake in clear. All else becomes zeros.

Kept: ClientHellos, the server's handshake up to its ChangeCipherSpec, alerts in clear, the headers of records. Not
kept: text (mail before STARTTLS, HTTP, a page), a client's certificate (it names a person), what is encrypted. So
lengths, sequence numbers and the borders of records stay true, and nothing else is told.
"""

from typing import Final

from exporter.protocols.tls_names import alert_name

HEADER: Final = 5
CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = 20, 21, 22, 23
_LAST_KIND: Final = 24
_CLIENT_HELLO: Final = 1
_MAX_RECORD: Final = 16_384 + 2_048
_MESSAGES: Final = {
    1: "ClientHello", 2: "ServerHello", 4: "ticket", 11: "Certificate", 12: "ServerKeyExchange",
    13: "CertificateRequest", 14: "ServerHelloDone", 15: "CertificateVerify", 16: "ClientKeyExchange", 22: "OCSP",
}  # fmt: skip


class ShownPayload:
    """One direction. `take` gets its segments in the order of capture."""

    def __init__(self, from_client: bool) -> None:
        self._from_client = from_client
        self._next: int | None = None  # position of the next byte, from where TLS began
        self._left = 0  # bytes of the open record that are still to come
        self._keeps = False  # the open record is shown
        self._encrypted = False
        self._over = False  # application data has begun
        self._head = b""  # of a record's header that came in pieces
        self._hello: tuple[int, bytes] | None = None  # the segment it began with, if all of it is shown

    def take(self, position: int, data: bytes) -> tuple[bytes, tuple[str, ...]]:
        """What may be shown of a segment's bytes, and the names of what begins in it. `position`: of its first byte."""
        hidden = bytes(len(data))
        if not data or self._over:
            return hidden, ()
        if self._next is None or position != self._next:
            if not _begins_tls(data):
                return hidden, ()
            if self._next is not None and position < self._next:
                known = self._hello == (position, data)
                return data if known else hidden, (f"{_MESSAGES[data[5]]} again",)
            self._left, self._head = 0, b""
        begins, self._next = self._next is None, position + len(data)
        shown, names = self._records(data)
        if begins and shown == data:
            self._hello = position, data
        return shown, names

    def _records(self, data: bytes) -> tuple[bytes, tuple[str, ...]]:
        shown, at = bytearray(len(data)), 0
        names: list[str] = []
        while at < len(data) and not self._over:
            if not self._left:
                head = data[at : at + HEADER - len(self._head)]
                at += len(head)
                self._head += head
                if len(self._head) < HEADER:
                    break
                name = self._open(self._head, data[at : at + 2])
                if not self._over:
                    shown[at - len(head) : at] = head
                names += [name] if name and (not names or names[-1] != name) else []
                self._head = b""
            part = data[at : at + self._left]
            if self._keeps:
                shown[at : at + len(part)] = part
            at += len(part)
            self._left -= len(part)
        return bytes(shown), tuple(names)

    def _open(self, head: bytes, body: bytes) -> str:
        """A record begins: what it is called."""
        kind, length = head[0], head[3] << 8 | head[4]
        if not CHANGE_CIPHER_SPEC <= kind <= _LAST_KIND or head[1] != 3 or length > _MAX_RECORD:
            self._over = True
            return ""
        self._left = length
        self._keeps = False
        if kind == HANDSHAKE and not self._encrypted:
            self._keeps = not self._from_client or body[:1] == bytes([_CLIENT_HELLO])
            return _MESSAGES.get(body[0], "handshake") if body else "handshake"
        if kind == ALERT:
            self._keeps = length == 2
            return f"alert {alert_name(body[1])}" if length == 2 and len(body) == 2 else "alert, encrypted"
        if kind == CHANGE_CIPHER_SPEC:
            self._encrypted = self._keeps = True
            return "ChangeCipherSpec"
        return "Finished, encrypted" if kind == HANDSHAKE else "encrypted"


def _begins_tls(data: bytes) -> bool:
    """A hello at a segment's beginning: text never looks so."""
    return len(data) > HEADER and data[0] == HANDSHAKE and data[1] == 3 and data[5] in (1, 2)
