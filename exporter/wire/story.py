"""A TLS handshake as its records tell it, in whichever order the two directions are read.

Segments get lost and reordered, so that what the client sent may be read before what the server sent earlier. Nothing
here depends on that order: each record adds a fact with its time, and whether the handshake is complete is asked of the
facts alone.

* TLS 1.2 and older: both sides sent ChangeCipherSpec and a handshake record behind it (Finished).
* TLS 1.3 (RFC 8446): the client sent a protected record that can carry a Finished. A shorter one is an alert; the dummy
  ChangeCipherSpec of middlebox compatibility (appendix D.4) says nothing. Behind early data only a record of exactly
  Finished's length counts.
"""

from functools import lru_cache
from typing import Final

from exporter.observations import WireAlert
from exporter.protocols import certificates
from exporter.protocols.client_hello import ClientHello, read_client_hello
from exporter.protocols.server_hello import ServerHello, is_resumed, key_exchange_group, read_server_hello
from exporter.protocols.tls_names import ALERT_LEVELS, alert_name

#: Record types of RFC 8446, B.1.
CHANGE_CIPHER_SPEC: Final = 20
ALERT: Final = 21
HANDSHAKE: Final = 22
APPLICATION_DATA: Final = 23

#: Records kept before the handshake's end: the server's flight, early data.
MAX_EARLY_RECORDS: Final = 64
#: Of certificates seen lately, as servers show the same one again and again.
leaf_issuer: Final = lru_cache(maxsize=256)(certificates.leaf_issuer)
#: Bytes that one side sends in a row when the conversation is over its beginning: mail, not signing in.
LONG_BURST: Final = 16_384
#: Bytes of a handshake message kept while it is incomplete; a longer certificate's issuer stands in front.
MAX_MESSAGE: Final = 16_384
#: A handshake message's header, TLS 1.3's content type and AEAD tag around it.
_FINISHED_OVERHEAD: Final = 4 + 1 + 16
#: What JSSE appends to its records of TLS 1.3.
_JSSE_PADDING: Final = 16
#: No client's certificate makes its first record exceed a Finished by less.
_SHORT_CERTIFICATE: Final = 200
#: Before TLS 1.3 a Finished has 16 bytes, and a MAC, padding and vector of 16 to 48 each around it.
_LONGEST_FINISHED: Final = 160
#: An encrypted alert of TLS 1.3: two bytes, type, tag; JSSE pads it.
ALERT_LENGTHS: Final = frozenset({2 + 17, 2 + _JSSE_PADDING + 17})
_FATAL: Final = 2
TLS13: Final = "TLSv1.3"


#: Handshake types of RFC 8446, B.3, and RFC 5246, 7.4, that tell something.
_CLIENT_HELLO: Final = 1
_SERVER_HELLO: Final = 2
_CERTIFICATE: Final = 11
_SERVER_KEY_EXCHANGE: Final = 12

#: Which of several alerts in clear says why the handshake failed.
_NO_ALERT: Final = 0
_WARNED: Final = 1
_FAILED: Final = 2

#: A record that isn't handshake in clear: time of its last byte in nanoseconds, whether the client sent it, its type,
#: its header's length field.
LoggedRecord = tuple[int, bool, int, int]


class Side:
    """What one side of a handshake did. Times are nanoseconds."""

    __slots__ = ("changed_cipher", "finished", "finished_length", "message", "protected", "spoke")

    def __init__(self) -> None:
        self.spoke: int | None = None  # its first TLS record
        self.changed_cipher = False
        self.finished: int | None = None
        self.finished_length: int | None = None
        self.protected = 0  # records of application data
        self.message = b""  # the beginning of a handshake message


