"""The pages: metrics, /probe, status, API, health. They read the state; only /probe and reload reach the prober."""

import asyncio
import json
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from exporter.metrics.exposition import BoundedValues, registry_of, render
from exporter.observations import Probe, as_json
from exporter.state import State, snapshot_of
from exporter.vocabulary import Outcome
from exporter.web.guard import Guard
from exporter.web.status_page import render_status, stylesheet
from exporter.web.web_config import WebAccess

#: Kept back of a scrape's time-out for the reply itself, seconds.
SCRAPE_MARGIN = 0.5
#: A scrape that doesn't say how long it waits, seconds.
DEFAULT_DEADLINE = 30.0
#: Calls for the same target and vantage share a run so long, seconds.
SHARED = 10.0


class Control(Protocol):
    """What the pages may ask of the service; it crosses to the prober's thread itself."""

    async def probe_now(self, target: str, vantage: str, deadline: float) -> Probe:
        """Walks to a target within `deadline` seconds."""
        ...

    async def reload(self) -> list[str]:
        """Takes over the configuration anew; the problems, none of which were taken over."""
        ...

    def targets(self) -> Collection[str]: ...

    def vantages(self) -> Collection[str]: ...

    def ready(self) -> bool: ...

    def notices(self) -> list[str]:
        """What stands on top of the page: the clients' side isn't covered, listening without password."""
        ...


@dataclass(slots=True)
class _Shared:
    began: float
    task: "asyncio.Task[Probe]"


class Pages:
    """Handlers of all paths."""

    def __init__(self, state: State, control: Control) -> None:
        self._state = state
        self._control = control
        self._values = BoundedValues()
        self._registry = registry_of(state.snapshot, self._values)
        self._runs: dict[tuple[str, str], _Shared] = {}

    async def metrics(self, request: Request) -> Response:
        body, content_type = render(self._registry, request.headers.get("accept", ""))
        return Response(body, media_type=None, headers={"content-type": content_type})

    async def probe(self, request: Request) -> Response:
        target, vantages = request.query_params.get("target", ""), list(self._control.vantages())
        vantage = request.query_params.get("vantage") or vantages[0]
        if target not in self._control.targets():
            known = ", ".join(self._control.targets())
            return PlainTextResponse(f"target must be one of: {known}\n", 400)
        if vantage not in vantages:
            return PlainTextResponse(f"vantage must be one of: {', '.join(vantages)}\n", 400)
        debug = request.query_params.get("debug") == "true"
        if debug and not request.scope.get("trusted"):
            return PlainTextResponse("debug only from this machine, or authenticated\n", 403)
        began = time.monotonic()
        probe = await self._shared_run((target, vantage), _deadline(request))
        if debug:
            return Response(json.dumps(json.loads(as_json(probe)), indent=2), media_type="application/json")
        return self._probe_metrics(request, probe, time.monotonic() - began)

    async def _shared_run(self, key: tuple[str, str], deadline: float) -> Probe:
        now = time.monotonic()
        self._runs = {k: run for k, run in self._runs.items() if not run.task.done() or now - run.began < SHARED}
        run = self._runs.get(key)
        if run is None or now - run.began >= SHARED or (run.task.done() and run.task.exception()):
            run = _Shared(now, asyncio.create_task(self._control.probe_now(*key, deadline)))
            self._runs[key] = run
        return await asyncio.shield(run.task)

    def _probe_metrics(self, request: Request, probe: Probe, seconds: float) -> Response:
        def now() -> datetime:
            return datetime.now(UTC)

        registry = registry_of(lambda: snapshot_of(probe, now), self._values)
        body, content_type = render(registry, request.headers.get("accept", ""))
        text = body.decode().removesuffix("# EOF\n")
        ended = "# EOF\n" if "openmetrics" in content_type else ""
        text += (
            "# HELP probe_success Whether every phase was ok.\n# TYPE probe_success gauge\n"
            f"probe_success {int(probe.outcome is Outcome.OK)}\n"
            "# HELP probe_duration_seconds How long the probe took.\n# TYPE probe_duration_seconds gauge\n"
            f"probe_duration_seconds {seconds:.6f}\n{ended}"
        )
        return Response(text, headers={"content-type": content_type})

    async def status(self, _request: Request) -> Response:
        return HTMLResponse(render_status(self._state.snapshot(), self._control.notices(), datetime.now(UTC)))

    async def style(self, _request: Request) -> Response:
        return Response(stylesheet(), media_type="text/css")

    async def probes(self, _request: Request) -> Response:
        body = "[" + ",".join(as_json(probe) for probe in self._state.latest()) + "]"
        return Response(body, media_type="application/json")

    async def nothing_yet(self, _request: Request) -> Response:
        return Response("[]", media_type="application/json")

    async def healthy(self, _request: Request) -> Response:
        return PlainTextResponse("Healthy\n")

    async def ready(self, _request: Request) -> Response:
        return PlainTextResponse("Ready\n") if self._control.ready() else PlainTextResponse("Not ready\n", 503)

    async def reload(self, _request: Request) -> Response:
        problems = await self._control.reload()
        return PlainTextResponse("".join(f"{line}\n" for line in problems) or "Reloaded\n", 500 if problems else 200)


def _deadline(request: Request) -> float:
    """Seconds a scrape leaves us, by Prometheus' header."""
    try:
        seconds = float(request.headers.get("x-prometheus-scrape-timeout-seconds", DEFAULT_DEADLINE))
    except ValueError:
        seconds = DEFAULT_DEADLINE
    return min(max(seconds - SCRAPE_MARGIN, 0.1), 60.0) if seconds == seconds else DEFAULT_DEADLINE


def create_app(
    state: State, control: Control, access: WebAccess, *, on_loopback: bool, allowed_hosts: Collection[str]
) -> Starlette:
    """The ASGI application."""
    pages = Pages(state, control)
    return Starlette(
        routes=[
            Route("/", pages.status),
            Route("/style.css", pages.style),
            Route("/metrics", pages.metrics),
            Route("/probe", pages.probe),
            Route("/api/v1/probes", pages.probes),
            Route("/api/v1/verdicts", pages.nothing_yet),
            Route("/api/v1/connections", pages.nothing_yet),
            Route("/-/healthy", pages.healthy),
            Route("/-/ready", pages.ready),
            Route("/-/reload", pages.reload, methods=["POST"]),
        ],
        middleware=[Middleware(Guard, access=access, on_loopback=on_loopback, allowed_hosts=allowed_hosts)],
    )
