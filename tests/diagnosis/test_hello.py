"""Variants of the ClientHello as bytes, and how they leave."""

import asyncio
import socket

import pytest
from OpenSSL import SSL

from exporter.diagnosis.experiments import hello as variants
from exporter.diagnosis.experiments.hello import (
    ChangedTls,
    Form,
    HelloChange,
    LongFirst,
    LongLast,
    SplitFirst,
    _context,
)
from exporter.diagnosis.experiments.sockets import AdjustedSockets, account_of
from exporter.lab.client_hello import read_client_hello
from exporter.probe.failures import PhaseFailure
from exporter.probe.tls import TlsStream
from exporter.probe.vantage import LocalSockets
from exporter.vocabulary import Outcome

NAME = "login.microsoftonline.com"
TLS_1_2, TLS_1_3 = 0x0303, 0x0304


def hello(form: Form) -> bytes:
    """The ClientHello's records."""
    connection = SSL.Connection(_context(form), None)
    connection.set_tlsext_host_name(NAME.encode())
    connection.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    return connection.bio_read(65_536)


def read(form: Form):
    found = read_client_hello(hello(form))
    assert found is not None
    return found


def test_every_form_names_the_server():
    for form in Form:
        assert read(form).server_name == NAME, form


def test_the_usual_one_is_larger_than_a_segment_and_the_small_one_far_smaller():
    assert len(hello(Form.USUAL)) > 1_460
    assert len(hello(Form.SMALL)) < 600
    assert len(hello(Form.SMALL_ANSWER)) < 600
    assert set(read(Form.SMALL).versions) == set(read(Form.USUAL).versions)


def test_versions():
    assert TLS_1_3 in read(Form.USUAL).versions
    assert TLS_1_3 not in read(Form.TLS_1_2).versions
    assert set(read(Form.TLS_1_3).versions) == {TLS_1_3}
    assert max(read(Form.OLD).versions) < TLS_1_2


def test_another_fingerprint_offers_other_suites():
    assert hello(Form.OTHER)[43 + 33 : 43 + 33 + 20] != hello(Form.USUAL)[43 + 33 : 43 + 33 + 20]
    assert len(hello(Form.OTHER)) > 1_400  # as large, so that size isn't what differs


class Sent:
    """A stream that keeps what is sent, piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    async def send(self, data: bytes) -> float:
        self.pieces.append(data)
        return 0.0

    async def receive(self) -> bytes:
        return b""

    def close(self) -> None:
        pass


async def test_a_split_cuts_inside_the_name_and_only_the_first_flight():
    below = Sent()
    stream = SplitFirst(below, NAME)
    await stream.send(hello(Form.USUAL))
    await stream.send(b"finished")
    first, second, third = below.pieces
    assert NAME.encode() in first + second
    assert NAME.encode() not in first
    assert NAME.encode() not in second
    assert third == b"finished"


async def test_a_split_without_a_name_cuts_in_the_middle():
    below = Sent()
    await SplitFirst(below, None).send(b"abcdef")
    assert below.pieces == [b"abc", b"def"]


async def test_a_silent_server_is_accounted_for_by_the_kernel():
    """Nothing answers, but TCP acknowledges: whoever took the ClientHello keeps quiet."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sockets = AdjustedSockets(LocalSockets(), mss=536)
        sock = sockets.socket(socket.AF_INET, socket.SOCK_STREAM)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, server.getsockname())
        accepted, _ = server.accept()
        from exporter.probe.stream import TcpStream

        tls = ChangedTls(HelloChange(), sockets, loop.time)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await tls.handshake(TcpStream(sock), NAME)
        assert tls.account.acknowledged is True
        assert tls.account.retransmissions == 0
        accepted.close()
        sock.close()


def test_options_are_the_sockets():
    sockets = AdjustedSockets(LocalSockets(), mss=536, ttl=3)
    with sockets.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 3
        sockets.limit(1)
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TTL) == 1
    with sockets.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) == 3
    sockets.limit(2)  # on a closed socket: nothing
    assert account_of(sock).acknowledged is None


async def test_a_long_command_goes_first_and_its_answer_is_swallowed():
    class Under(LongFirst):
        def __init__(self) -> None:
            self.sent: list[bytes] = []
            self.answers = [b"a0 BAD too", b" long\r\n", b"a1 OK\r\n"]
            self._command = b"a0 NOOP xxx\r\n"

    under = Under()

    async def send(_self, data):
        under.sent.append(data)
        return 0.0

    async def receive(_self):
        return under.answers.pop(0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TlsStream, "send", send)
        patch.setattr(TlsStream, "receive", receive)
        await under.send(b"a1 CAPABILITY\r\n")
        assert under.sent == [b"a0 NOOP xxx\r\n", b"a1 CAPABILITY\r\n"]
        assert await under.receive() == b"a1 OK\r\n"
        under._command, under.answers = b"again\r\n", [b""]
        with pytest.raises(ConnectionResetError):
            await under.send(b"x")


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([b"a0 BAD too", b" long\r\n"], Outcome.OK),
        ([b""], Outcome.RESET),
        ([ConnectionResetError(104, "reset")], Outcome.RESET),
        ([PhaseFailure(Outcome.ALERT, "bad_record_mac")], Outcome.ALERT),
        ([], Outcome.TIMEOUT),
    ],
)
async def test_a_long_command_goes_last_and_its_end_is_noted(
    monkeypatch: pytest.MonkeyPatch, answers: list[bytes | Exception], outcome: Outcome
):
    """The farewell goes out whatever became of it; without one it isn't sent at all."""
    sent: list[bytes] = []

    async def send(_self, data):
        sent.append(data)
        return 0.0

    async def receive(_self):
        if not answers:
            await asyncio.Event().wait()
        if isinstance(answer := answers.pop(0), Exception):
            raise answer
        return answer

    monkeypatch.setattr(TlsStream, "send", send)
    monkeypatch.setattr(TlsStream, "receive", receive)
    monkeypatch.setattr(variants, "LAST_PATIENCE", 0.05)
    under = LongLast.__new__(LongLast)
    under._command, under.outcome = b"a0 NOOP xxx\r\n", None
    await under.send(b"a2 AUTHENTICATE XOAUTH2\r\n")
    assert (sent, under.outcome) == ([b"a2 AUTHENTICATE XOAUTH2\r\n"], None)
    await under.send(b"a3 LOGOUT\r\n")
    assert sent[1:] == [b"a0 NOOP xxx\r\n", b"a3 LOGOUT\r\n"]
    assert under.outcome is outcome
