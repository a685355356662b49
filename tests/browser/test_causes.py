"""Every cause that a verdict may name, on the page in Chromium: its sentence, who acts, its remedy, and its runbook."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from exporter.diagnosis.words import sentence_for
from exporter.state import State
from exporter.vocabulary import Cause, Outcome, Phase
from exporter.web.app import create_app
from exporter.web.server import WebServer
from tests.browser.conftest import Watched
from tests.metrics.made import blamed, failed, healthy
from tests.web.client import ScriptedControl

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def state() -> State:
    made = State()
    made.record_probe(failed(healthy("imap", "clients"), Phase.TLS, Outcome.RESET))
    return made


@pytest.fixture(scope="module")
def home(state: State) -> Iterator[str]:
    server = WebServer(create_app(state, ScriptedControl()), "127.0.0.1:0")
    yield server.start().removeprefix("http://")
    server.stop()


def test_every_cause_is_shown(browser: Browser, state: State, home: str):
    watched = Watched(browser.new_page(), home)
    for cause in set(Cause) - {Cause.HEALTHY}:
        told = blamed(cause)
        state.listings["verdicts"] = lambda told=told: (told,)  # type: ignore[misc] # bound now
        page = watched.open()
        block = page.locator(f"details[id^='verdict-{cause}-']")
        expect(block.locator("summary .state").first).to_have_text(sentence_for(told, state.latest()[0]))
        expect(block.get_by_text(told.remedy.replace("`", ""), exact=True)).to_be_visible()  # commands are code
        expect(page.locator(".way .bad")).to_contain_text("gateway")
        page.get_by_role("link", name="Runbook").click()
        expect(page.locator("h1")).to_contain_text(cause)
        expect(page.locator(".runbook")).to_contain_text("What to change on the gateway")
    watched.page.close()
    assert watched.wrong == []
