"""The inspector's metrics, counted where connections are seen: in its worker, so that no count is lost on the way.

The service shows what it tells of them (`wire_mirror`). A connection is counted when its outcome is known (`decided`),
its sign-in when that was read (`signed_in`), the rest when it is over (`finished`), as the tracker calls them.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from exporter.metrics.catalogue import REACH_BUCKETS, SIGN_IN_BUCKETS
from exporter.metrics.labels import FewValues
from exporter.metrics.samples import Labels, Sample, histogram_samples
from exporter.metrics.tally import Histogram
from exporter.metrics.wire_clients import Clients, state_after
from exporter.observations import Connection
from exporter.vocabulary import ClientState

#: Targets by interfaces that have series of their own; what comes later is `other`.
MAX_PLACES = 40
#: States of clients are looked at again after so many seconds.
AGE = 5.0
OTHER = "other"

_SIGN_IN = frozenset({"sign_in_work", "sign_in_personal"})
_TCP, _TLS, _REPLY, _TOKEN = (
    f"outlook_wire_{name}_seconds" for name in ("tcp_handshake", "tls_handshake", "first_reply", "token_response")
)
_AUTH = "outlook_wire_auth_seconds"
_BUCKETS = {
    _TCP: REACH_BUCKETS,
    _TLS: REACH_BUCKETS,
    _REPLY: SIGN_IN_BUCKETS,
    _TOKEN: SIGN_IN_BUCKETS,
    _AUTH: SIGN_IN_BUCKETS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceCounts:
    """What the inspector tells of an interface: totals since its start; what its table holds now, and may hold.

    `held`: bytes of segments that wait for others. `let_go`: connections that went on without theirs for want of room.
    """

    packets: int = 0
    dropped: int = 0
    evicted: int = 0
    let_go: int = 0
    tracked: int = 0
    max_tracked: int = 0
    held: int = 0
    max_held: int = 0
    open: Mapping[str, int] | None = None  # connections by target


class WireState:
    """Of one worker, in its one thread; a SampleSource. `now`: Unix seconds."""

    def __init__(self, window: float = 900.0, now: Callable[[], float] = time.time, mail: Collection[str] = ()) -> None:
        """`window`: of clients' states, seconds. `mail`: targets whose sign-ins can be read."""
        self._now = now
        self._counts: Counter[tuple[str, Labels]] = Counter()
        self._histograms: dict[tuple[str, Labels], Histogram] = {}
        self._interfaces: dict[str, InterfaceCounts] = {}
        self._clients = Clients(window, mail)
        self._places: set[tuple[str, str]] = set()
        self._few = FewValues()
        self._version: tuple[object, int] = (object(), 0)

    # ---- what trackers tell

    def decided(self, connection: Connection) -> None:
        """Its outcome is known."""
        place = self._place(connection)
        self._counts["outlook_wire_connections_total", (*place, ("outcome", connection.outcome))] += 1
        self._observe(_TCP, place, connection.tcp_handshake_seconds)
        self._observe(_TLS, place, connection.tls_handshake_seconds)
        if connection.client_family is not None:
            labels = (place[0], ("family", connection.client_family))
            self._counts["outlook_wire_client_family_total", labels] += 1
        self._changed()

    def signed_in(self, connection: Connection, client: str | None = None) -> None:
        """Its attempts to sign in are known; an acceptance makes its client healthy long before it ends."""
        place = self._place(connection)
        for auth in connection.attempts or ((connection.auth,) if connection.auth is not None else ()):
            labels = (*place, ("mechanism", auth.mechanism))
            self._counts["outlook_wire_auth_attempts_total", (*labels, ("outcome", auth.outcome))] += 1
            self._observe(_AUTH, labels, auth.seconds)
        if client is not None and state_after(connection) is ClientState.HEALTHY:
            self._clients.seen(place[0][1], client, connection, self._now())
        self._changed()

    def finished(self, connection: Connection, client: str | None) -> None:
        """It is over. `client`: the inspector's key for its client, None where clients aren't told apart."""
        place = self._place(connection)
        self._observe(_REPLY, place, connection.first_reply_seconds)
        if connection.target in _SIGN_IN:
            self._observe(_TOKEN, place, connection.reply_seconds)
        if connection.retransmissions:
            self._counts["outlook_wire_retransmissions_total", place] += connection.retransmissions
        self._alert(connection, place)
        for each in connection.tampering:
            self._counts["outlook_wire_tampering_total", (place[0], ("kind", each.kind))] += 1
        if connection.target is not None and client is not None:
            self._clients.seen(place[0][1], client, connection, self._now())
        self._changed()

    def counters(self, interface: str, counts: InterfaceCounts) -> None:
        """The interface's totals as of now."""
        self._interfaces[interface] = counts
        self._changed()

    # ---- what pages and scrapes read

    def clients(self) -> Mapping[tuple[str, ClientState], int]:
        """Distinct clients by target and state."""
        return self._clients.counts(self._now())

    def version(self) -> object:
        """See SampleSource: another object when something changed, or states may have aged."""
        age = int(self._now() / AGE)
        if self._version[1] != age:
            self._version = (object(), age)
        return self._version[0]

    def samples(self) -> Iterator[Sample]:
        """See SampleSource."""
        for (metric, labels), count in self._counts.items():
            yield Sample(metric, labels, count)
        for (metric, labels), histogram in self._histograms.items():
            yield from histogram_samples(metric, labels, histogram)
        for interface, counts in self._interfaces.items():
            own = (("interface", interface),)
            yield Sample("outlook_wire_packets_total", own, counts.packets)
            yield Sample("outlook_wire_packets_dropped_total", own, counts.dropped)
            yield Sample("outlook_wire_connections_evicted_total", own, counts.evicted)
            yield Sample("outlook_wire_connections_tracked", own, counts.tracked)
            yield Sample("outlook_wire_connections_limit", own, counts.max_tracked)
            yield Sample("outlook_wire_reassembly_bytes", own, counts.held)
            yield Sample("outlook_wire_reassembly_limit_bytes", own, counts.max_held)
            yield Sample("outlook_wire_reassembly_let_go_total", own, counts.let_go)
            for target, count in (counts.open or {}).items():
                yield Sample("outlook_wire_connections_open", (("target", target), *own), count)
        states = self._clients.counts(self._now())
        for target in self._clients.targets():
            for state in ClientState:
                yield Sample("outlook_wire_clients", (("target", target), ("state", state)), states[target, state])

    # ---- ours

    def _changed(self) -> None:
        self._version = (object(), int(self._now() / AGE))

    def _place(self, connection: Connection) -> tuple[tuple[str, str], tuple[str, str]]:
        """Its labels `target` and `interface`, out of a bounded set."""
        place = (connection.target or OTHER, connection.interface or "unknown")
        if place not in self._places:
            if len(self._places) >= MAX_PLACES:
                place = (OTHER, OTHER)
            self._places.add(place)
        return ("target", place[0]), ("interface", place[1])

    def _observe(self, metric: str, labels: Labels, seconds: float | None) -> None:
        if seconds is None:
            return
        known = self._histograms.get((metric, labels)) or Histogram.empty(_BUCKETS[metric])
        self._histograms[metric, labels] = known.observed(seconds)

    def _alert(self, connection: Connection, place: Labels) -> None:
        alert = connection.alert
        if alert is None:
            return
        name = "encrypted" if alert.encrypted else self._few.value("alert", alert.name, connection.end.date())
        self._counts["outlook_wire_alerts_total", (*place, ("alert", name), ("from", alert.sender))] += 1
