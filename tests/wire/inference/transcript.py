"""Conversations written as text and turned into the trace of their records, so that tests read as transcripts.

`C:` begins a client's record, `S:` a server's; a line that begins with neither goes on with the record before. `.`
alone stands for an empty line, `<1500>` for so many bytes, `(2.5 s)` for time that passes.
"""

import re
from collections.abc import Sequence

from exporter.vocabulary import Protocol
from exporter.wire.trace import Record, Trace, TraceEnd

_FILLER = re.compile(r"<(\d+)>")
_OVERHEAD = {
    ("TLSv1.3", "TLS_AES_256_GCM_SHA384"): 17,
    ("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"): 24,
    ("TLSv1.2", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"): 16,
}
#: CBC sends an initialization vector, the MAC of so many bytes, and is as long as the next 16 allow.
CBC = ("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384")
CBC_SHA1 = ("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA")
_MAC = {CBC: 48, CBC_SHA1: 20}
_BLOCK = 16
ROUND_TRIP = 0.05


def trace(
    protocol: Protocol,
    text: str,
    *,
    end: TraceEnd = TraceEnd.CLIENT_CLOSED,
    microsoft: bool = False,
    starttls: bool = False,
    tls: tuple[str, str] = ("TLSv1.3", "TLS_AES_256_GCM_SHA384"),
    banner_length: int | None = None,
) -> Trace:
    """The trace of a conversation whose records hold exactly these lines; a pause at its end is `quiet`."""
    records: list[Record] = []
    now = 0.0
    for line in (line.strip() for line in text.strip().splitlines()):
        if pause := re.fullmatch(r"\(([\d.]+) s\)", line):
            now += float(pause[1])
            continue
        side, said = (line[0], line[2:].strip()) if line[:2] in ("C:", "S:") else ("", line)
        length = _length(said)
        if side:
            now += ROUND_TRIP / 2
            records.append(Record(now, side == "C", 23, length))
        else:
            records[-1] = records[-1]._replace(length=records[-1].length + length)
    records = [record._replace(length=_encrypted(record.length, tls)) for record in records]
    return Trace(
        protocol=protocol, tls_version=tls[0], cipher=tls[1], records=tuple(records), end=end,
        quiet=now - records[-1].time if records else 0.0, microsoft=microsoft, starttls=starttls,
        banner_length=banner_length,
    )  # fmt: skip


def _encrypted(length: int, tls: tuple[str, str]) -> int:
    if tls in _MAC:
        return _BLOCK + (length + _MAC[tls] + _BLOCK) // _BLOCK * _BLOCK
    return length + _OVERHEAD[tls]


def _length(said: str) -> int:
    """Bytes of a line with its CRLF."""
    filled = sum(int(count) for count in _FILLER.findall(said))
    return filled + len(_FILLER.sub("", "" if said == "." else said)) + 2


def sizes(trace: Trace) -> Sequence[int]:
    return [record.length for record in trace.records]
