"""The pages: metrics, `/probe`, status page, JSON, health and reload."""

import asyncio
import gzip
import time
from collections.abc import Callable, Iterable
from importlib.resources import files

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.history.rows import history_json
from exporter.language import Language, chosen, speaking
from exporter.language.evidence import said
from exporter.metrics.exposition import Exposition, Page, probe_exposition
from exporter.observations import as_json
from exporter.state import State
from exporter.web.control import Control
from exporter.web.events import Events
from exporter.web.guard import Guard, is_same_origin, is_trusted
from exporter.web.page import StatusPage, runbook_page
from exporter.web.probing import Probing, Refused, Run
from exporter.web.web_config import WebConfig

#: The longest history that is told at once: a year, as it may be kept.
MAX_HOURS = 366 * 24

#: gzip's level: the metrics shrink to a tenth already at the cheapest.
_GZIP_LEVEL = 1

_VARY = {"Vary": "Accept-Language"}
_MAY_NOT_DIAGNOSE = "diagnosing needs authentication, or a request from loopback itself"
_STATIC = {"style.css": "text/css", "script.js": "text/javascript", "icon.svg": "image/svg+xml"}


def create_app(
    state: State,
    control: Control,
    *,
    web_config: WebConfig | None = None,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], float] = time.time,
) -> Starlette:
    """The application. `now` gives Unix seconds, `clock` is monotonic."""
    pages = _Pages(state, control, web_config, clock, now)
    app = Starlette(
        routes=[
            Route("/", pages.status),
            Route("/way/{target}/{vantage}", pages.way),
            Route("/runbook/{cause}", pages.runbook),
            Route("/metrics", pages.metrics),
            Route("/probe", pages.probe),
            Route("/api/v1/probes", pages.probes),
            Route("/api/v1/verdicts", pages.listing),
            Route("/api/v1/connections", pages.listing),
            Route("/api/v1/history", pages.history),
            Route("/-/healthy", pages.healthy),
            Route("/-/ready", pages.ready),
            Route("/-/reload", pages.reload, methods=["POST"]),
            Route("/-/diagnose", pages.diagnose, methods=["POST"]),
            Route("/events", pages.events),
            Route("/static/{name}", pages.static),
        ],
        middleware=[Middleware(Guard, control, web_config, clock)],
    )
    app.router.redirect_slashes = False  # a redirect would repeat whatever Host was asked for
    return app


