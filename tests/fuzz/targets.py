"""What is fuzzed. Each target takes any bytes, and raises only where a promise is broken.

Seeds are real: recorded hellos, OpenSSL's handshakes, whole captures, replies of servers.
"""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO

from exporter.observations import Connection, as_json
from exporter.protocols.certificates import MAX_TEXT, issuer_of, leaf_issuer
from exporter.protocols.client_hello import read_client_hello
from exporter.protocols.imap import ImapReader
from exporter.protocols.lines import MAX_REPLY, ProtocolViolation
from exporter.protocols.pop import PopReader
from exporter.protocols.server_hello import is_resumed, key_exchange_group, read_server_hello
from exporter.protocols.smtp import SmtpReader
from exporter.protocols.tls_records import MAX_KEPT
from exporter.wire.capture_file import CaptureDamagedError, CaptureFile, NotACaptureError
from exporter.wire.decode import LinkType, decode
from exporter.wire.dns_answers import read_answer
from exporter.wire.tracker import Tracker, TrackerConfig
from tests.protocols.hello_clients import recorded
from tests.protocols.record_reader import HandshakeReader, NotARecord, RecordReader
from tests.protocols.reply_examples import EXAMPLES
from tests.wire.conversation import Conversation
from tests.wire.flights import Talk, healthy
from tests.wire.frames import Frame, pcap

DNS_ANSWER = bytes.fromhex(
    "12348180000100010000000003777777076578616d706c6503636f6d0000010001c00c000100010000003c0004c0000201"
)
#: Connections that a fuzzed capture may have open at once.
FEW = 64


@dataclass(frozen=True, slots=True)
class Target:
    """`run` raises AssertionError, or whatever shouldn't get out of the code; `seeds` are what damage is done to."""

    run: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]


def client_hello(data: bytes) -> None:
    hello = read_client_hello(data)
    if hello is None:
        return
    assert hello.server_name is None or (hello.server_name.isascii() and hello.server_name.isprintable())
    assert (hello.ja4 is None) == hello.partial
    assert hello.ja4 is None or len(hello.ja4) == 36
    behind = read_client_hello(data + b"\0" * 9) if not hello.partial else hello
    assert behind == hello


def server_hello(data: bytes) -> None:
    hello = read_server_hello(data)
    if hello is not None:
        is_resumed(None, hello)
    key_exchange_group(data)


def certificate(data: bytes) -> None:
    for issuer in (issuer_of(data), leaf_issuer(data)):
        assert issuer is None or len(issuer) <= MAX_TEXT


def records(data: bytes) -> None:
    """Whole and in two pieces it says the same."""
    assert _records([data]) == _records([data[: len(data) // 2], data[len(data) // 2 :]])


def _records(pieces: Sequence[bytes]) -> tuple[list[tuple[int, int]], list[bytes], bool]:
    reader, messages = RecordReader(), HandshakeReader()
    found, read = [], []
    for piece in pieces:
        reader.feed(piece)
        try:
            while (record := reader.next_record()) is not None:
                found.append((record.content_type, record.length))
                read += messages.feed(record.body)
                assert len(messages.pending) <= MAX_KEPT
        except NotARecord:
            return found, read, True
    return found, read, False


def replies(data: bytes) -> None:
    """What servers of mail say to the prober."""
    imap, smtp, pop = ImapReader(), SmtpReader(), PopReader()
    for reader, take in ((imap, imap.next_response), (smtp, smtp.next_reply), (pop, pop.next_status)):
        reader.feed(data)
        try:
            while take() is not None:
                pass
        except ProtocolViolation:
            pass
        assert len(reader.pending) <= MAX_REPLY


def dns(data: bytes) -> None:
    read_answer(data)


def frame(data: bytes) -> None:
    """The first byte picks the link type."""
    kinds = list(LinkType)
    kind = kinds[data[0] % len(kinds)] if data else LinkType.RAW
    decode(kind, data, 1, max(len(data), 1), len(data))


def capture(data: bytes) -> None:
    """A file as `inspect` reads it: every connection can be printed, and few are kept."""
    found: list[Connection] = []
    tracker = Tracker(TrackerConfig(everything=True, max_connections=FEW, patience=60.0), found.append)
    try:
        for packet in CaptureFile(BytesIO(data)).packets():
            tracker.packet(*packet)
            assert len(tracker) <= FEW
    except (NotACaptureError, CaptureDamagedError):
        pass
    tracker.finish()
    for connection in found:
        as_json(connection)


def packets(data: bytes) -> None:
    """Frames one behind the other, each with two bytes of length in front: more of them get far than of a damaged file."""
    at = 0
    frames: list[Frame] = []
    while at + 2 <= len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2])
        frames.append((1_790_000_000_000_000_000 + len(frames) * 1_000_000, data[at + 2 : end]))
        at = end
    capture(pcap(frames))


@cache
def _conversations() -> tuple[bytes, ...]:
    """Captures of a connection each."""
    talks = [Talk(version).shake().flights for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)]
    captures = [pcap(Conversation().opens().plays(flights).closes().frames()) for flights in talks]
    large = recorded()["pyOpenSSL"]
    captures.append(pcap(Conversation(server=("192.0.2.1", 443)).opens().says(True, large).resets(False).frames()))
    starttls = [(False, b"220 ready\r\n"), (True, b"EHLO x\r\n"), (False, b"250 STARTTLS\r\n"), (True, b"STARTTLS\r\n")]
    mail = Conversation(server=("192.0.2.1", 587), vlan=(7,)).opens().plays([*starttls, (False, b"220 go\r\n")])
    captures.append(pcap(mail.plays(healthy()).closes().frames()))
    return tuple(captures)


@cache
def _frames() -> tuple[bytes, ...]:
    return tuple(b"".join(len(data).to_bytes(2) + data for data in _bodies(each)) for each in _conversations())


def _bodies(file: bytes) -> list[bytes]:
    return [bytes(buffer[start:end]) for _, _, buffer, start, end, *_ in CaptureFile(BytesIO(file)).packets()]


def _replies() -> list[bytes]:
    return [f"{line}\r\n".encode() for lines in EXAMPLES.values() for line in lines]


def _handshakes() -> list[bytes]:
    """Messages of the server's first flight in TLS 1.2: hello, certificate, key exchange."""
    flights = Talk(ssl.TLSVersion.TLSv1_2).shake().flights
    reader, messages = RecordReader(), HandshakeReader()
    reader.feed(flights[1][1])
    return [message for record in iter(reader.next_record, None) for message in messages.feed(record.body)]


TARGETS = {
    "client_hello": Target(client_hello, lambda: [record[5:] for record in recorded().values()]),
    "server_hello": Target(server_hello, _handshakes),
    "certificate": Target(certificate, _handshakes),
    "records": Target(records, lambda: [data for _, data in Talk(ssl.TLSVersion.TLSv1_3).shake().flights]),
    "replies": Target(replies, _replies),
    "dns": Target(dns, lambda: [DNS_ANSWER]),
    "frame": Target(frame, lambda: [b"\1" + body for each in _conversations() for body in _bodies(each)[:6]]),
    "packets": Target(packets, _frames),
    "capture": Target(capture, _conversations),
}  # fmt: skip
