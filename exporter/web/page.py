"""The status page: an overview laid out by a template. Every text is escaped, whatever cleaned it before."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from socket import gethostname

from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter.diagnosis.runbooks import page as runbook
from exporter.diagnosis.words import summary
from exporter.history.recorder import History
from exporter.history.rows import Bin, Event
from exporter.language import _, current
from exporter.observations import Probe, Verdict
from exporter.state import State
from exporter.vocabulary import Cause
from exporter.web import markdown
from exporter.web.control import Control
from exporter.web.guard import is_loopback
from exporter.web.mood import Mood
from exporter.web.verdict_view import of_the_way, verdict_blocks, way
from exporter.web.view import doubted, overview
from exporter.web.way_view import event_lines, way_page

#: Seconds after which a page without scripts loads itself anew.
REFRESH = 30
DAY = 86_400.0
#: Changes shown on the status page.
RECENT_CHANGES = 30
_NO_HISTORY = History(None)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("exporter.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"_": _, "marked": markdown.line}
    return made


def runbook_page(cause: str) -> str | None:
    """A cause's runbook, for those who are cut off from the repository; None where there is no such cause."""
    if cause not in set(Cause):
        return None
    title, _end, rest = runbook(Cause(cause)).partition("\n# ")[2].partition("\n")
    shown = {"title": title.replace("`", ""), "text": markdown.page(rest), "language": current()}
    return _environment().get_template("runbook.html").render(shown)


def _sentence(verdicts: Sequence[Verdict], probes: Sequence[Probe], *, failing: bool) -> str:
    """The whole in one; of a way that fails nothing is told by one client's trouble, which stood there before."""
    if failing and verdicts and not of_the_way(verdicts):
        return _("Where and why isn't known yet: experiments are under way.")
    return summary(verdicts, probes)


class StatusPage:
    """Renders the page. `protected`: a web configuration is set."""

    def __init__(
        self, state: State, control: Control, *, protected: bool, now: Callable[[], float] = time.time
    ) -> None:
        self._state, self._control, self._protected, self._now = state, control, protected, now
        self._template = _environment().get_template("status.html")
        self._way = _environment().get_template("way.html")

    def _verdicts(self) -> list[Verdict]:
        return [each for each in self._state.listings.get("verdicts", tuple)() if isinstance(each, Verdict)]

    def _history(self) -> History:
        kept = self._state.sources.get("history")
        return kept if isinstance(kept, History) else _NO_HISTORY

    def history(self, target: str | None, vantage: str | None, hours: int) -> tuple[list[Bin], list[Event]]:
        """Quarter hours and changes of the last so many hours. Waits for the file, as `html` does."""
        since = self._now() - hours * 3600
        kept = self._history()
        return kept.bins(since, target, vantage), kept.events(since, target, vantage)

    def way_html(self, target: str, vantage: str) -> str | None:
        """The page of one target from one vantage; None where it isn't probed."""
        tallies = self._state.snapshot().tallies
        tally = next((each for each in tallies if (each.target, each.vantage) == (target, vantage)), None)
        if tally is None:
            return None
        now = datetime.fromtimestamp(self._now(), tz=UTC)
        standing = [each for each in self._verdicts() if (each.target, each.vantage) == (target, vantage)]
        known = self._control.targets().get(target)
        return self._way.render(
            language=current(),
            way=way_page(tally, *self.history(target, vantage, 24), now),
            verdicts=verdict_blocks(standing, self._state.latest()),
            where=f"{known.host}:{known.port}" if known is not None else target,
            kept=self._history().path is not None,
            machine=gethostname(),
            version=self._state.snapshot().build.version,
            refresh=REFRESH,
        )

    def html(self) -> str:
        """The page as of now. Waits for the history's file: not for the event loop."""
        listen_host = self._control.listen.rpartition(":")[0].strip("[]")
        now = datetime.fromtimestamp(self._now(), tz=UTC)
        verdicts, probes = self._verdicts(), self._state.latest()
        seen = overview(
            self._state.snapshot(),
            self._control.targets(),
            now,
            self._state.listings.get("accounts", tuple)(),
            self._state.listings.get("clients", tuple)(),
        )
        return self._template.render(
            language=current(),
            page=doubted(seen) if of_the_way(verdicts) else seen,
            verdict=_sentence(verdicts, probes, failing=seen.mood is Mood.BAD),
            events=event_lines(self._history().events(self._now() - DAY)[:RECENT_CHANGES], now),
            way=way(verdicts),
            verdicts=verdict_blocks(verdicts, probes),
            unprotected=not self._protected and not is_loopback(listen_host),
            machine=gethostname(),
            refresh=REFRESH,
        )
