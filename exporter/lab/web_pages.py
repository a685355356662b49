"""The HTTPS hosts: sign-in, ActiveSync, Graph, the web, revocation (facts 2.4, 4, 5): a request in, an answer out."""

import json
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qs

from exporter.lab.behaviour import Behaviour

_BEARER = (
    'Bearer client_id="00000002-0000-0ff1-ce00-000000000000", '
    'trusted_issuers="00000001-0000-0000-c000-000000000000@*", '
    'token_types="app_asserted_user_v1 service_asserted_app_v1", '
    'authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", error="invalid_token"'
)
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
#: Device codes and refresh tokens remembered, at most.
_MAX_REMEMBERED = 1000

#: Texts of error numbers (facts 4.5, 4.6): (HTTP status, error, text).
AADSTS: dict[int, tuple[int, str, str]] = {
    900144: (400, "invalid_request", "The request body must contain the following parameter: 'grant_type'."),
    900561: (400, "invalid_request", "The endpoint only accepts POST requests. Received a GET request."),
    70016: (400, "authorization_pending", "OAuth 2.0 device flow error. Authorization is pending. Continue polling."),
    70018: (400, "bad_verification_code", "Invalid verification code due to User typing in wrong user code."),
    70000: (400, "invalid_grant", "The user could not be authenticated as the grant is expired. The user must sign in again."),
    50076: (400, "invalid_grant", "Due to a configuration change made by your administrator you must use multi-factor authentication."),
    50173: (400, "invalid_grant", "The provided grant has expired due to it being revoked, a fresh auth token is needed."),
    50057: (400, "invalid_grant", "The user account is disabled."),
    65001: (400, "invalid_grant", "The user or administrator has not consented to use the application."),
    53003: (400, "invalid_grant", "Access has been blocked by Conditional Access policies."),
    700082: (400, "invalid_grant", "The refresh token has expired due to inactivity. It was inactive for 90.00:00:00."),
    7000215: (401, "invalid_client", "Invalid client secret provided."),
    7000222: (401, "invalid_client", "The provided client secret keys for app are expired."),
    90033: (503, "temporarily_unavailable", "A transient error has occurred. Please try again."),
    70011: (400, "invalid_scope", "The provided value for the input parameter 'scope' is not valid."),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the server read it."""

    method: str
    host: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. `delay` in seconds."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    delay: float = 0.0


class WebPages:
    """All HTTPS hosts, by the Host header. Remembers grants given out."""

    def __init__(self, behaviour: Behaviour, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._behaviour = behaviour
        self._now = now
        self._device_codes: dict[str, bool] = {}
        self._refresh_tokens: set[str] = set()
        self.client_secrets: dict[str, str] = {}

    def answer(self, request: Request) -> Answer:
        """The answer of whichever host was asked."""
        host = request.host.partition(":")[0].lower()
        if host in ("login.microsoftonline.com", "login.live.com"):
            return self._sign_in(request, personal=host == "login.live.com")
        if self._behaviour.outage:
            return Answer(503, self._exchange_headers(), b"Service Unavailable")
        if self._behaviour.throttled:
            return Answer(429, [("Retry-After", str(self._behaviour.retry_after)), *self._exchange_headers()])
        if request.path.lower().startswith("/microsoft-server-activesync"):
            return self._activesync(request)
        if host == "graph.microsoft.com":
            return self._graph(request)
        if "digicert" in host or "ocsp" in host:
            return Answer(200, [("Content-Type", "application/ocsp-response")], b"\x30\x03\x0a\x01\x06")
        if host.endswith("msftauth.net"):
            return Answer(200, [("Content-Type", "text/plain"), ("x-ms-request-id", str(uuid.uuid4()))], b"")
        return Answer(200, [("Content-Type", "text/html"), *self._exchange_headers()], b"<html><title>Outlook</title>")

    def _exchange_headers(self) -> list[tuple[str, str]]:
        return [
            ("request-id", str(uuid.uuid4())),
            ("X-FEServer", "BL1P223CA0005"),
            ("X-RUM-Validated", "1"),
            ("Server", "Microsoft-IIS/10.0"),
            ("Date", http_date(self._now())),
        ]

    def _activesync(self, request: Request) -> Answer:
        headers = self._exchange_headers()
        authorization = request.headers.get("authorization")
        if authorization is None:
            place = "https://outlook-cba.office365.com/Microsoft-Server-ActiveSync"
            return Answer(451, [("X-MS-Location", place), *headers])
        self._behaviour.counts["bearer"] += 1
        token = authorization.removeprefix("Bearer").strip()
        if token in self._behaviour.valid_tokens:
            return Answer(200, [("MS-ASProtocolVersions", "16.1"), ("MS-Server-ActiveSync", "15.21"), *headers])
        return Answer(401, [("WWW-Authenticate", _BEARER), *headers], delay=self._behaviour.auth_delay)

    def _graph(self, request: Request) -> Answer:
        token = request.headers.get("authorization", "").removeprefix("Bearer").strip()
        marks = [("request-id", str(uuid.uuid4())), ("x-ms-ags-diagnostic", "{}"), ("Date", http_date(self._now()))]
        if token and token in self._behaviour.valid_tokens:
            return Answer(200, marks, b"{}")
        body = json.dumps({"error": {"code": "InvalidAuthenticationToken", "message": "Access token is empty."}})
        return Answer(401, [("Content-Type", "application/json"), *marks], body.encode())

    def _sign_in(self, request: Request, *, personal: bool) -> Answer:
        if self._behaviour.outage:
            return self._error(90033)
        path = request.path.partition("?")[0]
        if path.endswith("/.well-known/openid-configuration"):
            issuer = "https://login.microsoftonline.com/{tenantid}/v2.0"
            content = {"issuer": issuer, "cloud_instance_name": "microsoftonline.com", "tenant_region_scope": None}
            return self._json(200, content)
        if path.endswith("/devicecode"):
            return self._device_code(personal=personal)
        if path.endswith(("/token", "/oauth20_token.srf")):
            return self._token(request)
        return Answer(302, [("Location", "https://www.office.com/login#"), *self._sign_in_headers()])

    def _device_code(self, *, personal: bool) -> Answer:
        code = secrets.token_urlsafe(24)
        if len(self._device_codes) < _MAX_REMEMBERED:
            self._device_codes[code] = False
        place = "https://www.microsoft.com/link" if personal else "https://microsoft.com/devicelogin"
        content = {
            "user_code": "ABCD1234", "device_code": code, "verification_uri": place,
            "expires_in": 900, "interval": 5, "message": f"To sign in, open {place} and enter ABCD1234.",
        }  # fmt: skip
        return self._json(200, content)

    def approve_device_codes(self) -> None:
        """What a person does on the device code page."""
        self._device_codes = dict.fromkeys(self._device_codes, True)

    def _token(self, request: Request) -> Answer:
        self._behaviour.counts["token_request"] += 1
        if request.method != "POST":
            return self._error(900561)
        if self._behaviour.throttled:
            return Answer(429, [("Retry-After", str(self._behaviour.retry_after)), *self._sign_in_headers()])
        form = {key: values[0] for key, values in parse_qs(request.body.decode("latin-1")).items()}
        grant = form.get("grant_type")
        if grant is None:
            return self._error(900144)
        if self._behaviour.token_error is not None:
            return self._error(self._behaviour.token_error)
        match grant:
            case "refresh_token":
                return self._refresh(form.get("refresh_token", ""))
            case "client_credentials":
                return self._client_credentials(form)
            case _ if grant == _DEVICE_GRANT:
                approved = self._device_codes.get(form.get("device_code", ""))
                return self._error(70018) if approved is None else self._grant() if approved else self._error(70016)
            case _:
                return self._error(70011)

    def _refresh(self, token: str) -> Answer:
        """Rotation: each use gives a new refresh token, the old one stays valid (facts 4.4)."""
        return self._grant() if token in self._refresh_tokens else self._error(70000)

    def _client_credentials(self, form: dict[str, str]) -> Answer:
        wanted = self.client_secrets.get(form.get("client_id", ""))
        given = form.get("client_secret") or form.get("client_assertion")
        return self._grant(refresh=False) if wanted is not None and given == wanted else self._error(7000215)

    def _grant(self, *, refresh: bool = True) -> Answer:
        access = "EwB" + secrets.token_urlsafe(900)
        if len(self._behaviour.valid_tokens) < _MAX_REMEMBERED:
            self._behaviour.valid_tokens.add(access)
        content: dict[str, object] = {
            "token_type": "Bearer", "scope": "https://outlook.office.com/IMAP.AccessAsUser.All",
            "expires_in": 3600, "ext_expires_in": 3600, "access_token": access,
        }  # fmt: skip
        if refresh:
            token = "0.A" + secrets.token_urlsafe(200)
            if len(self._refresh_tokens) < _MAX_REMEMBERED:
                self._refresh_tokens.add(token)
            content["refresh_token"] = token
        return self._json(200, content)

    def _error(self, number: int) -> Answer:
        status, error, text = AADSTS.get(number, (400, "invalid_request", "An error."))
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        stamp = f"{self._now():%Y-%m-%d %H:%M:%SZ}"
        content = {
            "error": error,
            "error_description": f"AADSTS{number}: {text}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\n"
            f"Timestamp: {stamp}",
            "error_codes": [number], "timestamp": stamp, "trace_id": trace, "correlation_id": correlation,
            "error_uri": f"https://login.microsoftonline.com/error?code={number}",
        }  # fmt: skip
        return self._json(status, content)

    def _sign_in_headers(self) -> list[tuple[str, str]]:
        return [
            ("x-ms-request-id", str(uuid.uuid4())),
            ("x-ms-ests-server", "2.1.12651.7 - SCUS ProdSlices"),
            ("P3P", 'CP="DSP CUR OTPi IND OTRi ONL FIN"'),
            ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
            ("Cache-Control", "no-store, no-cache"),
            ("Date", http_date(self._now())),
        ]

    def _json(self, status: int, content: object) -> Answer:
        headers = [("Content-Type", "application/json; charset=utf-8"), *self._sign_in_headers()]
        return Answer(status, headers, json.dumps(content).encode(), self._behaviour.token_delay)


def http_date(now: datetime) -> str:
    """RFC 9110 5.6.7."""
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return f"{days[now.weekday()]}, {now:%d} {months[now.month - 1]} {now:%Y %H:%M:%S} GMT"
