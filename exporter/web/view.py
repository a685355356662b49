"""What the status page shows, as plain data made by pure functions of a snapshot. The template only lays it out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from exporter.catalogue import Target
from exporter.language import Words, _
from exporter.language.evidence import Said, said
from exporter.metrics.accounts import AccountStanding
from exporter.metrics.journeys import BY_PASSWORD, JourneyState, failed, journey_states
from exporter.metrics.samples import latest_probes
from exporter.metrics.tally import Tally
from exporter.observations import PhaseResult, Probe
from exporter.state import Change, Snapshot
from exporter.vocabulary import AuthOutcome, Outcome, Phase
from exporter.web import words
from exporter.web.account_view import AccountLine, account_line
from exporter.web.clients_view import ClientsLine, clients_lines
from exporter.web.mood import Mood, mood_of

__all__ = ["AccountLine", "Mood", "Overview", "detail_of", "moment", "overview"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as machines read it, and as people do."""

    iso: str
    clock: str
    ago: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of a matrix. `more` is a second, smaller line."""

    mood: Mood
    text: str
    more: str = ""
    link: str = ""
    rounds: tuple[tuple[Mood, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a matrix."""

    name: str
    about: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class PhaseLine:
    """A phase in the details. `share` is its part of the slowest phase, in tenths, for its bar."""

    name: str
    mood: Mood
    outcome: str
    seconds: str
    share: int
    detail: Said
    kept_since: str


@dataclass(frozen=True, slots=True)
class Detail:
    """All about one target from one vantage. `facts` are pairs of name and text; `reply` is the server's own."""

    id: str
    target: str
    vantage: str
    mood: Mood
    summary: str
    measured: Moment
    since: Moment | None
    phases: tuple[PhaseLine, ...]
    facts: tuple[tuple[str, str], ...]
    reply: str


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """A change of outcome."""

    time: Moment
    target: str
    vantage: str
    mood: Mood
    text: str
    detail: Said


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole page."""

    mood: Mood
    headline: str
    last_round: Moment | None
    vantages: tuple[str, ...]
    journeys: tuple[Row, ...]
    targets: tuple[Row, ...]
    details: tuple[Detail, ...]
    changes: tuple[ChangeLine, ...]
    client_side_covered: bool
    reload_failed: bool
    version: str
    accounts: tuple[AccountLine, ...] = ()
    clients: tuple[ClientsLine, ...] = ()


def overview(
    snapshot: Snapshot,
    targets: Mapping[str, Target],
    now: datetime,
    accounts: Iterable[object] = (),
    clients: Iterable[object] = (),
) -> Overview:
    """The page's contents at `now`. `accounts`: AccountStanding each; `clients`: TargetClients."""
    mood, headline = _headline(snapshot.tallies)
    probes = latest_probes(snapshot)
    times = [probe.time for probe in probes.values()]
    return Overview(
        mood=mood,
        headline=headline,
        last_round=moment(max(times), now) if times else None,
        vantages=snapshot.vantages,
        journeys=_journey_rows(journey_states(probes, snapshot.vantages), len(snapshot.vantages)),
        targets=tuple(_target_rows(snapshot, targets, now)),
        details=tuple(detail_of(tally, tally.probe, now) for tally in _failing_first(snapshot.tallies) if tally.probe),
        changes=tuple(_change_line(change, now) for change in snapshot.changes),
        client_side_covered=snapshot.client_side_covered,
        reload_failed=not snapshot.reload_successful,
        version=snapshot.build.version,
        accounts=tuple(account_line(each, now) for each in accounts if isinstance(each, AccountStanding)),
        clients=clients_lines(clients),
    )


def doubted(page: Overview) -> Overview:
    """The page while a verdict on the way stands: not green, though each probe passes just now."""
    if page.mood is not Mood.GOOD:
        return page
    return replace(page, mood=Mood.NEUTRAL, headline=_("{headline}, but not all is well", headline=page.headline))


