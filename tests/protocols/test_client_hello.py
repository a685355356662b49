"""Any bytes give None or a ClientHello, never an exception; a cut hello says less than the whole, and nothing else."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.protocols.client_hello import MAX_NAME, MAX_REMEMBERED, MAX_STACKS, ClientHello, _stack, read_client_hello
from tests.protocols.hello_bytes import (
    RANDOM,
    alpn,
    client_hello,
    groups,
    key_share,
    server_name,
    signatures,
    vector,
    versions,
)
from tests.protocols.hello_clients import NAME, recorded

RECORDED = {name: record[5:] for name, record in recorded().items()}
EVERYTHING = client_hello(
    ciphers=[0x0A0A, 0x1301, 0xC02F],
    extensions=[
        (0x1A1A, b""),
        server_name(b"Outlook.Office365.com"),
        versions(0x2A2A, 0x0304, 0x0303),
        alpn(b"h2", b"imap"),
        groups(0x3A3A, 4588, 29),
        key_share((0x3A3A, b"\0"), (4588, bytes(1216)), (29, bytes(32))),
        signatures(0x0403, 0x0804),
        (35, b"a ticket"),
        (0xFE0D, b"\0" + bytes(200)),
        (42, b""),
        (21, bytes(99)),
        (41, bytes(60)),
    ],
    session_id=bytes(32),
)


def read(message: bytes) -> ClientHello:
    hello = read_client_hello(message)
    assert hello is not None
    return hello


def test_everything_that_is_said():
    hello = read(EVERYTHING)
    assert hello.random == RANDOM
    assert hello.session_id == bytes(32)
    assert hello.server_name == "Outlook.Office365.com"
    assert hello.versions == ("TLSv1.3", "TLSv1.2")
    assert hello.alpn == (b"h2", b"imap")
    assert (hello.ticket, hello.psk, hello.early_data, hello.encrypted, hello.padding) == (True, True, True, True, 99)
    assert (hello.size, hello.partial) == (len(EVERYTHING), False)
    offer = hello.offer
    assert offer.legacy_version == 0x0303
    assert offer.ciphers == (0x0A0A, 0x1301, 0xC02F)
    assert offer.compression == b"\0"
    assert offer.extensions == (0x1A1A, 0, 43, 16, 10, 51, 13, 35, 0xFE0D, 42, 21, 41)
    assert offer.supported_versions == (0x2A2A, 0x0304, 0x0303)
    assert offer.groups == (0x3A3A, 4588, 29)
    assert offer.key_shares == (0x3A3A, 4588, 29)
    assert offer.signature_algorithms == (0x0403, 0x0804)


def test_of_a_plain_hello_nothing_is_said():
    hello = read(client_hello(legacy=0x0301))
    assert (hello.ticket, hello.psk, hello.early_data, hello.encrypted, hello.padding) == (
        False,
        False,
        False,
        False,
        None,
    )
    assert (hello.server_name, hello.versions, hello.alpn) == (None, ("TLSv1",), ())
    assert hello.offer.supported_versions is None


def test_without_the_list_of_extensions():
    """SSL 3.0 and TLS 1.0 clients send none at all."""
    hello = read(client_hello(extensions=None, legacy=0x0300))
    assert (hello.partial, hello.versions, hello.offer.extensions) == (False, ("SSLv3",), ())


def test_an_empty_ticket_offers_no_session():
    assert not read(client_hello(extensions=[(35, b"")])).ticket


def test_an_unknown_version_is_its_number():
    assert read(client_hello(extensions=[versions(0x7F1C, 0x0304)])).versions == ("0x7f1c", "TLSv1.3")


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (vector(b"\0" + vector(b"outlook.com", 2), 2), "outlook.com"),
        (vector(b"\0" + vector(b"outlook.com.", 2), 2), "outlook.com."),
        (vector(b"\1" + vector(b"other", 2) + b"\0" + vector(b"outlook.com", 2), 2), "outlook.com"),
        (vector(b"\0" + vector(b"a\r\nb\\\xff\0", 2), 2), "a\\x0d\\x0ab\\x5c\\xff\\x00"),
        (vector(b"\0" + vector(b"x" * 300, 2), 2), "x" * MAX_NAME),
        (vector(b"\0" + vector(b"", 2), 2), None),
        (vector(b"\1" + vector(b"other", 2), 2), None),
        (b"\0\x08\0\0\x05outl", None),
        (b"", None),
        (b"\0", None),
        (b"\0\0\0", None),
    ],
)
def test_server_names(body: bytes, name: str | None):
    assert read(client_hello(extensions=[(0, body)])).server_name == name


def test_of_two_names_the_first_counts():
    assert read(client_hello(extensions=[server_name(b"one"), server_name(b"two")])).server_name == "one"


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_hellos_are_whole(name: str):
    hello = read(RECORDED[name])
    assert (hello.partial, hello.server_name, hello.size) == (False, NAME, len(RECORDED[name]))
    assert "TLSv1.2" in hello.versions


@pytest.mark.parametrize("name", RECORDED)
def test_garbage_behind_changes_nothing(name: str):
    assert read(RECORDED[name] + b"\x16\x03\x03\0\0garbage" * 9) == read(RECORDED[name])


@pytest.mark.parametrize("message", [*RECORDED.values(), EVERYTHING])
def test_cut_anywhere_it_says_less_and_nothing_else(message: bytes):
    whole = read(message)
    for length in range(len(message)):
        cut = read_client_hello(message[:length])
        if cut is not None:
            assert (cut.partial, cut.size, cut.ja4) == (True, whole.size, None)
            assert cut.server_name in (None, whole.server_name)
            assert whole.session_id.startswith(cut.session_id)
            for field in ("ciphers", "extensions", "groups", "key_shares", "signature_algorithms", "alpn"):
                said = getattr(cut.offer, field)
                assert getattr(whole.offer, field)[: len(said)] == said


def test_a_name_before_the_cut_is_told():
    """As after the first segment of a post-quantum hello, or of a capture with a short snap length."""
    message = RECORDED["openssl s_client"]
    cut = read(message[: message.index(NAME.encode()) + len(NAME)])
    assert (cut.server_name, cut.partial) == (NAME, True)


@pytest.mark.parametrize(
    "data", [b"", b"\1", b"\1\0\0\0", b"\2" + bytes(99), EVERYTHING[:38], b"\1\0\0\x10" + bytes(99)]
)
def test_no_client_hello(data: bytes):
    assert read_client_hello(data) is None


@pytest.mark.parametrize("at", [38, 71, 72, 79, 81, 82])
@pytest.mark.parametrize("value", [0, 1, 0x7F, 0xFF])
def test_lengths_that_contradict_each_other(at: int, value: int):
    damaged = EVERYTHING[:at] + bytes([value]) + EVERYTHING[at + 1 :]
    hello = read(damaged)
    assert hello.partial == (damaged != EVERYTHING)


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes):
    for message in (data, b"\1" + data, b"\1\0\1\0\3\3" + RANDOM + data):
        hello = read_client_hello(message)
        assert hello is None or isinstance(hello.server_name, str | None)


@given(st.sampled_from([*RECORDED.values(), EVERYTHING]), st.data())
def test_damage_anywhere(message: bytes, data: st.DataObject):
    damaged = bytearray(message)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    hello = read_client_hello(bytes(damaged))
    if hello is not None and hello.server_name is not None:
        assert hello.server_name.isascii()
        assert hello.server_name.isprintable()


def test_a_stack_is_decoded_once():
    """Only what is the connection's own differs from one hello of a stack to the next."""
    first = client_hello(extensions=[server_name(b"one.example"), key_share((29, bytes(32)))], session_id=bytes(32))
    second = client_hello(extensions=[server_name(b"two.example"), key_share((29, b"\1" * 32))], session_id=b"\1" * 32)
    assert read(first).stack is read(second).stack


def test_what_is_remembered_is_bounded():
    """A flood of hellos with random offers: neither their number nor their size grows without end."""
    generator = random.Random(5)
    for _ in range(MAX_STACKS * 2):
        read(client_hello([generator.randrange(0x10000) for _ in range(20)]))
    large = client_hello(range(MAX_REMEMBERED), [(kind, b"") for kind in range(100)])
    before = _stack.cache_info().currsize
    assert before == MAX_STACKS
    assert read(large).stack is not read(large).stack
