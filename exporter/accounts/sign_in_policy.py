"""When an account's sign-in is tried at a target: as often as the canary, and ever more rarely while it is refused.

Pure; `now` is any monotonic clock. A refused password is the dangerous one: Microsoft locks accounts after some ten
(AADSTS50053), so it waits longest.
"""

import random
from collections.abc import Collection, Hashable
from dataclasses import dataclass

from exporter.vocabulary import AuthOutcome, Mechanism

_HOUR = 3_600.0
#: The longest pause after refusals.
LONGEST_PAUSE = {Mechanism.TOKEN: 6 * _HOUR, Mechanism.PASSWORD: 24 * _HOUR}
#: The least pause after a refused password.
PASSWORD_PAUSE = _HOUR
#: Share of a pause by which it is moved at random.
JITTER = 0.1

Place = tuple[Hashable, ...]  # account, target, vantage


@dataclass(slots=True)
class _Course:
    due: float = 0.0
    refusals: int = 0
    presented: bool = True


class SignInPolicy:
    """Decides for all accounts."""

    def __init__(self, interval: float, randomness: random.Random) -> None:
        """`interval`: seconds between sign-ins that go well."""
        self._interval, self._random = interval, randomness
        self._courses: dict[Place, _Course] = {}

    def is_due(self, place: Place, now: float, *, presents: bool = True) -> bool:
        """Whether a sign-in is to be tried there now. `presents`: there is something to present, a token say.

        Where there was nothing the last time, it is: somebody has signed in anew.
        """
        course = self._courses.setdefault(place, _Course())
        return now >= course.due or (presents and not course.presented)

    def ended(
        self,
        place: Place,
        mechanism: Mechanism,
        outcome: AuthOutcome,
        now: float,
        retry_after: float | None = None,
        *,
        presented: bool = True,
    ) -> None:
        """A sign-in was tried. What didn't come to an answer is tried again at the usual time."""
        course = self._courses.setdefault(place, _Course())
        refused = outcome in (AuthOutcome.REFUSED, AuthOutcome.THROTTLED)
        course.presented = presented
        course.refusals = min(course.refusals + 1, 20) if refused else 0
        pause = self._interval
        if refused:
            pause = self._interval * 2**course.refusals
            if mechanism is Mechanism.PASSWORD:
                pause = max(pause, PASSWORD_PAUSE * 2 ** (course.refusals - 1))
            pause = max(min(pause, LONGEST_PAUSE.get(mechanism, LONGEST_PAUSE[Mechanism.TOKEN])), self._interval)
        pause *= 1 + self._random.uniform(0 if refused else -JITTER, JITTER)
        course.due = now + max(pause, retry_after or 0.0)

    def continue_from(self, earlier: "SignInPolicy", accounts: Collection[str]) -> None:
        """Takes over what was refused to those accounts, and when: a reload is no reason to try again."""
        self._courses = {place: course for place, course in earlier._courses.items() if place[0] in accounts}
