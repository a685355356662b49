"""What a gateway does to the bytes of one connection; no I/O. A treatment sees each side's bytes and says what to do.

Where TLS is terminated a treatment sees the plain text, else the records.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from exporter.lab.behaviour import Then
from exporter.lab.client_hello import TLS_1_3, ClientHello, begins_tls, read_client_hello
from exporter.lab.http_server import Answer, HttpServer

#: TLS alert protocol_version, fatal (RFC 8446 6), as a server that doesn't like the hello sends it.
ALERT_PROTOCOL_VERSION = bytes.fromhex("15030300020246")
#: More than one segment on Ethernet: what a middlebox that can't reassemble loses (bytes).
LARGE_HELLO = 1_400
#: A client's record longer than this (bytes), behind the handshake, carries a token.
LONG_RECORD = 1_000
#: Server chunks larger than this (bytes) are lost where the path's MTU is small and nobody is told.
SMALL_MTU = 1_200
_APPLICATION_DATA = 23


class Step(StrEnum):
    """What else than passing bytes on a gateway may do."""

    RESET = "reset both sides"
    SILENCE = "pass nothing more, keep both sides open"
    CLOSE = "close both sides"
    TERMINATE = "speak TLS itself to both sides"


@dataclass(frozen=True, slots=True)
class Pass:
    """Bytes go on to the other side."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Say:
    """Bytes go back to the client, in the gateway's own name."""

    data: bytes


Steps = Iterator[Pass | Say | Step]


class Treatment:
    """Passes everything. `certificate`: the kind of leaf with which TLS is terminated; None: it isn't.

    `delay`: seconds each chunk is held. `idle`: seconds after which a silent connection is forgotten, by `forgets`.
    `connects`: whether the server is talked to at all.
    """

    certificate: str | None = None
    delay: float = 0.0
    idle: float | None = None
    forgets: Step = Step.SILENCE
    connects: bool = True

    def from_client(self, data: bytes) -> Steps:
        yield Pass(data)

    def from_server(self, data: bytes) -> Steps:
        yield Pass(data)


class AtHello(Treatment):
    """Reads the ClientHello, wherever TLS begins, and lets `judge` decide; what it lets pass goes on untouched."""

    def __init__(self, judge: Callable[[ClientHello], tuple[Say | Step, ...]]) -> None:
        self._judge = judge
        self._pending = b""
        self._passed = False

    def from_client(self, data: bytes) -> Steps:
        self._pending += data
        if self._passed or not begins_tls(self._pending):
            yield Pass(self._take())
            return
        try:
            hello = read_client_hello(self._pending)
        except ValueError:
            yield Step.RESET
            return
        if hello is None:
            return
        self._passed = True
        yield from self._judge(hello) or (Pass(self._take()),)

    def _take(self) -> bytes:
        data, self._pending = self._pending, b""
        return data


def reset_names(names: frozenset[str]) -> Treatment:
    return AtHello(lambda hello: (Step.RESET,) if hello.server_name in names else ())


def drop_names(names: frozenset[str]) -> Treatment:
    return AtHello(lambda hello: (Step.SILENCE,) if hello.server_name in names else ())


def reset_every_hello() -> Treatment:
    return AtHello(lambda _hello: (Step.RESET,))


def drop_large_hello() -> Treatment:
    return AtHello(lambda hello: (Step.SILENCE,) if hello.size > LARGE_HELLO else ())


def refuse_tls_1_3() -> Treatment:
    """Whoever offers TLS 1.3 gets an alert; TLS 1.2 alone passes."""
    refusal = (Say(ALERT_PROTOCOL_VERSION), Step.CLOSE)
    return AtHello(lambda hello: refusal if TLS_1_3 in hello.versions else ())


def refuse_every_version() -> Treatment:
    return AtHello(lambda _hello: (Say(ALERT_PROTOCOL_VERSION), Step.CLOSE))


class Rewrite(Treatment):
    """Changes the server's lines by patterns, until TLS begins; with a certificate, inside TLS as well."""

    def __init__(self, *rules: tuple[str, str], certificate: str | None = None) -> None:
        self._rules = [(re.compile(old.encode(), re.MULTILINE), new.encode()) for old, new in rules]
        self.certificate = certificate
        self._line = b""
        self._opaque = False

    def from_client(self, data: bytes) -> Steps:
        if begins_tls(data) and self.certificate is None:
            self._opaque = True
        yield Pass(data)

    def from_server(self, data: bytes) -> Steps:
        if self._opaque:
            yield Pass(data)
            return
        whole, newline, self._line = (self._line + data).rpartition(b"\n")
        lines = whole + newline
        for pattern, new in self._rules:
            lines = pattern.sub(new, lines)
        if lines:
            yield Pass(lines)


