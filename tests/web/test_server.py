"""The server on real sockets of the loopback: limits, TLS that follows its files, and a quick end."""

import http.client
import json
import os
import shutil
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509

from exporter.settings_errors import ConfigurationError
from exporter.state import State
from exporter.web import server as server_module
from exporter.web.app import create_app
from exporter.web.guard import MAX_HEADERS
from exporter.web.server import MAX_CONNECTIONS, WebServer
from exporter.web.web_config import WebConfig
from tests.metrics.made import healthy
from tests.real.certificates import Authority, make_authority
from tests.web.client import ScriptedControl

Start = Callable[..., str]


@pytest.fixture
def start() -> Iterator[Start]:
    servers = []

    def started(web_config: WebConfig | None = None, listen: str = "127.0.0.1:0") -> str:
        state = State()
        state.record_probe(healthy())
        server = WebServer(create_app(state, ScriptedControl(), web_config=web_config), listen, web_config)
        servers.append(server)
        return server.start()

    yield started
    for server in servers:
        server.stop()


def connected(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=15)


def everything(sock: socket.socket) -> bytes:
    received = b""
    while chunk := sock.recv(65_536):
        received += chunk
    return received


def test_it_serves_on_a_thread_of_its_own(start: Start) -> None:
    url = start()
    assert url.startswith("http://127.0.0.1:")
    assert "web" in {thread.name for thread in threading.enumerate()}
    with urllib.request.urlopen(f"{url}/api/v1/probes", timeout=10) as reply:
        assert json.load(reply)[0]["target"] == "imap"
        assert "server" not in reply.headers


def test_head_has_headers_and_no_body(start: Start) -> None:
    with connected(start()) as sock:
        sock.sendall(b"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        head, _, body = everything(sock).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == b""


def test_an_address_in_use_is_an_error_at_once(start: Start) -> None:
    taken = urlsplit(start()).port
    with pytest.raises(OSError, match="in use"):
        start(listen=f"127.0.0.1:{taken}")


def test_ipv6(start: Start) -> None:
    url = start(listen="[::1]:0")
    assert url.startswith("http://[::1]:")
    with urllib.request.urlopen(f"{url}/-/healthy", timeout=10) as reply:
        assert reply.status == 200


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX: " + b"x" * (2 * MAX_HEADERS) + b"\r\n\r\n",
        b"GET /" + b"x" * (2 * MAX_HEADERS),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\n\n",
        b"\x00\xff\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
)
def test_a_malformed_request_is_refused_and_closed(start: Start, request_: bytes) -> None:
    with connected(start()) as sock:
        try:
            sock.sendall(request_)
            answer = everything(sock)
        except ConnectionResetError:
            answer = b""
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 403 ", b"HTTP/1.1 431 "))
    assert b"Traceback" not in answer


