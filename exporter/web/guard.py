"""Who may ask what: the Host check against DNS rebinding, authentication, state changes, and the headers of every reply."""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exporter.web.web_config import WebAccess

#: Pages that show no more than metrics do: a scraper needs no more than what web_config asks of everybody.
_OPEN = frozenset({"/-/healthy", "/-/ready"})
#: Bytes of a request's body that are read.
MAX_BODY = 65_536

_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Stands before every page."""

    def __init__(self, app: ASGIApp, *, access: WebAccess, on_loopback: bool, allowed_hosts: Collection[str]) -> None:
        self._app = app
        self._access = access
        self._on_loopback = on_loopback
        self._allowed = frozenset(name.lower() for name in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._access.refresh()
        headers = Headers(scope=scope)
        extra = _HEADERS | {
            name.lower(): value for name, value in self._access.config.http_server_config.headers.items()
        }
        refusal = await self._refusal(scope, headers)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                added = [(n.encode(), v.encode("latin-1")) for n, v in extra.items() if n.encode() not in present]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await (refusal or self._app)(scope, receive, send_guarded)

    async def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        if not self._host_is_ours(headers.get("host", "")):
            return PlainTextResponse("unknown Host; add it to allowed_hosts\n", 421)
        if (
            int(
                headers.get("content-length") or "0"
                if (headers.get("content-length") or "0").isdigit()
                else MAX_BODY + 1
            )
            > MAX_BODY
        ):
            return PlainTextResponse("the request is too large\n", 413)
        authenticated = False
        if self._access.has_users and scope["path"] not in _OPEN:
            authenticated = await self._access.allows(headers.get("authorization"))
            if not authenticated:
                return PlainTextResponse(
                    "Unauthorized\n", 401, {"WWW-Authenticate": 'Basic realm="outlook-auth-exporter"'}
                )
        scope["trusted"] = authenticated or from_loopback(scope)
        if scope["method"] not in ("GET", "HEAD") and not self._may_change(scope, headers, authenticated=authenticated):
            return PlainTextResponse("needs authentication, or a request from this machine and origin\n", 403)
        return None

    def _host_is_ours(self, host: str) -> bool:
        """Listening on loopback, only its names are served: a page elsewhere can't rebind its own name to us."""
        if not self._on_loopback:
            return True
        name = urlsplit(f"//{host}").hostname if host else None
        if name is None:
            return False
        if name == "localhost" or name in self._allowed:
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False

    def _may_change(self, scope: Scope, headers: Headers, *, authenticated: bool) -> bool:
        site = headers.get("sec-fetch-site")
        origin = headers.get("origin")
        same = origin is None or urlsplit(origin).netloc == headers.get("host")
        if site not in (None, "same-origin", "none") or not same:
            return False
        return authenticated or from_loopback(scope)


def from_loopback(scope: Scope) -> bool:
    """Whether the request comes from this machine."""
    client = scope.get("client")
    try:
        return client is not None and ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False
