"""TLS through a client's HTTP proxy: told as any other, its target by name and the port asked for."""

import random
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.observations import Connection
from exporter.vocabulary import AuthOutcome, ConnectionOutcome
from exporter.wire.tunnel import MAX_HEAD, MAX_LINE, Tunnel
from tests.conftest import require_program
from tests.wire.conversation import Conversation, inspect, one, pieces
from tests.wire.flights import Flight, healthy
from tests.wire.frames import pcap

IMAP = "outlook.office365.com"
PROXY = ("192.0.2.8", 3_128)
ASKED = (
    f"CONNECT {IMAP}:993 HTTP/1.1\r\nHost: {IMAP}:993\r\nProxy-Authorization: Basic c2VjcmV0OnNlY3JldA==\r\n\r\n"
).encode()
OPENED = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 gateway (squid)\r\n\r\n"
REFUSED = (
    b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 12\r\n\r\n<html></html"
)


def flights() -> list[Flight]:
    """Mail's conversation: the server greets, the client asks what is offered and leaves."""
    return healthy(name=IMAP)


def tunnelled(*before: Flight, mss: int = 1_448) -> Conversation:
    talk = Conversation(server=PROXY, mss=mss).opens().plays(before or ((True, ASKED), (False, OPENED)))
    return talk.plays(flights()).closes()


def same(through: Connection, direct: Connection) -> None:
    """But for the proxy's address, bytes and times."""
    for name in ("sni", "outcome", "tls_version", "cipher", "ja4", "client_family", "alert", "target"):
        assert getattr(through, name) == getattr(direct, name), name


def test_it_is_told_as_any_other_and_its_target_by_the_port_asked_for():
    through, direct = one(tunnelled()), one(Conversation().opens().plays(flights()).closes())
    assert direct.target == "imap_office365"
    same(through, direct)
    assert (through.server, through.server_port) == PROXY
    assert direct.auth is not None
    assert through.auth is not None
    assert (through.auth.mechanism, through.auth.outcome) == (direct.auth.mechanism, AuthOutcome.ABANDONED)


@pytest.mark.parametrize("mss", [1, 7, 100])
def test_however_it_is_cut(mss: int):
    same(one(tunnelled(mss=mss)), one(tunnelled()))


def test_asked_again_with_credentials_on_the_same_connection():
    plain = f"CONNECT {IMAP}:993 HTTP/1.1\r\n\r\n".encode()
    through = one(tunnelled((True, plain), (False, REFUSED), (True, ASKED), (False, OPENED)))
    assert (through.target, through.outcome) == ("imap_office365", ConnectionOutcome.ESTABLISHED)


def test_a_hello_that_did_not_wait_for_the_answer():
    (client_hello, *rest) = flights()
    talk = Conversation(server=PROXY).opens().says(True, ASKED + client_hello[1]).says(False, OPENED).plays(rest)
    assert one(talk.closes()).sni == IMAP


@pytest.mark.parametrize(
    "before",
    [
        ((True, ASKED), (False, REFUSED)),
        ((True, b"CONNECT nonsense\r\n\r\n"), (False, OPENED)),
        ((True, b"CONNECT host:99999 HTTP/1.1\r\n\r\n"), (False, OPENED)),
        ((True, b"CONNECT " + b"x" * 2 * MAX_LINE), (False, OPENED)),
        ((True, ASKED), (False, b"* OK this is no proxy\r\n\r\n")),
        ((True, b"GET / HTTP/1.1\r\n\r\n"), (False, b"HTTP/1.1 200 OK\r\n\r\n")),
        ((True, b"CONN"), (False, b"")),
    ],
)
def test_what_is_no_tunnel_is_none(before: tuple[Flight, ...]):
    assert inspect(Conversation(server=PROXY).opens().plays(before).closes().frames()) == []


def test_a_proxys_address_is_learned_for_no_name():
    """Else whatever goes to it without a name would be Outlook's."""
    nameless = Conversation(client=("10.0.0.2", 41_000), server=PROXY).opens().resets(False)
    seen = inspect([*tunnelled().frames(), *replace(nameless, now=0).frames()])
    assert [each.target for each in seen if each.sni is None] in ([], [None])


def test_a_gap_in_the_request_ends_it_quietly():
    frames = tunnelled(mss=40)
    for lost in (3, 4, 6):
        for told in inspect(frames.without(lost).frames()):
            assert told.sni in (IMAP, None)


class TestCore:
    @given(st.lists(st.integers(0, 10_000), max_size=6), st.lists(st.integers(0, 10_000), max_size=6), st.binary())
    def test_cut_anywhere(self, client: list[int], server: list[int], behind: bytes):
        tunnel = Tunnel()
        taken = sum(tunnel.client(piece) for piece in pieces(ASKED + behind, client))
        assert (taken, tunnel.port, tunnel.opened) == (len(ASKED), 993, False)
        left = b""
        for piece in pieces(OPENED + behind, server):
            left += piece if tunnel.opened else piece[tunnel.server(piece) :]
        assert (tunnel.opened, tunnel.failed, left) == (True, False, behind)

    @given(st.lists(st.tuples(st.booleans(), st.binary(max_size=200)), max_size=20))
    def test_any_bytes_at_all(self, said: list[tuple[bool, bytes]]):
        tunnel = Tunnel()
        for from_client, data in said:
            taken = tunnel.client(data) if from_client else tunnel.server(data)
            assert 0 <= taken <= len(data)

    def test_a_head_without_end_fails(self):
        tunnel = Tunnel()
        tunnel.client(ASKED[:-2])
        taken = 0
        while not tunnel.failed:
            taken += tunnel.client(b"X: y\r\n" * 200)
        assert MAX_HEAD - 2_000 < taken < MAX_HEAD + 2_000

    def test_nothing_is_kept_but_the_first_line(self):
        tunnel = Tunnel()
        tunnel.client(ASKED[:-20])
        assert b"c2VjcmV0" not in repr(tunnel._asked.line).encode()
        assert len(tunnel._asked._tail) <= 3


@pytest.mark.slow
def test_wireshark_finds_the_same(tmp_path: Path):
    """tshark's own reading of CONNECT: names and versions of hellos through it."""
    tshark = require_program("tshark")
    chance = random.Random(1)
    talks = [
        replace(tunnelled(mss=chance.choice((60, 500, 1_448))), client=("10.0.0.1", 42_000 + each)) for each in range(8)
    ]
    frames = sorted((frame for talk in talks for frame in talk.frames()), key=lambda frame: frame[0])
    file = tmp_path / "proxied.pcap"
    file.write_bytes(pcap(frames, nano=True))
    fields = ["-T", "fields", "-e", "tcp.srcport", "-e", "tls.handshake.extensions_server_name"]
    command = [tshark, "-r", str(file), "-Y", "tls.handshake.type == 1", *fields]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    theirs = {int(port): name for port, name in (line.split("\t") for line in said.splitlines())}
    ours = {each.client_port: each.sni for each in inspect(frames)}
    assert ours == theirs
    assert len(ours) == len(talks)
