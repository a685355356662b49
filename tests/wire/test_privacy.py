"""What of a client's address leaves the inspector."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from exporter.observations import Connection
from exporter.vocabulary import ConnectionOutcome
from exporter.wire.privacy import Privacy

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
SEEN = Connection(
    start=NOON, end=NOON, client="10.9.8.7", client_port=50_000, server="203.0.113.1", server_port=993, ip_version=4,
    outcome=ConnectionOutcome.ESTABLISHED,
)  # fmt: skip


def keys():
    numbers = iter(range(100))
    return lambda size: bytes([next(numbers)]) * size


def test_off_is_nothing():
    assert Privacy("off").apply(SEEN) == replace(SEEN, client=None, client_port=None)


def test_plain_is_all():
    assert Privacy("plain").apply(SEEN) is SEEN


def test_hashed_is_the_same_all_day_and_another_the_next():
    privacy = Privacy("hashed", keys())
    first = privacy.apply(SEEN)
    assert first.client is not None
    assert len(first.client) == 16
    assert first.client_port is None
    assert privacy.apply(replace(SEEN, end=NOON + timedelta(hours=11))).client == first.client
    tomorrow = privacy.apply(replace(SEEN, end=NOON + timedelta(hours=12)))
    assert tomorrow.client != first.client
    late = privacy.apply(SEEN)  # one that ended yesterday and is told today
    assert late.client == tomorrow.client


def test_hashed_tells_clients_apart_and_no_key_is_another_process():
    privacy = Privacy("hashed")
    assert privacy.apply(SEEN).client != privacy.apply(replace(SEEN, client="10.9.8.6")).client
    assert privacy.apply(SEEN).client != Privacy("hashed").apply(SEEN).client


def test_where_the_client_is_not_known():
    unknown = replace(SEEN, client=None)
    assert Privacy("hashed").apply(unknown) is unknown
