"""The sign-in hosts: what anyone may ask, every grant, every error by its number (facts 4)."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from exporter.lab import tokens
from exporter.lab.aadsts import ERRORS
from exporter.lab.behaviour import Behaviour, Use
from exporter.lab.http_server import Answer, Request
from exporter.lab.sign_in import CONSUMER_TENANT, App, SignIn

WORK, PERSONAL = "login.microsoftonline.com", "login.live.com"
TOKEN_PATH, LIVE_PATH = "/common/oauth2/v2.0/token", "/oauth20_token.srf"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Client:
    """Asks the sign-in hosts, without a wire between."""

    def __init__(self, **switches: Any) -> None:
        self.behaviour = Behaviour(**switches)
        self.sign_in = SignIn()

    def ask(
        self, method: str, path: str, form: dict[str, str] | None = None, host: str = WORK,
        headers: dict[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        body = urlencode(form or {}).encode()
        return self.sign_in.answer(Request(method, host, path, headers or {}, body), self.behaviour)

    def token(self, host: str = WORK, **form: str) -> Answer:
        return self.ask("POST", TOKEN_PATH if host == WORK else LIVE_PATH, {"client_id": "app", **form}, host)

    def sign_in_by_device(self, host: str = WORK, tenant: str = "common") -> dict[str, Any]:
        path = f"/{tenant}/oauth2/v2.0/devicecode" if host == WORK else "/oauth20_connect.srf"
        code = content(self.ask("POST", path, {"client_id": "app", "scope": "IMAP.AccessAsUser.All"}, host))
        self.sign_in.decide_device_codes()
        path = f"/{tenant}/oauth2/v2.0/token" if host == WORK else LIVE_PATH
        form = {"grant_type": DEVICE, "client_id": "app", "device_code": code["device_code"], "client_info": "1"}
        return content(self.ask("POST", path, form, host))


def content(answer: Answer) -> dict[str, Any]:
    loaded = json.loads(answer.body)
    assert isinstance(loaded, dict)
    return loaded


def header(answer: Answer, name: str) -> str | None:
    return dict(answer.headers).get(name)


def test_an_empty_request_is_900144_in_microsofts_own_way() -> None:
    answer = Client().ask("POST", TOKEN_PATH)
    error = content(answer)
    assert answer.status == 400
    assert error["error"] == "invalid_request"
    assert error["error_codes"] == [900144]
    assert re.fullmatch(
        r"AADSTS900144: The request body must contain the following parameter: 'grant_type'\.\r\n"
        r"Trace ID: [0-9a-f-]{36}\r\nCorrelation ID: [0-9a-f-]{36}\r\nTimestamp: \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ",
        error["error_description"],
    )
    assert header(answer, "x-ms-request-id") == error["trace_id"]
    assert header(answer, "x-ms-ests-server") is not None
    assert header(answer, "Strict-Transport-Security") == "max-age=31536000; includeSubDomains"


def test_a_get_is_900561_and_a_missing_client_900144() -> None:
    assert content(Client().ask("GET", TOKEN_PATH))["error_codes"] == [900561]
    missing = content(Client().ask("POST", TOKEN_PATH, {"grant_type": "refresh_token"}))
    assert "'client_id'" in missing["error_description"]


def test_the_consumers_host_has_words_of_its_own() -> None:
    answer = Client().ask("POST", LIVE_PATH, host=PERSONAL)
    error = content(answer)
    assert error["error_description"] == "The provided request must include a 'grant_type' input parameter."
    assert header(answer, "PPServer") is not None
    assert header(answer, "x-ms-ests-server") is None


@pytest.mark.parametrize(
    ("tenant", "issuer"),
    [("common", "{tenantid}"), ("consumers", CONSUMER_TENANT), ("contoso.example", "contoso.example")],
)
def test_metadata(tenant: str, issuer: str) -> None:
    answer = Client().ask("GET", f"/{tenant}/v2.0/.well-known/openid-configuration")
    metadata = content(answer)
    assert metadata["issuer"] == f"https://login.microsoftonline.com/{issuer}/v2.0"
    assert metadata["token_endpoint"] == f"https://{WORK}/{tenant}/oauth2/v2.0/token"
    assert metadata["cloud_instance_name"] == "microsoftonline.com"
    assert metadata["tenant_region_scope"] is None
    assert header(answer, "Cache-Control") == "max-age=86400, private"


def test_instances_keys_realm_pages_and_an_unknown_tenant() -> None:
    client = Client()
    instances = content(client.ask("GET", "/common/discovery/instance?api-version=1.1"))
    assert "sts.windows.net" in instances["metadata"][0]["aliases"]
    assert content(client.ask("GET", "/common/discovery/v2.0/keys"))["keys"][0]["kid"] == tokens.KEY_ID
    realm = "/common/userrealm/someone%40contoso.example?api-version=1.0"
    assert content(client.ask("GET", realm))["NameSpaceType"] == "Managed"
    assert content(client.ask("GET", "/common/userrealm/someone@x.invalid"))["NameSpaceType"] == "Unknown"
    unknown = client.ask("GET", "/nowhere.invalid/v2.0/.well-known/openid-configuration")
    assert (unknown.status, content(unknown)["error"]) == (400, "invalid_tenant")
    assert content(unknown)["error_description"].startswith("AADSTS90002: Tenant 'nowhere.invalid' not found.")
    assert header(client.ask("GET", "/"), "Location") == "https://www.office.com/login#"
    assert client.ask("GET", "/common/oauth2/v2.0/authorize").status == 200
    assert client.ask("GET", "/", host=PERSONAL).status == 200


def test_the_device_code_flow_from_pending_to_tokens() -> None:
    client = Client()
    form = {"client_id": "app", "scope": "https://outlook.office.com/IMAP.AccessAsUser.All offline_access"}
    code = content(client.ask("POST", "/common/oauth2/v2.0/devicecode", form))
    assert code["verification_uri"] == "https://microsoft.com/devicelogin"
    assert (code["expires_in"], code["interval"]) == (900, 5)
    assert code["user_code"] in code["message"]
    poll = {"grant_type": DEVICE, "device_code": code["device_code"]}
    assert content(client.token(**poll))["error"] == "authorization_pending"
    client.sign_in.decide_device_codes()
    granted = content(client.token(**poll))
    assert granted["expires_in"] == granted["ext_expires_in"] == 3600
    assert granted["scope"] == form["scope"]
    assert client.behaviour.opens(granted["access_token"], "Someone@outlook.com")
    assert not client.behaviour.opens(granted["access_token"], "other@outlook.com")
    assert content(client.token(**poll))["error_codes"] == [70018]  # a code is redeemed once


def test_a_device_code_declined_or_expired() -> None:
    client = Client()
    code = content(client.ask("POST", "/common/oauth2/v2.0/devicecode", {"client_id": "app"}))["device_code"]
    client.sign_in.decide_device_codes("declined")
    assert content(client.token(grant_type=DEVICE, device_code=code))["error"] == "authorization_declined"
    client.behaviour.clock_offset = 901
    assert content(client.token(grant_type=DEVICE, device_code=code))["error"] == "expired_token"
    assert content(client.token(grant_type=DEVICE, device_code="?"))["error"] == "bad_verification_code"
    assert client.ask("POST", "/common/oauth2/v2.0/devicecode").status == 400


def test_work_tokens_are_jwts_and_consumers_are_opaque() -> None:
    work = Client().sign_in_by_device()
    assert json.loads(tokens.decode(work["access_token"].split(".")[1]))["aud"] == "https://outlook.office.com"
    for personal in (Client().sign_in_by_device(tenant="consumers"), Client().sign_in_by_device(host=PERSONAL)):
        assert personal["access_token"].startswith("EwB")
        assert 900 <= len(personal["access_token"]) <= 1500
        identity = json.loads(tokens.decode(personal["id_token"].split(".")[1]))
        assert identity["tid"] == CONSUMER_TENANT
        assert json.loads(tokens.decode(personal["client_info"]))["utid"] == CONSUMER_TENANT


def test_refresh_rotates_and_the_old_token_stays_valid() -> None:
    client = Client()
    first = client.sign_in_by_device()["refresh_token"]
    second = content(client.token(grant_type="refresh_token", refresh_token=first))["refresh_token"]
    assert first != second
    for token in (first, second):
        assert client.token(grant_type="refresh_token", refresh_token=token).status == 200
    stolen = client.token(client_id="another", grant_type="refresh_token", refresh_token=first)
    assert content(stolen)["error"] == "invalid_grant"
    client.sign_in.revoke()
    revoked = content(client.token(grant_type="refresh_token", refresh_token=second))
    assert (revoked["error_codes"], revoked["suberror"]) == ([50173], "bad_token")
    assert content(client.token(grant_type="refresh_token", refresh_token="?"))["error_codes"] == [70000]


def test_access_tokens_expire_and_shared_mailboxes_open_for_delegates() -> None:
    client = Client()
    token = client.sign_in_by_device()["access_token"]
    client.behaviour.delegates["shared@contoso.example"] = frozenset({"someone@outlook.com"})
    assert client.behaviour.opens(token, "shared@contoso.example")
    assert client.behaviour.is_valid(token, Use.IMAP)
    client.behaviour.clock_offset = 3601
    assert not client.behaviour.opens(token, "someone@outlook.com")
    assert not client.behaviour.is_valid(token, Use.IMAP)


def test_client_credentials_by_secret() -> None:
    client = Client()
    client.sign_in.apps["app"] = App(secret="right")
    granted = content(client.token(grant_type="client_credentials", client_secret="right"))
    assert "refresh_token" not in granted
    assert client.behaviour.opens(granted["access_token"], "anybody@contoso.example")
    wrong = client.token(grant_type="client_credentials", client_secret="wrong")
    assert (wrong.status, content(wrong)["error"], content(wrong)["error_codes"]) == (401, "invalid_client", [7000215])
    assert content(client.token(grant_type="client_credentials"))["error_codes"] == [7000218]
    unknown = client.token(client_id="nobody", grant_type="client_credentials", client_secret="right")
    assert content(unknown)["error_codes"] == [700016]


def assertion(key: rsa.RSAPrivateKey, begins: datetime, ends: datetime, algorithm: str = "RS256") -> str:
    head, claims = {"alg": algorithm}, {"nbf": begins.timestamp(), "exp": ends.timestamp()}
    text = ".".join(tokens.encode(json.dumps(part).encode()) for part in (head, claims))
    how: padding.PKCS1v15 | padding.PSS = padding.PKCS1v15()
    if algorithm == "PS256":
        how = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    return f"{text}.{tokens.encode(key.sign(text.encode(), how, hashes.SHA256()))}"


def test_client_credentials_by_assertion() -> None:
    client, key = Client(), rsa.generate_private_key(public_exponent=65537, key_size=2048)
    client.sign_in.apps["app"] = App(key=key.public_key())
    now, hour = datetime.now(UTC), timedelta(hours=1)

    def ask(text: str) -> dict[str, Any]:
        form = {"client_assertion_type": ASSERTION, "client_assertion": text}
        return content(client.token(grant_type="client_credentials", **form))

    for algorithm in ("RS256", "PS256"):
        assert "access_token" in ask(assertion(key, now - hour, now + hour, algorithm))
    late = ask(assertion(key, now - 2 * hour, now - hour))
    assert late["error_codes"] == [700024]
    assert "Current time: 20" in late["error_description"]
    forged = assertion(rsa.generate_private_key(public_exponent=65537, key_size=2048), now - hour, now + hour)
    for bad in (forged, "nonsense", "a.b.c", assertion(key, now, now + hour, "none")):
        assert ask(bad)["error_codes"] == [50027]


@pytest.mark.parametrize("number", [*ERRORS, 999999])
def test_every_error_by_its_number(number: int) -> None:
    client = Client(token_error=number)
    answer = client.token(grant_type="refresh_token", refresh_token="x")
    error = content(answer)
    assert error["error_codes"] == [number]
    assert error["error_description"].startswith(f"AADSTS{number}: ")
    assert "{" not in error["error_description"]
    assert answer.status == (ERRORS[number].status if number in ERRORS else 400)
    assert error.get("suberror") == (ERRORS[number].suberror if number in ERRORS else None)


def test_outage_throttling_delay_clock_and_tenant_restriction() -> None:
    outage = Client(outage=True).ask("POST", TOKEN_PATH)
    assert (outage.status, content(outage)["error"]) == (503, "temporarily_unavailable")
    throttled = Client(throttled=True).ask("POST", TOKEN_PATH)
    assert (throttled.status, header(throttled, "Retry-After")) == (429, "30")
    assert header(Client(throttled=True, retry_after=None).ask("POST", TOKEN_PATH), "Retry-After") is None
    assert Client(token_delay=4).ask("POST", TOKEN_PATH).delay == 4
    ahead = header(Client(clock_offset=86_400).ask("POST", TOKEN_PATH), "Date")
    assert ahead is not None
    assert f"{datetime.now(UTC) + timedelta(days=1):%d %b %Y}" in ahead
    restricted = Client().ask("POST", TOKEN_PATH, headers={"restrict-access-to-tenants": "contoso.example"})
    assert content(restricted)["error_codes"] == [500021]


def test_an_unknown_grant_and_the_count_of_requests() -> None:
    client = Client()
    assert content(client.token(grant_type="password"))["error"] == "unsupported_grant_type"
    assert client.behaviour.counts["token_request"] == 1
