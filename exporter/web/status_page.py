"""The status page, rendered on the server: what works from where, what doesn't and since when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources

import jinja2

from exporter import __version__
from exporter.catalogue import JOURNEYS
from exporter.metrics.exposition import journeys
from exporter.observations import Probe
from exporter.state import Course, Snapshot
from exporter.vocabulary import AuthOutcome, Outcome, Phase

#: Changes shown.
MAX_CHANGES = 30

_PHASES = {
    Phase.DNS: "name lookup",
    Phase.CONNECT: "TCP connection",
    Phase.PROXY: "proxy",
    Phase.GREETING: "greeting",
    Phase.STARTTLS: "upgrade to TLS",
    Phase.TLS: "TLS handshake",
    Phase.CAPABILITY: "capabilities",
    Phase.HTTP: "HTTP request",
    Phase.TOKEN: "token endpoint",
    Phase.AUTH: "authentication",
    Phase.SESSION: "first command",
}
_JOURNEYS = {
    "apple_outlook_account": "iPhone's and Mac's own Outlook.com or Exchange account",
    "imap_oauth": "Thunderbird, or Apple Mail set to OAuth",
    "imap_password": "A client set up by hand with a password (ended by Microsoft in September 2024)",
    "outlook_app": "The Outlook app",
    "web": "Outlook on the web",
    "device_smtp": "Scripts and printers that send mail",
}
_CANARY = {
    AuthOutcome.EXPECTED_REFUSAL: "refused in Microsoft's own words: the path carries authentication",
    AuthOutcome.REFUSED: "refused, but not in Microsoft's words",
    AuthOutcome.ACCEPTED: "accepted: whoever answers isn't Microsoft",
    AuthOutcome.THROTTLED: "throttled",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """A target seen from a vantage."""

    course: Course
    good: bool
    words: str
    canary: str


def _cell(course: Course) -> Cell:
    probe = course.probe
    good = probe.outcome is Outcome.OK
    phase = _PHASES.get(probe.failed_phase, "") if probe.failed_phase else ""
    words = "works" if good else f"{phase}: {probe.outcome.replace('_', ' ')}"
    canary = _CANARY.get(probe.auth.outcome, "no clear answer") if probe.auth.outcome else ""
    return Cell(course, good, words, canary)


def _headline(cells: Sequence[Cell], vantages: Sequence[str]) -> tuple[str, bool]:
    bad = [cell.course.probe for cell in cells if not cell.good]
    if not cells:
        return "The first round is under way.", True
    if not bad:
        return f"All {len(cells)} ways to Outlook.com work, from {' and '.join(vantages)}.", True
    failing = sorted({probe.target for probe in bad})
    where = sorted({probe.vantage for probe in bad})
    only = f" only from {where[0]}" if len(where) == 1 and len(vantages) > 1 else ""
    return f"{len(bad)} of {len(cells)} ways to Outlook.com fail{only}: {', '.join(failing[:6])}.", False


def render_status(now: Snapshot, notices: Sequence[str], time: datetime) -> str:
    """The page as HTML."""
    vantages = list(dict.fromkeys(vantage for _, vantage in now.courses))
    targets = list(dict.fromkeys(target for target, _ in now.courses))
    cells = {key: _cell(course) for key, course in now.courses.items()}
    headline, good = _headline(list(cells.values()), vantages)
    return _template().render(
        version=__version__,
        time=time,
        notices=notices,
        headline=headline,
        good=good,
        vantages=vantages,
        targets=targets,
        cells=cells,
        journeys=[
            (_JOURNEYS.get(name, name), vantage, bool(value), name)
            for (name, vantage), value in sorted(journeys(now.courses).items(), key=lambda row: _journey_order(row[0]))
        ],
        changes=list(reversed(now.changes))[:MAX_CHANGES],
        phase_words=_PHASES,
        waterfall=_waterfall,
    )


def _journey_order(key: tuple[str, ...]) -> tuple[int, str]:
    return list(JOURNEYS).index(key[0]), key[1]


def _waterfall(probe: Probe) -> list[tuple[str, str, str, str]]:
    """Phases as (name, outcome, milliseconds, detail)."""
    return [
        (
            _PHASES[result.phase],
            result.outcome,
            "" if result.seconds is None else f"{result.seconds * 1000:.1f} ms",
            result.detail or "",
        )
        for result in probe.phases
    ]


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    text = resources.files("exporter.web").joinpath("templates/status.html").read_text("utf-8")
    return environment.from_string(text)


@cache
def stylesheet() -> str:
    """The page's only file beside it."""
    return resources.files("exporter.web").joinpath("templates/style.css").read_text("utf-8")
