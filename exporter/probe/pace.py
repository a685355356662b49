"""Lets the walks of a round begin one after another, no faster than this machine keeps up with."""

import asyncio
from collections.abc import Callable

#: Turns are at least so far apart, seconds. Walks begun at once would wait for one another's cryptography, and `tls`
#: would show our own queue (half of 41 ms at 50 at once), which a clock at the client can't tell from the wire.
#: A walk is some 1.3 ms of work; much further apart each begins with cold caches, which costs up to twice the CPU.
SPACING = 0.002
#: A wake-up later than this shows that the event loop has work left, seconds: the next walk waits until it has not.
LATE = 0.001
#: How often a turn is put off for that, at most: a loop that is always late must not hold a round up.
MAX_DELAYS = 8


class Pace:
    """Turns in the order they were asked for."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock`: monotonic seconds."""
        self._clock = clock
        self._turns = asyncio.Lock()

    async def turn(self) -> None:
        """Returns when the next walk may begin."""
        async with self._turns:
            for _ in range(MAX_DELAYS):
                due = self._clock() + SPACING
                await asyncio.sleep(SPACING)
                if self._clock() - due < LATE:
                    return
