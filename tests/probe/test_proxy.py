"""Phase proxy as transcripts: HTTP CONNECT and SOCKS5."""

import pytest

from exporter.probe.failures import PhaseFailure
from exporter.probe.proxy import ProxyCredentials, http_connect, socks5
from exporter.vocabulary import Outcome
from tests.probe.scripted import ScriptedStream

CREDENTIALS = ProxyCredentials("user", "hunter2")


async def test_connect_gives_a_tunnel():
    stream = ScriptedStream([b"HTTP/1.1 200 Connection ", b"established\r\n\r\n* OK"])
    assert await http_connect(stream, "imap-mail.outlook.com", 993, CREDENTIALS) == b"* OK"
    assert stream.sent[0].startswith(b"CONNECT imap-mail.outlook.com:993 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dXNlcjpodW50ZXIy\r\n" in stream.sent[0]


@pytest.mark.parametrize(
    ("answer", "outcome", "words"),
    [
        (b'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"\r\n\r\n', "rejected", "proxy authentication required"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "rejected", "403"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "unavailable", "503"),
        (b"HTTP/1.1 504 Gateway Timeout\r\n\r\n", "timeout", "504"),
        (b"220 mail ESMTP\r\n", "unexpected_content", "not an HTTP proxy"),
        (b"", "closed", "closed"),
    ],
)  # fmt: skip
async def test_what_an_http_proxy_says(answer, outcome, words):
    with pytest.raises(PhaseFailure) as caught:
        await http_connect(ScriptedStream([answer] if answer else []), "h.example", 993, None)
    assert caught.value.outcome == outcome
    assert words in (caught.value.detail or "")


async def test_socks5_by_name_with_credentials():
    stream = ScriptedStream([b"\x05\x02", b"\x01\x00", b"\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38"])
    assert await socks5(stream, "h.example", 587, CREDENTIALS) == b""
    assert stream.sent == [
        b"\x05\x02\x00\x02",
        b"\x01\x04user\x07hunter2",
        b"\x05\x01\x00\x03\x09h.example\x02\x4b",
    ]


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ([b"\x05\xff"], Outcome.REJECTED),
        ([b"\x05\x02", b"\x01\x01"], Outcome.REJECTED),
        ([b"\x05\x00", b"\x05\x05\x00\x01" + bytes(6)], Outcome.REFUSED),
        ([b"\x05\x00", b"\x05\x04\x00\x01" + bytes(6)], Outcome.UNREACHABLE),
        ([b"\x05\x00", b"\x05\x02\x00\x01" + bytes(6)], Outcome.REJECTED),
        ([b"HT", b"TP"], Outcome.UNEXPECTED_CONTENT),
        ([], Outcome.CLOSED),
    ],
)
async def test_what_a_socks_proxy_says(script, outcome):
    with pytest.raises(PhaseFailure) as caught:
        await socks5(ScriptedStream(script), "h.example", 587, CREDENTIALS)
    assert caught.value.outcome is outcome


def test_credentials_never_show():
    assert "hunter2" not in f"{CREDENTIALS!r} {CREDENTIALS}"
