"""What inspector and service say: there and back again, and nothing but what is right is believed."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.samples import Sample
from exporter.metrics.wire import InterfaceCounts, WireState
from exporter.observations import Connection, WireAlert, WireAuth
from exporter.vocabulary import AuthOutcome, ConnectionOutcome, Mechanism
from exporter.wire import messages
from exporter.wire.connection_json import connection_json
from exporter.wire.interface_state import Interface, InterfaceState
from exporter.wire.messages import MAX_MESSAGE, Kind, Message, read_connection_line, read_message, read_order

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
SEEN = Connection(
    start=NOON, end=NOON, client="10.9.8.7", client_port=50_000, server="203.0.113.1", server_port=993, ip_version=4,
    interface="eth1", target="imap", outcome=ConnectionOutcome.ESTABLISHED, vlan=(7,),
    alert=WireAlert(name="unknown_ca", level="fatal", sender="client", encrypted=False),
    auth=WireAuth(mechanism=Mechanism.TOKEN, outcome=AuthOutcome.ACCEPTED, seconds=0.4),
)  # fmt: skip


def counted() -> list[Sample]:
    state = WireState(now=lambda: 1.0)
    state.decided(SEEN)
    state.signed_in(SEEN)
    state.finished(SEEN, "a")
    state.counters("eth1", InterfaceCounts(packets=5, open={"imap": 2}))
    return list(state.samples())


def content(data: bytes) -> Any:
    message = read_message(data)
    assert message is not None
    return message.content


class TestThereAndBack:
    def test_orders(self):
        interfaces = [Interface("eth1", "inside"), Interface("eth0", "outside"), Interface("wg0")]
        assert read_order(messages.order(interfaces)) == interfaces

    @pytest.mark.parametrize("sni", ["imap-mail.outlook.com", 'a"},"outcome":"x', None])
    def test_a_connections_line_is_what_it_would_be_written_as(self, sni):
        seen = replace(SEEN, sni=sni)
        data = messages.connection(3, seen)
        assert read_connection_line(data) == (connection_json(seen), seen.target, seen.outcome)
        assert read_message(data) == Message(3, Kind.CONNECTION, seen)

    def test_a_line_that_has_to_be_looked_at_closer(self):
        """A letter that no terminal need know, an outcome of no contract, another message."""
        assert read_connection_line(messages.connection(3, replace(SEEN, sni="\x9b2J"))) is None
        data = messages.connection(3, SEEN)
        assert read_connection_line(data.replace(b'"established"', b'"invented"')) is None
        assert read_connection_line(data[:-1]) is None
        assert read_connection_line(messages.hello(3, "1", "in force", ',"connection":{}')) is None

    def test_hello(self):
        said = ("17.4", "in force", "eBPF")
        assert read_message(messages.hello(3, *said)) == Message(3, Kind.HELLO, said)

    def test_interfaces(self):
        states = (
            InterfaceState(name="eth1", side="inside", open=True),
            InterfaceState(name="eth0", side=None, open=False, problem="eth0: no such interface"),
        )
        assert read_message(messages.interface_states(0, states)) == Message(0, Kind.INTERFACES, states)

    def test_every_sample_of_the_inspector(self):
        told = counted()
        read = [each for data in messages.samples(0, told) for each in content(data)]
        assert read == told

    def test_many_samples_take_several_messages(self):
        labels = [(("target", f"t{n}"), ("state", "healthy")) for n in range(1_000)]
        told = [Sample("outlook_wire_clients", each, 1.0) for each in labels]
        sent = list(messages.samples(0, told))
        assert len(sent) == 5
        assert max(map(len, sent)) < MAX_MESSAGE
        assert [each for data in sent for each in content(data)] == told

    def test_connections(self):
        data = messages.connection(1, SEEN)
        assert read_message(data) == Message(1, Kind.CONNECTION, SEEN)
        assert len(data) < MAX_MESSAGE

    def test_losses_and_ends(self):
        assert read_message(messages.lost(0, 7)) == Message(0, Kind.LOST, 7)
        assert read_message(messages.down(0, "it has ended")) == Message(0, Kind.DOWN, "it has ended")


def changed(data: bytes, **content: object) -> bytes:
    return json.dumps(json.loads(data) | content).encode()


class TestWhatIsNotBelieved:
    @given(st.binary(max_size=200))
    def test_any_bytes(self, data):
        assert read_message(data) is None
        assert read_order(data) is None

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=4)
        )
    )
    def test_any_content(self, content):
        for kind, key in ((Kind.SAMPLES, "samples"), (Kind.INTERFACES, "interfaces"), (Kind.CONNECTION, "connection")):
            message = read_message(changed(messages.lost(0, 1), kind=kind, **{key: content}))
            assert message is None or content == []
        order = read_order(changed(messages.order([]), interfaces=content))
        assert order is None or [[each.name, each.side] for each in order] == content

    @pytest.mark.parametrize(
        "wrong",
        [
            {"version": 2},
            {"worker": -1},
            {"worker": 64},
            {"worker": True},
            {"worker": "0"},
            {"kind": "order"},
            {"kind": None},
        ],
    )
    def test_heads(self, wrong):
        assert read_message(changed(messages.lost(0, 1), **wrong)) is None

    @pytest.mark.parametrize(
        "sample",
        [
            ["outlook_probe_success", "", [["target", "imap"], ["vantage", "x"]], 1],  # the prober's
            ["outlook_exporter_inspector_up", "", [], 1],
            ["outlook_wire_nothing", "", [], 1],
            ["outlook_wire_packets_total", "", [["target", "eth1"]], 1],
            ["outlook_wire_packets_total", "", [], 1],
            ["outlook_wire_packets_total", "_sum", [["interface", "eth1"]], 1],
            ["outlook_wire_packets_total", "", [["interface", "eth1"]], -1],
            ["outlook_wire_packets_total", "", [["interface", "eth1"]], "1"],
            ["outlook_wire_packets_total", "", [["interface", "eth1"]], None],
            ["outlook_wire_packets_total", "", [["interface", "a\nb"]], 1],
            ["outlook_wire_packets_total", "", [["interface", "x" * 65]], 1],
            ["outlook_wire_tcp_handshake_seconds", "", [["target", "imap"], ["interface", "eth1"]], 1],
            ["outlook_wire_tcp_handshake_seconds", "_bucket", [["target", "imap"], ["interface", "eth1"]], 1],
        ],
    )
    def test_samples(self, sample):
        right = ["outlook_wire_packets_total", "", [["interface", "eth1"]], 1]
        assert read_message(changed(messages.lost(0, 1), kind="samples", samples=[right])) is not None
        assert read_message(changed(messages.lost(0, 1), kind="samples", samples=[right, sample])) is None

    def test_infinity_is_no_count(self):
        data = messages.samples(0, [Sample("outlook_wire_packets_total", (("interface", "eth1"),), float("inf"))])
        assert read_message(next(data)) is None

    @pytest.mark.parametrize(
        "interfaces",
        [
            [["eth1"]],
            [["eth1", "left"]],
            [["", None]],
            [["x" * 16, None]],
            [[1, None]],
            {"eth1": None},
            [["e", None]] * 65,
        ],
    )
    def test_orders(self, interfaces):
        assert read_order(changed(messages.order([]), interfaces=interfaces)) is None

    def test_nothing_but_interfaces_is_an_order(self):
        assert read_order(changed(messages.order([]), interfaces=None, command="run")) is None

    def test_reasons_are_one_line(self):
        message = read_message(messages.down(0, "a\nb\x1b[31m" + "x" * 1_000))
        assert message is not None
        assert message.content.startswith("ab[31mxxx")
        assert len(message.content) == 300
