"""Who may ask what: names served, loopback, same origin, authentication, and the size and rate of requests.

Pure functions of a request's headers and addresses, and the middleware that applies them.
"""

import ipaddress
import time
import traceback
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.basic_auth import Users
from exporter.web.control import Control
from exporter.web.web_config import WebConfig

log = structlog.get_logger(__name__)

#: Largest body of a request, bytes. None of our pages reads one.
MAX_BODY = 65_536

#: A request's line and headers, bytes.
MAX_HEADERS = 16_384

#: Pages that tell nothing but whether we live; an orchestrator asks them without a password.
OPEN_PATHS = frozenset({"/-/healthy", "/-/ready"})

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether a name or address, without port and brackets, is this machine's own."""
    host = host.rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def host_of(header: str) -> str | None:
    """The name in a Host header, without its port; None where it isn't one."""
    try:
        split = urlsplit(f"//{header}")
        _ = split.port  # raises where it isn't a number
    except ValueError:
        return None
    if split.username is not None or split.path or split.query or split.fragment:
        return None
    return split.hostname


def host_is_served(header: str | None, listen_host: str, allowed: Collection[str]) -> bool:
    """On loopback only its names and the allowed ones are served, so that no DNS rebinding reaches us."""
    if not is_loopback(listen_host):
        return True
    host = host_of(header or "")
    if host is None:
        return False
    return is_loopback(host) or host.rstrip(".") in {name.lower().rstrip(".") for name in allowed}


def is_same_origin(headers: Headers, scheme: str) -> bool:
    """Whether a browser says that our own page asks. Programs that aren't browsers say nothing."""
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or origin == f"{scheme}://{headers.get('host', '')}"


def from_loopback(connection: HTTPConnection) -> bool:
    """Whether the request comes from this machine itself, and not through a proxy that runs on it."""
    if any(name in connection.headers for name in ("forwarded", "x-forwarded-for", "x-real-ip", "via")):
        return False
    return connection.client is not None and is_loopback(connection.client.host)


def is_trusted(connection: HTTPConnection) -> bool:
    """Authenticated, or from loopback."""
    return bool(connection.scope.get("authenticated")) or from_loopback(connection)


class TokenBucket:
    """exporter-toolkit's rate limit: one request each `interval` seconds, `burst` at once."""

    def __init__(self, interval: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval, self._burst, self._clock = interval, burst, clock
        self._tokens, self._since = float(burst), clock()

    def take(self) -> bool:
        """Whether a request may pass now."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._since) / self._interval)
        self._since = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Guard:
    """Outermost: refuses what may not pass, adds the headers of safety, and never lets a traceback out."""

    def __init__(
        self, app: ASGIApp, control: Control, web_config: WebConfig | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app, self._control, self._web_config = app, control, web_config
        self._users = Users()
        self._clock = clock
        self._bucket: tuple[tuple[float, int], TokenBucket] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, self._web_config)
        try:
            refusal = await self._refusal(HTTPConnection(scope))
            await (refusal or self._app)(scope, receive, answer)
        except Exception as fault:  # the log gets no local variables: they may be secrets
            log.error("a page failed", path=scope["path"][:200], fault="".join(traceback.format_exception(fault)))
            if not answer.begun:
                await PlainTextResponse("internal error; the log tells more\n", 500)(scope, receive, answer)

    async def _refusal(self, request: HTTPConnection) -> Response | None:
        if not self._rate_allows():
            return PlainTextResponse("too many requests\n", 429)
        listen_host = self._control.listen.rpartition(":")[0].strip("[]")
        if not host_is_served(request.headers.get("host"), listen_host, self._control.allowed_hosts):
            return PlainTextResponse(
                "this Host isn't served here; allowed_hosts in the configuration names more\n", 403
            )
        if _head_length(request.scope) > MAX_HEADERS:  # h11 bounds only what comes in several reads
            return PlainTextResponse("the headers are too large\n", 431)
        if _body_length(request.headers) > MAX_BODY:
            return PlainTextResponse("the body is too large\n", 413)
        return await self._unauthenticated(request)

    def _rate_allows(self) -> bool:
        limit = self._web_config.current().rate_limit if self._web_config else None
        if limit is None or limit.interval <= 0:
            return True
        wanted = (limit.interval, limit.burst)
        if self._bucket is None or self._bucket[0] != wanted:
            self._bucket = (wanted, TokenBucket(*wanted, self._clock))
        return self._bucket[1].take()

    async def _unauthenticated(self, request: HTTPConnection) -> Response | None:
        users = self._web_config.current().basic_auth_users if self._web_config else {}
        if not users or request.url.path in OPEN_PATHS:
            return None
        if await self._users.accept(users, request.headers.get("authorization", "")):
            request.scope["authenticated"] = True
            return None
        return PlainTextResponse("unauthorized\n", 401, {"WWW-Authenticate": 'Basic realm="outlook-auth-exporter"'})


class _Answer:
    """Passes a reply on, with the headers that every reply has."""

    def __init__(self, send: Send, web_config: WebConfig | None) -> None:
        self._send, self._web_config = send, web_config
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
            configured = self._web_config.current().headers if self._web_config else {}
            for name, value in configured.items():
                headers[name] = value
        await self._send(message)


def _head_length(scope: Scope) -> int:
    fields = sum(len(name) + len(value) for name, value in scope["headers"])
    return fields + len(scope["path"]) + len(scope["query_string"])


def _body_length(headers: Headers) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isdecimal() and len(length) < 20 else MAX_BODY + 1
