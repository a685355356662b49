"""HTTP by h11: keep-alive, split anywhere, nonsense."""

import pytest

from exporter.lab.behaviour import Then
from exporter.lab.http_server import MAX_BODY, Answer, HttpServer, Request

POST = b"POST /token?x=1 HTTP/1.1\r\nHost: login.example\r\nContent-Length: 4\r\n\r\na=1&"
GET = b"GET / HTTP/1.1\r\nHost: login.example\r\n\r\n"


class Pages:
    def __init__(self) -> None:
        self.seen: list[Request] = []

    def __call__(self, request: Request) -> Answer:
        self.seen.append(request)
        return Answer(200, [("X-Lab", "1")], b"body", delay=0.5)


def test_a_request_is_read_and_answered() -> None:
    pages = Pages()
    (reply,) = HttpServer(pages).receive(POST)
    assert pages.seen == [
        Request("POST", "login.example", "/token?x=1", {"host": "login.example", "content-length": "4"}, b"a=1&")
    ]
    assert reply.data == b"HTTP/1.1 200 \r\nX-Lab: 1\r\nContent-Length: 4\r\n\r\nbody"
    assert (reply.then, reply.delay) == (Then.GO_ON, 0.5)


def test_two_requests_byte_by_byte() -> None:
    pages = Pages()
    server = HttpServer(pages)
    data = POST + GET
    replies = [reply for at in range(len(data)) for reply in server.receive(data[at : at + 1])]
    assert [request.method for request in pages.seen] == ["POST", "GET"]
    assert len(replies) == 2


def test_head_has_no_body_and_close_closes() -> None:
    (reply,) = HttpServer(Pages()).receive(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert reply.data.endswith(b"\r\n\r\n")
    assert reply.then is Then.CLOSE


def test_a_long_body_is_cut() -> None:
    pages = Pages()
    length = MAX_BODY + 100
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length
    list(HttpServer(pages).receive(head + b"a" * length))
    assert len(pages.seen[0].body) == MAX_BODY


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x00\x05hello\r\n\r\n", b"A1 CAPABILITY\r\n\r\n", b"\x00" * 70_000])
def test_nonsense_is_a_bad_request(data: bytes) -> None:
    (reply,) = HttpServer(Pages()).receive(data)
    assert reply.data.startswith(b"HTTP/1.1 400 ")
    assert reply.then is Then.CLOSE
