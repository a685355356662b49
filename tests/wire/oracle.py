"""What Wireshark says of a capture, connection by connection, from its fields."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import require_program

FIELDS = [
    "frame.time_epoch", "tcp.stream", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport",
    "tcp.flags", "tcp.len", "tls.handshake.type", "tls.handshake.extensions_server_name", "tls.handshake.ciphersuite",
    "tls.handshake.version", "tls.handshake.extensions.supported_version", "tls.alert_message.level",
    "tls.alert_message.desc", "tls.record.content_type", "tls.record.opaque_type", "tcp.analysis.retransmission",
    "tcp.analysis.fast_retransmission", "tcp.analysis.spurious_retransmission", "tcp.analysis.out_of_order",
    "tls.record.length",
]  # fmt: skip
_CLIENT_HELLO, _SERVER_HELLO = "1", "2"
_CHANGE_CIPHER_SPEC, _HANDSHAKE, _APPLICATION_DATA = "20", "22", "23"
#: The shortest record of TLS 1.3 with a Finished in it.
_FINISHED_LENGTH = 53
_RETRANSMISSIONS = FIELDS[19:22]
VERSIONS = {0x0300: "SSLv3", 0x0301: "TLSv1", 0x0302: "TLSv1.1", 0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}


@dataclass
class Seen:
    """One connection, as Wireshark dissects it. Times are seconds."""

    client: tuple[str, int] = ("", 0)
    server: tuple[str, int] = ("", 0)
    syn: float | None = None
    syn_ack: float | None = None
    name: str | None = None
    cipher: int | None = None
    version: str | None = None
    first_payload: float | None = None
    finished: float | None = None
    alerts: list[tuple[str, int, int]] = field(default_factory=list)
    retransmissions: int = 0
    out_of_order: int = 0
    changed_cipher: bool = False  # by the client

    @property
    def key(self) -> tuple[str, int, str, int]:
        return (*self.client, *self.server)


def dissect(file: Path, tls_ports: Sequence[int]) -> list[Seen]:
    """Every TCP connection of the capture; at these ports TLS is spoken."""
    command = [
        require_program("tshark"),
        "-r",
        str(file),
        "-Y",
        "tcp",
        "-T",
        "fields",
        "-E",
        "separator=|",
        "-E",
        "occurrence=a",
    ]
    for name in FIELDS:
        command += ["-e", name]
    for port in tls_ports:  # else a client's port that some protocol has registered decides
        command += ["-d", f"tcp.port=={port},tls"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    found: dict[str, Seen] = {}
    for line in done.stdout.splitlines():
        row = dict(zip(FIELDS, line.split("|"), strict=False))
        if _is_one_connection(row):
            _take(found.setdefault(row["tcp.stream"], Seen()), row)
    return list(found.values())


def _is_one_connection(row: dict[str, str]) -> bool:
    """Not a tunnel's, and no fragment."""
    address = row["ip.src"] or row["ipv6.src"]
    return len(row) == len(FIELDS) and "," not in row["tcp.stream"] + address and bool(row["tcp.flags"])


def _take(seen: Seen, row: dict[str, str]) -> None:
    time, flags = float(row["frame.time_epoch"]), int(row["tcp.flags"], 16)
    source = row["ip.src"] or row["ipv6.src"], int(row["tcp.srcport"])
    destination = row["ip.dst"] or row["ipv6.dst"], int(row["tcp.dstport"])
    types = row["tls.handshake.type"].split(",")
    if not seen.client[0]:
        from_client = not flags & 0x10 if flags & 2 else _CLIENT_HELLO in types or source[1] > destination[1]
        seen.client, seen.server = (source, destination) if from_client else (destination, source)
    from_client = source == seen.client
    if flags & 2 and from_client and seen.syn is None:
        seen.syn = time
    elif flags & 2 and not from_client and seen.syn_ack is None:
        seen.syn_ack = time
    if from_client and int(row["tcp.len"] or "0") and seen.first_payload is None:
        seen.first_payload = time
    seen.retransmissions += any(row[name] for name in _RETRANSMISSIONS)
    seen.out_of_order += bool(row["tcp.analysis.out_of_order"])
    _take_tls(seen, row, types, time, from_client)


def _take_tls(seen: Seen, row: dict[str, str], types: list[str], time: float, from_client: bool) -> None:
    if _CLIENT_HELLO in types and seen.name is None:
        seen.name = row["tls.handshake.extensions_server_name"] or None
    if _SERVER_HELLO in types and _CLIENT_HELLO not in types:
        seen.cipher = int(row["tls.handshake.ciphersuite"].split(",")[0] or "0", 0)
        version = row["tls.handshake.extensions.supported_version"] or row["tls.handshake.version"]
        number = int(version.split(",")[0], 16)
        seen.version = VERSIONS.get(number, f"0x{number:04x}")
    if from_client and seen.finished is None and _completes(seen, row):
        seen.finished = time
    for level, desc in zip(
        row["tls.alert_message.level"].split(","), row["tls.alert_message.desc"].split(","), strict=False
    ):
        if level and desc:
            seen.alerts.append(("client" if from_client else "server", int(level), int(desc)))


def _completes(seen: Seen, row: dict[str, str]) -> bool:
    """Whether the client's Finished is in this frame."""
    if seen.version == "TLSv1.3":
        long = any(int(length) >= _FINISHED_LENGTH for length in row["tls.record.length"].split(",") if length)
        return _APPLICATION_DATA in row["tls.record.opaque_type"].split(",") and long
    kinds = row["tls.record.content_type"].split(",")
    if _CHANGE_CIPHER_SPEC in kinds:
        seen.changed_cipher = True
        kinds = kinds[kinds.index(_CHANGE_CIPHER_SPEC) :]
    return seen.version is not None and seen.changed_cipher and _HANDSHAKE in kinds
