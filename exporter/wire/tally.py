"""The inspector's counters and histograms, kept where connections are seen, so that none is lost on the way.

Values are absolute: a reader that missed some messages has the right ones with the next. Label sets are bounded, as the
contract wants: what would be one series too many is counted under the target `other`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from exporter.metrics.catalogue import METRICS, REACH_BUCKETS, SIGN_IN_BUCKETS
from exporter.metrics.tally import Histogram
from exporter.observations import Connection, WireAlert, WireAuth

#: Series of all workers together.
MAX_SERIES = 3_000
OTHER = "other"
_UNKNOWN, _ENCRYPTED = "unknown", "encrypted"
#: Series kept back for what is counted under OTHER, and of an interface.
_RESERVE = 300

BUCKETS = {
    "outlook_wire_tcp_handshake_seconds": REACH_BUCKETS,
    "outlook_wire_tls_handshake_seconds": REACH_BUCKETS,
    "outlook_wire_first_reply_seconds": REACH_BUCKETS,
    "outlook_wire_token_response_seconds": SIGN_IN_BUCKETS,
    "outlook_wire_auth_seconds": SIGN_IN_BUCKETS,
}

Key = tuple[str, tuple[str, ...]]
Value = float | Histogram


@dataclass(slots=True)
class Tally:
    """`values`: by metric and label values, in the order of the catalogue. `changed`: since they were last taken."""

    limit: int = MAX_SERIES
    values: dict[Key, Value] = field(default_factory=dict)
    changed: set[Key] = field(default_factory=set)
    series: int = 0

    def count(self, metric: str, *labels: str, by: float = 1.0) -> None:
        """Adds to a counter."""
        self._replace((metric, labels), lambda value: value + by, 0.0)

    def observe(self, metric: str, seconds: float | None, *labels: str) -> None:
        """Adds to a histogram; None is nothing."""
        if seconds is not None:
            key = (metric, labels)
            self._replace_histogram(key, seconds)

    def put(self, metric: str, value: float, *labels: str) -> None:
        """Sets a gauge, or a counter that is kept elsewhere."""
        self._replace((metric, labels), lambda _: value, None)

    def put_all(self, metric: str, found: Mapping[tuple[str, ...], float], interface: str | None = None) -> None:
        """Sets a gauge for these label values, and to 0 for others that were seen once (of that interface)."""
        for name, labels in list(self.values):
            if name == metric and labels not in found and interface in (None, labels[-1]):
                self.put(metric, 0.0, *labels)
        for labels, value in found.items():
            self.put(metric, value, *labels)

    def take_changes(self) -> list[tuple[Key, Value]]:
        """What changed since the last call."""
        changes = [(key, self.values[key]) for key in self.changed]
        self.changed.clear()
        return changes

    def touch_all(self) -> None:
        """Everything counts as changed: for a reader that knows nothing yet."""
        self.changed = set(self.values)

    def _replace(self, key: Key, new: Callable[[float], float], begin: float | None) -> None:
        place = self._place(key)
        if place is None:
            return
        before = self.values.get(place, begin)
        value = new(before if isinstance(before, float) else 0.0)
        if value != before:
            self.values[place] = value
            self.changed.add(place)

    def _replace_histogram(self, key: Key, seconds: float) -> None:
        place = self._place(key)
        if place is None:
            return
        before = self.values.get(place)
        histogram = before if isinstance(before, Histogram) else Histogram.empty(BUCKETS[key[0]])
        self.values[place] = histogram.observed(seconds)
        self.changed.add(place)

    def _place(self, key: Key) -> Key | None:
        """Where it is counted, room permitting; None: nowhere."""
        if key in self.values:
            return key
        metric, labels = key
        of_target = METRICS[metric].labels[0] == "target" and labels[0] != OTHER
        cost = series_of(metric)
        if self.series + cost <= self.limit - (_RESERVE if of_target else 0):
            self.series += cost
            return key
        return self._place((metric, (OTHER, *labels[1:]))) if of_target else None


def series_of(metric: str) -> int:
    """Lines that one label set of it makes."""
    return len(BUCKETS[metric]) + 3 if metric in BUCKETS else 1


# ---- what a connection adds ------------------------------------------------------------------------------------------


def count_decided(tally: Tally, connection: Connection) -> None:
    """Its outcome is known."""
    target, interface = connection.target or OTHER, connection.interface or OTHER
    tally.count("outlook_wire_connections_total", target, interface, connection.outcome)
    tally.observe("outlook_wire_tcp_handshake_seconds", connection.tcp_handshake_seconds, target, interface)
    tally.observe("outlook_wire_tls_handshake_seconds", connection.tls_handshake_seconds, target, interface)
    if connection.client_family is not None:
        tally.count("outlook_wire_client_family_total", target, connection.client_family)


def count_signed_in(tally: Tally, connection: Connection) -> tuple[WireAuth, ...]:
    """Its sign-ins were read; they are given back."""
    target, interface = connection.target or OTHER, connection.interface or OTHER
    attempts = attempts_of(connection)
    for attempt in attempts:
        labels = (target, interface, attempt.mechanism)
        tally.count("outlook_wire_auth_attempts_total", *labels, attempt.outcome)
        tally.observe("outlook_wire_auth_seconds", attempt.seconds, *labels)
    return attempts


def count_finished(tally: Tally, connection: Connection) -> None:
    """It is over."""
    target, interface = connection.target or OTHER, connection.interface or OTHER
    tally.observe("outlook_wire_first_reply_seconds", connection.first_reply_seconds, target, interface)
    tally.observe("outlook_wire_token_response_seconds", connection.token_response_seconds, target, interface)
    if connection.alert is not None:
        tally.count(
            "outlook_wire_alerts_total", target, interface, alert_label(connection.alert), connection.alert.sender
        )
    tally.count("outlook_wire_retransmissions_total", target, interface, by=connection.retransmissions)


def attempts_of(connection: Connection) -> tuple[WireAuth, ...]:
    """All of them, also where there was but one."""
    return connection.attempts or ((connection.auth,) if connection.auth is not None else ())


def alert_label(alert: WireAlert) -> str:
    """Its name; where it can't be read, why."""
    return alert.name or (_ENCRYPTED if alert.encrypted else _UNKNOWN)
