"""The sign-in hosts login.microsoftonline.com and login.live.com (facts 4, 5): a request in, an answer out."""

import json
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography.hazmat.primitives.asymmetric import rsa

from exporter.lab import tokens
from exporter.lab.aadsts import ERRORS, OTHER
from exporter.lab.behaviour import ANY_USER, MAX_SEEN, Behaviour, Issued
from exporter.lab.http_server import Answer, Request

CONSUMER_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
_WORK_TENANT = "11111111-2222-3333-4444-555555555555"
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
Value = TypeVar("Value")

#: Put in by a gateway that intercepts (facts 7.1).
_RESTRICTION = "restrict-access-to-tenants"
#: What texts of the table may want filled in, for errors that a switch asks for.
_PLACEHOLDERS = ("tenant", "parameter", "client", "grant", "now", "begins", "ends")
_ALIASES = ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"]


@dataclass(frozen=True, slots=True)
class App:
    """A registered application: how it proves who it is, where it must."""

    secret: str | None = None
    key: rsa.RSAPublicKey | None = None


@dataclass(slots=True)
class DeviceCode:
    """A device code and what became of it: pending, approved or declined."""

    client: str
    scope: str
    expires: datetime
    state: str = "pending"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a refresh token stands for."""

    user: str
    client: str
    scope: str
    personal: bool


@dataclass(slots=True)
class SignIn:
    """Both hosts; remembers the grants given out. `user` is who signs in; lifetimes are seconds."""

    user: str = "someone@outlook.com"
    access_lifetime: int = 3_600
    device_lifetime: int = 900
    apps: dict[str, App] = field(default_factory=dict)
    device_codes: dict[str, DeviceCode] = field(default_factory=dict)
    refresh_tokens: dict[str, Grant] = field(default_factory=dict)

    def answer(self, request: Request, behaviour: Behaviour) -> Answer:
        """The answer of whichever of the two hosts was asked."""
        return _Exchange(self, request, behaviour).answer()

    def decide_device_codes(self, state: str = "approved") -> None:
        """What a person does on the device code page: approved or declined."""
        for code in self.device_codes.values():
            code.state = state

    def revoke(self) -> None:
        """What a changed password does: every refresh token dies."""
        self.refresh_tokens.clear()


class _Exchange:
    """One request to a sign-in host."""

    def __init__(self, state: SignIn, request: Request, behaviour: Behaviour) -> None:
        self._state, self._request, self._behaviour = state, request, behaviour
        self._personal = request.host.lower().startswith("login.live.com")
        self._path = urlsplit(request.path).path
        self._form = {key: values[0] for key, values in parse_qs(request.body.decode("latin-1")).items()}
        self._tenant = self._path.strip("/").partition("/")[0]

    def answer(self) -> Answer:
        if self._behaviour.outage:
            return self._error(90033)
        if self._personal:
            return self._live()
        if self._tenant.endswith(".invalid"):
            return self._error(90002)
        routes: tuple[tuple[str, Callable[[], Answer]], ...] = (
            ("/.well-known/openid-configuration", self._metadata),
            ("/discovery/instance", self._instances),
            ("/discovery/v2.0/keys", lambda: self._json(200, tokens.key_set())),
            ("/oauth2/v2.0/token", self._token),
            ("/oauth2/v2.0/devicecode", self._device_code),
            ("/oauth2/v2.0/authorize", self._page),
        )
        for end, route in routes:
            if self._path.endswith(end):
                return route()
        if "/userrealm/" in self._path:
            return self._realm()
        return Answer(302, [("Location", "https://www.office.com/login#"), *self._headers()])

    def _live(self) -> Answer:
        match self._path:
            case "/oauth20_token.srf":
                return self._token()
            case "/oauth20_connect.srf":
                return self._device_code()
            case _:
                return self._page()

    # --- what anyone may ask

    def _metadata(self) -> Answer:
        base = f"https://{self._request.host}/{self._tenant}"
        issuer = CONSUMER_TENANT if self._tenant == "consumers" else "{tenantid}"
        if self._tenant not in ("common", "organizations", "consumers"):
            issuer = self._tenant
        content = {
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "issuer": f"https://login.microsoftonline.com/{issuer}/v2.0",
            "cloud_instance_name": "microsoftonline.com", "tenant_region_scope": None,
        }  # fmt: skip
        return self._json(200, content, cache="max-age=86400, private")

    def _instances(self) -> Answer:
        content = {
            "tenant_discovery_endpoint": f"https://{self._request.host}/common/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [{"preferred_network": _ALIASES[0], "preferred_cache": _ALIASES[1], "aliases": list(_ALIASES)}],
        }
        return self._json(200, content)

    def _realm(self) -> Answer:
        user = unquote(self._path.rpartition("/")[2])
        kind = "Unknown" if user.endswith(".invalid") else "Managed"
        return self._json(200, {"NameSpaceType": kind, "Login": user, "cloud_instance_name": "microsoftonline.com"})

    def _page(self) -> Answer:
        body = b"<!DOCTYPE html><html><head><title>Sign in to your account</title></head><body></body></html>"
        headers = [("Content-Type", "text/html; charset=utf-8"), *self._headers()]
        return Answer(200, headers, body, self._behaviour.http_delay)

    # --- tokens

    def _device_code(self) -> Answer:
        client = self._form.get("client_id")
        if client is None:
            return self._missing("client_id")
        code, user_code = secrets.token_urlsafe(24), secrets.token_hex(4).upper()
        expires = self._behaviour.now() + timedelta(seconds=self._state.device_lifetime)
        _remember(self._state.device_codes, code, DeviceCode(client, self._form.get("scope", ""), expires))
        consumer = self._personal or self._tenant == "consumers"
        place = "https://www.microsoft.com/link" if consumer else "https://microsoft.com/devicelogin"
        words = (
            f"To sign in, use a web browser to open the page {place} and enter the code {user_code} to authenticate."
        )
        content = {
            "user_code": user_code, "device_code": code, "verification_uri": place,
            "expires_in": self._state.device_lifetime, "interval": 5, "message": words,
        }  # fmt: skip
        return self._json(200, content)

    def _token(self) -> Answer:
        self._behaviour.traffic.count("token_request", self._behaviour.place)
        if self._request.method != "POST":
            return self._error(900561) if not self._personal else self._missing("grant_type")
        if self._behaviour.throttled:
            return self._throttled()
        if not self._personal and _RESTRICTION in self._request.headers:
            return self._error(500021)
        grant = self._form.get("grant_type")
        if grant is None:
            return self._missing("grant_type")
        if "client_id" not in self._form:
            return self._missing("client_id")
        if self._behaviour.token_error is not None:
            return self._error(self._behaviour.token_error)
        match grant:
            case "refresh_token":
                return self._refresh()
            case "client_credentials":
                return self._client_credentials()
            case _ if grant == _DEVICE_GRANT:
                return self._device_poll()
            case _:
                return self._error(70003, grant=grant)

    def _refresh(self) -> Answer:
        """Rotation: each use gives a new refresh token; the old one isn't revoked by use (facts 4.4)."""
        grant = self._state.refresh_tokens.get(self._form.get("refresh_token", ""))
        if grant is None or grant.client != self._form["client_id"]:
            return self._error(70000)
        return self._give(grant)

    def _device_poll(self) -> Answer:
        code = self._state.device_codes.get(self._form.get("device_code", ""))
        if code is None or code.client != self._form["client_id"]:
            return self._error(70018)
        if code.expires <= self._behaviour.now():
            return self._error(70019)
        if code.state != "approved":
            return self._error(65004 if code.state == "declined" else 70016)
        del self._state.device_codes[self._form["device_code"]]
        consumer = self._personal or self._tenant == "consumers"
        return self._give(Grant(self._state.user, code.client, code.scope, consumer))

    def _client_credentials(self) -> Answer:
        app = self._state.apps.get(self._form["client_id"])
        if app is None:
            return self._error(700016, client=self._form["client_id"])
        if "client_assertion" in self._form:
            return self._assertion(app)
        if "client_secret" not in self._form:
            return self._error(7000218)
        if app.secret is None or not secrets.compare_digest(self._form["client_secret"], app.secret):
            return self._error(7000215)
        return self._give_app()

    def _assertion(self, app: App) -> Answer:
        if app.key is None or self._form.get("client_assertion_type") != _ASSERTION_TYPE:
            return self._error(50027)
        try:
            claims = tokens.read_assertion(self._form["client_assertion"], app.key)
            begins, ends = float(str(claims.get("nbf", 0))), float(str(claims["exp"]))
        except (ValueError, KeyError):
            return self._error(50027)
        now = self._behaviour.now()
        if not begins <= now.timestamp() < ends:
            spelled = [_instant(datetime.fromtimestamp(moment, now.tzinfo)) for moment in (begins, ends)]
            return self._error(700024, now=_instant(now), begins=spelled[0], ends=spelled[1])
        return self._give_app()

    def _give_app(self) -> Answer:
        """An application's own token: for every mailbox, without a refresh token."""
        claims = {"appid": self._form["client_id"], "roles": ["IMAP.AccessAsApp", "POP.AccessAsApp", "SMTP.SendAsApp"]}
        access = tokens.signed(self._claims() | claims)
        self._issue(access, ANY_USER)
        return self._json(200, {"token_type": "Bearer", **self._lifetimes(), "access_token": access}, token=True)

    def _give(self, grant: Grant) -> Answer:
        about = {"appid": grant.client, "upn": grant.user, "scp": grant.scope}
        access = tokens.opaque() if grant.personal else tokens.signed(self._claims() | about)
        refresh = ("M.C5_" if grant.personal else "1.A") + secrets.token_urlsafe(200)
        _remember(self._state.refresh_tokens, refresh, grant)
        self._issue(access, grant.user.lower())
        tenant = CONSUMER_TENANT if grant.personal else _WORK_TENANT
        identity = {
            "aud": grant.client, "iss": f"https://login.microsoftonline.com/{tenant}/v2.0", "tid": tenant,
            "preferred_username": grant.user, "sub": "lab-user", "oid": "00000000-0000-0000-0000-000000000001",
        }  # fmt: skip
        content: dict[str, object] = {
            "token_type": "Bearer", "scope": grant.scope, **self._lifetimes(),
            "access_token": access, "refresh_token": refresh, "id_token": tokens.signed(self._claims() | identity),
        }  # fmt: skip
        if self._form.get("client_info") == "1":
            content["client_info"] = tokens.encode(json.dumps({"uid": identity["oid"], "utid": tenant}).encode())
        return self._json(200, content, token=True)

    def _issue(self, access: str, owner: str) -> None:
        expires = self._behaviour.now() + timedelta(seconds=self._state.access_lifetime)
        _remember(self._behaviour.issued, access, Issued(owner, expires))

    def _claims(self) -> dict[str, object]:
        now = int(self._behaviour.now().timestamp())
        audience = {"aud": "https://outlook.office.com", "iss": f"https://sts.windows.net/{_WORK_TENANT}/"}
        return {**audience, "tid": _WORK_TENANT, "iat": now, "nbf": now, "exp": now + self._state.access_lifetime}

    def _lifetimes(self) -> dict[str, object]:
        return {"expires_in": self._state.access_lifetime, "ext_expires_in": self._state.access_lifetime}

    # --- replies

    def _missing(self, parameter: str) -> Answer:
        if not self._personal:
            return self._error(900144, parameter=parameter)
        # login.live.com's own words (fkalis/bash-onedrive-upload#69, 2018; hwi/HWIOAuthBundle#2002, 2024)
        text = f"The provided request must include a '{parameter}' input parameter."
        content = {"error": "invalid_request", "error_description": text, "correlation_id": str(uuid.uuid4())}
        return self._json(400, content, token=True)

    def _throttled(self) -> Answer:
        after = self._behaviour.retry_after
        headers = [("Retry-After", str(after))] if after is not None else []
        return Answer(429, [*headers, *self._headers()], delay=self._behaviour.token_delay)

    def _error(self, number: int, **words: str) -> Answer:
        kind = ERRORS.get(number, OTHER)
        stamp = f"{self._behaviour.now():%Y-%m-%d %H:%M:%SZ}"
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        text = kind.text.format(**(dict.fromkeys(_PLACEHOLDERS, stamp) | {"tenant": self._tenant} | words))
        lines = (f"AADSTS{number}: {text}", f"Trace ID: {trace}", f"Correlation ID: {correlation}")
        content: dict[str, object] = {
            "error": kind.error, "error_description": "\r\n".join((*lines, f"Timestamp: {stamp}")),
            "error_codes": [number], "timestamp": stamp, "trace_id": trace, "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={number}",
        }  # fmt: skip
        if kind.suberror is not None:
            content["suberror"] = kind.suberror
        return self._json(kind.status, content, token=True, trace=trace)

    def _json(
        self, status: int, content: object, *, token: bool = False, cache: str = "no-store, no-cache", trace: str = ""
    ) -> Answer:
        headers = [("Content-Type", "application/json; charset=utf-8"), *self._headers(cache, trace)]
        delay = self._behaviour.token_delay if token else self._behaviour.http_delay
        return Answer(status, headers, json.dumps(content).encode(), delay)

    def _headers(self, cache: str = "no-store, no-cache", trace: str = "") -> list[tuple[str, str]]:
        common = [
            ("Cache-Control", cache), ("Pragma", "no-cache"), ("Expires", "-1"),
            ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"), ("X-Content-Type-Options", "nosniff"),
            ("P3P", 'CP="DSP CUR OTPi IND OTRi ONL FIN"'), ("Date", http_date(self._behaviour.now())),
            ("x-ms-request-id", trace or str(uuid.uuid4())),
        ]  # fmt: skip
        if self._personal:
            return [*common, ("PPServer", "PPV: 30 H: PH1PEPF00011F5B V: 0"), ("x-ms-route-info", "C105_BL2")]
        cookies = ("fpc=AlabCookie; path=/; secure; HttpOnly", "x-ms-gateway-slice=estsfd; path=/; secure; HttpOnly")
        server = ("x-ms-ests-server", "2.1.12651.7 - SCUS ProdSlices")
        return [*common, server, *(("Set-Cookie", cookie) for cookie in cookies)]


def _remember(table: dict[str, Value], key: str, value: Value) -> None:
    if len(table) >= MAX_SEEN:
        del table[next(iter(table))]
    table[key] = value


def _instant(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.0000000Z"


def http_date(moment: datetime) -> str:
    """RFC 9110 5.6.7, of an aware UTC time."""
    return format_datetime(moment, usegmt=True)
