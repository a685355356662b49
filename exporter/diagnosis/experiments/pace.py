"""Turns for packets that die on their way: routers ration the ICMP errors about them.

Linux sends one receiver six at once, then one a second (icmp_ratelimit), others fewer; behind a masquerading gateway
every vantage is one receiver to the routers beyond. Unpaced, a router that keeps its ration looks like a filter.
"""

import asyncio
from collections.abc import Callable

#: So many at once, then one each so many seconds.
BURST, EVERY = 3, 1.1


class HopPace:
    """One for the whole exporter. `clock`: monotonic seconds."""

    def __init__(self, clock: Callable[[], float], burst: int = BURST, every: float = EVERY) -> None:
        self._clock, self._every = clock, every
        self._slack = (burst - 1) * every
        self._due = float("-inf")  # when the next would go if all went evenly

    async def turn(self) -> None:
        """Returns when one more may leave; in the order of asking."""
        now = self._clock()
        self._due = max(self._due + self._every, now - self._slack)
        await asyncio.sleep(max(self._due - now, 0.0))