class _Pages:
    """The handlers, and what they share."""

    def __init__(
        self,
        state: State,
        control: Control,
        web_config: WebConfig | None,
        clock: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        self._state, self._control = state, control
        self._exposition = Exposition(state)
        self._probing = Probing(control, clock)
        self._page = StatusPage(state, control, protected=web_config is not None, now=now)
        self._events = Events(self._standing, lambda: state.progress)
        state.sources["events"] = self._events
        folder = files("exporter.web") / "static"
        self._static = {name: (folder / name).read_bytes() for name in _STATIC}

    async def status(self, request: Request) -> Response:
        with speaking(self._language(request)):
            return _html(await asyncio.to_thread(self._page.html))

    async def way(self, request: Request) -> Response:
        target, vantage = request.path_params["target"], request.path_params["vantage"]
        with speaking(self._language(request)):
            return _html(await asyncio.to_thread(self._page.way_html, target, vantage))

    async def history(self, request: Request) -> Response:
        """Of a way, a target, a vantage or all: `hours` back from now, 24 by default, newest change first."""
        asked = request.query_params
        hours = asked.get("hours", "24")
        if not (hours.isascii() and hours.isdecimal() and 0 < int(hours) <= MAX_HOURS):
            return PlainTextResponse(f"hours: must be a whole number from 1 to {MAX_HOURS}\n", 400)
        bins, events = await asyncio.to_thread(
            self._page.history, asked.get("target"), asked.get("vantage"), int(hours)
        )
        return Response(history_json(bins, events), media_type="application/json")

    async def runbook(self, request: Request) -> Response:
        with speaking(self._language(request)):
            return _html(runbook_page(request.path_params["cause"]))

    def _language(self, request: Request) -> Language:
        return chosen(self._control.language, request.headers.get("accept-language", ""))

    async def metrics(self, request: Request) -> Response:
        return await _exposition(request, self._exposition.page(request.headers.get("accept", "")))

    async def probe(self, request: Request) -> Response:
        debug = request.query_params.get("debug", "").lower() in ("true", "1")
        if debug and not is_trusted(request):
            return PlainTextResponse("debug is only for loopback or authenticated\n", 403)
        try:
            run = await self._probing.run(request.query_params, request.headers)
        except Refused as refusal:
            return PlainTextResponse(f"{refusal.text}\n", refusal.status)
        page = probe_exposition(run.probe, run.seconds, request.headers.get("accept", ""))
        if debug:
            return PlainTextResponse(_debug_text(run, page))
        return await _exposition(request, page)

    async def probes(self, request: Request) -> Response:
        return _json_array(self._state.latest())

    async def listing(self, request: Request) -> Response:
        """Verdicts and connections, where the part that yields them runs."""
        listed = self._state.listings.get(request.url.path.rpartition("/")[2])
        return _json_array(listed() if listed is not None else ())

    async def healthy(self, request: Request) -> Response:
        return PlainTextResponse("healthy\n")

    async def ready(self, request: Request) -> Response:
        if self._control.ready:
            return PlainTextResponse("ready\n")
        return PlainTextResponse("no result yet\n", 503)

    async def reload(self, request: Request) -> Response:
        if not _may_act(request):
            return PlainTextResponse("reloading needs authentication, or a request from loopback itself\n", 403)
        problems = await self._control.reload()
        if problems:
            lines = ["the old configuration stays in force:", *problems]
            return PlainTextResponse("\n".join(lines) + "\n", 500)
        return PlainTextResponse("reloaded\n")

    async def diagnose(self, request: Request) -> Response:
        allowed = _may_act(request)
        why_not = await self._control.diagnose() if allowed else _MAY_NOT_DIAGNOSE
        with speaking(self._language(request)):  # the page shows it as it is
            told = said(why_not).text
        return PlainTextResponse(f"{told}\n", 429 if allowed else 403) if why_not else PlainTextResponse("begun\n", 202)

    async def events(self, request: Request) -> Response:
        return self._events.answer(self._language(request))

    def _standing(self) -> object:
        """Another value once something new stands on a page."""
        return self._state.recorded, self._state.listings.get("verdicts", tuple)()

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._static:
            return PlainTextResponse("Not Found", 404)
        return Response(self._static[name], media_type=_STATIC[name], headers={"Cache-Control": "max-age=300"})


def _may_act(request: Request) -> bool:
    return is_trusted(request) and is_same_origin(request.headers, request.url.scheme)


def _json_array(observations: Iterable[object]) -> Response:
    lines = ",\n".join(as_json(each) for each in observations)
    return Response(f"[{lines}]\n", media_type="application/json")


def _html(page: str | None) -> Response:
    if page is None:
        return PlainTextResponse("Not Found\n", 404)
    return Response(page, media_type="text/html", headers=_VARY)


async def _exposition(request: Request, page: Page) -> Response:
    headers = {"Content-Type": page.content_type, "Vary": "Accept, Accept-Encoding"}
    if not _accepts_gzip(request.headers.get("accept-encoding", "")):
        return Response(page.body, headers=headers)
    body = await asyncio.to_thread(gzip.compress, page.body, _GZIP_LEVEL)  # gives up the interpreter's lock
    return Response(body, headers={**headers, "Content-Encoding": "gzip"})


def _accepts_gzip(accept_encoding: str) -> bool:
    for accepted in accept_encoding.lower().split(","):
        coding, _, parameters = accepted.partition(";")
        if coding.strip() in ("gzip", "*"):
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def _debug_text(run: Run, page: Page) -> str:
    lines = [f"{run.probe.target} from {run.probe.vantage}: {run.probe.outcome}", ""]
    for result in run.probe.phases:
        seconds = "" if result.seconds is None else f"{result.seconds:.6f} s"
        lines.append(f"{result.phase:<12}{result.outcome:<24}{seconds:<14}{result.detail or ''}".rstrip())
    return "\n".join([*lines, "", as_json(run.probe), "", page.body.decode()])
