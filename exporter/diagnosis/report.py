"""`--report`: one self-contained page to send to a vendor: verdict, the way as a picture, evidence, times, versions.

No script, nothing loaded from elsewhere, no secret, and no client's address unless asked: pseudonyms stand in, the same
as in the packets beside it.
"""

import platform
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

from exporter import __version__
from exporter.diagnosis.causes import about, overturned_of, remedy_said, sentence_of, where_of, where_of_target
from exporter.diagnosis.endpoints import endpoints
from exporter.diagnosis.experiment import Experiment
from exporter.diagnosis.ladder_picture import LadderPicture, drawn
from exporter.diagnosis.packets import Packets, Shown, real_addresses
from exporter.diagnosis.report_log import LogLine, of_connection, of_probe
from exporter.diagnosis.seen import Seen
from exporter.diagnosis.words import ACTS, ONES_OWN, summary
from exporter.language import Words, _, current
from exporter.language.evidence import said
from exporter.observations import PhaseResult, Probe, Verdict
from exporter.probe.tls import STACK
from exporter.vocabulary import CONVERSATION_GOES_ON, Cause, Outcome, Phase
from exporter.wire.pseudonyms import Pseudonyms

#: The picture, in units of its own: width of the time axis, height of a lane, left margin for its name.
_WIDTH, _LANE, _LEFT = 600.0, 46.0, 150.0
#: A phase is drawn at least so wide, that it can be seen and pointed at.
_LEAST = 3.0
#: Faults that have a section each; the rest stands in the table alone. Ladders of one fault, the compared one aside.
MAX_SECTIONS, MAX_LADDERS = 40, 1
_WHOSE = Words({True: "Microsoft's", False: "not Microsoft's", None: "not known"})


@dataclass(frozen=True, slots=True)
class Bar:
    """A phase in the picture."""

    x: float
    y: float
    width: float
    kind: str  # good, bad, odd
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One walk in the picture: whose, and its phases from left to right. `end`: what ended it."""

    name: str
    y: float
    bars: tuple[Bar, ...]
    end: str
    end_x: float


@dataclass(frozen=True, slots=True)
class Picture:
    """Walks to one target above one another, on one time axis. `seconds`: of its whole width."""

    lanes: tuple[Lane, ...]
    seconds: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Drawn:
    """A connection's ladder, and whose it is."""

    shown: Shown
    picture: LadderPicture
    heading: LogLine


@dataclass(frozen=True, slots=True)
class Section:
    """One fault. `log`: what to look for in the gateway's own log."""

    verdict: Verdict
    title: str
    sentence: str
    acts: str
    remedy: str
    overturned: str
    picture: Picture | None
    probe: Probe | None
    others: tuple[Probe, ...]
    experiments: tuple[Experiment, ...]
    ladders: tuple[Drawn, ...]
    log: tuple[LogLine, ...]
    certificates: tuple["Presented", ...]


@dataclass(frozen=True, slots=True)
class Presented:
    """The leaf that a vantage was shown."""

    vantage: str
    tls: str
    whose: str
    subject: str
    issuer: str
    valid: str
    sha256: str


