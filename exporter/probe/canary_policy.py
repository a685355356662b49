"""When the canary may be presented: rarely, within a budget, and less after throttling. Pure: `now` is an argument.

Everyone behind the gateway shares its address: too many refused sign-ins would hurt them (AADSTS50053). So at most one
a target and vantage each interval, and so many an hour for the whole exporter. It is brought forward, within that
budget, when anything of the path changed or the last one failed.
"""

import random
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass

#: The first retry after a failed canary, as a share of the interval; it doubles with every further failure.
RETRY_SHARE = 1 / 15
#: The interval is stretched to this many times after repeated throttling.
MAX_STRETCH = 16
#: Share of the interval by which each canary is moved at random, so that sites don't sign in all at once.
JITTER = 0.1
_HOUR = 3600.0

Key = tuple[str, str]  # target, vantage
Path = tuple[Hashable, ...]


@dataclass(slots=True)
class _Course:
    """What is known of one target at one vantage."""

    due: float = 0.0
    not_before: float = 0.0
    path: Path | None = None
    failures: int = 0
    throttled: int = 0


class CanaryPolicy:
    """Decides for the whole exporter. Times are seconds of any one clock."""

    def __init__(self, interval: float, per_hour: float, randomness: random.Random) -> None:
        """`interval` in seconds; of less than one `per_hour` the hour is stretched until it is one."""
        self._interval = interval
        self._window = _HOUR * max(1.0, 1.0 / per_hour)
        self._budget = max(1, int(per_hour))
        self._random = randomness
        self._presented: deque[float] = deque()
        self._courses: dict[Key, _Course] = {}

    def remaining(self, now: float) -> int:
        """Canaries left of this hour's budget."""
        while self._presented and self._presented[0] <= now - self._window:
            self._presented.popleft()
        return self._budget - len(self._presented)

    def take(self, key: Key, path: Path, now: float) -> bool:
        """Whether the canary is to be presented now, over a path that looks like this. True spends the budget."""
        course = self._courses.setdefault(key, _Course())
        changed = course.path is not None and path != course.path
        if now < course.not_before or (now < course.due and not changed) or self.remaining(now) <= 0:
            return False
        self._presented.append(now)
        course.path = path
        # Should the outcome never be told (the walk was cut), the full interval counts.
        course.due = now + self._spread(self._interval)
        course.not_before = now + self._interval * RETRY_SHARE
        return True

    def answered(self, key: Key, now: float) -> None:
        """The canary was refused in Microsoft's own words: the next one is an interval away."""
        course = self._courses.setdefault(key, _Course())
        course.failures = course.throttled = 0
        course.due = now + self._spread(self._interval)

    def failed(self, key: Key, now: float) -> None:
        """It wasn't: try again before the interval is over, ever later while it goes on."""
        course = self._courses.setdefault(key, _Course())
        share = min(RETRY_SHARE * 2**course.failures, 1.0)
        course.failures += 1
        course.due = now + self._spread(self._interval * share)

    def throttled(self, key: Key, now: float, retry_after: float | None) -> None:
        """Microsoft asks us to slow down: back off, at least as long as it says, whatever changes meanwhile."""
        course = self._courses.setdefault(key, _Course())
        course.throttled = min(course.throttled + 1, 10)
        pause = max(self._interval * min(2**course.throttled, MAX_STRETCH), retry_after or 0.0)
        course.due = course.not_before = now + self._spread(pause, only_later=True)

    def continue_from(self, earlier: "CanaryPolicy") -> None:
        """Takes over what was presented and when: a reload gives no new budget."""
        self._presented, self._courses = earlier._presented, earlier._courses

    def _spread(self, seconds: float, *, only_later: bool = False) -> float:
        return seconds * (1 + self._random.uniform(0 if only_later else -JITTER, JITTER))


class AlwaysOnce:
    """For a command that makes one round: one canary for each target and vantage."""

    def __init__(self) -> None:
        self._taken: set[Key] = set()

    def take(self, key: Key, path: Path, now: float) -> bool:
        """True the first time."""
        first = key not in self._taken
        self._taken.add(key)
        return first
