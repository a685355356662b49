"""What the page of one way shows: its phases as a waterfall, its last day as a strip, what changed. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from exporter.diagnosis.causes import about
from exporter.diagnosis.words import ACTS
from exporter.history.rows import BIN_SECONDS, Bin, Event, Kind, PhaseSum, day_of, utc
from exporter.language import _
from exporter.language.evidence import Said, said
from exporter.metrics.tally import Tally
from exporter.observations import Probe
from exporter.vocabulary import Cause, Outcome, Phase, Responsible
from exporter.web import words
from exporter.web.mood import Mood, mood_of
from exporter.web.verdict_view import seen_from
from exporter.web.view import Detail, Moment, detail_of, moment

#: Width of the pictures in their own units.
WIDTH = 960
#: A strip's slots are so high; one without a failure is half of it, so that colour isn't needed.
HEIGHT = 24
#: Who may have to act; the rest isn't told.
_ACTING = frozenset(Responsible) - {Responsible.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Bar:
    """A phase of the last round: `x` and `width` in the picture; mean and worst of the day, in words."""

    name: str
    mood: Mood
    outcome: str
    seconds: str
    x: int
    width: int
    mean: str
    worst: str
    kept_since: str


@dataclass(frozen=True, slots=True)
class Slot:
    """A quarter of an hour in the strip."""

    x: int
    y: int
    height: int
    mood: Mood
    text: str


@dataclass(frozen=True, slots=True)
class Period:
    """Quarter hours in a row that failed in the same way."""

    since: Moment
    until: str
    text: str
    share: str


@dataclass(frozen=True, slots=True)
class EventLine:
    """A change, of an outcome or a verdict."""

    time: Moment
    mood: Mood
    way: str
    text: str
    detail: Said
    runbook: str = ""


@dataclass(frozen=True, slots=True)
class WayPage:
    """The page of one target from one vantage. `summing_up`: the day in one sentence; empty without a history."""

    target: str
    vantage: str
    detail: Detail | None
    bars: tuple[Bar, ...]
    strip: tuple[Slot, ...]
    periods: tuple[Period, ...]
    summing_up: str
    events: tuple[EventLine, ...]


def way_page(tally: Tally, bins: Sequence[Bin], events: Iterable[Event], now: datetime) -> WayPage:
    """The page at `now`. `bins` and `events`: this way's, of the last day."""
    day = day_of(bins, now.timestamp())
    measured = [each for each in day if each is not None]
    return WayPage(
        target=tally.target,
        vantage=tally.vantage,
        detail=detail_of(tally, tally.probe, now) if tally.probe is not None else None,
        bars=waterfall(tally.probe, measured, now) if tally.probe is not None else (),
        strip=tuple(_slot(index, each, len(day)) for index, each in enumerate(day)) if measured else (),
        periods=tuple(_periods(measured, now)),
        summing_up=_summing_up(measured),
        events=event_lines(events, now, with_way=False),
    )


def waterfall(probe: Probe, day: Iterable[Bin], now: datetime) -> tuple[Bar, ...]:
    """Phases one behind the other, to one scale. What was kept from an earlier round has no place in it."""
    sums = _sums(day)
    own = [result.seconds or 0.0 if result.measured_at is None else 0.0 for result in probe.phases]
    whole = sum(own) or 1.0
    bars = []
    for index, result in enumerate(probe.phases):
        past = sums.get(result.phase)
        bars.append(
            Bar(
                name=words.PHASES[result.phase],
                mood=mood_of(result.outcome),
                outcome=words.OUTCOMES[result.outcome],
                seconds=words.seconds(result.seconds),
                x=round(WIDTH * sum(own[:index]) / whole),
                width=max(round(WIDTH * own[index] / whole), 2) if own[index] else 0,
                mean=words.seconds(past.total / past.count) if past else "",
                worst=words.seconds(past.worst) if past else "",
                kept_since=words.ago(result.measured_at, now) if result.measured_at else "",
            )
        )
    return tuple(bars)


def event_lines(events: Iterable[Event], now: datetime, *, with_way: bool = True) -> tuple[EventLine, ...]:
    """Changes in words, newest first as they come. `with_way`: naming target and vantage."""
    listed = tuple(events)
    return tuple(
        _event_line(each, now, with_way=with_way)
        for index, each in enumerate(listed)
        if not _begins_well(each, listed[index + 1 :])
    )


