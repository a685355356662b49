"""MSAL makes the requests, we carry them: each over the vantage's way, once, and what came back is kept as it came.

MSAL hides the network three times over: its token cache, its replay of refusals for a minute, its session's retry. Here
each request has an application object of its own with empty caches, there is no retry, and a second POST is refused.
MSAL is synchronous: all this runs on a thread, `carry` hands over to the prober's event loop.
"""

import json
import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from exporter.accounts.authority import Authority
from exporter.accounts.request import Reply, Request
from exporter.accounts.token import Grant
from exporter.secret_files import Secret
from exporter.settings_account import AccountSettings

#: GETs for metadata of an identity provider that isn't Microsoft's, in one acquisition.
MAX_GETS = 2
#: Between two polls for a device's code at the most, seconds.
MAX_INTERVAL = 60
_OPENID = "/.well-known/openid-configuration"

Carry = Callable[[Request], Reply]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an application proves itself by; all None for a public client."""

    client_secret: Secret | None = None
    certificate: Secret | None = None
    private_key: Secret | None = None

    def for_msal(self) -> Any:
        """As MSAL takes them (`client_credential`)."""
        if self.client_secret is not None:
            return self.client_secret.reveal()
        if self.certificate is not None and self.private_key is not None:
            return {"private_key": self.private_key.reveal(), "public_certificate": self.certificate.reveal()}
        return None


class NotAnswered(Exception):
    """The request didn't get through, or wasn't allowed to go; the carrier's last reply tells why."""


@dataclass(slots=True)
class Carrier:
    """MSAL's http_client. `reply`: what came of the POST, None while there was none."""

    authority: Authority
    carry: Carry
    reply: Reply | None = None
    _gets: int = field(default=0, repr=False)

    def post(self, url: str, params: Any = None, data: Any = None, headers: Any = None, **_: Any) -> "HttpResponse":
        """One only: what MSAL would try beyond it is our policy's to decide."""
        if self.reply is not None:
            raise NotAnswered("a second request in one acquisition")
        body = (
            data if isinstance(data, str) else urlencode({key: value for key, value in (data or {}).items() if value})
        )
        form = ("Content-Type", "application/x-www-form-urlencoded")
        self.reply = self.carry(self._request("POST", url, params, headers, form, Secret(body.encode())))
        return _response(self.reply)

    def get(self, url: str, params: Any = None, headers: Any = None, **_: Any) -> "HttpResponse":
        """Metadata: Microsoft's is known; another provider's is fetched, and may name no host but the authority's."""
        if self.authority.is_microsofts and url.endswith(_OPENID):
            return HttpResponse(200, json.dumps(self.authority.known_metadata()), {})
        self._gets += 1
        if self._gets > MAX_GETS:
            raise NotAnswered("too many requests for metadata")
        reply = self.carry(self._request("GET", url, params, headers))
        if reply.answer is None:
            self.reply = reply
        return _response(reply)

    def close(self) -> None:
        """Part of MSAL's interface; nothing is kept open."""

    def _request(
        self, method: str, url: str, params: Any, headers: Any, form: tuple[str, str] | None = None, body: Any = None
    ) -> Request:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port or 443
        if parts.scheme != "https" or (host, port) != (self.authority.host, self.authority.port):
            raise NotAnswered("the endpoint is not on the authority's own host")
        query = "&".join(filter(None, (parts.query, urlencode(params or {}))))
        sent = [(str(name), str(value)) for name, value in (headers or {}).items() if value is not None]
        if form is not None:
            sent = [each for each in sent if each[0].lower() != "content-type"] + [form]
        path = f"{parts.path or '/'}?{query}" if query else parts.path or "/"
        return Request(method=method, host=host, port=port, path=path, headers=tuple(sent), body=body)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """What MSAL wants to know of a response. Its text may hold tokens, so it isn't shown."""

    status_code: int
    text: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)

    def raise_for_status(self) -> None:
        """As in requests, with nothing of the answer in the exception."""
        if self.status_code >= 400:
            raise NotAnswered(f"HTTP {self.status_code}")


def _response(reply: Reply) -> HttpResponse:
    if reply.answer is None:
        raise NotAnswered("no answer")
    answer = reply.answer
    return HttpResponse(answer.status, answer.text, dict(answer.headers))


def ask(
    account: AccountSettings,
    carrier: Carrier,
    grant: Grant,
    scopes: tuple[str, ...],
    *,
    credentials: Credentials,
    refresh_token: Secret | None = None,
) -> dict[str, Any]:
    """The identity provider's answer as parsed: `access_token` or `error`; {} where there was none (see `carrier`)."""
    try:
        application = _application(account, carrier, credentials)
        if grant is Grant.CLIENT_CREDENTIALS:
            result = application.acquire_token_for_client(list(scopes))
        else:
            token = "" if refresh_token is None else refresh_token.reveal()
            result = application.acquire_token_by_refresh_token(token, list(scopes))
    except Exception:  # MSAL's own, a key that is none: the carrier's reply says what there is
        return {}
    return dict(result or {})


def begin_device_flow(account: AccountSettings, carrier: Carrier, scopes: tuple[str, ...]) -> dict[str, Any]:
    """RFC 8628 3.1: `user_code`, `verification_uri` and MSAL's state of the flow, or `error`; {} without an answer."""
    try:
        application = _application(account, carrier, Credentials())
        flow = dict(application.initiate_device_flow(list(scopes)))
    except Exception:
        return {}
    if "device_code" in flow:
        flow["interval"] = min(max(flow["interval"], 1), MAX_INTERVAL)  # at none MSAL would ask twice at once
    return flow


def poll_device_flow(account: AccountSettings, carrier: Carrier, flow: dict[str, Any]) -> dict[str, Any]:
    """RFC 8628 3.4, once; `flow` is changed where the server asks to slow down."""
    try:
        application = _application(account, carrier, Credentials())
        return dict(application.acquire_token_by_device_flow(flow, exit_condition=lambda _flow: True))
    except Exception:
        return {}


def _application(account: AccountSettings, carrier: Carrier, credentials: Credentials) -> Any:
    """Made anew for each request: no cache of answers, of metadata, or of tokens lives on in it."""
    import msal  # half a second and requests with it: only where an account asks for a token

    logging.getLogger("msal").setLevel(logging.CRITICAL + 1)  # it logs whole answers where they aren't JSON
    warnings.filterwarnings("ignore", module="msal")  # of authorities that client credentials don't fit: the IdP tells
    common = {
        "authority": carrier.authority.url,
        "http_client": carrier,
        "http_cache": {},
        "instance_discovery": False,
        "token_cache": msal.TokenCache(),
    }
    if not carrier.authority.is_microsofts:
        common = {**common, "authority": None, "oidc_authority": carrier.authority.url}
    credential = credentials.for_msal()
    if credential is None:
        return msal.PublicClientApplication(account.client_id, **common)
    return msal.ConfidentialClientApplication(account.client_id, client_credential=credential, **common)
