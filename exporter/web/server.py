"""The web server on a thread and event loop of its own, so that no page is waited for by a probe's clock."""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from exporter.settings_fields import parse_listen
from exporter.web.guard import MAX_HEADERS
from exporter.web.tls import Certificates
from exporter.web.web_config import WebConfig

#: Connections held at once; more are closed as they come.
MAX_CONNECTIONS = 128
#: Connections that wait to be taken.
BACKLOG = 128
#: Requests served at once; more are answered 503.
MAX_REQUESTS = 64
#: Seconds in which a request's headers must have come, and an idle connection may stay.
HEADER_TIMEOUT, IDLE_TIMEOUT = 10.0, 75
#: Seconds in which a TLS handshake must be over.
HANDSHAKE_TIMEOUT = 10.0
#: Seconds that answers under way have when we stop.
STOP_TIMEOUT = 1
#: Seconds between updates of the Date that answers carry.
TICK = 1.0


class WebServer:
    """`start()` returns the bound URL; `stop()` takes at most two seconds."""

    def __init__(self, app: ASGIApp, listen: str, web_config: WebConfig | None = None) -> None:
        self._host, self._port = parse_listen(listen)
        has_tls = web_config is not None and web_config.current().tls_server_config is not None
        self._certificates = Certificates(web_config) if web_config is not None and has_tls else None
        self._server = _Server(_config(app), self._certificates)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._started = threading.Event()
        self._socket: socket.socket | None = None
        self._failure: BaseException | None = None

    def start(self) -> str:
        """Binds and serves. Raises OSError where the address can't be had."""
        self._socket = _bound(self._host, self._port)
        port = self._socket.getsockname()[1]
        self._server.on_started = self._started.set
        self._thread.start()
        self._started.wait(10)
        if self._failure is not None:
            raise RuntimeError("the web server couldn't start") from self._failure
        scheme = "http" if self._certificates is None else "https"
        return f"{scheme}://{_in_url(self._host)}:{port}"

    def stop(self) -> None:
        """Ends the server, and connections that are still open."""
        self._server.end()
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT + 0.5)
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join(0.4)
        if self._socket is not None:
            self._socket.close()

    def _run(self) -> None:
        assert self._socket is not None
        try:
            asyncio.run(self._server.serve([self._socket]))
        except BaseException as failure:
            self._failure = failure
            raise
        finally:
            self._started.set()


def _nothing() -> None:
    """Nobody waits for the start."""


class _Server(uvicorn.Server):
    """Tells when it serves, gives slow TLS handshakes less than asyncio's minute, and wakes only once a second."""

    def __init__(self, config: uvicorn.Config, certificates: Certificates | None) -> None:
        super().__init__(config)
        self._certificates = certificates
        self.on_started: Callable[[], None] = _nothing
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Stops serving, from any thread."""
        self.should_exit = True
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: it has ended already
                self._loop.call_soon_threadsafe(self._ending.set)

    async def main_loop(self) -> None:
        """As uvicorn's, which looks ten times a second whether it shall end, and so costs more than all our scrapes."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), TICK)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        self._loop = loop = asyncio.get_running_loop()
        tls: dict[str, Any] = {}
        if self._certificates is not None:
            tls = {"ssl": self._certificates.context, "ssl_handshake_timeout": HANDSHAKE_TIMEOUT}
        self.servers = [
            await loop.create_server(self._protocol, sock=sock, backlog=self.config.backlog, **tls)
            for sock in sockets or ()
        ]
        self.started = True
        self.on_started()

    def _protocol(self) -> asyncio.Protocol:
        return _PatientProtocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


class _PatientProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, but patient only so long: headers must come within HEADER_TIMEOUT."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
            return
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._stop_waiting()
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._wait()

    def _wait(self) -> None:
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().call_later(HEADER_TIMEOUT, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_PatientProtocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_REQUESTS,
        h11_max_incomplete_event_size=MAX_HEADERS,
        timeout_keep_alive=IDLE_TIMEOUT,
        timeout_graceful_shutdown=STOP_TIMEOUT,
    )


def _bound(host: str, port: int) -> socket.socket:
    """A listening socket; the wildcard of IPv6 takes IPv4 too."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _in_url(host: str) -> str:
    """The host as a browser on this machine writes it."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
