"""The status page: an overview laid out by a template. Every text is escaped, whatever cleaned it before."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from socket import gethostname

from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter.diagnosis.runbooks import pages as runbooks
from exporter.diagnosis.words import summary
from exporter.observations import Verdict
from exporter.state import State
from exporter.vocabulary import Cause
from exporter.web.control import Control
from exporter.web.guard import is_loopback
from exporter.web.verdict_view import verdict_blocks, way
from exporter.web.view import overview

#: Seconds after which a page without scripts loads itself anew.
REFRESH = 30


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("exporter.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def runbook_page(cause: str) -> str | None:
    """A cause's runbook, for those who are cut off from the repository; None where there is no such cause."""
    text = runbooks().get(f"{cause}.md") if cause in set(Cause) else None
    if text is None:
        return None
    title, _, rest = text.partition("\n# ")[2].replace("`", "").partition("\n")
    return _environment().get_template("runbook.html").render(title=title, text=rest.strip())


class StatusPage:
    """Renders the page. `protected`: a web configuration is set."""

    def __init__(
        self, state: State, control: Control, *, protected: bool, now: Callable[[], float] = time.time
    ) -> None:
        self._state, self._control, self._protected, self._now = state, control, protected, now
        self._template = _environment().get_template("status.html")

    def _verdict(self) -> str:
        """The current verdicts in one sentence, with who acts; empty while nothing is wrong."""
        current = self._state.listings.get("verdicts", tuple)()
        return summary([each for each in current if isinstance(each, Verdict)], self._state.latest())

    def html(self) -> str:
        """The page as of now."""
        listen_host = self._control.listen.rpartition(":")[0].strip("[]")
        return self._template.render(
            page=overview(
                self._state.snapshot(),
                self._control.targets(),
                datetime.fromtimestamp(self._now(), tz=UTC),
                self._state.listings.get("accounts", tuple)(),
                self._state.listings.get("clients", tuple)(),
            ),
            verdict=self._verdict(),
            way=way(self._state.listings.get("verdicts", tuple)()),
            verdicts=verdict_blocks(self._state.listings.get("verdicts", tuple)(), self._state.latest()),
            unprotected=not self._protected and not is_loopback(listen_host),
            machine=gethostname(),
            refresh=REFRESH,
        )
