"""uvicorn on a thread and event loop of its own: rendering a page never delays a phase's clock."""

import asyncio
import socket
import threading
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from exporter.web.web_config import WebAccess

#: Connections at once; more are answered 503.
MAX_CONNECTIONS = 64
#: Bytes of a request's head.
MAX_HEAD = 16_384
#: An idle connection is closed after so many seconds.
KEEP_ALIVE = 15


class WebServer:
    """Serves an ASGI application until stopped."""

    def __init__(self, app: ASGIApp, address: tuple[str, int], access: WebAccess) -> None:
        """Binds at once, so that a port that is taken is an OSError here."""
        host, port = address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        context = access.context()
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            http="h11",
            ws="none",
            lifespan="off",
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=1,
            limit_concurrency=MAX_CONNECTIONS,
            h11_max_incomplete_event_size=MAX_HEAD,
        )
        config.load()
        config.ssl = context
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self.url = self._url(host, https=context is not None)

    def _url(self, host: str, *, https: bool) -> str:
        port = cast(int, self._socket.getsockname()[1])
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if https else 'http'}://{shown}:{port}/"

    def start(self) -> None:
        """Serves from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Ends within two seconds, whatever requests are under way."""
        self._server.should_exit = True
        self._thread.join(1.5)
        self._server.force_exit = True
        self._thread.join(0.4)
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._server._serve([self._socket]))  # serve() would take over the signals of the main thread
