"""What the service shows of the inspector: sums over workers and restarts, gauges of now, bounds."""

from dataclasses import replace

from exporter.metrics.samples import Sample
from exporter.metrics.wire_mirror import MAX_SERIES, RECENT, WireMirror
from exporter.wire.interface_state import InterfaceState
from exporter.wire.messages import Kind, Message
from tests.wire.test_privacy import SEEN

PLACE = (("target", "imap"), ("interface", "eth1"))
ESTABLISHED = ("outlook_wire_connections_total", (*PLACE, ("outcome", "established")))
OPEN = ("outlook_wire_connections_open", PLACE)
INSIDE = InterfaceState(name="eth1", side="inside", open=True)


def hello(run: str, worker: int = 0) -> Message:
    return Message(worker, Kind.HELLO, (run, "in force"))


def samples(*found: tuple[tuple[str, tuple[tuple[str, str], ...]], float], worker: int = 0) -> Message:
    return Message(worker, Kind.SAMPLES, [Sample(metric, labels, value) for (metric, labels), value in found])


def shown(mirror: WireMirror) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {(sample.metric, sample.labels): sample.value for sample in mirror.samples()}


UP = ("outlook_exporter_inspector_up", ())


def test_what_was_told_last_counts():
    mirror = WireMirror()
    assert shown(mirror) == {UP: 0}
    for message in (hello("a"), samples((ESTABLISHED, 3), (OPEN, 2)), samples((ESTABLISHED, 4))):
        mirror.take(message)
    assert shown(mirror) == {UP: 1, ESTABLISHED: 4, OPEN: 2}


def test_workers_are_summed():
    mirror = WireMirror()
    for worker in (0, 1):
        mirror.take(hello("a", worker))
        mirror.take(samples((ESTABLISHED, 3), (OPEN, 1), worker=worker))
    assert shown(mirror) == {UP: 1, ESTABLISHED: 6, OPEN: 2}


def test_counters_go_on_where_a_worker_begins_anew():
    mirror = WireMirror()
    mirror.take(hello("a"))
    mirror.take(samples((ESTABLISHED, 3), (OPEN, 2)))
    mirror.take(Message(0, Kind.DOWN, "it has ended"))
    assert shown(mirror) == {UP: 0, ESTABLISHED: 3}
    mirror.take(hello("b"))
    mirror.take(samples((ESTABLISHED, 1)))
    assert shown(mirror) == {UP: 1, ESTABLISHED: 4}
    mirror.take(hello("b"))  # said again after an order
    assert shown(mirror) == {UP: 1, ESTABLISHED: 4}


def test_the_side_that_is_covered_is_the_inside():
    mirror = WireMirror()
    assert not mirror.covers_inside()
    mirror.take(hello("a"))
    mirror.take(Message(0, Kind.INTERFACES, (replace(INSIDE, open=False, problem="eth1: no such interface"),)))
    assert not mirror.covers_inside()
    mirror.take(Message(0, Kind.INTERFACES, (INSIDE, InterfaceState(name="eth0", side="outside", open=True))))
    assert mirror.covers_inside()
    mirror.unreachable()
    assert not mirror.covers_inside()
    assert not mirror.up


def test_the_outside_alone_is_not():
    mirror = WireMirror()
    mirror.take(Message(0, Kind.INTERFACES, (InterfaceState(name="eth0", side="outside", open=True),)))
    assert not mirror.covers_inside()


def test_an_interface_is_open_where_one_worker_has_it_open():
    mirror = WireMirror()
    mirror.take(Message(0, Kind.INTERFACES, (INSIDE,)))
    mirror.take(Message(1, Kind.INTERFACES, (replace(INSIDE, open=False),)))
    assert mirror.interfaces() == (INSIDE,)


def test_series_are_bounded_whatever_a_worker_says():
    mirror = WireMirror()
    for number in range(MAX_SERIES + 500):
        mirror.take(samples((("outlook_wire_packets_total", (("interface", f"x{number}"),)), 1.0)))
    assert len(shown(mirror)) == MAX_SERIES + 1


def test_connections_are_few_and_the_newest_first():
    mirror = WireMirror()
    for number in range(RECENT + 10):
        mirror.take(Message(0, Kind.CONNECTION, replace(SEEN, server_port=number)))
    found = mirror.connections()
    assert len(found) == RECENT
    assert found[0].server_port == RECENT + 9
    assert found[0].client == SEEN.client


def test_addresses_are_left_out_where_the_service_wants_it_though_the_inspector_tells_them():
    mirror = WireMirror()
    mirror.show_clients = False
    mirror.take(Message(0, Kind.CONNECTION, SEEN))
    assert mirror.connections() == (replace(SEEN, client=None, client_port=None),)


def test_a_connection_makes_no_scrape_render_anew():
    mirror = WireMirror()
    before = mirror.version()
    mirror.take(Message(0, Kind.CONNECTION, SEEN))
    assert mirror.version() is before
    mirror.take(samples((ESTABLISHED, 1)))
    assert mirror.version() is not before


def test_sums_for_the_page():
    """Over interfaces and workers."""
    mirror = WireMirror()
    attempts = "outlook_wire_auth_attempts_total"
    for worker, interface in ((0, "eth1"), (1, "eth0")):
        place = (("target", "imap"), ("interface", interface))
        refused = (attempts, (*place, ("mechanism", "password"), ("outcome", "refused")))
        healthy = ("outlook_wire_clients", (("target", "imap"), ("state", "healthy")))
        loop = ("outlook_wire_clients", (("target", "imap"), ("state", "retry_loop")))
        mirror.take(samples((refused, 2), (healthy, 1), (loop, 0), worker=worker))
    (found,) = mirror.clients()
    assert found.target == "imap"
    assert found.states == {("healthy",): 2}
    assert found.attempts == {("password", "refused"): 4}


def test_without_an_inspector_to_be_expected_nothing_is_said_of_one():
    mirror = WireMirror()
    mirror.expected = False
    assert shown(mirror) == {}
