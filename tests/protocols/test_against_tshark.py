"""What tshark reads in real handshakes, field by field: all recorded clients' hellos, and OpenSSL's of every kind."""

import shutil
import struct
import subprocess
from typing import Any

import pytest

from benchmarks.traffic.authorities import make_authority
from benchmarks.traffic.handshakes import Handshake, record_handshakes
from benchmarks.traffic.packets import ACK, PSH, Ends, Framer
from exporter.protocols.certificates import leaf_issuer
from exporter.protocols.client_hello import ClientHello, read_client_hello
from exporter.protocols.server_hello import ServerHello, key_exchange_group, read_server_hello
from exporter.protocols.tls_names import ALERTS, cipher_name, group_name
from exporter.protocols.tls_records import ContentType, HandshakeType
from tests.protocols.hello_clients import NAME, recorded
from tests.protocols.record_reader import HandshakeReader, RecordReader

FIELDS = (
    "tcp.srcport", "tls.handshake.type", "tls.handshake.version", "tls.handshake.ciphersuite",
    "tls.handshake.extension.type", "tls.handshake.extensions_supported_group", "tls.handshake.sig_hash_alg",
    "tls.handshake.extensions_alpn_str", "tls.handshake.extensions.supported_version",
    "tls.handshake.extensions_key_share_group", "tls.handshake.extensions_server_name", "tls.handshake.session_id",
    "tls.handshake.random", "tls.handshake.server_named_curve", "tls.alert_message.desc", "x509sat.printableString",
    "x509sat.uTF8String", "tls.handshake.extensions_key_share_selected_group",
)  # fmt: skip

Frame = dict[str, list[str]]


@pytest.fixture(scope="module")
def handshakes(tmp_path_factory: pytest.TempPathFactory) -> list[Handshake]:
    directory = tmp_path_factory.mktemp("authorities")
    rsa = make_authority(directory, "Example Cloud CA 1", "Example Trust", [NAME], rsa_key=True)
    elliptic = make_authority(directory, "Example EC CA 2", "Example Trust, Inc.", [NAME], rsa_key=False)
    return record_handshakes(NAME, rsa, elliptic)


