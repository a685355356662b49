"""A Chromium, the demo with a hand on its gateway, and pages that note what goes wrong in them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from tests.monitoring.stack import Site, site, text, until

#: What a page may wait for: two rounds and a busy machine, milliseconds.
PATIENCE = 30_000


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None or Path(path).resolve().name == "snap":
        ours = "ID=debian" in Path("/etc/os-release").read_text()
        pytest.skip(f"{'' if ours else 'not in CI: '}Chromium is not installed (Debian package chromium; no snap)")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield running
        running.close()


@pytest.fixture(scope="package")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("demo")) as running:
        until(lambda: "ways work" in text(f"http://{running.address}/"), 40, "a round of everything")
        yield running


class Watched:
    """A page and what happened in it: errors of the console, exceptions, and requests to other places."""

    def __init__(self, page: Page, home: str) -> None:
        self.page, self.home = page, home
        self.wrong: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.wrong.append(f"exception: {error}"))
        page.on("request", self._request)
        page.set_default_timeout(PATIENCE)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        if urlsplit(request.url).netloc != self.home:
            self.wrong.append(f"asks elsewhere: {request.url}")

    def open(self, path: str = "/") -> Page:
        self.page.goto(f"http://{self.home}{path}")
        return self.page


Opener = Callable[..., Watched]


@pytest.fixture
def opened(browser: Browser, demo: Site) -> Iterator[Opener]:
    """Opens a context of its own, with the browser's options; at the end nothing may have gone wrong in any."""
    pages: list[Watched] = []

    def opener(**options: object) -> Watched:
        watched = Watched(browser.new_context(**options).new_page(), demo.address)  # type: ignore[arg-type]
        pages.append(watched)
        return watched

    yield opener
    for each in pages:
        each.page.context.close()
    assert [wrong for each in pages for wrong in each.wrong] == []
