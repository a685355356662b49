"""ActiveSync, Graph, the web, the CDN, revocation: each reply of the facts (2.4, 5)."""

import json
from typing import Any

import pytest

from exporter.lab.behaviour import Behaviour
from exporter.lab.http_server import Answer, Request
from exporter.lab.sign_in import SignIn
from exporter.lab.web_pages import answer
from tests.lab.credentials import TOKEN

OFFICE, EAS = "outlook.office365.com", "/Microsoft-Server-ActiveSync"
CHALLENGE = (
    'Bearer client_id="00000002-0000-0ff1-ce00-000000000000", '
    'trusted_issuers="00000001-0000-0000-c000-000000000000@*", '
    'token_types="app_asserted_user_v1 service_asserted_app_v1", '
    'authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"'
)


def ask(host: str, path: str = "/", authorization: str | None = None, **switches: Any) -> Answer:
    headers = {"authorization": authorization} if authorization is not None else {}
    return answer(Request("GET", host, path, headers), Behaviour(**switches), SignIn())


def header(reply: Answer, name: str) -> str | None:
    return dict(reply.headers).get(name)


def test_activesync_without_authorization_is_451_and_healthy() -> None:
    reply = ask(OFFICE, EAS)
    assert reply.status == 451
    assert header(reply, "X-MS-Location") == "https://outlook-cba.office365.com/Microsoft-Server-ActiveSync"


@pytest.mark.parametrize("authorization", ["Bearer", "Bearer ", f"Bearer {TOKEN}", "Basic c29tZTpzZWNyZXQ="])
def test_activesync_challenges_alike_whatever_is_presented(authorization: str) -> None:
    reply = ask(OFFICE, EAS, authorization)
    assert reply.status == 401
    assert header(reply, "WWW-Authenticate") == f'{CHALLENGE}, error="invalid_token"'


def test_the_old_challenge_offered_basic() -> None:
    assert header(ask(OFFICE, EAS, "Bearer", year="2023"), "WWW-Authenticate") == f'{CHALLENGE},Basic Realm=""'


def test_activesync_with_a_valid_token() -> None:
    reply = ask(OFFICE, EAS, f"Bearer {TOKEN}", valid_tokens={TOKEN})
    assert (reply.status, header(reply, "MS-ASProtocolVersions")) == (200, "16.1")


def test_credentials_are_counted_by_kind() -> None:
    behaviour = Behaviour(place="outlook.office365.com:443")
    for authorization in ("Bearer", "Basic c29tZTpzZWNyZXQ="):
        answer(Request("OPTIONS", OFFICE, EAS, {"authorization": authorization}), behaviour, SignIn())
    answer(Request("GET", "graph.microsoft.com", "/v1.0/me", {}), behaviour, SignIn())
    assert (behaviour.counts["bearer"], behaviour.counts["password"], behaviour.counts["request"]) == (1, 1, 3)
    assert behaviour.counts["bearer outlook.office365.com:443"] == 1


def test_the_web_redirects_and_shows_microsofts_headers() -> None:
    assert header(ask("outlook.live.com"), "Location") == "https://outlook.live.com/mail/"
    assert header(ask(OFFICE), "Location") == "https://outlook.office365.com/owa/"
    page = ask("outlook.live.com", "/mail/")
    assert page.status == 200
    for name in ("request-id", "X-FEServer", "X-RUM-Validated", "Date", "X-FEProxyInfo"):
        assert header(page, name)


def test_autodiscover() -> None:
    path = "/autodiscover/autodiscover.json/v1.0/someone@outlook.com?Protocol=ActiveSync"
    found = json.loads(ask("autodiscover-s.outlook.com", path).body)
    assert found == {"Protocol": "ActiveSync", "Url": "https://outlook.office365.com/Microsoft-Server-ActiveSync"}
    assert ask("autodiscover-s.outlook.com", "/autodiscover/autodiscover.json").status == 400


def test_graph_names_its_error() -> None:
    reply = ask("graph.microsoft.com", "/v1.0/me")
    assert reply.status == 401
    assert json.loads(reply.body)["error"]["code"] == "InvalidAuthenticationToken"
    assert header(reply, "x-ms-ags-diagnostic")
    assert ask("graph.microsoft.com", "/v1.0/me", f"Bearer {TOKEN}", valid_tokens={TOKEN}).status == 200


def test_assets_and_revocation() -> None:
    assert ask("aadcdn.msftauth.net", "/shared/1.0/content/js/x.js").status == 200
    assert header(ask("logincdn.msftauth.net"), "x-ms-request-id")
    assert ask("ocsp.digicert.com").body == bytes.fromhex("30030a0101")
    assert header(ask("crl3.digicert.com", "/x.crl"), "Content-Type") == "application/pkix-crl"


def test_outage_and_throttling() -> None:
    assert {ask(host, outage=True).status for host in (OFFICE, "graph.microsoft.com", "aadcdn.msftauth.net")} == {503}
    throttled = ask(OFFICE, EAS, throttled=True)
    assert (throttled.status, header(throttled, "Retry-After")) == (503, "30")
    assert header(throttled, "X-MS-ASThrottle")
    assert ask("outlook.live.com", throttled=True).status == 429
    assert header(ask("graph.microsoft.com", throttled=True, retry_after=7), "Retry-After") == "7"
