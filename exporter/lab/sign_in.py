"""The sign-in hosts login.microsoftonline.com and login.live.com (facts 4, 5): a request in, an answer out."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

from exporter.lab import tokens
from exporter.lab.access import DEFAULT, resources
from exporter.lab.behaviour import ANY_USER, Behaviour, Issued
from exporter.lab.grants import App, DeviceCode, Grant, remember
from exporter.lab.http_server import Answer, Request
from exporter.lab.sign_in_answers import Answers, instant

__all__ = ["CONSUMER_TENANT", "App", "DeviceCode", "Grant", "SignIn"]

CONSUMER_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
_WORK_TENANT = "11111111-2222-3333-4444-555555555555"
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

#: Put in by a gateway that intercepts (facts 7.1).
_RESTRICTION = "restrict-access-to-tenants"
#: Scopes that MSAL adds to what is asked for.
_NEEDS_NO_CONSENT = frozenset({"offline_access", "openid", "profile", "email"})
_ALIASES = ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"]


@dataclass(slots=True)
class SignIn:
    """Both hosts; remembers the grants given out. `user` is who signs in; lifetimes are seconds."""

    user: str = "someone@outlook.com"
    access_lifetime: int = 3_600
    device_lifetime: int = 900
    device_interval: int = 5
    refresh_lifetime: int = 90 * 86_400
    apps: dict[str, App] = field(default_factory=dict)
    device_codes: dict[str, DeviceCode] = field(default_factory=dict)
    refresh_tokens: dict[str, Grant] = field(default_factory=dict)
    revoked: dict[str, Grant] = field(default_factory=dict)

    def answer(self, request: Request, behaviour: Behaviour) -> Answer:
        """The answer of whichever of the two hosts was asked."""
        return _Exchange(self, request, behaviour).answer()

    def decide_device_codes(self, state: str = "approved") -> None:
        """What a person does on the device code page: approved or declined."""
        for code in self.device_codes.values():
            code.state = state

    def revoke(self) -> None:
        """What a changed password does: every refresh token dies. Access tokens live on until they expire."""
        for token, grant in self.refresh_tokens.items():
            remember(self.revoked, token, grant)
        self.refresh_tokens.clear()


class _Exchange:
    """One request to a sign-in host."""

    def __init__(self, state: SignIn, request: Request, behaviour: Behaviour) -> None:
        self._state, self._request, self._behaviour = state, request, behaviour
        self._personal = request.host.lower().startswith("login.live.com")
        self._path = urlsplit(request.path).path
        self._form = {key: values[0] for key, values in parse_qs(request.body.decode("latin-1")).items()}
        self._tenant = self._path.strip("/").partition("/")[0]
        client = self._form.get("client_id", "")
        self._answers = Answers(behaviour, self._personal, self._tenant, state.user, client)

    def answer(self) -> Answer:
        if self._behaviour.outage:
            return self._answers.error(90033)
        if self._personal:
            return self._live()
        if self._tenant.endswith(".invalid"):
            return self._answers.error(90002)
        routes: tuple[tuple[str, Callable[[], Answer]], ...] = (
            ("/.well-known/openid-configuration", self._metadata),
            ("/discovery/instance", self._instances),
            ("/discovery/v2.0/keys", lambda: self._answers.json(200, tokens.key_set())),
            ("/oauth2/v2.0/token", self._token),
            ("/oauth2/v2.0/devicecode", self._device_code),
            ("/oauth2/v2.0/authorize", self._page),
        )
        for end, route in routes:
            if self._path.endswith(end):
                return route()
        if "/userrealm/" in self._path:
            return self._realm()
        return Answer(302, [("Location", "https://www.office.com/login#"), *self._answers.headers()])

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
        return self._answers.json(200, content, cache="max-age=86400, private")

    def _instances(self) -> Answer:
        content = {
            "tenant_discovery_endpoint": f"https://{self._request.host}/common/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [{"preferred_network": _ALIASES[0], "preferred_cache": _ALIASES[1], "aliases": list(_ALIASES)}],
        }
        return self._answers.json(200, content)

    def _realm(self) -> Answer:
        user = unquote(self._path.rpartition("/")[2])
        kind = "Unknown" if user.endswith(".invalid") else "Managed"
        return self._answers.json(
            200, {"NameSpaceType": kind, "Login": user, "cloud_instance_name": "microsoftonline.com"}
        )

    def _page(self) -> Answer:
        body = b"<!DOCTYPE html><html><head><title>Sign in to your account</title></head><body></body></html>"
        headers = [("Content-Type", "text/html; charset=utf-8"), *self._answers.headers()]
        return Answer(200, headers, body, self._behaviour.http_delay)

    # --- tokens

    def _device_code(self) -> Answer:
        client = self._form.get("client_id")
        if client is None:
            return self._answers.missing("client_id")
        code, user_code = secrets.token_urlsafe(24), secrets.token_hex(4).upper()
        expires = self._behaviour.now() + timedelta(seconds=self._state.device_lifetime)
        remember(self._state.device_codes, code, DeviceCode(client, self._form.get("scope", ""), expires))
        consumer = self._personal or self._tenant == "consumers"
        place = "https://www.microsoft.com/link" if consumer else "https://microsoft.com/devicelogin"
        words = (
            f"To sign in, use a web browser to open the page {place} and enter the code {user_code} to authenticate."
        )
        content = {
            "user_code": user_code, "device_code": code, "verification_uri": place,
            "expires_in": self._state.device_lifetime, "interval": self._state.device_interval, "message": words,
        }  # fmt: skip
        return self._answers.json(200, content)

    def _token(self) -> Answer:
        self._behaviour.traffic.count("token_request", self._behaviour.place)
        if self._request.method != "POST":
            return self._answers.error(900561) if not self._personal else self._answers.missing("grant_type")
        if self._behaviour.throttled:
            return self._answers.throttled()
        if not self._personal and _RESTRICTION in self._request.headers:
            return self._answers.error(500021)
        grant = self._form.get("grant_type")
        if grant is None:
            return self._answers.missing("grant_type")
        if "client_id" not in self._form:
            return self._answers.missing("client_id")
        switched = self._behaviour.client_errors.get(self._form["client_id"], self._behaviour.token_error)
        if switched is not None:
            return self._answers.error(switched)
        match grant:
            case "refresh_token":
                return self._refresh()
            case "client_credentials":
                return self._client_credentials()
            case _ if grant == _DEVICE_GRANT:
                return self._device_poll()
            case _:
                return self._answers.error(70003, grant=grant)

    def _refresh(self) -> Answer:
        """Rotation: each use gives a new refresh token; the old one isn't revoked by use (facts 4.4).

        A consumer's failures are all 70000 (facts 4.6), a work account's have their own numbers.
        """
        token = self._form.get("refresh_token", "")
        grant = self._state.refresh_tokens.get(token)
        if grant is None or grant.client != self._form["client_id"]:
            gone = self._state.revoked.get(token)
            work = gone is not None and not gone.personal
            return self._answers.error(50173 if work else 70000)
        now = self._behaviour.now()
        if grant.issued + timedelta(seconds=self._state.refresh_lifetime) <= now:
            return self._answers.error(70000 if grant.personal else 700082, begins=instant(grant.issued))
        wanted = self._form.get("scope", grant.scope)
        if (refusal := self._scope_refusal(wanted, grant)) is not None:
            return refusal
        return self._give(replace(grant, scope=wanted, issued=now), keeps=grant.scope)

    def _scope_refusal(self, wanted: str, grant: Grant) -> Answer | None:
        if len(resources(wanted)) > 1:
            return self._answers.error(28000 if grant.personal else 70011)
        granted = {item.lower() for item in grant.scope.split()}
        if granted and not {item.lower() for item in wanted.split()} <= granted | _NEEDS_NO_CONSENT:
            return self._answers.error("70000.scopes" if grant.personal else 65001, client=grant.client)
        return None

    def _device_poll(self) -> Answer:
        code = self._state.device_codes.get(self._form.get("device_code", ""))
        if code is None or code.client != self._form["client_id"]:
            return self._answers.error(70018)
        if code.expires <= self._behaviour.now():
            return self._answers.error(70019)
        if code.state != "approved":
            return self._answers.error(65004 if code.state == "declined" else 70016)
        del self._state.device_codes[self._form["device_code"]]
        consumer = self._personal or self._tenant == "consumers"
        now = self._behaviour.now()
        return self._give(Grant(self._state.user, code.client, code.scope, consumer, now))

    def _client_credentials(self) -> Answer:
        app = self._state.apps.get(self._form["client_id"])
        if app is None:
            return self._answers.error(700016, client=self._form["client_id"])
        if "client_assertion" in self._form:
            return self._assertion(app)
        if "client_secret" not in self._form:
            return self._answers.error(7000218)
        if app.secret is None or not secrets.compare_digest(self._form["client_secret"], app.secret):
            return self._answers.error(7000215)
        return self._give_app()

    def _assertion(self, app: App) -> Answer:
        if app.key is None or self._form.get("client_assertion_type") != _ASSERTION_TYPE:
            return self._answers.error(50027)
        try:
            claims = tokens.read_assertion(self._form["client_assertion"], app.key)
            begins, ends = float(str(claims.get("nbf", 0))), float(str(claims["exp"]))
        except (ValueError, KeyError):
            return self._answers.error(50027)
        now = self._behaviour.now()
        if not begins <= now.timestamp() < ends:
            spelled = [instant(datetime.fromtimestamp(moment, now.tzinfo)) for moment in (begins, ends)]
            return self._answers.error(700024, now=instant(now), begins=spelled[0], ends=spelled[1])
        return self._give_app()

    def _give_app(self) -> Answer:
        """An application's own token: for every mailbox, without a refresh token."""
        claims = {"appid": self._form["client_id"], "roles": ["IMAP.AccessAsApp", "POP.AccessAsApp", "SMTP.SendAsApp"]}
        scope = self._form.get("scope", "")
        if scope and not scope.endswith(DEFAULT):
            return self._answers.error(1002012)
        access = tokens.signed(self._claims() | claims)
        self._issue(access, ANY_USER, scope)
        return self._answers.json(
            200, {"token_type": "Bearer", **self._lifetimes(), "access_token": access}, token=True
        )

    def _give(self, grant: Grant, keeps: str | None = None) -> Answer:
        """`keeps`: what the new refresh token stands for, where the access token is for less."""
        about = {"appid": grant.client, "upn": grant.user, "scp": grant.scope}
        access = tokens.opaque() if grant.personal else tokens.signed(self._claims() | about)
        refresh = ("M.C5_" if grant.personal else "1.A") + secrets.token_urlsafe(200)
        remember(self._state.refresh_tokens, refresh, grant if keeps is None else replace(grant, scope=keeps))
        self._issue(access, grant.user.lower(), grant.scope)
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
        return self._answers.json(200, content, token=True)

    def _issue(self, access: str, owner: str, scope: str) -> None:
        expires = self._behaviour.now() + timedelta(seconds=self._state.access_lifetime)
        remember(self._behaviour.issued, access, Issued(owner, expires, scope))

    def _claims(self) -> dict[str, object]:
        now = int(self._behaviour.now().timestamp())
        audience = {"aud": "https://outlook.office.com", "iss": f"https://sts.windows.net/{_WORK_TENANT}/"}
        return {**audience, "tid": _WORK_TENANT, "iat": now, "nbf": now, "exp": now + self._state.access_lifetime}

    def _lifetimes(self) -> dict[str, object]:
        return {"expires_in": self._state.access_lifetime, "ext_expires_in": self._state.access_lifetime}