def _begins_well(event: Event, older: Sequence[Event]) -> bool:
    """Whether it only says that a way was well when the exporter began to look: no news, unless it failed before."""
    if event.kind is not Kind.OUTCOME or event.before or event.after != Outcome.OK:
        return False
    way = (Kind.OUTCOME, event.target, event.vantage)
    last = next((each for each in older if (each.kind, each.target, each.vantage) == way), None)
    return last is None or last.after == Outcome.OK


def _event_line(event: Event, now: datetime, *, with_way: bool) -> EventLine:
    way = _("{target} from {vantage}", target=event.target, vantage=seen_from(event.vantage)) if with_way else ""
    healthy = event.after in (Outcome.OK, Cause.HEALTHY)
    if event.kind is Kind.VERDICT:
        text = _("verdict: {cause}", cause=_title(event.after))
        if event.responsible in _ACTING and not healthy:
            text += f"{_('; ')}{ACTS[Responsible(event.responsible)]}"
        before = ", ".join(map(_title, event.before.split(", ")))
        text = _("{after} (was: {before})", after=text, before=before) if event.before else text
        runbook = f"/runbook/{event.after}" if event.after in set(Cause) and not healthy else ""
        detail = said("" if healthy else event.detail)
        return EventLine(moment(event.time, now), _known(healthy, event.after), way, text, detail, runbook)
    outcome = Outcome(event.after) if event.after in set(Outcome) else Outcome.UNRECOGNIZED
    phase = Phase(event.phase) if event.phase in set(Phase) else None
    text = _("works again") if healthy else words.failure(phase, outcome)
    return EventLine(moment(event.time, now), mood_of(outcome), way, text, said(event.detail))


def _title(cause: str) -> str:
    """What a cause is called; one of another version by its name."""
    return about()[Cause(cause)].title if cause in set(Cause) else cause


def _known(healthy: bool, after: str) -> Mood:
    if healthy:
        return Mood.GOOD
    return Mood.NEUTRAL if after == Cause.UNKNOWN else Mood.BAD


def _sums(day: Iterable[Bin]) -> dict[Phase, PhaseSum]:
    sums: dict[Phase, PhaseSum] = {}
    for each in day:
        for phase, one in each.phases.items():
            sums.setdefault(phase, PhaseSum()).join(one)
    return sums


def _slot(index: int, each: Bin | None, count: int) -> Slot:
    x = index * WIDTH // count
    if each is None:
        return Slot(x, HEIGHT - 2, 2, Mood.NEUTRAL, _("not measured"))
    clock = f"{utc(each.start):%H:%M}"
    if not each.failed:
        passed = _("{clock}: all {rounds} rounds passed", clock=clock, rounds=each.rounds)
        return Slot(x, HEIGHT // 2, HEIGHT // 2, Mood.GOOD, passed)
    return Slot(x, 0, HEIGHT, Mood.BAD, f"{clock}{_(': ')}{_share(each.failed, each.rounds)}, {_why(each)}")


def _share(failed: int, rounds: int) -> str:
    if failed == rounds:
        return _("all {rounds} rounds failed", rounds=rounds)
    return _("{failed} of {rounds} rounds failed", failed=failed, rounds=rounds)


def _why(each: Bin) -> str:
    return words.failure(each.phase, each.outcome)


def _periods(measured: Sequence[Bin], now: datetime) -> Iterable[Period]:
    """Newest first."""
    runs: list[list[Bin]] = []
    for each in measured:
        if not each.failed:
            continue
        last = runs[-1][-1] if runs else None
        if last is not None and last.start + BIN_SECONDS == each.start and _why(last) == _why(each):
            runs[-1].append(each)
        else:
            runs.append([each])
    for run in reversed(runs):
        end = utc(run[-1].start + BIN_SECONDS)
        yield Period(
            since=moment(utc(run[0].start), now),
            until=_("now") if end > now else f"{end:%H:%M} UTC",
            text=_why(run[-1]),
            share=_share(sum(each.failed for each in run), sum(each.rounds for each in run)),
        )


def _summing_up(measured: Sequence[Bin]) -> str:
    rounds, failed = sum(each.rounds for each in measured), sum(each.failed for each in measured)
    if not rounds:
        return ""
    if not failed:
        return _("Last 24 hours: all {rounds} rounds passed.", rounds=rounds)
    share = words.percent(failed / rounds, 1)
    return _("Last 24 hours: {failed} of {rounds} rounds failed ({share}).", failed=failed, rounds=rounds, share=share)
