"""The inspector's counts: what is counted when, within bounds, and never an address."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from exporter.metrics.catalogue import METRICS
from exporter.metrics.wire import MAX_PLACES, OTHER, InterfaceCounts, WireState
from exporter.metrics.wire_clients import LOOP, LOOP_SECONDS, MAX_CLIENTS, Clients, state_after
from exporter.observations import Connection, TamperingSeen, WireAlert, WireAuth
from exporter.vocabulary import (
    AuthOutcome,
    ClientFamily,
    ClientState,
    ConnectionOutcome,
    Mechanism,
    Tampering,
)

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
ADDRESS = "10.9.8.7"

GOOD = Connection(
    start=NOON, end=NOON, client=ADDRESS, client_port=50_000, server="203.0.113.1", server_port=993, ip_version=4,
    interface="eth1", target="imap", sni="imap-mail.outlook.com", outcome=ConnectionOutcome.ESTABLISHED,
    client_family=ClientFamily.NSS, tcp_handshake_seconds=0.02, tls_handshake_seconds=0.09, first_reply_seconds=0.03,
    auth=WireAuth(mechanism=Mechanism.TOKEN, outcome=AuthOutcome.ACCEPTED, seconds=0.4), retransmissions=2,
)  # fmt: skip


def refused(mechanism: Mechanism = Mechanism.PASSWORD) -> Connection:
    return replace(GOOD, auth=WireAuth(mechanism=mechanism, outcome=AuthOutcome.REFUSED, seconds=1.0))


BLOCKED = replace(GOOD, outcome=ConnectionOutcome.HELLO_RESET, auth=None, tls_handshake_seconds=None)


def told(state: WireState) -> dict[str, float]:
    """Every series with its value, labels as text."""
    return {
        f"{s.metric}{s.suffix}{{{','.join(f'{key}={value}' for key, value in s.labels)}}}": s.value
        for s in state.samples()
    }


def take(state: WireState, connection: Connection, client: str = "a") -> None:
    state.decided(connection)
    if connection.auth is not None:
        state.signed_in(connection)
    state.finished(connection, client)


def test_a_connection_is_counted_once_with_its_times():
    state = WireState(now=lambda: 1.0)
    take(state, GOOD)
    series = told(state)
    place = "target=imap,interface=eth1"
    assert series[f"outlook_wire_connections_total{{{place},outcome=established}}"] == 1
    assert series[f"outlook_wire_auth_attempts_total{{{place},mechanism=token,outcome=accepted}}"] == 1
    assert series["outlook_wire_client_family_total{target=imap,family=nss}"] == 1
    assert series[f"outlook_wire_retransmissions_total{{{place}}}"] == 2
    for name in ("tcp_handshake", "tls_handshake", "first_reply"):
        assert series[f"outlook_wire_{name}_seconds_count{{{place}}}"] == 1
    assert series[f"outlook_wire_auth_seconds_sum{{{place},mechanism=token}}"] == 0.4
    assert "token_response" not in " ".join(series)


def test_token_requests_are_timed_at_sign_in_hosts_alone():
    state = WireState(now=lambda: 1.0)
    take(state, replace(GOOD, target="sign_in_work", auth=None, reply_seconds=0.7))
    take(state, replace(GOOD, target="graph", auth=None, reply_seconds=0.7))
    found = [key for key in told(state) if key.startswith("outlook_wire_token_response_seconds_count")]
    assert found == ["outlook_wire_token_response_seconds_count{target=sign_in_work,interface=eth1}"]


def test_several_attempts_of_one_connection_count_each():
    auth = refused().auth
    assert auth is not None
    assert GOOD.auth is not None
    state = WireState(now=lambda: 1.0)
    take(state, replace(GOOD, attempts=(auth, GOOD.auth)))
    counts = [key for key in told(state) if key.startswith("outlook_wire_auth_attempts_total")]
    assert len(counts) == 2


def test_alerts_say_who_sent_them_and_tampering_its_kind():
    state = WireState(now=lambda: 1.0)
    clear = WireAlert(name="unknown_ca", level="fatal", sender="client", encrypted=False)
    hidden = WireAlert(name=None, level=None, sender="server", encrypted=True)
    seen = TamperingSeen(kind=Tampering.RESET_FORGED)
    for alert in (clear, hidden):
        take(state, replace(BLOCKED, alert=alert, tampering=(seen,)))
    series = told(state)
    place = "target=imap,interface=eth1"
    assert series[f"outlook_wire_alerts_total{{{place},alert=unknown_ca,from=client}}"] == 1
    assert series[f"outlook_wire_alerts_total{{{place},alert=encrypted,from=server}}"] == 1
    assert series["outlook_wire_tampering_total{target=imap,kind=reset_forged}"] == 2


def test_every_metric_is_in_the_catalogue_with_those_labels():
    state = WireState(now=lambda: 1.0)
    alert = WireAlert(name="unknown_ca", level="fatal", sender="client", encrypted=False)
    take(state, replace(GOOD, alert=alert, tampering=(TamperingSeen(kind=Tampering.TERMINATED),)))
    take(state, replace(GOOD, target="sign_in_work", reply_seconds=1.0))
    state.counters("eth1", InterfaceCounts(packets=5, open={"imap": 2}))
    names = set()
    for sample in state.samples():
        labels = tuple(key for key, _ in sample.labels if key != "le")
        assert METRICS[sample.metric].labels == labels, sample
        names.add(sample.metric)
    assert {name for name in METRICS if name.startswith("outlook_wire_")} == names


def test_no_address_is_in_any_label():
    state = WireState(now=lambda: 1.0)
    take(state, GOOD)
    take(state, refused())
    assert ADDRESS not in str(list(state.samples()))


def test_a_flood_of_targets_has_bounded_series():
    state = WireState(now=lambda: 1.0)
    for number in range(500):
        take(state, replace(GOOD, target=f"custom-{number}", auth=None))
    assert len({sample.labels[0] for sample in state.samples() if sample.metric.endswith("connections_total")}) == (
        MAX_PLACES + 1
    )
    assert f"outlook_wire_connections_total{{target={OTHER},interface={OTHER},outcome=established}}" in told(state)
    assert len(told(state)) < 3_000


def test_an_interfaces_totals_bounds_and_what_it_holds_now():
    state = WireState(now=lambda: 1.0)
    state.counters("eth1", InterfaceCounts(packets=100, dropped=3, evicted=1, let_go=2, tracked=7, held=5))
    state.counters(
        "eth1",
        InterfaceCounts(
            packets=120, dropped=4, evicted=2, let_go=3, tracked=1, max_tracked=8, held=4, max_held=6, open={"imap": 1}
        ),
    )
    assert told(state) == {
        "outlook_wire_packets_total{interface=eth1}": 120,
        "outlook_wire_packets_dropped_total{interface=eth1}": 4,
        "outlook_wire_connections_evicted_total{interface=eth1}": 2,
        "outlook_wire_connections_tracked{interface=eth1}": 1,
        "outlook_wire_connections_limit{interface=eth1}": 8,
        "outlook_wire_connections_open{target=imap,interface=eth1}": 1,
        "outlook_wire_reassembly_bytes{interface=eth1}": 4,
        "outlook_wire_reassembly_limit_bytes{interface=eth1}": 6,
        "outlook_wire_reassembly_let_go_total{interface=eth1}": 3,
    }


def test_what_was_rendered_is_kept_while_nothing_changed():
    time = [100.0]
    state = WireState(now=lambda: time[0])
    first = state.version()
    assert state.version() is first
    take(state, GOOD)
    second = state.version()
    assert second is not first
    time[0] += 60  # clients may have left the window
    assert state.version() is not second


@pytest.mark.parametrize(
    ("connection", "state"),
    [
        (GOOD, ClientState.HEALTHY),
        (replace(GOOD, auth=None), ClientState.HEALTHY),
        (refused(), ClientState.PASSWORD_REFUSED),
        (refused(Mechanism.TOKEN), ClientState.TOKEN_REFUSED),
        (
            replace(GOOD, auth=WireAuth(mechanism=Mechanism.UNKNOWN, outcome=AuthOutcome.ABANDONED)),
            ClientState.ABANDONED,
        ),
        (replace(GOOD, auth=WireAuth(mechanism=Mechanism.UNKNOWN, outcome=AuthOutcome.UNKNOWN)), None),
        (BLOCKED, ClientState.BLOCKED),
        (replace(GOOD, outcome=ConnectionOutcome.INCOMPLETE), None),
    ],
)
def test_how_a_connection_leaves_its_client(connection: Connection, state: ClientState | None):
    assert state_after(connection) is state


def test_at_a_mailbox_to_get_through_alone_is_not_to_be_healthy():
    """Its sign-in couldn't be read, or hasn't happened."""
    clients = Clients(900.0, mail=["imap"])
    for target in ("imap", "graph"):
        clients.seen(target, "a", replace(GOOD, auth=None), 1.0)
    assert clients.counts(2.0) == {("graph", ClientState.HEALTHY): 1}


def test_a_client_that_signed_in_is_healthy_before_it_leaves():
    state = WireState(now=lambda: 1.0)
    state.signed_in(GOOD, "a")
    state.signed_in(refused(), "b")  # what a refusal comes to is seen at the end
    assert state.clients() == {("imap", ClientState.HEALTHY): 1}


def test_where_clients_are_not_told_apart_none_is_counted():
    state = WireState(now=lambda: 1.0)
    state.decided(GOOD)
    state.finished(GOOD, None)
    assert state.clients() == {}


def test_three_refusals_in_five_minutes_are_a_loop_until_something_works():
    clients = Clients(900.0)
    for number in range(LOOP):
        clients.seen("imap", "a", refused(), 100.0 + number)
    assert clients.counts(110.0) == {("imap", ClientState.RETRY_LOOP): 1}
    clients.seen("imap", "a", GOOD, 120.0)
    assert clients.counts(121.0) == {("imap", ClientState.HEALTHY): 1}


def test_refusals_far_apart_are_none():
    clients = Clients(9_000.0)
    for number in range(LOOP):
        clients.seen("imap", "a", refused(), number * LOOP_SECONDS)
    assert clients.counts(1_000.0) == {("imap", ClientState.PASSWORD_REFUSED): 1}


def test_clients_are_distinct_and_leave_with_the_window():
    clients = Clients(900.0)
    clients.seen("imap", "a", refused(), 0.0)
    clients.seen("imap", "a", refused(), 1.0)
    clients.seen("imap", "b", BLOCKED, 2.0)
    assert clients.counts(10.0) == {("imap", ClientState.PASSWORD_REFUSED): 1, ("imap", ClientState.BLOCKED): 1}
    assert clients.counts(902.5) == {}


def test_clients_remembered_are_bounded():
    clients = Clients(900.0)
    for number in range(MAX_CLIENTS + 100):
        clients.seen("imap", str(number), GOOD, 1.0)
    assert sum(clients.counts(2.0).values()) == MAX_CLIENTS
