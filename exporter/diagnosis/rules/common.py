"""What several rules share: how things are called, peers of a walk, and whether it went through when tried again."""

from collections.abc import Iterable, Sequence

from exporter.diagnosis.experiment import Experiment, Kind
from exporter.diagnosis.seen import Seen, Tried, outcome_of
from exporter.diagnosis.weigh import Claim, Scales
from exporter.observations import PhaseResult, Probe
from exporter.vocabulary import CONVERSATION_GOES_ON, Cause, Outcome, Phase

#: Characters of a network's text that an observation quotes.
QUOTED = 200
#: An answer is late from here on, seconds.
LATE = 2.0
#: An experiment of another target that failed alike speaks a little less for this one.
BORROWED = 0.9


def listed(names: Iterable[str], most: int = 4) -> str:
    """`imap, smtp and pop`, or the first few and how many more."""
    found = list(dict.fromkeys(names))
    if len(found) > most:
        return f"{', '.join(found[:most])} and {len(found) - most} more"
    return " and ".join(filter(None, (", ".join(found[:-1]), *found[-1:])))


def quoted(text: str | None) -> str:
    """What was said, shortened."""
    text = text or ""
    return text if len(text) <= QUOTED else f"{text[: QUOTED - 1]}…"


def result_of(probe: Probe, phase: Phase, outcomes: Iterable[Outcome]) -> PhaseResult | None:
    """The phase's result where it ended by one of those, else None."""
    result = probe.phase(phase)
    return result if result is not None and result.outcome in set(outcomes) else None


def came_through(probe: Probe, phase: Phase) -> bool:
    """Whether the walk got beyond that phase, whatever was found in it."""
    return outcome_of(probe, phase) in CONVERSATION_GOES_ON


def through(seen: Seen, probe: Probe, phase: Phase) -> list[Probe]:
    """Walks of the same vantage, to other places, that got through that phase."""
    return [
        other for other in seen.at(probe.vantage)
        if (other.host, other.port) != (probe.host, probe.port) and came_through(other, phase)
    ]  # fmt: skip


def alike(seen: Seen, probe: Probe, phase: Phase) -> list[Probe]:
    """Walks of the same vantage, to other places, that ended in that phase the same way."""
    ended = outcome_of(probe, phase)
    return [
        other for other in seen.at(probe.vantage)
        if (other.host, other.port) != (probe.host, probe.port) and outcome_of(other, phase) is ended
    ]  # fmt: skip


def once_more(tried: Tried, phase: Phase) -> Claim | None:
    """That it was a passing trouble: the same, walked again, went through."""
    again, patient = tried.all(Kind.AGAIN), tried.get(Kind.PATIENT)
    slow = patient is not None and patient.answered and (patient.seconds or 0.0) >= LATE
    if not tried.went_through() or slow or any(each.is_lossy for each in tried.all(Kind.LOSS)):
        return None
    scales = Scales(Cause.HEALTHY)
    scales.add(0.95, f"it failed once in {phase}, and went through when it was tried again {times(again)}")
    return scales.claim(str(phase), phase)


def repeated(scales: Scales, tried: Tried, weight: float = 0.3) -> bool:
    """Weighs the repetition of what failed; whether it confirmed it."""
    again = tried.all(Kind.AGAIN)
    if not again:
        return False
    if tried.went_through():
        scales.against(0.9, f"the same went through when it was tried again {times(again)}", Cause.HEALTHY)
        return False
    scales.add(worth(tried, weight), f"tried again, it failed again ({again[-1].phase}: {again[-1].outcome})")
    return True


def is_cut_by_length(tried: Tried) -> bool:
    """Whether a long line dies, or a short token is answered, where the long token dies: no server's doing."""
    return tried.answered(Kind.LONG_COMMAND) is False or tried.answered(Kind.SHORT_CANARY) is True


def worth(tried: Tried, weight: float) -> float:
    """A weight, lower where the experiment was made with another target that failed alike."""
    return weight if tried.borrowed_from is None else weight * BORROWED


def told(tried: Tried, text: str) -> str:
    """An experiment's observation, saying with which target it was made."""
    return text if tried.borrowed_from is None else f"{text} (tried with {tried.borrowed_from}, which fails alike)"


def times(experiments: Sequence[Experiment]) -> str:
    """`once`, `twice`, `3 times`."""
    return how_often(len(experiments))


def how_often(count: int) -> str:
    """`once`, `twice`, `3 times`."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
