"""The pages, asked as a server would: status, headers, and what must not be possible."""

import asyncio
import gzip
import json
from dataclasses import replace

import pytest
from starlette.applications import Starlette

from exporter.metrics.exposition import OPENMETRICS, TEXT
from exporter.observations import Probe
from exporter.state import State
from exporter.vocabulary import Outcome, Phase
from exporter.web.app import create_app
from tests.metrics.made import failed, healthy
from tests.web.client import ScriptedControl, ask

FAR = "192.0.2.7"


@pytest.fixture
def control() -> ScriptedControl:
    return ScriptedControl()


@pytest.fixture
def state() -> State:
    state = State()
    state.record_probe(healthy())
    state.record_probe(failed(healthy("smtp"), Phase.STARTTLS, Outcome.NOT_OFFERED, "<script>alert(1)</script>"))
    return state


@pytest.fixture
def app(state: State, control: ScriptedControl) -> Starlette:
    return create_app(state, control)


PAGES = ["/", "/metrics", "/probe?target=imap", "/api/v1/probes", "/api/v1/verdicts", "/api/v1/connections", "/api/v1/history", "/way/imap/local",
         "/-/healthy", "/-/ready", "/static/style.css", "/static/script.js", "/static/icon.svg"]  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
async def test_every_page_answers_get_and_head_with_the_headers_of_safety(app: Starlette, page: str) -> None:
    for method in ("GET", "HEAD"):
        answer = await ask(app, page, method=method)
        assert answer.status == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("page", PAGES)
async def test_nothing_but_reload_takes_a_post(app: Starlette, page: str) -> None:
    assert (await ask(app, page, method="POST")).status == 405


@pytest.mark.parametrize(
    "path", ["/nope", "/static/../app.py", "/static/%2e%2e", "/metrics/", "/api/v1/", "/\x00", "//"]
)
async def test_an_unknown_path_is_not_found(app: Starlette, path: str) -> None:
    assert (await ask(app, path)).status == 404


async def test_metrics_in_both_formats_and_compressed(app: Starlette) -> None:
    text = await ask(app, "/metrics")
    assert text.headers["content-type"] == TEXT
    assert "outlook_probe_success{" in text.text
    openmetrics = await ask(app, "/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0"})
    assert openmetrics.headers["content-type"] == OPENMETRICS
    small = await ask(app, "/metrics", headers={"accept-encoding": "deflate, gzip;q=0.8"})
    assert small.headers["content-encoding"] == "gzip"
    assert b"outlook_probe_success{" in gzip.decompress(small.body)
    assert "content-encoding" not in (await ask(app, "/metrics", headers={"accept-encoding": "gzip;q=0"})).headers


async def test_probes_are_a_json_array_of_the_contracts_objects(app: Starlette) -> None:
    answer = await ask(app, "/api/v1/probes")
    assert answer.headers["content-type"] == "application/json"
    probes = json.loads(answer.body)
    assert [(probe["target"], probe["outcome"]) for probe in probes] == [("imap", "ok"), ("smtp", "not_offered")]
    assert json.loads((await ask(app, "/api/v1/verdicts")).body) == []


async def test_text_of_the_network_shows_as_text(app: Starlette) -> None:
    page = (await ask(app, "/")).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


async def test_ready_after_the_first_round(app: Starlette, control: ScriptedControl) -> None:
    control.ready = False
    assert (await ask(app, "/-/ready")).status == 503
    assert (await ask(app, "/-/healthy")).status == 200


