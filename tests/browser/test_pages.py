"""The status page and its neighbours in Chromium: what is shown, how it renews itself, and whom it shuts out."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import PATIENCE, Opener
from tests.monitoring.stack import Site, text, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

HEALTHY = re.compile("All .* ways work")
#: A fault, a target that has it, and what stands in its field.
SHOWN = (
    ("sni_reset", "sign_in_work", "TLS: connection reset"),
    ("tls_intercepted", "imap", "TLS: certificate not trusted"),
    ("starttls_stripped", "smtp", "STARTTLS: not offered"),
    ("dns_failure", "imap", "name lookup: name doesn't exist"),
    ("tcp_dropped", "imap", "TCP connection: no answer in time"),
    ("block_page", "sign_in_personal", "sign-in service: unexpected content"),
    ("service_outage", "imap", "service unavailable"),
)


def field(page: Page, target: str) -> Locator:
    """What stands of a target from the clients' vantage."""
    rows = page.locator("section:has(h2:text-is('Targets')) tbody tr")
    return rows.filter(has_text=target).first.locator("td .state").first  # imap stands before imap_office365


@pytest.fixture
def healthy(demo: Site) -> None:
    demo.fault(None)
    until(lambda: HEALTHY.search(text(f"http://{demo.address}/")), 40, "health")


@pytest.mark.usefixtures("healthy")
def test_each_fault_comes_to_the_page_without_a_reload_and_goes(opened: Opener, demo: Site) -> None:
    page = opened().open()
    expect(page.locator("h1")).to_have_text(HEALTHY)
    page.evaluate("window.notReloaded = true")
    for fault, target, shown in SHOWN:
        demo.fault(fault)
        expect(field(page, target)).to_contain_text(shown, timeout=PATIENCE)
        verdict = page.locator(f"details[id^='verdict-{fault}-']").first
        expect(verdict).to_be_attached(timeout=PATIENCE)
        expect(verdict.locator("summary .state").first).not_to_be_empty()
        expect(page.locator("header .verdict")).not_to_be_empty()
    demo.fault(None)
    expect(page.locator("h1")).to_have_text(HEALTHY, timeout=PATIENCE)
    assert page.evaluate("window.notReloaded")


@pytest.mark.usefixtures("healthy")
def test_it_reads_without_scripts(opened: Opener) -> None:
    page = opened(java_script_enabled=False).open()
    expect(page.locator("h1")).to_have_text(HEALTHY)
    assert page.locator("noscript meta, meta[http-equiv=refresh]").count() == 1
    assert not page.locator("button:visible").count()
    page.locator("details[id='imap.clients'] > summary").click()
    page.get_by_role("link", name="Waterfall, last 24 hours, what changed").first.click()
    expect(page.locator("h2", has_text="The last round, phase by phase")).to_be_visible()


@pytest.mark.parametrize("path", ["/", "/way/imap/clients", "/runbook/sni_reset"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_shut_out(opened: Opener, demo: Site, path: str, scheme: str) -> None:
    """axe-core, with a fault on the page, light and dark."""
    demo.fault("sni_reset")
    until(lambda: "verdict-sni_reset" in text(f"http://{demo.address}/"), 40, "the verdict")
    page = opened(color_scheme=scheme).open(path)
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_a_phone_has_no_sideways_scrolling(opened: Opener, demo: Site) -> None:
    demo.fault("sni_reset")
    until(lambda: "verdict-sni_reset" in text(f"http://{demo.address}/"), 40, "the verdict")
    watched = opened(viewport={"width": 360, "height": 740})
    for path in ("/", "/way/sign_in_work/clients", "/runbook/sni_reset"):
        page = watched.open(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_the_keyboard_reaches_what_is_wrong_and_stays_there(opened: Opener, demo: Site) -> None:
    demo.fault("sni_reset")
    until(lambda: "verdict-sni_reset" in text(f"http://{demo.address}/"), 40, "the verdict")
    page = opened().open()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").startswith("Runbook"):
            break
    link = page.evaluate("document.activeElement.getAttribute('href')")
    assert link.startswith("/runbook/")
    page.evaluate("renew()")
    page.wait_for_function("href => document.activeElement.getAttribute('href') === href", arg=link)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_be_visible()
    assert "/runbook/" in page.url


@pytest.mark.usefixtures("healthy")
def test_a_diagnosis_now_tells_how_far_it_is(opened: Opener) -> None:
    page = opened().open()
    page.get_by_role("button", name="Diagnose now").click()
    expect(page.get_by_role("button", name="Diagnose now")).to_be_disabled()
    expect(page.locator(".progress")).to_have_text(re.compile("Probing|Experiments|Done"))
    expect(page.locator(".progress")).to_have_text(re.compile("Done"), timeout=PATIENCE)
