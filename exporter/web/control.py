"""What the web side asks of the service, and nothing more."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from exporter.catalogue import Target
from exporter.observations import Probe


class Control(Protocol):
    """Implemented by the service. Called on the web server's event loop, so it must hand over to the prober's."""

    @property
    def ready(self) -> bool:
        """Whether there is something to show."""

    @property
    def listen(self) -> str:
        """ADDR:PORT, as configured."""

    @property
    def allowed_hosts(self) -> Collection[str]:
        """Names served besides the loopback's, when listening on loopback."""

    @property
    def language(self) -> str:
        """Of the pages: `auto` (the browser's), or one of `exporter.language.Language`."""

    def targets(self) -> Mapping[str, Target]:
        """What may be probed, by name."""

    def vantages(self) -> Sequence[str]:
        """Names of the vantages; the first is the default."""

    async def probe_now(self, target: str, vantage: str, deadline_seconds: float) -> Probe:
        """Walk there now. What the deadline cuts is `skipped`."""

    async def diagnose(self) -> str:
        """Begin a round and its experiments now, whose progress stands in the state; empty, or why not."""

    async def reload(self) -> list[str]:
        """Take the configuration anew; problems, if it was refused. Records the reload in the state."""
