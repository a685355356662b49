"""Invariant: any message gets one reply, and only a request for TCP or UDP over IPv4 or IPv6 gets a socket."""

import errno
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.probe import vantage_protocol as protocol
from exporter.probe.vantage_protocol import Status, Step


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_what_is_asked_for_is_made(family: int, kind: int) -> None:
    reply, made = protocol.answer(protocol.request(family, kind | socket.SOCK_NONBLOCK, 7))
    assert protocol.read_reply(reply) == (Status.OK, 0, 7)
    assert made is not None
    with made:
        assert (made.family, made.type, made.getblocking()) == (family, kind, False)
        assert not made.get_inheritable()


@pytest.mark.parametrize(
    ("message", "number"),
    [
        (b"", 0),
        (b"\x01\x04\x01\x00\x00\x00\x00", 0),  # cut
        (b"\x01\x04\x01\x00\x00\x00\x00\x09\x00", 0),  # garbage behind
        (b"\x02\x04\x01\x00\x00\x00\x00\x09", 9),  # another version
        (b"\x01\x05\x01\x00\x00\x00\x00\x09", 9),  # another family
        (b"\x01\x04\x03\x00\x00\x00\x00\x09", 9),  # a raw socket
        (b"\x01\x04\x01\x01\x00\x00\x00\x09", 9),  # a reserved byte
    ],
)
def test_anything_else_is_refused(message: bytes, number: int) -> None:
    reply, made = protocol.answer(message)
    assert (protocol.read_reply(reply), made) == ((Status.REFUSED, errno.EPROTO, number), None)


@given(st.binary(max_size=40) | st.binary(min_size=8, max_size=8))
def test_no_message_breaks_it(message: bytes) -> None:
    reply, made = protocol.answer(message)
    told = protocol.read_reply(reply)
    assert told is not None
    assert (told.status == Status.OK) == (made is not None)
    if made is not None:
        made.close()


@given(st.binary(max_size=40))
def test_what_a_stranger_sends_is_a_message_or_none(message: bytes) -> None:
    for read, size in ((protocol.read_reply, protocol.REPLY.size), (protocol.read_greeting, protocol.GREETING.size)):
        assert (read(message) is not None) == (len(message) == size and message[0] == protocol.VERSION)


def test_the_service_does_not_even_ask_for_others() -> None:
    with pytest.raises(OSError, match="Address family"):
        protocol.request(socket.AF_UNIX, socket.SOCK_STREAM, 1)
    with pytest.raises(OSError, match="Protocol not supported"):
        protocol.request(socket.AF_INET, socket.SOCK_RAW, 1)


def test_the_greeting_tells_the_step_that_failed() -> None:
    assert protocol.read_greeting(protocol.greeting(Step.ENTER, errno.EPERM)) == (Step.ENTER, errno.EPERM)


def test_the_kernels_refusal_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socket", no_more)
    reply, made = protocol.answer(protocol.request(socket.AF_INET, socket.SOCK_STREAM, 3))
    assert (protocol.read_reply(reply), made) == ((Status.FAILED, errno.EMFILE, 3), None)
