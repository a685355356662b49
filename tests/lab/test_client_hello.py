"""The gateway's ClientHello reader: real hellos, whole, byte by byte, in several records, cut, with garbage."""

import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.lab.client_hello import MAX_HELLO, TLS_1_2, TLS_1_3, ClientHello, begins_tls, read_client_hello


def hello(name: str | None = "imap-mail.outlook.com", highest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = highest
    context.set_ecdh_curve("prime256v1")  # one small key share, whichever OpenSSL this is
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


HELLO = hello()


def in_records(data: bytes, size: int) -> bytes:
    """The same handshake message in records of `size` bytes."""
    message = data[5:]
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2) + piece for piece in pieces)


def test_a_real_hello() -> None:
    read = read_client_hello(HELLO)
    assert read == ClientHello(len(HELLO), "imap-mail.outlook.com", frozenset({TLS_1_2, TLS_1_3}))
    assert begins_tls(HELLO)


def test_without_name_and_without_1_3() -> None:
    assert read_client_hello(hello(None)) == ClientHello(len(hello(None)), None, frozenset({TLS_1_2, TLS_1_3}))
    old = read_client_hello(hello(highest=ssl.TLSVersion.TLSv1_2))
    assert old is not None
    assert old.versions == {TLS_1_2}


def test_byte_by_byte_is_the_same_as_whole() -> None:
    reads = [read_client_hello(HELLO[:at]) for at in range(len(HELLO) + 1)]
    assert reads[:-1] == [None] * len(HELLO)
    assert reads[-1] == read_client_hello(HELLO)


@pytest.mark.parametrize("size", [1, 3, 100, 300])
def test_in_several_records(size: int) -> None:
    split = in_records(HELLO, size)
    read = read_client_hello(split)
    assert read is not None
    assert (read.server_name, read.size) == ("imap-mail.outlook.com", len(split))


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1", b"\x16\x02\x00", b"\x16\x03\x01\x00\x04\x02\x00\x00\x00"])
def test_what_is_no_hello(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a"):
        read_client_hello(data)


def test_an_endless_one() -> None:
    with pytest.raises(ValueError, match="endless"):
        read_client_hello(b"\x16\x03\x01\x00\x00" * MAX_HELLO)


@given(st.integers(0, len(HELLO)), st.binary(max_size=100))
def test_cut_anywhere_with_garbage_behind(at: int, garbage: bytes) -> None:
    """A hello, None, or ValueError: nothing else."""
    with contextlib.suppress(ValueError):
        read = read_client_hello(HELLO[:at] + garbage)
        assert read is None or isinstance(read, ClientHello)
