"""TLS through a client's SOCKS 5 proxy: told as any other, its target by name and the port asked for."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.vocabulary import ConnectionOutcome
from exporter.wire.socks import Socks, begins_socks
from tests.wire.conversation import Conversation, inspect, one, pieces
from tests.wire.flights import Flight, healthy

IMAP = "outlook.office365.com"
PROXY = ("192.0.2.8", 1_080)
GREETING, NO_SIGN_IN, SIGN_IN = b"\x05\x02\x00\x02", b"\x05\x00", b"\x05\x02"
PASSWORD = b"hunter2-of-the-proxy"
CREDENTIALS = b"\x01\x04user" + bytes([len(PASSWORD)]) + PASSWORD
BY_NAME = b"\x05\x01\x00\x03" + bytes([len(IMAP)]) + IMAP.encode() + struct.pack(">H", 993)
BY_IPV4 = b"\x05\x01\x00\x01\x34\x61\x01\x02" + struct.pack(">H", 993)
BY_IPV6 = b"\x05\x01\x00\x04" + bytes(16) + struct.pack(">H", 993)
OPENED = b"\x05\x00\x00\x01\0\0\0\0\0\0"
REFUSED = b"\x05\x02\x00\x01\0\0\0\0\0\0"
Asked = tuple[Flight, ...]


def asked(request: bytes = BY_NAME, *, sign_in: bool = False, answer: bytes = OPENED) -> Asked:
    before: Asked = ((True, GREETING), (False, NO_SIGN_IN))
    if sign_in:
        before = ((True, GREETING), (False, SIGN_IN), (True, CREDENTIALS), (False, b"\x01\x00"))
    return (*before, (True, request), (False, answer))


def through(before: Asked, mss: int = 1_448) -> Conversation:
    return Conversation(server=PROXY, mss=mss).opens().plays(before).plays(healthy(name=IMAP)).closes()


@pytest.mark.parametrize("mss", [1, 3, 1_448])
@pytest.mark.parametrize("sign_in", [False, True])
@pytest.mark.parametrize("request_", [BY_NAME, BY_IPV4, BY_IPV6])
def test_it_is_told_as_any_other_and_its_target_by_the_port_asked_for(request_: bytes, sign_in: bool, mss: int):
    told = one(through(asked(request_, sign_in=sign_in), mss))
    direct = one(Conversation().opens().plays(healthy(name=IMAP)).closes())
    assert (told.target, told.server, told.server_port) == ("imap_office365", *PROXY)
    for name in ("sni", "outcome", "tls_version", "cipher", "ja4", "client_family"):
        assert getattr(told, name) == getattr(direct, name), name
    assert told.auth is not None
    assert direct.auth is not None
    assert (told.auth.mechanism, told.auth.outcome) == (direct.auth.mechanism, direct.auth.outcome)


@pytest.mark.parametrize("sign_in", [False, True])
def test_live_the_proxys_answers_are_not_seen(sign_in: bool):
    """They begin with no character, as bulk may: the kernel's filter keeps them."""
    made = through(asked(sign_in=sign_in))
    answers = [
        place for place, sent in enumerate(made.sent) if sent.payload in (NO_SIGN_IN, SIGN_IN, b"\x01\0", OPENED)
    ]
    assert len(answers) == 2 + sign_in
    told = one(made.without(*answers), filtered=True)
    assert (told.target, told.sni, told.outcome) == ("imap_office365", IMAP, ConnectionOutcome.ESTABLISHED)


@pytest.mark.parametrize(
    "before",
    [
        asked(answer=REFUSED),
        asked(b"\x05\x02" + BY_NAME[2:]),  # BIND
        asked(b"\x05\x01\x00\x09\x00\x00"),  # no such address
        ((True, GREETING), (False, b"\x05\xff")),
        ((True, GREETING), (False, SIGN_IN), (True, CREDENTIALS), (False, b"\x01\x01")),
        ((True, GREETING), (False, b"* OK this is no proxy\r\n")),
        ((True, b"\x05\x01\x00and something else"),),
        ((False, b"\x05\x00"), (True, GREETING)),
    ],
)
def test_what_is_no_tunnel_is_none(before: Asked):
    assert inspect(Conversation(server=PROXY).opens().plays(before).closes().frames()) == []


def test_segments_that_the_capture_lost():
    made = through(asked(sign_in=True), 40)
    for place in range(3, len(made.sent)):
        for told in inspect(made.without(place).frames()):
            assert told.sni in (IMAP, None)
            assert told.outcome in (ConnectionOutcome.ESTABLISHED, ConnectionOutcome.INCOMPLETE)


class TestCore:
    @given(st.lists(st.integers(0, 10_000), max_size=6), st.lists(st.integers(0, 10_000), max_size=6), st.binary())
    def test_cut_anywhere(self, client: list[int], server: list[int], behind: bytes):
        """As the tracker feeds it: what wasn't taken comes again, with more behind it."""
        socks, waiting = Socks(), {True: b"", False: b""}
        for from_client, data in asked(sign_in=True):
            for piece in pieces(data, client if from_client else server):
                waiting[from_client] += piece
                take = socks.client if from_client else socks.server
                waiting[from_client] = waiting[from_client][take(waiting[from_client]) :]
        assert (socks.opened, socks.failed, socks.port, waiting) == (True, False, 993, {True: b"", False: b""})

    @given(st.lists(st.tuples(st.booleans(), st.binary(max_size=300)), max_size=20))
    def test_any_bytes_at_all(self, said: list[tuple[bool, bytes]]):
        socks = Socks()
        for from_client, data in said:
            taken = socks.client(data) if from_client else socks.server(data)
            assert 0 <= taken <= len(data)

    def test_nothing_of_a_password_is_kept(self):
        socks = Socks()
        socks.client(GREETING)
        socks.server(SIGN_IN)
        assert socks.client(CREDENTIALS) == len(CREDENTIALS)
        kept = {name: getattr(socks, name) for name in dir(socks) if not name.startswith("__")}
        assert "port" in kept
        assert not [name for name, value in kept.items() if isinstance(value, bytes)]

    @pytest.mark.parametrize(
        ("data", "can"),
        [(b"\x05", True), (GREETING, True), (GREETING[:3], True), (GREETING + b"x", False), (b"\x04", False)],
    )
    def test_what_can_be_a_greeting(self, data: bytes, can: bool):
        assert begins_socks(data) is can