@pytest.fixture(scope="module")
def dissected(handshakes: list[Handshake], tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Frame]]:
    """By the client's port, tshark's frames of the recorded hellos and of the handshakes, in one run."""
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    flights = [((True, hello),) for hello in recorded().values()] + [each.flights for each in handshakes]
    capture = tmp_path_factory.mktemp("tshark") / "handshakes.pcap"
    with capture.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))
        for number, talk in enumerate(flights):
            for frame in _frames(number, talk):
                file.write(struct.pack("<IIII", 1_760_000_000 + number, 0, len(frame), len(frame)) + frame)
    shown = [word for name in FIELDS for word in ("-e", name)]
    command = [
        "tshark",
        "-r",
        str(capture),
        "-Y",
        "tls",
        "-T",
        "fields",
        "-E",
        "separator=|",
        "-E",
        "aggregator=;",
        *shown,
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[int, list[Frame]] = {number: [] for number in range(len(flights))}
    for line in said.splitlines():
        said_of = {name: cell.split(";") if cell else [] for name, cell in zip(FIELDS, line.split("|"), strict=True)}
        port = int(said_of["tcp.srcport"][0])
        found[port - 10_000 if port != 443 else max(n for n in found if found[n])].append(said_of)
    return found


def _frames(number: int, flights: Any) -> list[bytes]:
    ends = Ends(bytes([10, 0, 0, 1]), 10_000 + number, bytes([192, 0, 2, 1]), 443)
    framers = {True: Framer(ends, from_client=True), False: Framer(ends, from_client=False)}
    sequence = {True: 1, False: 1}
    frames = []
    for from_client, data in flights:
        frames.append(framers[from_client].frame(ACK | PSH, sequence[from_client], sequence[not from_client], data))
        sequence[from_client] += len(data)
    return frames


def numbers(frame: Frame, field: str) -> tuple[int, ...]:
    return tuple(int(value, 0) for value in frame[field])


def check_client_hello(hello: ClientHello, frame: Frame) -> None:
    offer = hello.offer
    assert numbers(frame, "tls.handshake.version") == (offer.legacy_version,)
    assert numbers(frame, "tls.handshake.ciphersuite") == offer.ciphers
    assert numbers(frame, "tls.handshake.extension.type") == offer.extensions
    assert numbers(frame, "tls.handshake.extensions_supported_group") == offer.groups
    assert numbers(frame, "tls.handshake.extensions.supported_version") == (offer.supported_versions or ())
    assert numbers(frame, "tls.handshake.extensions_key_share_group") == offer.key_shares
    theirs = ";".join(frame["tls.handshake.sig_hash_alg"])  # those of delegated credentials in front, and so on
    assert ";".join(f"0x{algorithm:04x}" for algorithm in offer.signature_algorithms) in theirs
    assert [name.encode() for name in frame["tls.handshake.extensions_alpn_str"]] == list(offer.alpn)
    assert frame["tls.handshake.extensions_server_name"] == [hello.server_name]
    assert "".join(frame["tls.handshake.session_id"]) == hello.session_id.hex()
    assert frame["tls.handshake.random"] == [hello.random.hex()]


def test_recorded_hellos(dissected: dict[int, list[Frame]]):
    for number, data in enumerate(recorded().values()):
        hello = read_client_hello(data[5:])
        assert hello is not None
        (frame,) = dissected[number]
        check_client_hello(hello, frame)


def _messages(flight: bytes) -> tuple[list[bytes], list[int]]:
    """Handshake messages and alerts in clear."""
    records, messages, alerts = RecordReader(), HandshakeReader(), list[int]()
    found = []
    records.feed(flight)
    while (record := records.next_record()) is not None:
        if record.content_type == ContentType.HANDSHAKE:
            found += messages.feed(record.body)
        elif record.content_type == ContentType.ALERT and record.length == 2:
            alerts.append(record.body[1])
    return found, alerts


def check_server_hello(hello: ServerHello, frame: Frame) -> None:
    (version,) = numbers(frame, "tls.handshake.extensions.supported_version") or numbers(frame, "tls.handshake.version")
    assert hello.version == {0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}[version]
    assert [hello.cipher] == [cipher_name(number) for number in numbers(frame, "tls.handshake.ciphersuite")]
    assert hello.extensions == numbers(frame, "tls.handshake.extension.type")
    field = "tls.handshake.extensions_key_share_" + ("selected_group" if hello.hello_retry_request else "group")
    groups = [group_name(number) for number in numbers(frame, field)]
    assert ([hello.group] if hello.group else []) == groups
    assert "".join(frame["tls.handshake.session_id"]) == hello.session_id.hex()


def test_every_kind_of_handshake(handshakes: list[Handshake], dissected: dict[int, list[Frame]]):
    for number, handshake in enumerate(handshakes, start=len(recorded())):
        frames = dissected[number]
        assert len(frames) == len(handshake.flights), handshake.kind
        for (from_client, flight), frame in zip(handshake.flights, frames, strict=True):
            _check_flight(handshake, from_client, flight, frame)


def _check_flight(handshake: Handshake, from_client: bool, flight: bytes, frame: Frame) -> None:
    messages, alerts = _messages(flight)
    assert [ALERTS[number] for number in alerts] == [ALERTS[n] for n in numbers(frame, "tls.alert_message.desc")]
    first = messages[0][0] if messages else None
    if from_client and first == HandshakeType.CLIENT_HELLO:
        client = read_client_hello(messages[0])
        assert client is not None
        assert client.server_name == handshake.name
        check_client_hello(client, frame)
    if first == HandshakeType.SERVER_HELLO:
        server = read_server_hello(messages[0])
        assert server is not None
        check_server_hello(server, frame)
        assert (server.version, server.cipher) == (handshake.version, handshake.cipher)
    for message in messages:
        if message[0] == HandshakeType.CERTIFICATE:
            assert leaf_issuer(message) == handshake.issuer
            said = set(frame["x509sat.uTF8String"]) | set(frame["x509sat.printableString"])
            assert {"Example Trust", "Example Trust, Inc."} & said
        if message[0] == HandshakeType.SERVER_KEY_EXCHANGE:
            groups = [group_name(number) for number in numbers(frame, "tls.handshake.server_named_curve")]
            assert [key_exchange_group(message)] == groups


def test_what_openssl_says_in_clear_of_a_certificate_it_refuses(handshakes: list[Handshake]):
    """Also in TLS 1.3: the best sign of interception that there is."""
    said = {each.kind: _messages(each.flights[-1][1])[1] for each in handshakes if not each.established}
    assert {kind: [ALERTS[number] for number in alerts] for kind, alerts in said.items()} == {
        "untrusting12": ["unknown_ca"],
        "untrusting13": ["unknown_ca"],
        "version-refused": ["protocol_version"],
    }