def _headline(tallies: Sequence[Tally]) -> tuple[Mood, str]:
    walked = [tally.probe for tally in tallies if tally.probe is not None]
    measured = [probe for probe in walked if probe.measured]
    failing = [probe for probe in measured if failed(probe)]
    if not walked:
        return Mood.NEUTRAL, _("Nothing measured yet: the first round is under way")
    if failing:
        names = list(dict.fromkeys(probe.target for probe in failing))
        shown = ", ".join(names[:4]) + (_(" and {count} more", count=len(names) - 4) if len(names) > 4 else "")
        said = _("{failing} of {all} ways fail: {names}", failing=len(failing), all=len(measured), names=shown)
        return Mood.BAD, said + _only_from(failing, measured)
    if not measured:
        return Mood.NEUTRAL, _("Nothing could be measured")
    if (missing := len(walked) - len(measured)) > 0:
        text = _("{count} of {all} ways couldn't be measured, the others work", count=missing, all=len(walked))
        return Mood.NEUTRAL, text
    if len(measured) < len(tallies):
        so_far = _("{measured} of {all} ways measured so far, all work", measured=len(measured), all=len(tallies))
        return Mood.GOOD, so_far
    return Mood.GOOD, _("All {count} ways work", count=len(measured)) if len(measured) > 1 else _("It works")


def _only_from(failing: Sequence[Probe], measured: Sequence[Probe]) -> str:
    """Said where other vantages see no fault: it tells the most."""
    vantages = dict.fromkeys(probe.vantage for probe in failing)
    if len(vantages) == len({probe.vantage for probe in measured}):
        return ""
    return _(" (only from {vantages})", vantages=", ".join(vantages))


def _failing_first(tallies: Sequence[Tally]) -> list[Tally]:
    return sorted(tallies, key=lambda tally: tally.probe is None or not failed(tally.probe))


def moment(time: datetime, now: datetime) -> Moment:
    """A time for machines and people."""
    same_day = time.date() == now.date()
    clock = time.strftime("%H:%M:%S" if same_day else "%Y-%m-%d %H:%M")
    return Moment(time.isoformat(timespec="seconds"), f"{clock} UTC", words.ago(time, now))


def _anchor(tally: Tally) -> str:
    return f"{tally.target}.{tally.vantage}"


def _target_rows(snapshot: Snapshot, targets: Mapping[str, Target], now: datetime) -> list[Row]:
    by_target: dict[str, list[Tally]] = {}
    for tally in snapshot.tallies:
        by_target.setdefault(tally.target, []).append(tally)
    return [
        Row(name, _where(targets.get(name), tallies), tuple(_target_cell(tally, now) for tally in tallies))
        for name, tallies in by_target.items()
    ]


def _where(target: Target | None, tallies: Sequence[Tally]) -> str:
    if target is not None:
        more = f" +{len(target.hosts) - 1}" if len(target.hosts) > 1 else ""
        return f"{target.host}:{target.port}{more}"
    probe = next((tally.probe for tally in tallies if tally.probe is not None), None)
    return f"{probe.host}:{probe.port}" if probe is not None else ""


def _target_cell(tally: Tally, now: datetime) -> Cell:
    probe = tally.probe
    if probe is None:
        return Cell(Mood.NEUTRAL, _("not measured yet"))
    works = probe.outcome is Outcome.OK
    text = _("works") if works else words.failure(probe.failed_phase, probe.outcome)
    since = _("since {time}", time=words.span(tally.last_change, now)) if tally.last_change else ""
    took = words.seconds(_reach_seconds(probe)) if works else ""
    rounds = tuple(
        (mood_of(past.outcome), _round_words(past.failed_phase, past.outcome, past.time)) for past in tally.history
    )
    return Cell(mood_of(probe.outcome), text, " · ".join(filter(None, (took, since))), f"#{_anchor(tally)}", rounds)


def _round_words(phase: Phase | None, outcome: Outcome, time: datetime) -> str:
    return f"{time:%H:%M:%S} {words.failure(phase, outcome)}"


def _reach_seconds(probe: Probe) -> float | None:
    """How long this round's own phases took, the kept canary apart."""
    measured = [result.seconds for result in probe.phases if result.seconds is not None and not result.measured_at]
    return sum(measured) if measured else None


def _journey_rows(states: Sequence[JourneyState], vantages: int) -> tuple[Row, ...]:
    rows = []
    for start in range(0, len(states), vantages or 1):
        group = states[start : start + vantages]
        name, about = words.journey(group[0].journey)
        rows.append(Row(name, about, tuple(_journey_cell(state) for state in group)))
    return tuple(rows)


