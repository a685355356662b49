"""Who may ask what."""

import base64
from pathlib import Path

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from exporter.state import State
from exporter.web.app import create_app
from exporter.web.guard import TokenBucket, host_is_served, host_of, is_loopback
from exporter.web.web_config import WebConfig
from tests.metrics.made import healthy
from tests.web.client import ScriptedControl, ask

HASH = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
RIGHT = {"authorization": "Basic " + base64.b64encode(b"prometheus:right").decode()}
WRONG = {"authorization": "Basic " + base64.b64encode(b"prometheus:wrong").decode()}
FAR = "192.0.2.7"


def app_with(directory: Path, text: str, control: ScriptedControl | None = None) -> Starlette:
    path = directory / "web.yml"
    path.write_text(text)
    state = State()
    state.record_probe(healthy())
    return create_app(state, control or ScriptedControl(), web_config=WebConfig(path), clock=lambda: 0.0)


@pytest.fixture
def app(tmp_path: Path) -> Starlette:
    return app_with(tmp_path, f"basic_auth_users: {{prometheus: {HASH}}}")


@pytest.mark.parametrize(
    "page", ["/", "/metrics", "/api/v1/probes", "/probe?target=imap", "/static/style.css", "/nope"]
)
async def test_with_users_every_page_asks_for_one(app: Starlette, page: str) -> None:
    for headers in ({}, WRONG, {"authorization": "Bearer x"}):
        answer = await ask(app, page, headers=headers)
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Basic realm=")
    assert (await ask(app, page, headers=RIGHT)).status in (200, 404)


async def test_health_tells_nothing_and_asks_nobody(app: Starlette) -> None:
    assert (await ask(app, "/-/healthy")).status == (await ask(app, "/-/ready")).status == 200


async def test_whoever_is_authenticated_may_debug_and_reload_from_afar(app: Starlette) -> None:
    assert (await ask(app, "/probe?target=imap&debug=true", client=FAR, headers=RIGHT)).status == 200
    assert (await ask(app, "/-/reload", method="POST", client=FAR, headers=RIGHT)).status == 200
    assert (await ask(app, "/-/reload", method="POST", client=FAR)).status == 401


async def test_a_browsers_remembered_password_reloads_for_no_other_site(app: Starlette) -> None:
    headers = {**RIGHT, "origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    assert (await ask(app, "/-/reload", method="POST", headers=headers)).status == 403


async def test_configured_headers_replace_ours(tmp_path: Path) -> None:
    app = app_with(tmp_path, "http_server_config: {headers: {Strict-Transport-Security: max-age=60}}")
    answer = await ask(app, "/nope")
    assert answer.headers["strict-transport-security"] == "max-age=60"
    assert "content-security-policy" in answer.headers


async def test_the_rate_limit_is_applied(tmp_path: Path) -> None:
    app = app_with(tmp_path, "rate_limit: {interval: 1s, burst: 3}")
    assert [(await ask(app, "/-/healthy")).status for _ in range(5)] == [200, 200, 200, 429, 429]


def test_a_bucket_fills_again() -> None:
    now = [0.0]
    bucket = TokenBucket(0.5, 2, lambda: now[0])
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    now[0] = 0.5
    assert [bucket.take(), bucket.take()] == [True, False]
    now[0] = 1000.0
    assert [bucket.take() for _ in range(3)] == [True, True, False]


@given(st.text())
def test_any_host_header_is_a_name_or_none(header: str) -> None:
    assert isinstance(host_of(header), str | None)
    assert isinstance(host_is_served(header, "127.0.0.1", ()), bool)


@pytest.mark.parametrize("name", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "localhost", "LocalHost.", "a.localhost"])
def test_loopback(name: str) -> None:
    assert is_loopback(name)


@pytest.mark.parametrize("name", ["", "0.0.0.0", "::", "10.0.0.1", "localhost.example", "127.0.0.1.example", "1"])
def test_not_loopback(name: str) -> None:
    assert not is_loopback(name)


async def test_a_websocket_is_closed(app: Starlette) -> None:
    sent = []

    async def send(message: object) -> None:
        sent.append(message)

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    await app({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
