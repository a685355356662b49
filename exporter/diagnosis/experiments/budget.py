"""How many connections experiments may make: so many a round, and so many an hour. Pure: `now` is an argument."""

from collections import deque

#: Connections of one round's experiments.
PER_ROUND = 60
_HOUR = 3600.0


class ExperimentBudget:
    """For the whole exporter. Times are seconds of any one clock."""

    def __init__(self, per_hour: float, per_round: int = PER_ROUND) -> None:
        """Of less than one `per_hour` the hour is stretched until it is one."""
        self._window = _HOUR * max(1.0, 1.0 / per_hour)
        self._per_hour, self._per_round = max(1, int(per_hour)), per_round
        self._spent: deque[float] = deque()
        self._round = 0

    def begin_round(self) -> None:
        """A new round's experiments begin."""
        self._round = 0

    def take(self, connections: int, now: float) -> bool:
        """Whether so many connections may be made now. True spends them."""
        if self._round + connections > self._per_round or connections > self.remaining(now):
            return False
        self._spent.extend([now] * connections)
        self._round += connections
        return True

    def remaining(self, now: float) -> int:
        """Connections left of this hour's."""
        while self._spent and self._spent[0] <= now - self._window:
            self._spent.popleft()
        return self._per_hour - len(self._spent)

    def continue_from(self, earlier: "ExperimentBudget") -> None:
        """Takes over what was spent and when: a reload gives no new budget."""
        self._spent = earlier._spent