def report(
    seen: Seen,
    verdicts: Sequence[Verdict],
    *,
    packets: Packets | None = None,
    names: Pseudonyms | None = None,
    beside: str | None = None,
) -> str:
    """The page. `packets`: those chosen for these verdicts; `beside`: the file that they were written to."""
    packets = packets or _chosen(seen, verdicts)
    shown = [each for listed in packets.by_verdict for each in listed]
    names = names or Pseudonyms(taken=real_addresses(shown))
    environment = Environment(
        loader=PackageLoader("exporter.diagnosis"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    faults = [pair for pair in zip(verdicts, packets.by_verdict, strict=True) if pair[0].cause is not Cause.HEALTHY]
    faults.sort(key=lambda pair: pair[0].responsible in ONES_OWN)
    times = [*(probe.time for probe in seen.probes), *(each.start for each in seen.connections)]
    environment.filters["parts"] = _parts
    environment.globals |= {"_": _, "said": said}
    return environment.get_template("report.html").render(
        language=current(),
        summary=summary(verdicts, seen.probes) or _("Everything that was tried works."),
        healthy=not faults,
        sections=[_section(seen, verdict, own, names) for verdict, own in faults[:MAX_SECTIONS]],
        more=len(faults[MAX_SECTIONS:]),
        verdicts=[(verdict, _to(seen, verdict)) for verdict in verdicts],
        began=min(times) if times else None,
        until=max(times) if times else None,
        made=datetime.now(UTC),
        beside=beside,
        plain=names.plain,
        wire=bool(seen.connections),
        sides=[(facts.vantage, facts.attachment, facts.side) for facts in seen.vantages.values()],
        versions={
            "outlook-auth-exporter": __version__,
            "Python": f"{platform.python_implementation()} {platform.python_version()}, {ssl.OPENSSL_VERSION}",
            _("TLS stack of the probes"): STACK,
            _("Kernel"): f"{platform.system()} {platform.release()}, {platform.machine()}",
            _("Microsoft's endpoint list"): _("edition {day}", day=endpoints().edition),
        },
    )


def _parts(text: str) -> list[tuple[bool, str]]:
    """What stands between backticks is code."""
    return [(number % 2 == 1, part) for number, part in enumerate(text.split("`"))]


def _chosen(seen: Seen, verdicts: Sequence[Verdict]) -> Packets:
    packets = Packets()
    packets.choose(seen, verdicts)
    return packets


def _section(seen: Seen, verdict: Verdict, own: Sequence[Shown], names: Pseudonyms) -> Section:
    probe = next((p for p in seen.probes if (p.target, p.vantage) == (verdict.target, verdict.vantage)), None)
    others = tuple(seen.others(probe)) if probe is not None else ()
    tried = seen.tried(probe).experiments if probe is not None else ()
    where = where_of(probe) if probe is not None else where_of_target(verdict.target)
    decisive = [each for each in own if each.role == "decisive"]
    log = [of_probe(probe)] if probe is not None and probe.failed_phase is not None else []
    log += [of_connection(each, names) for each in decisive]
    return Section(
        verdict=verdict,
        title=about()[verdict.cause].title,
        sentence=sentence_of(verdict, where),
        acts=ACTS[verdict.responsible],
        remedy=remedy_said(verdict, where),
        overturned=overturned_of(verdict.cause, where),
        picture=picture_of([probe, *others], seen) if probe is not None else None,
        probe=probe,
        others=others,
        experiments=tried,
        ladders=tuple(
            Drawn(each, drawn(each.ladder), of_connection(each, names))
            for each in (*decisive[:MAX_LADDERS], *(each for each in own if each.role == "better"))
        ),
        log=tuple(log),
        certificates=tuple(_presented([probe, *others] if probe is not None else [])),
    )


def _to(seen: Seen, verdict: Verdict) -> str:
    """Where the walk behind a verdict went."""
    probe = next((p for p in seen.probes if (p.target, p.vantage) == (verdict.target, verdict.vantage)), None)
    if probe is None:
        return ""
    return f"{probe.host}:{probe.port}" + (_(" at {address}", address=probe.address) if probe.address else "")


def _presented(probes: Sequence[Probe]) -> Iterator[Presented]:
    """Leaves, where one of them isn't genuine; else nobody asks."""
    known = [(probe, probe.tls) for probe in probes if probe.tls is not None and probe.tls.chain]
    if all(tls.genuine and tls.trusted for _, tls in known):
        return
    for probe, tls in known:
        leaf = tls.chain[0]
        whose = _WHOSE[tls.signatures_genuine]
        valid = f"{leaf.not_before:%Y-%m-%d} to {leaf.not_after:%Y-%m-%d}"
        words = " ".join(filter(None, (tls.version, tls.cipher, tls.group)))
        yield Presented(probe.vantage, words, whose, leaf.subject, leaf.issuer, valid, leaf.sha256)


def picture_of(probes: Sequence[Probe], seen: Seen | None = None) -> Picture:
    """The phases of each walk as bars, one after another, to one scale."""
    longest = max((_seconds(probe) for probe in probes), default=0.0) or 1.0
    sides = [seen.facts(probe.vantage).side if seen is not None else None for probe in probes]
    named = [probe.vantage + (f" ({side})" if side else "") for probe, side in zip(probes, sides, strict=True)]
    lanes = tuple(_lane(probe, number, longest, named[number]) for number, probe in enumerate(probes))
    return Picture(lanes, longest, _LEFT + _WIDTH + 190.0, _LANE * len(probes) + 24.0)


def _lane(probe: Probe, number: int, longest: float, name: str) -> Lane:
    y, x, bars = number * _LANE + 8.0, _LEFT, []
    for result in _walked(probe):
        width = max((result.seconds or 0.0) / longest * _WIDTH, _LEAST)
        label = result.phase if width > 7.5 * len(result.phase) else ""
        bars.append(Bar(round(x, 1), y, round(width, 1), _kind(result), label, _title(result)))
        x += width + 1.0
    failed = probe.phase(probe.failed_phase) if probe.failed_phase is not None else None
    return Lane(name, y, tuple(bars), failed.outcome if failed is not None else "ok", round(x + 4.0, 1))


#: What Microsoft takes its time for, whatever the path (refusals are delayed by seconds): drawn only where it failed.
_DELIBERATE = frozenset({Phase.AUTH, Phase.TOKEN})


def _walked(probe: Probe) -> Iterator[PhaseResult]:
    """What was walked in this round."""
    for result in probe.phases:
        deliberate = result.phase in _DELIBERATE and result.outcome is Outcome.OK
        if result.outcome is not Outcome.SKIPPED and result.measured_at is None and not deliberate:
            yield result


def _seconds(probe: Probe) -> float:
    return sum(result.seconds or 0.0 for result in _walked(probe))


def _kind(result: PhaseResult) -> str:
    if result.outcome is Outcome.OK:
        return "good"
    return "odd" if result.outcome in CONVERSATION_GOES_ON else "bad"


def _title(result: PhaseResult) -> str:
    seconds = "" if result.seconds is None else f", {result.seconds:.3f} s"
    return f"{result.phase}{_(': ')}{result.outcome}{seconds}"
