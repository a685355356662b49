"""Proxies that misbehave: each ends phase `proxy` in a named outcome, and nothing they send is lost."""

import socket
import threading

import pytest

from exporter.vocabulary import Outcome, Phase
from tests.real import bad_server as bad
from tests.real.bad_server import Script, bad_servers
from tests.real.certificates import Authority
from tests.real.probing import Run, probe

TIMEOUT = 2.0
SOCKS_GRANTED = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00"


def _eager(*grants: bytes) -> Script:
    """Answers each of the client's messages with the next grant; the last one brings the server's greeting along."""

    def script(peer: socket.socket, stop: threading.Event) -> None:
        for grant in grants[:-1]:
            peer.recv(4096)
            peer.sendall(grant)
        peer.recv(4096)
        bad.imap_answering(grants[-1] + bad.GREETING, b"IMAP4rev1")(peer, stop)

    return script


#: Name (a vantage's; SOCKS where it begins so) → what the proxy does, and the outcomes that name it.
CASES: dict[str, tuple[Script, tuple[Outcome, ...]]] = {
    "http-silence": (bad.drain, (Outcome.TIMEOUT,)),
    "http-close": (bad.answer(b""), (Outcome.CLOSED,)),
    "http-noise": (bad.answer(b"\x16\x03\x01 no proxy at all\r\n\r\n"), (Outcome.UNEXPECTED_CONTENT,)),
    "http-endless-head": (bad.endless(b"HTTP/1.1 200 OK\r\nX: "), (Outcome.UNEXPECTED_CONTENT,)),
    "http-endless-407": (
        bad.endless(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2147483648\r\n\r\n"),
        (Outcome.REJECTED,),
    ),
    "http-drip": (bad.dripping(b"HTTP/1.1 200 OK\r\n\r\n"), (Outcome.TIMEOUT,)),
    "http-informational": (bad.repeated(b"HTTP/1.1 100 Continue\r\n\r\n"), (Outcome.UNEXPECTED_CONTENT,)),
    "http-hostile": (
        bad.answer(b"HTTP/1.1 403 \x1b[2J<script>\r\nContent-Length: 0\r\n\r\n"),
        (Outcome.REJECTED, Outcome.UNEXPECTED_CONTENT),
    ),
    "socks-silence": (bad.drain, (Outcome.TIMEOUT,)),
    "socks-close": (bad.answer(b""), (Outcome.CLOSED,)),
    "socks-http": (bad.answer(bad.HTTP_PAGE), (Outcome.UNEXPECTED_CONTENT,)),
    "socks-odd-method": (bad.answer(b"\x05\x77"), (Outcome.UNEXPECTED_CONTENT,)),
    "socks-odd-reply": (bad.say(b"", b"\x05\x00", b"\x05\x63" + SOCKS_GRANTED[2:]), (Outcome.UNRECOGNIZED,)),
    "socks-half": (bad.say(b"", b"\x05\x00", SOCKS_GRANTED[:5]), (Outcome.TIMEOUT,)),
}


@pytest.fixture(scope="module")
def round_(authority: Authority) -> Run:
    scripts = {name: script for name, (script, _) in CASES.items()}
    scripts["http-eager"] = _eager(b"HTTP/1.1 200 Connection established\r\n\r\n")
    scripts["socks-eager"] = _eager(b"\x05\x00", SOCKS_GRANTED)
    with bad_servers(scripts) as ports:
        vantages = [
            {"name": name, "proxy": f"{'socks5' if name.startswith('socks') else 'http'}://127.0.0.1:{port}"}
            for name, port in ports.items()
        ]
        target = {"name": "mail", "protocol": "imap", "host": "mail.test", "port": 143, "tls": "starttls"}
        return probe([target], root_file=authority.root_file, vantages=vantages, timeout=f"{TIMEOUT:g}s")


@pytest.mark.parametrize("name", CASES)
def test_ends_in_a_named_outcome_of_phase_proxy(round_: Run, name: str):
    line = round_.lines["mail", name]
    assert line.phase(Phase.PROXY)["outcome"] in CASES[name][1], line
    assert line["failed_phase"] == Phase.PROXY
    assert line.phase(Phase.PROXY)["seconds"] < TIMEOUT + 1
    assert line.phase(Phase.GREETING)["outcome"] == Outcome.SKIPPED


@pytest.mark.parametrize("name", ["http-eager", "socks-eager"])
def test_a_greeting_that_comes_with_the_proxys_answer_is_not_lost(round_: Run, name: str):
    line = round_.lines["mail", name]
    assert line.phase(Phase.PROXY)["outcome"] == Outcome.OK
    assert line.phase(Phase.GREETING)["detail"] == bad.GREETING.decode().strip()
    assert line.phase(Phase.STARTTLS)["outcome"] == Outcome.NOT_OFFERED


def test_memory_and_time_are_bounded(round_: Run):
    assert round_.peak_bytes < 150 * 2**20
    assert round_.seconds < 20


def test_no_terminal_is_written_on(round_: Run):
    assert b"\x1b" not in round_.stdout
    assert b"\\u001b" not in round_.stdout
