"""`outlook_diagnosis`: the current verdicts as samples."""

from collections.abc import Callable, Iterator

from exporter.metrics.samples import Sample
from exporter.observations import Verdict


class VerdictSamples:
    """A SampleSource over the current verdicts. `current`: the same object while nothing changed."""

    def __init__(self, current: Callable[[], tuple[Verdict, ...]]) -> None:
        self._current = current

    def version(self) -> object:
        """See SampleSource."""
        return self._current()

    def samples(self) -> Iterator[Sample]:
        """One series a verdict; its value is the confidence."""
        for verdict in self._current():
            labels = (
                ("target", verdict.target),
                ("vantage", verdict.vantage),
                ("account", verdict.account or ""),
                ("cause", verdict.cause),
                ("responsible", verdict.responsible),
            )
            yield Sample("outlook_diagnosis", labels, verdict.confidence)
