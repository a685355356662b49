"""What a forwarder saw of one connection, turned into the trace that inference reads."""

import struct
from dataclasses import dataclass, field

from exporter.vocabulary import Protocol
from exporter.wire.trace import MAX_RECORDS, Record, Trace, TraceEnd
from tests.clients.record_stream import RecordStream

#: The cipher suites that our servers are told to use (RFC 5246, 5288, 5289, 7905, 8446).
SUITES = {
    0x1301: "TLS_AES_128_GCM_SHA256",
    0x1302: "TLS_AES_256_GCM_SHA384",
    0x1303: "TLS_CHACHA20_POLY1305_SHA256",
    0x1304: "TLS_AES_128_CCM_SHA256",
    0x002F: "TLS_RSA_WITH_AES_128_CBC_SHA",
    0x0035: "TLS_RSA_WITH_AES_256_CBC_SHA",
    0xC009: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    0xC00A: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    0xC013: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    0xC014: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    0xC023: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    0xC024: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384",
    0xC02B: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    0xC02C: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    0xC02F: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    0xC030: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    0xC0AC: "TLS_ECDHE_ECDSA_WITH_AES_128_CCM",
    0xC0AD: "TLS_ECDHE_ECDSA_WITH_AES_256_CCM",
    0xC0AE: "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8",
    0xCCA8: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    0xCCA9: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
}
_CHANGE_CIPHER_SPEC, _HANDSHAKE, _APPLICATION = 20, 22, 23
_HELLO_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
_SUPPORTED_VERSIONS = 43
#: A Finished of TLS 1.3 with its overhead, without padding: shorter records before it are an empty Certificate.
_SMALLEST_FINISHED = 36 + 17


@dataclass(slots=True)
class Recording:
    """One connection: fed with both sides' bytes as they pass."""

    protocol: Protocol
    source: str = ""  # the address from which the server saw the connection
    version: str = ""
    cipher: str = ""
    handshake_end: float | None = None
    finished_length: int | None = None
    records: list[Record] = field(default_factory=list)
    end: TraceEnd = TraceEnd.SILENCE
    ended: bool = False
    _client: RecordStream = field(default_factory=RecordStream)
    _server: RecordStream = field(default_factory=RecordStream)
    _changed: bool = False  # the client's ChangeCipherSpec of TLS 1.2 was seen

    @property
    def starttls(self) -> bool:
        return bool(self._server.clear)

    def feed(self, now: float, from_client: bool, data: bytes) -> None:
        for kind, length, fragment in (self._client if from_client else self._server).feed(data):
            if self.handshake_end is None:
                self._handshake(now, from_client, kind, length, fragment)
            elif len(self.records) < MAX_RECORDS:
                self.records.append(Record(now - self.handshake_end, from_client, kind, length))

    def close(self, by_client: bool) -> None:
        if not self.ended:
            self.ended = True
            self.end = TraceEnd.CLIENT_CLOSED if by_client else TraceEnd.SERVER_CLOSED

    def trace(self, *, microsoft: bool) -> Trace | None:
        """None where the handshake was not completed."""
        if self.handshake_end is None:
            return None
        banner, ehlo = self._clear_lengths()
        full = len(self.records) >= MAX_RECORDS
        return Trace(
            protocol=self.protocol,
            tls_version=self.version,
            cipher=self.cipher,
            records=tuple(self.records),
            end=TraceEnd.FULL if full else self.end,
            finished_length=self.finished_length,
            microsoft=microsoft,
            starttls=self.starttls,
            banner_length=banner,
            ehlo_reply_length=ehlo,
        )

    def _clear_lengths(self) -> tuple[int | None, int | None]:
        """SMTP before STARTTLS: the banner is the first line, the answer to EHLO what stands before the last."""
        lines = bytes(self._server.clear).splitlines(keepends=True)
        if self.protocol is not Protocol.SMTP or len(lines) < 3:
            return None, None
        return len(lines[0]), sum(len(line) for line in lines[1:-1])

    def _handshake(self, now: float, from_client: bool, kind: int, length: int, fragment: bytes) -> None:
        if not from_client:
            if kind == _HANDSHAKE and fragment[0] == 2 and fragment[6:38] != _HELLO_RETRY and not self.version:
                self._server_hello(fragment)
        elif self.version == "TLSv1.3":
            if kind == _APPLICATION and length >= _SMALLEST_FINISHED:
                self.handshake_end, self.finished_length = now, length
        elif not self.version:
            return  # a second ClientHello, behind a HelloRetryRequest, may come with a ChangeCipherSpec of its own
        elif kind == _CHANGE_CIPHER_SPEC:
            self._changed = True
        elif self._changed and kind == _HANDSHAKE:
            self.handshake_end, self.finished_length = now, length

    def _server_hello(self, fragment: bytes) -> None:
        self.version = {0x0303: "TLSv1.2", 0x0302: "TLSv1.1", 0x0301: "TLSv1"}[struct.unpack_from("!H", fragment, 4)[0]]
        place = 38 + 1 + fragment[38]
        suite = struct.unpack_from("!H", fragment, place)[0]
        self.cipher = SUITES.get(suite, f"0x{suite:04X}")
        place += 3 + 2
        while place + 4 <= 4 + int.from_bytes(fragment[1:4]):
            extension, size = struct.unpack_from("!HH", fragment, place)
            if extension == _SUPPORTED_VERSIONS:
                self.version = "TLSv1.3"
            place += 4 + size