class TlsStory:
    """One connection's TLS. `record` takes each record when it is complete, with its body where that is needed.

    `hello_begun`: the first byte of the first ClientHello; `hello_ended`: the last of the latest. `log`: alerts and
    protected records in the order they were read; from the handshake's end on up to `log_limit` of them. `enough`: the
    log is full, or one side goes on and on, or (`brief`) what the server sent last isn't one more ticket.
    """

    __slots__ = (
        "_burst", "_burst_from_client", "_certificate", "_first_length", "_rank", "alert", "brief",
        "certificate_issuer", "client",
        "client_hello", "enough", "established", "group", "hello_begun", "hello_ended", "hello_retry", "log",
        "log_limit", "server", "server_hello", "version",
    )  # fmt: skip

    def __init__(self, log_limit: int, *, brief: bool) -> None:
        self.client, self.server = Side(), Side()
        self.client_hello: ClientHello | None = None
        self.hello_begun: int | None = None
        self.hello_ended: int | None = None
        self.hello_retry: bool | None = False  # None: what the server said wasn't all read
        self.server_hello: ServerHello | None = None
        self.version: str | None = None
        self.group: str | None = None
        self.certificate_issuer: str | None = None
        self.established: int | None = None  # the handshake's end
        self.alert: WireAlert | None = None
        self._rank = _NO_ALERT
        self.log: list[LoggedRecord] = []
        self.log_limit = log_limit
        self.brief = brief
        self.enough = False
        self._certificate = False  # what seemed to be TLS 1.3's Finished may be the client's certificate in front of it
        self._first_length = 0  # of what the server sent behind the handshake
        self._burst, self._burst_from_client = 0, False  # bytes that one side sent behind the other's last

    def record(self, from_client: bool, kind: int, length: int, body: bytes | None, begun: int, ended: int) -> None:
        """A record: `length` is its header's field, `body` what is there of its bytes, None where nobody needs them."""
        side = self.client if from_client else self.server
        if side.spoke is None:
            side.spoke = begun
        if kind == APPLICATION_DATA:
            side.protected += 1
            self._log(ended, from_client, kind, length)
            if from_client and self.established is None:
                self._is_finished(ended, length)
            elif from_client and self._certificate:
                self._is_behind_certificate(ended, length)
        elif kind == HANDSHAKE:
            self._handshake(side, from_client, length, body, begun, ended)
        elif kind == CHANGE_CIPHER_SPEC:
            side.changed_cipher = True
        elif kind == ALERT:
            self._alert(side, from_client, length, body, ended)

    def old_hello(self, begun: int, ended: int) -> None:
        """A ClientHello in SSL 2.0's form (RFC 5246, E.2): nothing of it is read but that it was there."""
        self.client.spoke = self.client.spoke or begun
        self.hello_begun = self.hello_begun or begun
        self.hello_ended = ended

    def _log(self, time: int, from_client: bool, kind: int, length: int) -> None:
        log = self.log
        if self.established is None:
            if len(log) < MAX_EARLY_RECORDS:
                log.append((time, from_client, kind, length))
            return
        if len(log) < self.log_limit:
            log.append((time, from_client, kind, length))
        if self.brief and not from_client and kind == APPLICATION_DATA:
            self._first_length = self._first_length or length
            self.enough = length != self._first_length or self.version != TLS13
        self._burst = self._burst + length if from_client == self._burst_from_client else length
        self._burst_from_client = from_client
        if len(log) >= self.log_limit or self._burst >= LONG_BURST:
            self.enough = True

    # ---- handshake ---------------------------------------------------------------------------------------------------

    def _handshake(
        self, side: Side, from_client: bool, length: int, body: bytes | None, begun: int, ended: int
    ) -> None:
        if side.changed_cipher and not _is_clear(body, from_client):
            if self.established is not None:
                self._log(ended, from_client, HANDSHAKE, length)  # a ticket, or a renegotiation
            elif side.finished is None and length <= _LONGEST_FINISHED:  # else a second ClientHello, cut
                side.finished, side.finished_length = ended, length
                if self.client.finished is not None and self.server.finished is not None:
                    self._complete(max(self.client.finished, self.server.finished))
            return
        if body is None:
            return
        if from_client and self.hello_begun is None:
            self.hello_begun = begun
        data = side.message + body
        while len(data) >= 4:
            size = 4 + (data[1] << 16 | data[2] << 8 | data[3])
            if len(data) < size:
                break
            self._message(from_client, data[0], data[:size], ended)
            data = data[size:]
        side.message = data[:MAX_MESSAGE]
        if from_client:
            self.hello_ended = ended

    def incomplete_message(self, from_client: bool, time: int) -> None:
        """The rest of the side's message will never come: what is there of it is read."""
        side = self.client if from_client else self.server
        if len(side.message) >= 4:
            self._message(from_client, side.message[0], side.message, time)
        side.message = b""

    def _message(self, from_client: bool, kind: int, message: bytes, time: int) -> None:
        if from_client:
            if kind == _CLIENT_HELLO and self.client_hello is None:
                self.client_hello = read_client_hello(message)
        elif kind == _SERVER_HELLO:
            self._server_hello(message)
        elif kind == _CERTIFICATE:
            self.certificate_issuer = self.certificate_issuer or leaf_issuer(message)
        elif kind == _SERVER_KEY_EXCHANGE:
            self.group = self.group or key_exchange_group(message)

    def _server_hello(self, message: bytes) -> None:
        hello = read_server_hello(message)
        if hello is None:
            self.hello_retry = self.hello_retry or None
            return
        if hello.hello_retry_request:
            self.hello_retry = True  # which names version and suite too
        self.server_hello = hello
        self.version = TLS13 if _is_of_tls13(hello.cipher) else hello.version
        self.group = hello.group or self.group
        if self.version == TLS13:
            for time, from_client, kind, length in self.log:
                if from_client and kind == APPLICATION_DATA and self.established is None:
                    self._is_finished(time, length)

    def _is_finished(self, time: int, length: int) -> None:
        """Whether a client's protected record of TLS 1.3 completes the handshake."""
        if self.version != TLS13:
            return
        finished = self.finished_size
        early = self.client_hello is not None and self.client_hello.early_data
        if length == finished if early else length >= finished:
            self.client.finished, self.client.finished_length = time, length
            self._certificate = length - finished >= _SHORT_CERTIFICATE
            self._complete(time)

    def _is_behind_certificate(self, time: int, length: int) -> None:
        """Certificate and CertificateVerify are records of their own (RFC 8446, 4.4), which the server waits out."""
        if any(not from_client for begun, from_client, _, _ in self.log if begun > (self.established or 0)):
            self._certificate = False
        elif length - self.finished_size in (0, _JSSE_PADDING):
            self._certificate = False
            self.client.finished, self.client.finished_length = time, length
            self.established = time
            self.log = [record for record in self.log if not record[1]]

    @property
    def resumed(self) -> bool | None:
        """Whether an earlier session went on, None where what tells it wasn't seen: both hellos, whole."""
        client, server = self.client_hello, self.server_hello
        if client is None or server is None or server.partial or server.hello_retry_request:
            return None
        return is_resumed(client, server)

    @property
    def finished_size(self) -> int:
        """The length of a record of TLS 1.3 that carries a Finished alone."""
        cipher = self.server_hello.cipher if self.server_hello else None
        return (48 if cipher is not None and cipher.endswith("SHA384") else 32) + _FINISHED_OVERHEAD

    def _complete(self, time: int) -> None:
        """The log goes on with what is behind the client's Finished; in TLS 1.3 the server's flight is in it too."""
        self.established = time
        if self.version == TLS13:
            at = next(index for index, record in enumerate(self.log) if record[1] and record[0] == time)
            late = [record for record in self.log[:at] if record[0] > time]
            self.log = late + [record for record in self.log[at + 1 :] if record[0] >= time]

    # ---- alerts ------------------------------------------------------------------------------------------------------

    def _alert(self, side: Side, from_client: bool, length: int, body: bytes | None, time: int) -> None:
        self._log(time, from_client, ALERT, length)
        if length == 2 and body is not None and len(body) == 2:
            rank = _FAILED if body[0] == _FATAL else _WARNED
            if rank > self._rank:
                self._rank = rank
                level = ALERT_LEVELS.get(body[0])
                sender = "client" if from_client else "server"
                self.alert = WireAlert(name=alert_name(body[1]), level=level, sender=sender, encrypted=False)

    def encrypted_alert(self, *, established: bool, closed_at: int | None) -> WireAlert | None:
        """The alert that can't be read. Behind the handshake every farewell is one, so only the server's first word is.

        `established`: whether the handshake was completed, by all that was seen. `closed_at`: when a side closed; what
        the other one says behind that is a farewell too.
        """
        if established:
            return self._refused_behind_handshake()
        log = [record for record in self.log if closed_at is None or record[0] <= closed_at]
        for time, from_client, kind, length in log:
            if kind == ALERT and length != 2:
                return _encrypted(from_client)
            short = self.version == TLS13 and kind == APPLICATION_DATA and length in ALERT_LENGTHS
            if short and (from_client or time == max(other[0] for other in log if not other[1])):
                return _encrypted(from_client)
        return None

    def _refused_behind_handshake(self) -> WireAlert | None:
        """The server's first word in TLS 1.3 behind the handshake is its last, and the client didn't leave before."""
        if self.version != TLS13 or self.established is None:
            return None
        later = [record for record in self.log if record[0] > self.established]
        if not later or later[0][1] or later[0][3] not in ALERT_LENGTHS:
            return None
        return _encrypted(from_client=False) if all(from_client for _, from_client, _, _ in later[1:]) else None

    # ---- when it is over ---------------------------------------------------------------------------------------------

    def is_complete(self) -> bool:
        """Whether the handshake was completed, by all that was seen, and by what couldn't be without it."""
        if self.established is not None:
            return True
        client, server = self.client, self.server
        if self.server_hello is None and client.finished is None and server.finished is None:
            return self._spoken_without_hello()
        if self.version == TLS13:
            return False
        if server.protected or (client.finished and client.protected and server.spoke is None):
            return True  # a server sends no application data before the handshake's end (RFC 5246, 7.3)
        full = self.certificate_issuer is not None or self.group is not None
        return server.finished is not None and client.spoke is None and full

    def _spoken_without_hello(self) -> bool:
        """No ServerHello was seen: application data both ways, the client's long enough to be no alert."""
        lengths = [length for _, from_client, kind, length in self.log if from_client and kind == APPLICATION_DATA]
        longest = max(lengths, default=0)
        if not self.server.protected or longest < self.finished_size:
            return False
        if self.client_hello is not None and TLS13 in self.client_hello.versions:
            self.version = TLS13  # older versions have a handshake record where this has application data
        return True


def _encrypted(from_client: bool) -> WireAlert:
    return WireAlert(name=None, level=None, sender="client" if from_client else "server", encrypted=True)


def _is_of_tls13(cipher: str) -> bool:
    """TLS 1.3's suites name no key exchange; they tell it where the extension that says so is cut off."""
    return cipher.startswith("TLS_") and "_WITH_" not in cipher and not cipher.endswith("_SCSV")


def _is_clear(body: bytes | None, from_client: bool) -> bool:
    """Whether a handshake record behind ChangeCipherSpec is a hello in clear: HelloRetryRequest has that."""
    if body is None or len(body) < 6:
        return False
    kind = _CLIENT_HELLO if from_client else _SERVER_HELLO
    return body[0] == kind and body[1] == 0 and body[4:6] == b"\x03\x03"