class TestHost:
    @pytest.mark.parametrize("host", ["localhost", "localhost:10193", "127.0.0.1:10193", "[::1]:10193", "127.8.8.8",
                                      "LOCALHOST.", "exporter.localhost"])  # fmt: skip
    async def test_names_of_the_loopback_are_served(self, app: Starlette, host: str) -> None:
        assert (await ask(app, "/metrics", headers={"host": host})).status == 200

    @pytest.mark.parametrize("host", ["evil.example", "evil.example:10193", "", "localhost.evil.example", "[::1",
                                      "127.0.0.1.nip.io", "localhost@evil.example", "192.0.2.1", "localhost:x",
                                      "a b", "localhost/x"])  # fmt: skip
    async def test_others_are_not(self, app: Starlette, host: str) -> None:
        for page in ("/metrics", "/", "/-/healthy"):
            answer = await ask(app, page, headers={"host": host})
            assert answer.status == 403
            assert "evil" not in answer.text

    async def test_allowed_hosts_are(self, app: Starlette, control: ScriptedControl) -> None:
        control.allowed_hosts = ["Monitor.example"]
        assert (await ask(app, "/metrics", headers={"host": "monitor.EXAMPLE:443"})).status == 200

    @pytest.mark.parametrize("listen", ["0.0.0.0:10193", "[::]:10193", "192.0.2.1:10193"])
    async def test_listening_elsewhere_any_name_is(self, app: Starlette, control: ScriptedControl, listen: str) -> None:
        control.listen = listen
        assert (await ask(app, "/metrics", headers={"host": "whatever.example"})).status == 200


class TestProbe:
    @pytest.mark.parametrize(
        "query",
        ["", "?target=", "?target=127.0.0.1", "?target=example.com:993", "?target=graph", "?target=imap&target=smtp",
         "?target=imap&vantage=nowhere", "?target=imap&vantage=local&vantage=wan", "?TARGET=imap", "?target=imap%00"],
    )  # fmt: skip
    async def test_only_known_names_are_probed(self, app: Starlette, control: ScriptedControl, query: str) -> None:
        answer = await ask(app, f"/probe{query}")
        assert answer.status == 400
        assert "must be one of: " in answer.text
        assert "example.com" not in answer.text
        assert control.asked == []

    async def test_the_first_vantage_is_the_default(self, app: Starlette, control: ScriptedControl) -> None:
        assert (await ask(app, "/probe?target=imap")).status == 200
        assert (await ask(app, "/probe?target=imap&vantage=wan")).status == 200
        assert [(target, vantage) for target, vantage, _ in control.asked] == [("imap", "local"), ("imap", "wan")]

    @pytest.mark.parametrize(
        ("header", "deadline"),
        [
            ("10", 9.5),
            ("3.25", 2.75),
            ("0.1", 0.5),
            ("-4", 0.5),
            ("9999", 60),
            ("nan", 60),
            ("inf", 60),
            ("x", 60),
            ("", 60),
        ],
    )
    async def test_the_scrapes_time_is_the_deadline(
        self, app: Starlette, control: ScriptedControl, header: str, deadline: float
    ) -> None:
        await ask(app, "/probe?target=imap", headers={"x-prometheus-scrape-timeout-seconds": header})
        assert control.asked == [("imap", "local", deadline)]

    async def test_calls_within_ten_seconds_share_one_run(self, state: State, control: ScriptedControl) -> None:
        now = [100.0]
        app = create_app(state, control, clock=lambda: now[0])
        answers = await asyncio.gather(*(ask(app, "/probe?target=imap") for _ in range(20)))
        assert {answer.status for answer in answers} == {200}
        now[0] += 9.9
        await ask(app, "/probe?target=imap")
        assert len(control.asked) == 1
        now[0] += 0.2
        await ask(app, "/probe?target=imap")
        assert len(control.asked) == 2

    async def test_a_caller_who_leaves_does_not_end_the_run_of_another(self, state: State) -> None:
        control = SlowControl()
        app = create_app(state, control)
        first = asyncio.create_task(ask(app, "/probe?target=imap"))
        await control.begun.wait()
        second = asyncio.create_task(ask(app, "/probe?target=imap"))
        await asyncio.sleep(0)
        first.cancel()
        control.go.set()
        assert (await second).status == 200
        with pytest.raises(asyncio.CancelledError):
            await first

    async def test_a_short_scrape_is_not_kept_waiting_for_a_long_one(self, state: State) -> None:
        control = SlowControl()
        app = create_app(state, control)
        long = asyncio.create_task(ask(app, "/probe?target=imap"))
        await control.begun.wait()
        short = await ask(app, "/probe?target=imap", headers={"x-prometheus-scrape-timeout-seconds": "0.6"})
        assert short.status == 503
        control.go.set()
        assert (await long).status == 200

    async def test_a_failed_walk_is_an_answer_with_success_nought(self, state: State) -> None:
        class Broken(ScriptedControl):
            async def probe_now(self, target: str, vantage: str, deadline_seconds: float) -> Probe:
                return failed(healthy(target, vantage), Phase.TLS, Outcome.RESET)

        answer = await ask(create_app(state, Broken()), "/probe?target=imap")
        assert (answer.status, "probe_success 0.0" in answer.text) == (200, True)

    async def test_debug_is_only_for_loopback(self, app: Starlette) -> None:
        page = "/probe?target=imap&debug=true"
        near = await ask(app, page)
        assert near.status == 200
        assert '"target":"imap"' in near.text
        assert "probe_success 1.0" in near.text
        assert (await ask(app, page, client=FAR)).status == 403
        assert (await ask(app, page, headers={"x-forwarded-for": FAR})).status == 403


