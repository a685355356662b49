"""News for open pages: on real sockets, bounded, and over when the service ends; a diagnosis that a page asks for."""

import asyncio
import http.client
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from exporter import asked_diagnosis
from exporter.language import Language
from exporter.state import State
from exporter.web import events as events_module
from exporter.web.app import create_app
from exporter.web.events import MAX_LISTENERS, Events
from exporter.web.server import WebServer
from tests.metrics.made import healthy
from tests.web.client import ScriptedControl, ask


class Listener:
    """A page that listens."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
        self._connection.request("GET", "/events")
        self.answer = self._connection.getresponse()

    def next(self) -> list[str]:
        """The lines of the next event or comment; empty at the end."""
        lines: list[str] = []
        while (line := self.answer.readline().decode()) not in ("", "\n"):
            lines.append(line.strip())
        return lines

    def close(self) -> None:
        self.answer.close()
        self._connection.close()


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> State:
    monkeypatch.setattr(events_module, "LOOK", 0.02)
    made = State()
    made.record_probe(healthy())
    return made


@pytest.fixture
def server(state: State) -> Iterator[WebServer]:
    made = WebServer(create_app(state, ScriptedControl()), "127.0.0.1:0")
    yield made
    made.stop()


def metric(url: str, name: str) -> float:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return float(next(line.split()[-1] for line in text.splitlines() if line.startswith(f"{name} ")))


def test_news_and_progress_reach_who_listens(state: State, server: WebServer) -> None:
    url = server.start()
    page = Listener(url)
    assert page.answer.getheader("content-type", "").startswith("text/event-stream")
    assert "default-src 'none'" in page.answer.getheader("content-security-policy", "")
    assert page.next() == ["retry: 5000"]
    state.record_probe(healthy("smtp"))
    assert page.next() == ["event: news", 'data: ""']
    state.progress = "Probing: 1 of 2 ways\n\nevent: forged"
    assert page.next() == ["event: progress", 'data: "Probing: 1 of 2 ways\\n\\nevent: forged"']
    state.listings["verdicts"] = lambda: ("another",)
    assert page.next() == ["event: news", 'data: ""']
    page.close()


def test_who_listens_is_counted_and_bounded(server: WebServer) -> None:
    url = server.start()
    pages = [Listener(url) for _ in range(MAX_LISTENERS)]
    assert all(page.next() for page in pages)
    one_more = Listener(url)
    assert one_more.answer.status == 503
    assert metric(url, "outlook_exporter_page_listeners") == MAX_LISTENERS
    for page in (*pages, one_more):
        page.close()
    until = time.monotonic() + 10
    while metric(url, "outlook_exporter_page_listeners") > 0:
        assert time.monotonic() < until, "who left is still counted"


def test_it_ends_with_the_service(server: WebServer) -> None:
    page = Listener(server.start())
    page.next()
    began = time.monotonic()
    server.stop()
    assert page.next() == []
    assert time.monotonic() - began < 5
    page.close()


async def test_a_quiet_stream_shows_that_it_lives_and_ends_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "LOOK", 0.001)
    monkeypatch.setattr(events_module, "KEEP_ALIVE", 0.003)
    monkeypatch.setattr(events_module, "LIFE", 0.01)
    quiet = Events(lambda: 1, lambda: "")
    said = [each async for each in quiet._stream()]
    assert said[0].startswith("retry:")
    assert set(said[1:]) == {": still here\n\n"}
    assert [each.value for each in quiet.samples()] == [0.0]


@pytest.mark.parametrize(
    ("headers", "client", "status"),
    [
        ({}, "127.0.0.1", 202),
        ({"sec-fetch-site": "same-origin", "origin": "http://localhost:10193"}, "127.0.0.1", 202),
        ({"sec-fetch-site": "cross-site"}, "127.0.0.1", 403),
        ({"origin": "https://evil.example"}, "127.0.0.1", 403),
        ({}, "192.0.2.7", 403),
        ({"x-forwarded-for": "192.0.2.7"}, "127.0.0.1", 403),
    ],
)
async def test_who_may_ask_for_a_diagnosis(headers: dict[str, str], client: str, status: int) -> None:
    control = ScriptedControl(listen="0.0.0.0:10193")
    app = create_app(State(), control)
    assert (await ask(app, "/-/diagnose", method="POST", client=client, headers=headers)).status == status
    assert control.diagnoses == int(status == 202)
    assert (await ask(app, "/-/diagnose", client=client, headers=headers)).status == 405


async def test_why_a_diagnosis_is_refused_is_said() -> None:
    control = ScriptedControl(why_not="a diagnosis is under way already")
    answer = await ask(create_app(State(), control), "/-/diagnose", method="POST")
    assert (answer.status, answer.text) == (429, "a diagnosis is under way already\n")


async def test_a_page_and_its_news_name_the_same_state() -> None:
    """A listener that comes late isn't told of what its page shows already."""
    made = State()
    heard = Events(lambda: made.recorded, lambda: "")._stream()
    await anext(heard)
    nothing = asyncio.ensure_future(anext(heard))
    await asyncio.sleep(0)
    made.record_probe(replace(healthy(), target="imap"))
    assert await nothing == 'event: news\ndata: ""\n\n'
    await heard.aclose()  # type: ignore[attr-defined] # it is a generator


def test_a_diagnosis_tells_a_french_page_in_french() -> None:
    """All that the service says of it: each of its texts is known."""
    source = Path(asked_diagnosis.__file__).read_text("utf-8")
    for text, french in (
        ("Probing: 3 of 30 ways", "Sondage"),
        ("Experiments: what fails is tried in other ways, to see where and why", "Expériences"),
        ("Done: what stands here is of now", "Fini"),
    ):
        assert f"{text.split(': ')[0]}: " in source
        assert events_module._spoken(text, Language.FRENCH).startswith(f"{french}\N{NO-BREAK SPACE}: ")
    assert source.count("self._tell(") == 4  # those, and that it is over
    assert events_module._spoken("Probing: 3 of 30 ways", Language.ENGLISH) == "Probing: 3 of 30 ways"


@pytest.mark.parametrize(
    ("why_not", "client", "told"),
    [
        ("a diagnosis is under way already", "127.0.0.1", "un diagnostic est déjà en cours"),
        ("the last one began less than 60 s ago: try again in 12 s", "127.0.0.1", "réessayer dans 12 s"),
        ("", "192.0.2.1", "demande une authentification"),
    ],
)
async def test_why_none_is_begun_is_told_in_the_pages_language(why_not: str, client: str, told: str) -> None:
    app = create_app(State(), ScriptedControl(listen="0.0.0.0:10193", why_not=why_not))
    headers = {"accept-language": "fr"}
    answer = await ask(app, "/-/diagnose", method="POST", client=client, headers=headers)
    assert told in answer.text
