"""When a token may be asked for: well before it expires, now and then to measure, ever more rarely after failures.

Pure; `now` is an argument (Unix seconds, for it is kept across restarts). Microsoft takes some fifteen identical
requests in a few minutes for a loop (AADSTS50196), and everyone behind the gateway shares its address (AADSTS50053): so
an account has a budget that nothing exceeds, whatever fails.
"""

import random
from dataclasses import replace

from exporter.accounts.token_file import AccessToken, History
from exporter.vocabulary import Cause

_MINUTE, _HOUR, _DAY = 60.0, 3_600.0, 86_400.0

#: Requests of one account in any hour, all vantages together.
PER_HOUR = 8
#: A token is replaced when this share of its life is left, or so many seconds: time to mend a refresh that fails.
REFRESH_SHARE, REFRESH_AHEAD = 0.3, 10 * _MINUTE
#: How often a vantage asks anew although a token is there, so that its latency is known.
MEASURE_EVERY = _HOUR
#: After a failure that may pass by itself: the first pause, doubled each time, up to the last.
FIRST_PAUSE, LAST_PAUSE = 2 * _MINUTE, _HOUR
#: After a refusal that a person has to mend, or that a repetition makes worse.
REFUSED_PAUSE, LAST_REFUSED_PAUSE = _HOUR, 6 * _HOUR
#: A clock set back further than this makes kept times worthless, seconds.
SET_BACK = 5 * _MINUTE
#: Share of a pause that is added at random.
JITTER = 0.1

#: Refusals that another request makes worse, by their numbers: a lock or a bad reputation, a loop that was noticed.
WORSENED = frozenset({"50053", "50196"})
#: What passes by itself; every other refusal is mended by somebody.
_PASSES = frozenset({Cause.SERVICE_OUTAGE, Cause.THROTTLED, Cause.UNKNOWN, Cause.SLOW_SIGN_IN})


def is_fresh(token: AccessToken, now: float) -> bool:
    """Whether a token is good for a while: no request is needed for it."""
    if now < token.obtained_at - SET_BACK:  # the clock was wrong when it was given, or is now
        return False
    life = token.expires_at - token.obtained_at
    return now < token.expires_at - min(max(life * REFRESH_SHARE, REFRESH_AHEAD), max(life, 0.0) / 2)


def is_usable(token: AccessToken, now: float) -> bool:
    """Whether it can still be presented."""
    return now < token.expires_at


def may_ask(history: History, now: float) -> bool:
    """Whether a request is allowed now."""
    history = believable(history, now)
    return now >= history.not_before and len(_of_last_hour(history, now)) < PER_HOUR


def asking(history: History, now: float) -> History:
    """With a request begun now: written before it is sent, so that a crash doesn't forget it."""
    history = believable(history, now)
    requests = (*_of_last_hour(history, now), now)
    return replace(history, requests=requests, not_before=max(history.not_before, now + FIRST_PAUSE / 4))


def succeeded(history: History, now: float) -> History:
    """With a token given now."""
    return replace(history, failures=0, not_before=0.0, last_refresh=now)


def failed(
    history: History,
    now: float,
    cause: Cause | None,
    retry_after: float | None,
    randomness: random.Random,
    *,
    label: str | None = None,
) -> History:
    """With a request that gave none. `cause` None: it didn't reach the identity provider. `label`: see Explanation."""
    passes = (cause is None or cause in _PASSES) and label not in WORSENED
    first, last = (FIRST_PAUSE, LAST_PAUSE) if passes else (REFUSED_PAUSE, LAST_REFUSED_PAUSE)
    pause = min(first * 2 ** min(history.failures, 10), last)
    pause = max(pause * (1 + randomness.uniform(0, JITTER)), retry_after or 0.0)
    return replace(history, failures=history.failures + 1, not_before=now + pause)


def signed_in_anew(history: History, now: float) -> History:
    """A person has just signed in: what was refused before doesn't matter any more. The budget does."""
    return replace(history, failures=0, not_before=0.0, last_refresh=now)


def believable(history: History, now: float) -> History:
    """Without times of the future: the clock was set back, and a pause until then might last for years."""
    requests = tuple(each for each in history.requests if each <= now + SET_BACK)
    not_before = min(history.not_before, now + _DAY)
    return replace(history, requests=requests, not_before=not_before)


def _of_last_hour(history: History, now: float) -> tuple[float, ...]:
    return tuple(each for each in history.requests if each > now - _HOUR)[-PER_HOUR:]