class SlowControl(ScriptedControl):
    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def probe_now(self, target: str, vantage: str, deadline_seconds: float) -> Probe:
        self.begun.set()
        await self.go.wait()
        return healthy(target, vantage)


class TestReload:
    async def test_only_by_post(self, app: Starlette, control: ScriptedControl) -> None:
        assert (await ask(app, "/-/reload")).status == 405
        assert (await ask(app, "/-/reload", method="HEAD")).status == 405
        assert control.reloads == 0
        assert (await ask(app, "/-/reload", method="POST")).status == 200
        assert control.reloads == 1

    async def test_says_what_is_wrong(self, app: Starlette, control: ScriptedControl) -> None:
        control.problems = ["exporter.yml: probe.interval: a duration is expected"]
        answer = await ask(app, "/-/reload", method="POST")
        assert answer.status == 500
        assert "probe.interval" in answer.text

    @pytest.mark.parametrize(
        "headers",
        [
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": "http://localhost:9999"},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"x-forwarded-for": "192.0.2.7"},
            {"forwarded": "for=192.0.2.7"},
        ],
    )
    async def test_not_for_other_origins_nor_through_a_proxy(
        self, app: Starlette, control: ScriptedControl, headers: dict[str, str]
    ) -> None:
        assert (await ask(app, "/-/reload", method="POST", headers=headers)).status == 403
        assert control.reloads == 0

    async def test_not_from_elsewhere(self, app: Starlette, control: ScriptedControl) -> None:
        assert (await ask(app, "/-/reload", method="POST", client=FAR)).status == 403
        assert control.reloads == 0

    @pytest.mark.parametrize("headers", [{"origin": "http://localhost:10193"}, {"sec-fetch-site": "same-origin"}])
    async def test_for_our_own_page(self, app: Starlette, headers: dict[str, str]) -> None:
        assert (await ask(app, "/-/reload", method="POST", headers=headers)).status == 200


@pytest.mark.parametrize("length", ["65537", "99999999999999999999999", "-1", "x", "1e9", ""])
async def test_a_body_too_large_or_of_no_length_is_refused(app: Starlette, length: str) -> None:
    answer = await ask(app, "/-/reload", method="POST", headers={"content-length": length})
    assert answer.status == 413


async def test_a_fault_of_ours_is_logged_and_shows_no_traceback(
    state: State, control: ScriptedControl, caplog: pytest.LogCaptureFixture
) -> None:
    control.failure = RuntimeError("a secret detail")
    answer = await ask(create_app(state, control), "/probe?target=imap")
    assert answer.status == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert "content-security-policy" in answer.headers


async def test_a_probe_without_tls_and_auth_renders(app: Starlette, state: State) -> None:
    state.record_probe(replace(failed(healthy("graph"), Phase.DNS, Outcome.NAME_NOT_FOUND), address=None, addresses=()))
    assert "name doesn&#39;t exist" in (await ask(app, "/")).text
