"""A short readable table of probes, growing while they end; for terminals and for `demo`."""

import sys
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from exporter.observations import Probe
from exporter.vocabulary import Outcome


def rows_table(probes: list[Probe], title: str | None = None) -> Table:
    """One row a probe: where it went, how far it got, what the canary met."""
    table = Table(title=title, title_justify="left", header_style="bold", pad_edge=False)
    for name in ("target", "vantage", "outcome", "failed phase", "canary", "seconds"):
        table.add_column(name, no_wrap=True)
    table.add_column("what was seen", overflow="fold")
    for probe in probes:
        good = probe.outcome is Outcome.OK
        seconds = sum(result.seconds or 0.0 for result in probe.phases if result.measured_at is None)
        failed = next((result for result in probe.phases if result.phase is probe.failed_phase), None)
        table.add_row(
            probe.target,
            probe.vantage,
            Text(probe.outcome, style="green" if good else "bold red"),
            probe.failed_phase or "",
            probe.auth.outcome or "",
            f"{seconds:.3f}",
            Text((failed.detail or "") if failed else ""),
        )
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
            self._live.update(rows_table(self._probes), refresh=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        elif self._enabled and kind is None:
            self._console.print(rows_table(self._probes))
