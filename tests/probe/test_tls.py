"""Phase tls over a script: a server's alert by its name, and what isn't TLS by what it is, however it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

from exporter.probe.failures import PhaseFailure
from exporter.probe.tls import _IANA_CIPHERS, TlsClient
from exporter.protocols.cipher_suites import CIPHER_SUITES
from exporter.protocols.tls_names import ALERTS
from exporter.vocabulary import Outcome
from tests.probe.scripted import ScriptedStream, cut

CLIENT = TlsClient()


async def failure_of(*script: bytes) -> PhaseFailure:
    with pytest.raises(PhaseFailure) as caught:
        await CLIENT.handshake(ScriptedStream(list(script)), "imap.example")
    return caught.value


def alert(number: int, level: int = 2) -> bytes:
    return bytes([21, 3, 3, 0, 2, level, number])


@pytest.mark.parametrize("number", sorted({*ALERTS, 1, 200, 255} - {0, 70}))
async def test_an_alert_has_its_registered_name(number: int) -> None:
    failure = await failure_of(alert(number))
    name = ALERTS.get(number, str(number))
    assert (failure.outcome, failure.alert, failure.detail) == (Outcome.ALERT, name, f"alert {name}")


async def test_what_two_alerts_mean_has_words_of_its_own() -> None:
    version, goodbye = await failure_of(alert(70)), await failure_of(alert(0, level=1))
    assert (version.outcome, version.alert) == (Outcome.PROTOCOL_VERSION_REFUSED, "protocol_version")
    assert (goodbye.outcome, goodbye.alert) == (Outcome.CLOSED, "close_notify")


async def test_a_warning_alone_ends_nothing() -> None:
    failure = await failure_of(alert(112, level=1))  # then the script's end: the server closes
    assert (failure.outcome, failure.detail) == (Outcome.CLOSED, "closed in the middle of the handshake")


@pytest.mark.parametrize(
    ("spoken", "told"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nServer: gateway\r\n\r\n", "not TLS but: HTTP/1.1 400 Bad Request"),
        (b"* OK The Microsoft Exchange IMAP4 service is ready.\r\n", "not TLS but: * OK The Microsoft"),
        (b"220 relay.example ESMTP\r\n", "not TLS but: 220 relay.example"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not TLS but: SSH-2.0"),
    ],
)
async def test_what_is_not_tls_is_shown(spoken: bytes, told: str) -> None:
    for pieces in ([spoken], cut(spoken, range(len(spoken)))):
        failure = await failure_of(*pieces)
        assert failure.outcome is Outcome.UNEXPECTED_CONTENT
        assert told.startswith((failure.detail or "")[:20])
        assert (failure.detail or "").startswith("not TLS but: ")


@given(st.integers(0, 255), st.lists(st.integers(0, 7)))
async def test_however_an_alert_is_cut(number: int, offsets: list[int]) -> None:
    whole, pieces = await failure_of(alert(number)), await failure_of(*cut(alert(number), offsets))
    assert (pieces.outcome, pieces.alert, pieces.detail) == (whole.outcome, whole.alert, whole.detail)


@given(st.lists(st.binary(max_size=100), max_size=5))
async def test_any_bytes_end_in_a_word(script: list[bytes]) -> None:
    failure = await failure_of(*script)
    assert failure.outcome in (
        Outcome.CLOSED,
        Outcome.ALERT,
        Outcome.UNEXPECTED_CONTENT,
        Outcome.PROTOCOL_VERSION_REFUSED,
    )


def test_every_suite_that_we_offer_has_its_registered_name() -> None:
    offered = SSL.Connection(CLIENT._context, None).get_cipher_list()
    unnamed = {name for name in offered if name not in _IANA_CIPHERS and not name.startswith("TLS_")}
    assert {name for name in unnamed if "PSK" not in name and "SRP" not in name} == set()  # those need a secret
    assert set(_IANA_CIPHERS.values()) <= set(CIPHER_SUITES.values())
