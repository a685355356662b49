"""The fast way of writing a connection, against the usual one."""

import json
from dataclasses import fields
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.observations import Connection, TamperingSeen, WireAlert, WireAuth, as_json, from_json
from exporter.vocabulary import AuthOutcome, ClientFamily, ClosedBy, ConnectionOutcome, Mechanism, Tampering
from exporter.wire.connection_json import _FIELDS, connection_json

_moments = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
_numbers = st.none() | st.integers(0, 2**50)
_seconds = st.none() | st.integers(0, 10**13).map(lambda nanoseconds: nanoseconds / 1e9)
_text = st.none() | st.text(max_size=20)
_word = st.none() | st.sampled_from(["TLSv1.3", "TLS_AES_128_GCM_SHA256", "x25519", "0x1234"])
_auth = st.builds(
    WireAuth, mechanism=st.sampled_from(Mechanism), outcome=st.sampled_from(AuthOutcome), seconds=_seconds
)
_alert = st.builds(
    WireAlert, name=_word, level=st.sampled_from([None, "fatal"]), sender=st.sampled_from(["client", "server"]),
    encrypted=st.booleans(),
)  # fmt: skip

connections = st.builds(
    Connection, start=_moments, end=_moments, client=st.sampled_from([None, "10.0.0.1", "2001:db8::1"]),
    client_port=_numbers, server=st.sampled_from(["192.0.2.1", "::1"]), server_port=st.integers(0, 65_535),
    ip_version=st.sampled_from([4, 6]), vlan=st.lists(st.integers(1, 4_094), max_size=2).map(tuple), interface=_text,
    target=_text, sni=_text, outcome=st.sampled_from(ConnectionOutcome), alert=st.none() | _alert, tls_version=_word,
    cipher=_word, group=_word, ja4=_word, client_family=st.none() | st.sampled_from(ClientFamily),
    certificate_issuer=_text, tcp_handshake_seconds=_seconds, tls_handshake_seconds=_seconds,
    first_reply_seconds=_seconds, auth=st.none() | _auth, attempts=st.lists(_auth, max_size=2).map(tuple),
    bytes_sent=_numbers, bytes_received=_numbers, closed_by=st.none() | st.sampled_from(ClosedBy),
    retry_of=st.integers(0, 9), retransmissions=st.integers(0, 9), reply_seconds=_seconds,
    resumed=st.none() | st.booleans(), hello_retry=st.none() | st.booleans(),
)  # fmt: skip


def test_every_field_is_written():
    assert tuple(field.name for field in fields(Connection)) == _FIELDS


@settings(max_examples=300, deadline=None)
@given(connection=connections)
def test_it_says_the_same_and_can_be_read_again(connection: Connection):
    written = connection_json(connection)
    assert json.loads(written) == json.loads(as_json(connection))
    assert "\n" not in written
    assert from_json(Connection, written) == connection


def test_tampering_is_written_too():
    made = Connection(
        start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 1, tzinfo=UTC), client=None, client_port=None,
        server="192.0.2.1", server_port=993, ip_version=4, outcome=ConnectionOutcome.HELLO_RESET,
        tampering=(TamperingSeen(kind=Tampering.RESET_FORGED, direction="to_client"),),
    )  # fmt: skip
    assert json.loads(connection_json(made))["tampering"][0]["kind"] == "reset_forged"
