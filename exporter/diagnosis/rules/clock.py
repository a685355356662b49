"""This machine's clock: by the Date of several hosts, never of one."""

from collections.abc import Iterator
from datetime import timedelta
from functools import lru_cache
from statistics import median

from exporter.diagnosis.rules.common import listed
from exporter.diagnosis.seen import Seen, clock_ahead
from exporter.diagnosis.weigh import Claim, Scales
from exporter.observations import Probe
from exporter.probe.clock import AGREEMENT, RESOLUTION
from exporter.vocabulary import Cause, Outcome, Phase

CLOCK = "clock"
_DATES = (Outcome.CERTIFICATE_EXPIRED, Outcome.CERTIFICATE_NOT_YET_VALID)


def skew_of(seen: Seen) -> float:
    """Seconds this machine is ahead, by two or more hosts that agree; else 0."""
    return _agreed(seen.clocks)


@lru_cache(maxsize=64)
def _agreed(readings: tuple[tuple[str, float], ...]) -> float:
    skews = [skew for _, skew in readings]
    if len(skews) < 2:
        return 0.0
    middle = median(skews)
    close = [skew for skew in skews if abs(skew - middle) <= AGREEMENT]
    return middle if len(close) >= 2 and len(close) * 2 > len(skews) and abs(middle) > RESOLUTION else 0.0


def clock_wrong(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """clock_skew where this target's own Date shows it. Overturned by: other hosts disagree with it."""
    skew, own = skew_of(seen), clock_ahead(probe)
    if not skew or own is None or abs(own - skew) > AGREEMENT:
        return
    hosts = [host for host, reading in seen.clocks if abs(reading - skew) <= AGREEMENT]
    scales = Scales(Cause.CLOCK_SKEW)
    scales.add(0.9, f"this machine's clock is {_in_words(skew)}, by the Date of {listed(hosts)}")
    if len(hosts) > 2:
        scales.add(0.6, f"{len(hosts)} hosts agree")
    yield scales.claim(CLOCK, Phase.HTTP, confirmed=True)


def dates_by_the_clock(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """clock_skew behind a certificate that is out of date only by our clock.

    Overturned by: other hosts' Dates agree with our clock.
    """
    result = probe.phase(Phase.TLS)
    skew = skew_of(seen)
    if result is None or result.outcome not in _DATES or not skew or probe.tls is None or not probe.tls.chain:
        return
    true_time = probe.time - timedelta(seconds=skew)
    if not all(each.not_before <= true_time <= each.not_after for each in probe.tls.chain):
        return
    hosts = [host for host, _ in seen.clocks]
    scales = Scales(Cause.CLOCK_SKEW)
    scales.add(0.95, f"the certificate is out of date only by this machine's clock, {_in_words(skew)}")
    scales.add(0.8, f"the Date of {listed(hosts)} says so")
    yield scales.claim(str(Phase.TLS), Phase.TLS, confirmed=True)


def is_clock_doubtful(seen: Seen, probe: Probe) -> bool:
    """Whether nothing vouches for our clock: no host's Date, and every certificate at this vantage is out of date."""
    if seen.clocks:
        return False
    with_chain = [other for other in seen.at(probe.vantage) if other.tls is not None and other.tls.chain]
    return all(set(_DATES) & set(_reasons(other)) for other in with_chain) and len(with_chain) > 1


def _reasons(probe: Probe) -> tuple[Outcome, ...]:
    result = probe.phase(Phase.TLS)
    return (*(probe.tls.reasons if probe.tls is not None else ()), *((result.outcome,) if result is not None else ()))


def _in_words(skew: float) -> str:
    return f"{abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}"
