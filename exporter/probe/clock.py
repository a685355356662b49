"""How wrong is this machine's clock? By the Date of several hosts; a pure function of what was read.

Date has a resolution of one second, and one server's clock may be wrong itself: only more than two seconds, on two
hosts that agree, is skew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

#: What Date can't tell, seconds.
RESOLUTION = 2.0
#: Hosts whose readings differ by more than this don't agree, seconds.
AGREEMENT = 3.0


@dataclass(frozen=True, slots=True)
class Reading:
    """A server's Date and our clock when it was read."""

    host: str
    server: datetime
    ours: datetime

    @property
    def skew(self) -> float:
        """Seconds this machine is ahead; the server's second is half over on average."""
        return (self.ours - self.server).total_seconds() - 0.5


def agreed_skew(readings: Sequence[Reading]) -> float:
    """Seconds this machine is ahead, 0 unless two hosts agree on more than two seconds."""
    by_host: dict[str, list[float]] = {}
    for reading in readings:
        by_host.setdefault(reading.host, []).append(reading.skew)
    skews = sorted(median(values) for values in by_host.values())
    if len(skews) < 2:
        return 0.0
    middle = median(skews)
    close = [skew for skew in skews if abs(skew - middle) <= AGREEMENT]
    return middle if len(close) >= 2 and abs(middle) > RESOLUTION else 0.0


def corrected(now: datetime, skew: float) -> datetime:
    """The time it really is."""
    return now - timedelta(seconds=skew)
