"""Recorded sessions as compact lines of JSON: lengths, directions, times and truth; no address, no name, no secret."""

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from exporter.vocabulary import AuthOutcome, Mechanism, Protocol
from exporter.wire.trace import Record, Trace, TraceEnd
from tests.clients.session import Session
from tests.clients.truth import Attempt

DIRECTORY = Path(__file__).parents[1] / "wire" / "inference" / "corpus"
_SUFFIX = ".jsonl.gz"
_APPLICATION_DATA = 23
#: Records of a session that are written down: what comes later is mail.
_KEPT = 64


def dump(session: Session) -> str:
    trace = session.trace
    return json.dumps(
        {
            "client": session.client,
            "server": session.server,
            "tls": session.tls,
            "flavour": session.flavour,
            "protocol": trace.protocol,
            "version": trace.tls_version,
            "cipher": trace.cipher,
            "finished": trace.finished_length,
            "end": trace.end if len(trace.records) <= _KEPT else TraceEnd.FULL,
            **({"microsoft": True} if trace.microsoft else {}),
            **({"starttls": True} if trace.starttls else {}),
            **({"banner": trace.banner_length, "ehlo": trace.ehlo_reply_length} if trace.banner_length else {}),
            **({} if session.decidable else {"decidable": False}),
            "truth": session.truth,
            "records": [_packed(record) for record in trace.records[:_KEPT]],
        },
        separators=(",", ":"),
    )


def _packed(record: Record) -> list[int]:
    """Milliseconds, length (negative from the server), and the type where it isn't application data."""
    length = record.length if record.from_client else -record.length
    packed = [round(record.time * 1000), length]
    return packed if record.content_type == _APPLICATION_DATA else [*packed, record.content_type]


def load(line: str) -> Session:
    """Raises ValueError or KeyError for what `dump` didn't write."""
    read = json.loads(line)
    trace = Trace(
        protocol=Protocol(read["protocol"]),
        tls_version=read["version"],
        cipher=read["cipher"],
        records=tuple(_unpacked(*packed) for packed in read["records"]),
        end=TraceEnd(read["end"]),
        finished_length=read["finished"],
        microsoft=read.get("microsoft", False),
        starttls=read.get("starttls", False),
        banner_length=read.get("banner"),
        ehlo_reply_length=read.get("ehlo"),
    )
    truth = tuple(Attempt(Mechanism(mechanism), AuthOutcome(outcome)) for mechanism, outcome in read["truth"])
    names = (read["client"], read["server"], read["tls"], read["flavour"])
    return Session(*names, trace, truth, read.get("decidable", True))


def _unpacked(milliseconds: int, length: int, content_type: int = _APPLICATION_DATA) -> Record:
    return Record(milliseconds / 1000, length > 0, content_type, abs(length))


def write(server: str, sessions: Iterable[Session]) -> None:
    """One file for a server, sorted and without repetitions, so that a new recording differs where it must."""
    lines = "".join(f"{line}\n" for line in sorted({dump(each) for each in sessions}))
    (DIRECTORY / f"{server}{_SUFFIX}").write_bytes(gzip.compress(lines.encode(), mtime=0))


def lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def files() -> list[Path]:
    return sorted(DIRECTORY.glob(f"*{_SUFFIX}"))


def read_all() -> Iterator[Session]:
    """The whole corpus."""
    for path in files():
        for line in lines(path):
            yield load(line)