def _journey_cell(state: JourneyState) -> Cell:
    if state.journey == BY_PASSWORD and not state.usable:
        return Cell(Mood.NEUTRAL, _(words.NEVER_WORKS))
    if state.usable is None:
        return Cell(Mood.NEUTRAL, _("not known"), _("not everything it needs is probed"))
    if state.usable:
        return Cell(Mood.GOOD, _("works"))
    first = state.broken[0]
    more = _("; {count} more", count=len(state.broken) - 1) if len(state.broken) > 1 else ""
    why = words.failure(first.failed_phase, first.outcome)
    return Cell(Mood.BAD, _("doesn't work"), f"{first.target}, {why}{more}", f"#{first.target}.{first.vantage}")


def detail_of(tally: Tally, probe: Probe, now: datetime) -> Detail:
    """All about a way as of its last probe."""
    slowest = max((result.seconds or 0.0 for result in probe.phases), default=0.0)
    return Detail(
        id=_anchor(tally),
        target=tally.target,
        vantage=tally.vantage,
        mood=mood_of(probe.outcome),
        summary=_("works") if probe.outcome is Outcome.OK else words.failure(probe.failed_phase, probe.outcome),
        measured=moment(probe.time, now),
        since=moment(tally.last_change, now) if tally.last_change else None,
        phases=tuple(_phase_line(result, slowest, now) for result in probe.phases),
        facts=tuple(_facts(probe, now)),
        reply=probe.auth.reply or "",
    )


def _phase_line(result: PhaseResult, slowest: float, now: datetime) -> PhaseLine:
    share = round(10 * result.seconds / slowest) if result.seconds and slowest else 0
    return PhaseLine(
        name=words.PHASES[result.phase],
        mood=mood_of(result.outcome),
        outcome=words.OUTCOMES[result.outcome],
        seconds=words.seconds(result.seconds),
        share=max(share, 1) if result.seconds else 0,
        detail=said(result.detail or ""),
        kept_since=words.ago(result.measured_at, now) if result.measured_at else "",
    )


def _facts(probe: Probe, now: datetime) -> list[tuple[str, str]]:
    facts = []
    if probe.addresses:
        one_of = _("{address} of {count}", address=probe.address or _("none reached"), count=len(probe.addresses))
        facts.append((_("address"), one_of))
    facts += [(host.host, words.failure(host.failed_phase, host.outcome)) for host in probe.hosts]
    tls = probe.tls
    if tls is not None and tls.version:
        facts.append(("TLS", ", ".join(filter(None, (tls.version, tls.cipher, tls.group)))))
    if tls is not None and tls.chain:
        leaf = tls.chain[0]
        until = _("{subject}, until {day}", subject=leaf.subject, day=f"{leaf.not_after:%Y-%m-%d}")
        facts.append((_("certificate"), until))
        facts.append((_("issued by"), f"{tls.issuer_organization or leaf.issuer}{_GENUINE[tls.genuine]}"))
    if probe.auth.outcome is not None:
        when = f" ({words.ago(probe.auth.measured_at, now)})" if probe.auth.measured_at else ""
        facts.append((_("worthless token"), words.CANARY[probe.auth.outcome] + when))
    if probe.auth.offered is not None:
        facts.append((_("password"), words.password_offered(probe.auth.offered)))
    facts += [
        (_("account {name}", name=account.name), _account(account.outcome, account.error)) for account in probe.accounts
    ]
    if probe.clock_skew_seconds is not None and abs(probe.clock_skew_seconds) > 2:
        facts.append((_("our clock"), _("{seconds} s off", seconds=f"{probe.clock_skew_seconds:+.0f}")))
    return facts


_GENUINE = Words({True: ", genuine", False: ", NOT genuine", None: ""})


def _account(outcome: AuthOutcome, error: str | None) -> str:
    tried = words.TRIED[outcome]
    return _("{phase}: {outcome}", phase=tried, outcome=words.refusal(error).text) if error else tried


def _change_line(change: Change, now: datetime) -> ChangeLine:
    after = _("works again") if change.after is Outcome.OK else words.failure(change.after_phase, change.after)
    before = "" if change.before is None else words.failure(change.before_phase, change.before)
    told = before and change.after is not Outcome.OK and change.before != "ok"
    text = _("{after} (was: {before})", after=after, before=before) if told else after
    return ChangeLine(
        time=moment(change.time, now),
        target=change.target,
        vantage=change.vantage,
        mood=mood_of(change.after),
        text=text,
        detail=said(change.detail or ""),
    )