class StripStarttls(Rewrite):
    """Takes STARTTLS out of what the server offers and refuses the command, as mail inspection does.

    `masked`: by X characters, in the reply and in the client's command, and asterisks in the banner (Cisco ASA).
    """

    def __init__(self, *, masked: bool = False) -> None:
        gone = ((r"^250-STARTTLS\r?\n", ""), (r" STARTTLS\b", ""), (r"^STLS\r?\n", ""))
        masks = (
            (r"STARTTLS", "XXXXXXXA"),
            (r"^STLS", "XXXA"),
            (r"^220 [^\r\n]*", "220 " + "*" * 80),
        )
        super().__init__(*(masks if masked else gone))
        self._masked = masked

    def from_client(self, data: bytes) -> Steps:
        tag, _, word = data.strip().upper().rpartition(b" ")
        if word not in (b"STARTTLS", b"STLS"):
            yield from super().from_client(data)
        elif self._masked:
            yield Pass(re.sub(rb"(?i)STARTTLS|STLS", b"XXXX", data))
        elif tag:
            yield Say(tag + b" BAD Command unknown\r\n")
        else:
            yield Say(b"-ERR Command unknown\r\n" if word == b"STLS" else b"500 5.5.1 Command unrecognized\r\n")


class DropLongRecords(Treatment):
    """Cuts when a long record of the client goes by behind the handshake: at authentication, that is."""

    def __init__(self, step: Step = Step.RESET, *, limit: int = LONG_RECORD) -> None:
        self._step, self._limit = step, limit
        self._left = 0
        self._header = b""
        self._clear = True

    def from_client(self, data: bytes) -> Steps:
        if self._clear and begins_tls(data):
            self._clear = False
        if not self._clear and self._sees_long_record(data):
            yield self._step
            return
        yield Pass(data)

    def _sees_long_record(self, data: bytes) -> bool:
        at = 0
        while at < len(data):
            if self._left:
                taken = min(self._left, len(data) - at)
                self._left, at = self._left - taken, at + taken
                continue
            taken = 5 - len(self._header)
            self._header, at = self._header + data[at : at + taken], at + taken
            if len(self._header) == 5:
                kind, self._left, self._header = self._header[0], int.from_bytes(self._header[3:]), b""
                if kind == _APPLICATION_DATA and self._left > self._limit:
                    return True
        return False


class DropLargeChunks(Treatment):
    """Full segments from the server never arrive, small ones do: a path with a small MTU, and no ICMP."""

    def from_server(self, data: bytes) -> Steps:
        yield Pass(data) if len(data) <= SMALL_MTU else Step.SILENCE


class Inspect(Treatment):
    """Terminates TLS and passes the plain text on."""

    def __init__(self, certificate: str = "inspected") -> None:
        self.certificate = certificate


class RestrictTenants(Inspect):
    """Puts the header by which Microsoft keeps foreign tenants out into each request (facts 7.1)."""

    _FIRST_LINE = re.compile(rb"^([A-Z]+ \S+ HTTP/1\.1\r\n)", re.MULTILINE)
    _HEADERS = b"Restrict-Access-To-Tenants: contoso.example\r\nRestrict-Access-Context: contoso.example\r\n"

    def __init__(self) -> None:
        super().__init__("inspected_trusted")

    def from_client(self, data: bytes) -> Steps:
        yield Pass(self._FIRST_LINE.sub(rb"\1" + self._HEADERS, data))


class Pages(Treatment):
    """Answers every HTTP request itself, behind TLS with a leaf of the company's own CA."""

    certificate = "inspected_trusted"
    connects = False

    def __init__(self, answer: Answer) -> None:
        self._server = HttpServer(lambda _request: answer)

    def from_client(self, data: bytes) -> Steps:
        for reply in self._server.receive(data):
            yield Say(reply.data)
            if reply.then is Then.CLOSE:
                yield Step.CLOSE


class Forgetful(Treatment):
    """Forgets idle connections: what comes later goes nowhere; or resets them."""

    def __init__(self, idle: float, forgets: Step = Step.SILENCE) -> None:
        self.idle, self.forgets = idle, forgets


class Slow(Treatment):
    """Holds every chunk for a while, in both directions."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
