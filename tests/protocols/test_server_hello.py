"""Any bytes give None or a ServerHello, never an exception; a cut one says less than the whole, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.protocols.client_hello import read_client_hello
from exporter.protocols.server_hello import HELLO_RETRY_RANDOM, is_resumed, key_exchange_group, read_server_hello
from tests.protocols.hello_bytes import RANDOM, alpn, client_hello, extension_list, numbers, server_hello, vector

TLS13 = (43, numbers([0x0304]))
SHARE = (51, numbers([29]) + vector(bytes(32), 2))


def read(message: bytes):
    hello = read_server_hello(message)
    assert hello is not None
    return hello


def test_tls_1_3():
    hello = read(server_hello(0x1302, [TLS13, SHARE], session_id=bytes(32)))
    assert (hello.version, hello.cipher, hello.group) == ("TLSv1.3", "TLS_AES_256_GCM_SHA384", "x25519")
    assert (hello.hello_retry_request, hello.psk, hello.alpn, hello.partial) == (False, False, None, False)
    assert (hello.session_id, hello.extensions) == (bytes(32), (43, 51))


def test_tls_1_2():
    hello = read(server_hello(0xC030, [(0xFF01, b"\0"), alpn(b"h2"), (23, b"")], session_id=b"session"))
    assert (hello.version, hello.cipher, hello.group) == ("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", None)
    assert (hello.alpn, hello.session_id, hello.partial) == (b"h2", b"session", False)


@pytest.mark.parametrize(
    ("legacy", "name"),
    [(0x0300, "SSLv3"), (0x0301, "TLSv1"), (0x0302, "TLSv1.1"), (0x0303, "TLSv1.2"), (0x7F1C, "0x7f1c")],
)
def test_without_extensions(legacy: int, name: str):
    hello = read(server_hello(0x002F, None, legacy=legacy))
    assert (hello.version, hello.partial, hello.extensions) == (name, False, ())


def test_drafts_of_tls_1_3_without_session_id():
    """As in captures of 2017; later drafts say their version where TLS 1.3 does."""
    share = vector(extension_list([SHARE]), 2)
    hello = read(b"\x02" + vector(numbers([0x7F14]) + RANDOM + numbers([0x1303]) + share, 3))
    assert (hello.cipher, hello.group) == ("TLS_CHACHA20_POLY1305_SHA256", "x25519")
    assert (hello.session_id, hello.partial) == (b"", False)


def test_what_nobody_registered_is_its_number():
    hello = read(server_hello(0xABCD, [(43, numbers([0x0399])), (51, numbers([0x9999]))]))
    assert (hello.version, hello.cipher, hello.group) == ("0x0399", "0xabcd", "0x9999")


def test_hello_retry_request():
    """Its random says so; key_share has the group alone (RFC 8446, 4.2.8)."""
    hello = read(server_hello(0x1301, [TLS13, (51, numbers([24]))], HELLO_RETRY_RANDOM))
    assert (hello.hello_retry_request, hello.group, hello.version) == (True, "secp384r1", "TLSv1.3")


def client(session_id: bytes):
    return read_client_hello(client_hello(session_id=session_id))


@pytest.mark.parametrize(
    ("given_id", "returned_id", "resumed"),
    [(b"abc", b"abc", True), (b"abc", b"new", False), (b"", b"", False), (b"", b"new", False), (b"abc", b"", False)],
)
def test_resumption_before_tls_1_3_is_the_session_id_given_back(given_id: bytes, returned_id: bytes, resumed: bool):
    assert is_resumed(client(given_id), read(server_hello(session_id=returned_id))) == resumed


def test_resumption_of_tls_1_3_is_a_chosen_psk():
    """The session id is given back there anyhow, for middleboxes (RFC 8446, D.4)."""
    assert not is_resumed(client(b"abc"), read(server_hello(0x1301, [TLS13, SHARE], session_id=b"abc")))
    assert is_resumed(client(b"abc"), read(server_hello(0x1301, [TLS13, SHARE, (41, b"\0\0")], session_id=b"abc")))
    assert is_resumed(None, read(server_hello(0x1301, [TLS13, (41, b"\0\0")])))
    assert not is_resumed(None, read(server_hello(session_id=b"abc")))


WHOLE = server_hello(0x1302, [TLS13, SHARE, (41, b"\0\0")], session_id=bytes(32))


def test_cut_anywhere_it_says_less_and_nothing_else():
    whole = read(WHOLE)
    for length in range(len(WHOLE)):
        cut = read_server_hello(WHOLE[:length])
        if cut is not None:
            assert cut.partial
            assert cut.cipher == whole.cipher
            assert cut.version in ("TLSv1.2", "TLSv1.3")  # as long as supported_versions isn't there
            assert cut.group in (None, whole.group)
            assert whole.extensions[: len(cut.extensions)] == cut.extensions


def test_garbage_behind_changes_nothing():
    assert read(WHOLE + b"\x0b\0\0\3garbage") == read(WHOLE)


@pytest.mark.parametrize("data", [b"", b"\2", b"\2\0\0\0", b"\1" + bytes(99), WHOLE[:40], b"\2\0\0\x10" + bytes(99)])
def test_no_server_hello(data: bytes):
    assert read_server_hello(data) is None


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes(data: bytes, hello: bool):
    read_server_hello(b"\2\0\1\0\3\3" + RANDOM + data if hello else data)
    key_exchange_group(b"\x0c" + data)


@given(st.data())
def test_damage_anywhere(data: st.DataObject):
    damaged = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    read_server_hello(bytes(damaged))


def key_exchange(parameters: bytes) -> bytes:
    return b"\x0c" + vector(parameters + vector(bytes(256), 2), 3)


@pytest.mark.parametrize(
    ("group", "length", "name"),
    [(23, 65, "secp256r1"), (24, 97, "secp384r1"), (25, 133, "secp521r1"), (29, 32, "x25519"), (30, 56, "x448")],
)
def test_the_group_of_an_ecdhe_key_exchange(group: int, length: int, name: str):
    message = key_exchange(b"\3" + numbers([group]) + vector(bytes(length), 1))
    assert key_exchange_group(message) == name
    assert key_exchange_group(message[:8]) == name
    assert key_exchange_group(message[:7]) is None


def test_a_dhe_key_exchange_has_none():
    """Its first byte may be a 3 too: of the prime's length, 768 to 1023 bytes."""
    assert key_exchange_group(key_exchange(vector(bytes(256), 2))) is None
    assert key_exchange_group(key_exchange(vector(b"\0\x1d\x20" * 280, 2))) is None
    assert key_exchange_group(b"\x0b" + bytes(99)) is None
