"""The status page: an overview laid out by a template. Every text is escaped, whatever cleaned it before."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from socket import gethostname

from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter.diagnosis.words import summary
from exporter.observations import Verdict
from exporter.state import State
from exporter.web.control import Control
from exporter.web.guard import is_loopback
from exporter.web.view import overview

#: Seconds after which a page without scripts loads itself anew.
REFRESH = 30


class StatusPage:
    """Renders the page. `protected`: a web configuration is set."""

    def __init__(
        self, state: State, control: Control, *, protected: bool, now: Callable[[], float] = time.time
    ) -> None:
        self._state, self._control, self._protected, self._now = state, control, protected, now
        environment = Environment(
            loader=PackageLoader("exporter.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._template = environment.get_template("status.html")

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
            unprotected=not self._protected and not is_loopback(listen_host),
            machine=gethostname(),
            refresh=REFRESH,
        )
