"""What the status page says of accounts: whether each can sign in, until when, and for each failure who has to act."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from exporter.language import _
from exporter.language.evidence import Said
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
    failures: tuple[tuple[str, Said, str], ...]  # where and since when; in words; who acts
    past: tuple[tuple[str, Said], ...]  # where and when; in words; the newest first


def account_line(standing: AccountStanding, now: datetime) -> AccountLine:
    """One account's line of the page at `now`."""
    failing = sorted(standing.failing, key=lambda refusal: (refusal.target is not None, refusal.first))
    if failing:  # a refused password is Outlook.com's normal state, and nobody's alarm
        mood = Mood.NEUTRAL if standing.mechanism is Mechanism.PASSWORD else Mood.BAD
        signed_in = _("signs in at {count} of {places}", count=standing.signed_in, places=standing.places)
        text = signed_in if standing.places else _("can't sign in")
    elif standing.places or standing.token_last_success:
        mood, text = Mood.GOOD, _("signs in everywhere") if standing.places else _("has a token")
    else:
        mood, text = Mood.NEUTRAL, _("not tried yet")
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
        parts.append(_("token {expiry}", expiry=words.expiry(standing.token_expires, now)))
    if standing.credential_expires is not None:
        parts.append(_("credential {expiry}", expiry=words.expiry(standing.credential_expires, now)))
    return " · ".join(parts)


def _past_line(refusal: Refusal, now: datetime) -> tuple[str, Said]:
    until = _("{where}, until {ago}", where=_where(refusal), ago=words.ago(refusal.last, now))
    return until + _times(refusal), words.refusal(refusal.words)


def _where(refusal: Refusal) -> str:
    return _("{target} from {vantage}", target=refusal.target or _("token"), vantage=refusal.vantage)


def _times(refusal: Refusal) -> str:
    return _(", {count} times", count=refusal.count) if refusal.count > 1 else ""


def _grouped(failing: Sequence[Refusal]) -> list[list[Refusal]]:
    """Those that say the same at several places, together."""
    alike: dict[str, list[Refusal]] = {}
    for refusal in failing:
        alike.setdefault(refusal.words, []).append(refusal)
    return list(alike.values())


def _failure_line(alike: Sequence[Refusal], now: datetime) -> tuple[str, Said, str]:
    first = min(alike, key=lambda refusal: refusal.first)
    places = [_where(each) for each in alike]
    more = _(" and {count} more", count=len(places) - MAX_PLACES) if places[MAX_PLACES:] else ""
    where = ", ".join(places[:MAX_PLACES]) + more
    since = _("{where}, for {time}", where=where, time=words.span(first.first, now))
    return since + _times(first), words.refusal(first.words), words.acting(first.acts) if first.acts else ""
