"""Clients that come back after a failure: how often the same was tried shortly before."""

from collections import OrderedDict, deque
from typing import Final

from exporter.vocabulary import AuthOutcome, ConnectionOutcome

#: Pairs of a client and what it came for whose failures are remembered, and failures of each.
MAX_CLIENTS: Final = 8_192
MAX_FAILURES: Final = 32
#: How long, nanoseconds: within it three refusals make a retry loop (contract: state `retry_loop`).
REMEMBERED: Final = 300 * 1_000_000_000

#: What makes two attempts similar: the server's name or address, its port.
Goal = tuple[str | bytes, int]


def failed(outcome: ConnectionOutcome, auth: AuthOutcome | None) -> bool:
    """Whether the client didn't get what it came for, as far as that was seen."""
    if outcome is not ConnectionOutcome.ESTABLISHED:
        return outcome is not ConnectionOutcome.INCOMPLETE
    return auth in (AuthOutcome.REFUSED, AuthOutcome.ABANDONED, AuthOutcome.THROTTLED)


class Attempts:
    """When each client failed at what, the latest last."""

    def __init__(self) -> None:
        self._failures: OrderedDict[tuple[bytes, Goal], deque[int]] = OrderedDict()

    def earlier(self, client: bytes, goal: Goal, begun: int) -> int:
        """How many attempts of this client at this server had failed before this one begun at `begun`."""
        failures = self._failures.get((client, goal))
        return 0 if failures is None else sum(0 <= begun - time <= REMEMBERED for time in failures)

    def remember(self, client: bytes, goal: Goal, begun: int) -> None:
        """An attempt, begun then, failed."""
        failures = self._failures.setdefault((client, goal), deque(maxlen=MAX_FAILURES))
        failures.append(begun)
        self._failures.move_to_end((client, goal))
        if len(self._failures) > MAX_CLIENTS:
            self._failures.popitem(last=False)