def test_a_large_body_is_refused(start: Start) -> None:
    with connected(start()) as sock:
        sock.sendall(b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000000000\r\n\r\n" + bytes(1000))
        assert sock.recv(65_536).startswith(b"HTTP/1.1 413 ")


def test_whoever_sends_no_headers_in_time_is_hung_up_on(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HEADER_TIMEOUT", 0.3)
    url = start()
    for begun in (b"", b"GET / HTTP/1.1\r\nHo", b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HT"):
        with connected(url) as sock:
            sock.sendall(begun)
            began = time.monotonic()
            try:
                everything(sock)
            except ConnectionResetError:
                pass
            assert 0.2 < time.monotonic() - began < 5


def test_a_connection_that_asked_may_idle_and_ask_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "HEADER_TIMEOUT", 0.2)
    parts = urlsplit(start())
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    for pause in (0.4, 0.0):
        connection.request("GET", "/-/healthy")
        assert connection.getresponse().read() == b"healthy\n"
        threading.Event().wait(pause)
    connection.close()


def test_connections_are_bounded(start: Start) -> None:
    url = start()
    held = [connected(url) for _ in range(MAX_CONNECTIONS)]
    try:
        with connected(url) as one_more:
            try:
                assert one_more.recv(1) == b""
            except ConnectionResetError:
                pass
    finally:
        for sock in held:
            sock.close()


def test_it_stops_within_two_seconds_though_clients_hang_on() -> None:
    server = WebServer(create_app(State(), ScriptedControl()), "127.0.0.1:0")
    url = server.start()
    with connected(url) as idle, connected(url) as half:
        half.sendall(b"GET / HTTP/1.1\r\nHo")
        idle.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n")
        idle.recv(1000)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 2
    with pytest.raises(ConnectionRefusedError):
        connected(url)


class TestTls:
    @pytest.fixture
    def authority(self, tmp_path: Path) -> Authority:
        return make_authority(tmp_path)

    def config(self, directory: Path, authority: Authority, more: str = "") -> WebConfig:
        self.install(directory, authority, "localhost")
        path = directory / "web.yml"
        path.write_text(f"tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n{more}")
        return WebConfig(path)

    def install(self, directory: Path, authority: Authority, *names: str) -> None:
        """A certificate for those names, put where the server looks."""
        files = authority.leaf("leaf", names=names)
        for source, name in ((files.chain, "cert.pem"), (files.key, "key.pem")):
            shutil.copy(source, directory / f"new-{name}")
            (directory / f"new-{name}").chmod(0o600)
            os.replace(directory / f"new-{name}", directory / name)

    def handshake(self, url: str, authority: Authority, name: str | None = "localhost", **limits: object) -> list[str]:
        """The names on the certificate that the server presents."""
        context = ssl.create_default_context(cafile=str(authority.root_file))
        context.check_hostname = name is not None
        for attribute, value in limits.items():
            setattr(context, attribute, value)
        with connected(url) as sock, context.wrap_socket(sock, server_hostname=name) as secured:
            secured.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert secured.recv(4096).startswith(b"HTTP/1.1 200 ")
            presented = x509.load_der_x509_certificate(secured.getpeercert(binary_form=True) or b"")
        names = presented.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.DNSName)

    def test_a_renewed_certificate_is_presented_without_restart(
        self, start: Start, tmp_path: Path, authority: Authority
    ) -> None:
        url = start(self.config(tmp_path, authority))
        assert url.startswith("https://")
        assert self.handshake(url, authority) == ["localhost"]
        self.install(tmp_path, authority, "localhost", "renewed.example")
        assert self.handshake(url, authority) == ["localhost", "renewed.example"]
        assert self.handshake(url, authority, None) == ["localhost", "renewed.example"]  # no SNI

    def test_a_bad_new_certificate_leaves_the_old_one(self, start: Start, tmp_path: Path, authority: Authority) -> None:
        url = start(self.config(tmp_path, authority))
        (tmp_path / "cert.pem").write_text("-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
        assert self.handshake(url, authority) == ["localhost"]

    def test_versions_are_limited(self, start: Start, tmp_path: Path, authority: Authority) -> None:
        url = start(self.config(tmp_path, authority, "  min_version: TLS13\n"))
        with pytest.raises(ssl.SSLError):
            self.handshake(url, authority, maximum_version=ssl.TLSVersion.TLSv1_2)

    def test_client_certificates_are_required_where_configured(
        self, start: Start, tmp_path: Path, authority: Authority
    ) -> None:
        more = f"  client_ca_file: {authority.root_file}\n  client_auth_type: RequireAndVerifyClientCert\n"
        url = start(self.config(tmp_path, authority, more))
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            self.handshake(url, authority)

    def test_a_key_of_another_certificate_is_an_error_at_the_start(self, tmp_path: Path, authority: Authority) -> None:
        web_config = self.config(tmp_path, authority)
        shutil.copy(authority.leaf("other", names=("other.example",)).key, tmp_path / "key.pem")
        (tmp_path / "key.pem").chmod(0o600)
        app = create_app(State(), ScriptedControl(), web_config=web_config)
        with pytest.raises(ConfigurationError, match="can't be used"):
            WebServer(app, "127.0.0.1:0", web_config)
