"""What inspector and service say to each other: JSON objects over a SOCK_SEQPACKET Unix socket, a message each.

The kernel keeps messages apart and whole, so that neither side needs a length, and whoever relays them a parser.
Whatever comes is checked by the reader: a parser's mistake in the inspector must not reach further than its numbers.

    to the inspector    {"version", "interfaces": [[name, side], …]}: the only order there is
    from a worker       {"version", "worker", "kind", …}
      hello             "run": another one for each start (counters begin anew), "sandbox": what is in force, "filter":
                        what the kernel chooses packets by
      interfaces        "interfaces": [{name, side, open, problem}, …]
      samples           "samples": [[metric, suffix, [[name, value], …], number], …]: absolute, those that changed
      connection        "connection": as the contract prints it, the client's address as far as it may be told
      lost              "count": messages that found no room, since the start
      down              "reason": it has ended; its keeper starts it again
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple

from pydantic import ValidationError

from exporter.metrics.catalogue import METRICS, Part
from exporter.metrics.catalogue import Kind as MetricKind
from exporter.metrics.labels import printable
from exporter.metrics.samples import Sample
from exporter.observations import Connection, from_json
from exporter.vocabulary import ConnectionOutcome
from exporter.wire.connection_json import connection_json
from exporter.wire.interface_state import Interface, InterfaceState

VERSION = 1
#: Bytes of the longest message; samples are split into several.
MAX_MESSAGE = 65_536
SAMPLES_EACH = 200
#: Interfaces of an order, at most; characters of a problem or a reason.
MAX_INTERFACES, MAX_LINE = 64, 300
MAX_WORKERS = 64
_SIDES = ("inside", "outside", None)
#: Between what a worker says of itself, in at most so many bytes, and the connection's line.
_CONNECTION_FIELD, MAX_HEAD = b',"connection":', 96
_OUTCOMES = frozenset(ConnectionOutcome)
#: What a sample's name may end with: of a histogram, of anything else.
_SUFFIXES = {True: ("_bucket", "_count", "_sum"), False: ("",)}


class Kind(StrEnum):
    """Of a message from a worker or its keeper."""

    HELLO = "hello"
    INTERFACES = "interfaces"
    SAMPLES = "samples"
    CONNECTION = "connection"
    LOST = "lost"
    DOWN = "down"


class Message(NamedTuple):
    """A message that was read and found right. `content`: by kind, see `_READERS`."""

    worker: int
    kind: Kind
    content: Any


# ---- written ---------------------------------------------------------------------------------------------------------


def order(interfaces: Iterable[Interface]) -> bytes:
    """To the inspector: read these interfaces."""
    names = [[interface.name, interface.side] for interface in interfaces][:MAX_INTERFACES]
    return _encoded({"version": VERSION, "interfaces": names})


def hello(worker: int, run: str, sandbox: str, packet_filter: str) -> bytes:
    return _from_worker(worker, Kind.HELLO, run=run, sandbox=sandbox, filter=packet_filter)


def interface_states(worker: int, states: Iterable[InterfaceState]) -> bytes:
    listed = [
        {"name": state.name, "side": state.side, "open": state.open, "problem": state.problem}
        for state in list(states)[:MAX_INTERFACES]
    ]
    return _from_worker(worker, Kind.INTERFACES, interfaces=listed)


def samples(worker: int, changed: Sequence[Sample]) -> Iterator[bytes]:
    """As many messages as it takes."""
    for begin in range(0, len(changed), SAMPLES_EACH):
        listed = [[each.metric, each.suffix, each.labels, each.value] for each in changed[begin : begin + SAMPLES_EACH]]
        yield _from_worker(worker, Kind.SAMPLES, samples=listed)


def connection(worker: int, seen: Connection) -> bytes:
    return _connection_head(worker) + connection_json(seen).encode() + b"}"


@cache
def _connection_head(worker: int) -> bytes:
    """Of a message; a worker writes very many."""
    return _from_worker(worker, Kind.CONNECTION)[:-1] + _CONNECTION_FIELD


def lost(worker: int, count: int) -> bytes:
    return _from_worker(worker, Kind.LOST, count=count)


def down(worker: int, reason: str) -> bytes:
    return _from_worker(worker, Kind.DOWN, reason=reason)


def _from_worker(worker: int, kind: Kind, **content: object) -> bytes:
    return _encoded({"version": VERSION, "worker": worker, "kind": kind, **content})


def _encoded(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


# ---- read ------------------------------------------------------------------------------------------------------------


def read_order(data: bytes) -> list[Interface] | None:
    """None for what is none of this version. Never raises."""
    content = _object(data)
    listed = content.get("interfaces") if content is not None else None
    if not isinstance(listed, list) or len(listed) > MAX_INTERFACES:
        return None
    found = []
    for each in listed:
        if not isinstance(each, list) or len(each) != 2:
            return None
        name, side = each
        if not isinstance(name, str) or not 0 < len(name) < 16 or side not in _SIDES:
            return None
        found.append(Interface(name, side))
    return found


def read_message(data: bytes) -> Message | None:
    """None for what is none of this version, or not right. Never raises."""
    content = _object(data)
    if content is None:
        return None
    worker, kind = content.get("worker"), content.get("kind")
    if type(worker) is not int or not 0 <= worker < MAX_WORKERS or kind not in _READERS:
        return None
    try:
        return Message(worker, Kind(kind), _READERS[Kind(kind)](content))
    except (KeyError, TypeError, ValueError, ValidationError, OverflowError):
        return None


class ConnectionLine(NamedTuple):
    """A connection as its line of JSON, for who prints it and counts the outcomes of each target."""

    line: str
    target: str | None
    outcome: str


def read_connection_line(data: bytes) -> ConnectionLine | None:
    """None for another message, and for one that has to be looked at closer: `read_message` does. Never raises."""
    begin = data.find(_CONNECTION_FIELD, 0, MAX_HEAD)
    if begin < 0 or not data.isascii():
        return None
    content = _object(data)
    seen = content.get("connection") if content is not None and content.get("kind") == Kind.CONNECTION else None
    if not isinstance(seen, dict):
        return None
    target, outcome = seen.get("target"), seen.get("outcome")
    if outcome not in _OUTCOMES or not (target is None or isinstance(target, str)):
        return None
    return ConnectionLine(data[begin + len(_CONNECTION_FIELD) : -1].decode(), target, outcome)


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and content.get("version") == VERSION else None


def _list(content: object) -> list[Any]:
    if not isinstance(content, list):
        raise ValueError
    return content


def _read_hello(content: dict[str, Any]) -> tuple[str, str, str]:
    """An inspector of before names no filter."""
    return printable(str(content["run"])), printable(str(content["sandbox"])), printable(str(content.get("filter", "")))


def _read_interfaces(content: dict[str, Any]) -> tuple[InterfaceState, ...]:
    return tuple(map(_read_interface, _list(content["interfaces"])[:MAX_INTERFACES]))


def _read_interface(each: dict[str, Any]) -> InterfaceState:
    side, problem = each["side"], each["problem"]
    if side not in _SIDES or not isinstance(each["name"], str):
        raise ValueError
    told = None if problem is None else _line(problem)
    return InterfaceState(name=printable(each["name"]), side=side, open=each["open"] is True, problem=told)


def _line(text: object) -> str:
    return "".join(char for char in str(text) if char.isprintable())[:MAX_LINE]


def _read_samples(content: dict[str, Any]) -> list[Sample]:
    return [_read_sample(*each) for each in _list(content["samples"])[:SAMPLES_EACH]]


def _read_sample(metric: str, suffix: str, pairs: Sequence[Sequence[str]], number: Any) -> Sample:
    """Only what the contract's catalogue has, with labels that can be shown."""
    known = METRICS[metric]
    names = known.labels + (("le",) if suffix == "_bucket" else ())
    if known.part is not Part.INSPECTOR or suffix not in _SUFFIXES[known.kind is MetricKind.HISTOGRAM]:
        raise ValueError
    labels = tuple((name, value) for name, value in pairs)
    if tuple(name for name, _ in labels) != names or any(value != printable(value) for _, value in labels):
        raise ValueError
    if type(number) not in (int, float) or not 0 <= number < math.inf:
        raise ValueError
    return Sample(metric, labels, float(number), suffix)


def _read_connection(content: dict[str, Any]) -> Connection:
    seen = from_json(Connection, json.dumps(content["connection"]))
    assert isinstance(seen, Connection)
    return seen


def _read_count(content: dict[str, Any]) -> int:
    return min(max(int(content["count"]), 0), 1 << 53)


_READERS: dict[Kind, Callable[[dict[str, Any]], Any]] = {
    Kind.HELLO: _read_hello,
    Kind.INTERFACES: _read_interfaces,
    Kind.SAMPLES: _read_samples,
    Kind.CONNECTION: _read_connection,
    Kind.LOST: _read_count,
    Kind.DOWN: lambda content: _line(content["reason"]),
}
