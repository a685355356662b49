"""Plain text's length from a record's, suite by suite."""

import dataclasses

import pytest

from exporter.vocabulary import Protocol
from exporter.wire.inference.overhead import Length, overheads
from exporter.wire.trace import Trace, TraceEnd

TRACE = Trace(
    protocol=Protocol.IMAP, tls_version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384", records=(),
    end=TraceEnd.CLIENT_CLOSED,
)  # fmt: skip


def plain(version: str, cipher: str, length: int, finished: int | None = None) -> tuple[Length, Length]:
    trace = dataclasses.replace(TRACE, tls_version=version, cipher=cipher, finished_length=finished)
    client, server = overheads(trace)
    return client.plain(length), server.plain(length)


@pytest.mark.parametrize(
    ("version", "cipher", "overhead"),
    [
        ("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", 24),
        ("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_CCM", 24),
        ("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8", 16),
        ("TLSv1.2", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 16),
        ("TLSv1.3", "TLS_AES_128_GCM_SHA256", 17),
        ("TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256", 17),
        ("TLSv1.3", "TLS_AES_128_CCM_SHA256", 17),
        ("TLSv1.3", "TLS_AES_128_CCM_8_SHA256", 9),
    ],
)
def test_an_aead_tells_the_length_exactly(version: str, cipher: str, overhead: int):
    assert plain(version, cipher, 100 + overhead) == (Length(100, 100), Length(100, 100))


@pytest.mark.parametrize(
    ("cipher", "mac"),
    [
        ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", 20),
        ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", 32),
        ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", 48),
    ],
)
@pytest.mark.parametrize("encrypt_then_mac", [False, True])
@pytest.mark.parametrize("bytes_", [0, 1, 15, 16, 100, 1_500])
def test_cbc_tells_a_range_that_holds_the_truth(cipher: str, mac: int, encrypt_then_mac: bool, bytes_: int):
    padded = bytes_ + 1 if encrypt_then_mac else bytes_ + mac + 1
    length = 16 + -(-padded // 16) * 16 + (mac if encrypt_then_mac else 0)

    seen, _ = plain("TLSv1.2", cipher, length)

    assert seen.low <= bytes_ <= seen.high
    assert seen.high - seen.low < 16


def test_before_tls_1_1_there_is_no_vector_in_the_record():
    assert plain("TLSv1", "TLS_RSA_WITH_AES_128_CBC_SHA", 48)[0] == Length(12, 27)
    assert plain("TLSv1.1", "TLS_RSA_WITH_AES_128_CBC_SHA", 64)[0] == Length(12, 27)


def test_3des_and_rc4():
    assert plain("TLSv1", "TLS_RSA_WITH_3DES_EDE_CBC_SHA", 40)[0] == Length(12, 19)
    assert plain("TLSv1.2", "TLS_RSA_WITH_RC4_128_SHA", 120) == (Length(100, 100), Length(100, 100))


def test_javas_padding_is_told_by_its_finished_and_is_the_clients_alone():
    client, server = plain("TLSv1.3", "TLS_AES_256_GCM_SHA384", 133, finished=52 + 16 + 17)
    assert (client, server) == (Length(100, 100), Length(116, 116))


def test_a_finished_of_the_other_hash_is_no_padding():
    assert plain("TLSv1.3", "TLS_AES_128_GCM_SHA256", 117, finished=36 + 17)[0] == Length(100, 100)
    assert plain("TLSv1.3", "TLS_AES_256_GCM_SHA384", 117, finished=52 + 17)[0] == Length(100, 100)


def test_an_empty_certificate_in_front_of_finished_leaves_it_open():
    assert plain("TLSv1.3", "TLS_AES_256_GCM_SHA384", 117, finished=52 + 8 + 17)[0] == Length(92, 100)


@pytest.mark.parametrize("length", [0, 1, 16, 23])
def test_a_record_shorter_than_its_overhead_is_empty(length: int):
    assert plain("TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", length)[0] == Length(0, 0)
