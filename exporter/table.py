"""A short readable table of probes, growing while they end; for terminals and for `demo`."""

import sys
from types import TracebackType

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from exporter.observations import Probe
from exporter.vocabulary import Outcome

#: Terminals as wide as this show the canary's fate and what was seen; narrower ones leave it to --json and the page.
WIDE = 120


def rows_table(probes: list[Probe], width: int) -> Table:
    """One row a probe: where it went, how far it got, what the canary met; `width` in characters."""
    table = Table(header_style="bold", pad_edge=False, box=box.SIMPLE_HEAD)
    for name in ("target", "vantage", "outcome", "seconds", *(("canary",) if width >= WIDE else ())):
        table.add_column(name, no_wrap=True, justify="right" if name == "seconds" else "left")
    if width >= WIDE:
        table.add_column("what was seen", overflow="fold")
    for probe in probes:
        good = probe.outcome is Outcome.OK
        seconds = sum(result.seconds or 0.0 for result in probe.phases if result.measured_at is None)
        failed = next((result for result in probe.phases if result.phase is probe.failed_phase), None)
        words = "ok" if good else f"{probe.failed_phase}: {probe.outcome}"
        seen = Text((failed.detail or "") if failed else "")
        style = "green" if good else "bold red"
        canary = probe.auth.outcome or ""
        row = (probe.target, probe.vantage, Text(words, style=style), f"{seconds:.2f}")
        table.add_row(*row, *((canary, seen) if width >= WIDE else ()))
    return table


class LiveTable:
    """Shows the table on a terminal while it fills, or once at the end where there is none."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._probes: list[Probe] = []
        self._console = Console()
        self._live = Live(console=self._console, auto_refresh=False) if enabled and sys.stdout.isatty() else None

    def __enter__(self) -> "LiveTable":
        if self._live is not None:
            self._live.start()
        return self

    def add(self, probe: Probe) -> None:
        """One more row."""
        self._probes.append(probe)
        if self._live is not None:
            self._live.update(rows_table(self._probes, self._console.width), refresh=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        elif self._enabled and kind is None:
            self._console.print(rows_table(self._probes, self._console.width))
