"""What the status page says of accounts: whether each can sign in, until when, and for each failure who has to act."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from exporter.metrics.accounts import AccountStanding, Refusal
from exporter.vocabulary import Mechanism
from exporter.web import words
from exporter.web.mood import Mood

#: Places named where an account fails in the same way at several.
MAX_PLACES = 3


@dataclass(frozen=True, slots=True)
class AccountLine:
    """An account: whether it can sign in, until when, and what each thing that fails means."""

    name: str
    kind: str
    mood: Mood
    text: str
    valid: str
    failures: tuple[tuple[str, str, str], ...]  # where and since when; in words; who acts
    past: tuple[tuple[str, str], ...]  # where and when; in words; the newest first


def account_line(standing: AccountStanding, now: datetime) -> AccountLine:
    """One account's line of the page at `now`."""
    failing = sorted(standing.failing, key=lambda refusal: (refusal.target is not None, refusal.first))
    if failing:  # a refused password is Outlook.com's normal state, and nobody's alarm
        mood = Mood.NEUTRAL if standing.mechanism is Mechanism.PASSWORD else Mood.BAD
        text = f"signs in at {standing.signed_in} of {standing.places}" if standing.places else "can't sign in"
    elif standing.places or standing.token_last_success:
        mood, text = Mood.GOOD, "signs in everywhere" if standing.places else "has a token"
    else:
        mood, text = Mood.NEUTRAL, "not tried yet"
    return AccountLine(
        name=standing.name,
        kind=words.KINDS[standing.kind],
        mood=mood,
        text=text,
        valid=_validity(standing, now),
        failures=tuple(_failure_line(alike, now) for alike in _grouped(failing)),
        past=tuple(_past_line(refusal, now) for refusal in standing.history if refusal not in failing),
    )


def _validity(standing: AccountStanding, now: datetime) -> str:
    parts = []
    if standing.token_expires is not None:
        parts.append(f"token {words.expiry(standing.token_expires, now)}")
    if standing.credential_expires is not None:
        parts.append(f"credential {words.expiry(standing.credential_expires, now)}")
    return " · ".join(parts)


def _past_line(refusal: Refusal, now: datetime) -> tuple[str, str]:
    times = f", {refusal.count} times" if refusal.count > 1 else ""
    where = f"{refusal.target or 'token'} from {refusal.vantage}"
    return f"{where}, until {words.ago(refusal.last, now)}{times}", refusal.words


def _grouped(failing: Sequence[Refusal]) -> list[list[Refusal]]:
    """Those that say the same at several places, together."""
    alike: dict[str, list[Refusal]] = {}
    for refusal in failing:
        alike.setdefault(refusal.words, []).append(refusal)
    return list(alike.values())


def _failure_line(alike: Sequence[Refusal], now: datetime) -> tuple[str, str, str]:
    first = min(alike, key=lambda refusal: refusal.first)
    places = [f"{each.target or 'token'} from {each.vantage}" for each in alike]
    where = ", ".join(places[:MAX_PLACES]) + (f" and {len(places) - MAX_PLACES} more" if places[MAX_PLACES:] else "")
    times = f", {first.count} times" if first.count > 1 else ""
    since = words.ago(first.first, now).removesuffix(" ago")
    return f"{where}, for {since}{times}", first.words, words.acting(first.acts) if first.acts else ""
