"""Slow, not broken: a path that delays or loses packets, or a service that answers late over a quick path.

The TCP and TLS handshakes show the path's own round trips; what is late beyond them is the server's.
"""

from collections.abc import Iterator, Sequence

from exporter.diagnosis.experiment import Experiment, Kind
from exporter.diagnosis.rules.common import LATE, listed, told, worth
from exporter.diagnosis.seen import Seen, Tried
from exporter.diagnosis.weigh import Claim, Scales
from exporter.observations import PhaseResult, Probe
from exporter.vocabulary import CONVERSATION_GOES_ON, Cause, Outcome, Phase, Protocol

SPEED = "speed"
#: An answer is late by itself where the path's own round trips took a quarter of it at most.
PATH_SHARE = 0.25
#: A path is slow from here on, seconds: a TCP handshake, a TLS handshake, and one many times the TCP round trip.
SLOW_CONNECT, SLOW_TLS, LONG_TLS, MANY_TIMES = 0.5, 1.0, 0.4, 10.0
#: A vantage is quick beside one that takes this many times as long.
TIMES_SLOWER = 4.0
#: Of walks on a path that loses LOSSY_SHARE of its handshakes one in two shows it: so many show none by no chance.
MANY_WALKS = 8
#: A phase as long as a segment's first repetition takes, seconds, where a round trip takes far less.
REPEATED, FAR_LESS = 0.18, 0.05

#: Phases in which the server answers something. `auth` isn't among them: Microsoft delays refusals on purpose.
_ANSWERS = (Phase.GREETING, Phase.HTTP, Phase.TOKEN)


def slow_service(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """slow_sign_in, slow_service. Overturned by: the path is as slow, or another vantage is answered quickly."""
    result, tried = late_answer(probe), seen.tried(probe)
    patient = tried.get(Kind.PATIENT)
    if result is None and (patient is None or not patient.answered or patient.phase not in _ANSWERS):
        return
    scales = Scales(Cause.SLOW_SIGN_IN if probe.protocol is Protocol.SIGN_IN else Cause.SLOW_SERVICE)
    phase = result.phase if result is not None else (probe.failed_phase or Phase.GREETING)
    confirmed = False
    if result is not None:
        path = path_seconds(probe)
        scales.add(0.6, f"{result.phase} took {result.seconds:.1f} s over a path whose handshakes took {path:.2f} s")
        confirmed = _late_again(scales, tried, result.phase)
    if patient is not None and patient.answered:
        scales.add(worth(tried, 0.9), told(tried, f"with patience the answer came after {patient.seconds or 0:.1f} s"))
        confirmed = True
    for other in seen.others(probe):
        there = late_answer(other)
        if there is not None:
            scales.add(0.5, f"from {other.vantage} {there.phase} took {there.seconds:.1f} s too")
        elif other.outcome is Outcome.OK:
            scales.against(0.6, f"from {other.vantage} the answer is quick", Cause.SLOW_PATH)
    subject = str(phase) if result is None else SPEED
    yield scales.claim(subject, phase, confirmed=confirmed)


def late_answer(probe: Probe) -> PhaseResult | None:
    """The phase whose answer came late for no fault of the path's round trips; None where none did."""
    late = [
        result for result in probe.phases
        if result.phase in _ANSWERS and result.outcome is Outcome.OK and (result.seconds or 0.0) >= LATE
        and path_seconds(probe) <= PATH_SHARE * (result.seconds or 0.0)
    ]  # fmt: skip
    return late[0] if late else None


def _late_again(scales: Scales, tried: Tried, phase: Phase) -> bool:
    again = [each for each in tried.all(Kind.AGAIN) if each.phase is phase and each.seconds is not None]
    late = [each for each in again if (each.seconds or 0.0) >= LATE]
    if again and len(late) * 2 <= len(again):
        scales.against(0.9, f"tried again, it took {_seconds(again)}", Cause.HEALTHY)
    elif again:
        scales.add(worth(tried, 0.6), told(tried, f"tried again, it took {_seconds(again)}"))
    return bool(late) and len(late) * 2 > len(again)


def slow_path(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """slow_path: the handshakes themselves are slow. Overturned by: they are quick when tried again."""
    if not is_path_slow(probe):
        return
    tried = seen.tried(probe)
    scales = Scales(Cause.SLOW_PATH)
    connect, tls = _seconds_of(probe, Phase.CONNECT), _seconds_of(probe, Phase.TLS)
    told_tls = f", the TLS handshake {tls:.2f} s" if tls else ""
    scales.add(0.6, f"the TCP handshake took {connect:.3f} s{told_tls}")
    confirmed = _slow_again(scales, tried)
    for other in seen.others(probe):
        there = path_seconds(other)
        if there and other.outcome is Outcome.OK and path_seconds(probe) >= TIMES_SLOWER * there:
            scales.add(0.6, f"from {other.vantage} both took {there:.3f} s together")
    slow = [other.target for other in seen.at(probe.vantage) if other is not probe and is_path_slow(other)]
    if slow:
        scales.add(0.4, f"it is the same to {listed(slow)}")
    if (loss := _losing(seen, probe)) is not None:
        scales.against(0.9, _told_loss(loss), Cause.PACKET_LOSS)
    yield scales.claim(SPEED, Phase.CONNECT, confirmed=confirmed)


def is_path_slow(probe: Probe) -> bool:
    """Whether TCP or TLS handshakes take too long by themselves."""
    connect, tls = _seconds_of(probe, Phase.CONNECT), _seconds_of(probe, Phase.TLS)
    return connect >= SLOW_CONNECT or tls >= SLOW_TLS or (tls >= LONG_TLS and tls >= MANY_TIMES * connect)


def _slow_again(scales: Scales, tried: Tried) -> bool:
    again = [each for each in tried.all(Kind.AGAIN) if each.phase in (Phase.TLS, Phase.CONNECT) and each.seconds]
    slow = [each for each in again if (each.seconds or 0.0) >= (LONG_TLS if each.phase is Phase.TLS else SLOW_CONNECT)]
    if len(slow) < len(again):  # one quick handshake shows what the path can do; a lost segment takes as long
        scales.against(0.9, f"tried again, it took {_seconds(again)}", Cause.HEALTHY)
    elif again:
        scales.add(worth(tried, 0.6), told(tried, f"tried again, it took {_seconds(again)}"))
    return bool(slow) and len(slow) == len(again)


def lossy(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """packet_loss: handshakes that lose segments, where a walk shows it too. Overturned by: few of many do."""
    loss = _losing(seen, probe)
    sign = _sign_of_loss(seen.tried(probe), probe)
    if loss is None or sign is None:
        return
    scales = Scales(Cause.PACKET_LOSS)
    scales.add(0.85, _told_loss(loss))
    scales.add(0.3, sign)
    for other in seen.experiments:
        if other.experiment is Kind.LOSS and seen.independent(other.vantage, probe.vantage) and not other.is_lossy:
            scales.add(0.3, f"from {other.vantage} {other.hit} of {other.tried} did")
    subject = str(probe.failed_phase) if probe.failed_phase is not None else SPEED
    yield scales.claim(subject, probe.failed_phase or Phase.CONNECT, confirmed=True)


def _losing(seen: Seen, probe: Probe) -> Experiment | None:
    """Handshakes from the probe's vantage of which too many lost a segment."""
    made = (each for each in seen.experiments if each.experiment is Kind.LOSS and each.vantage == probe.vantage)
    return next((each for each in made if each.is_lossy), None)


def _told_loss(loss: Experiment) -> str:
    return f"of {loss.tried} TCP handshakes with {loss.host} {loss.hit} needed a segment sent again"


def _sign_of_loss(tried: Tried, probe: Probe) -> str | None:
    """What the walk itself shows of it: it failed once and not again, or waited for a segment's repetition."""
    if probe.failed_phase is not None:
        through = f"{probe.failed_phase} failed once, and went through when it was tried again"
        return through if tried.went_through() else None
    connect = _seconds_of(probe, Phase.CONNECT)
    waited = [r for r in probe.phases if r.outcome is Outcome.OK and r.phase in _PLAIN and (r.seconds or 0) >= REPEATED]
    if not waited or (connect >= max(FAR_LESS, REPEATED / 2) and waited[0].phase is not Phase.CONNECT):
        return None
    return f"{waited[0].phase} took {waited[0].seconds:.2f} s, as long as a lost segment is waited for"


def loses_nothing(probes: Sequence[Probe]) -> bool:
    """Whether so many walks went well without waiting for a single segment: none of them on a path that is lossy."""
    return len(probes) >= MANY_WALKS and all(
        each.outcome is Outcome.OK and _sign_of_loss(Tried(()), each) is None for each in probes
    )


#: Phases that take a round trip or two of a path, where nothing is computed for long.
_PLAIN = frozenset({Phase.CONNECT, Phase.TLS, Phase.STARTTLS, Phase.CAPABILITY})


def path_seconds(probe: Probe) -> float:
    """What TCP's and TLS's handshakes took together."""
    return _seconds_of(probe, Phase.CONNECT) + _seconds_of(probe, Phase.TLS)


def _seconds_of(probe: Probe, phase: Phase) -> float:
    """Of a phase that ended well: one that timed out lasted as long as we waited, which says nothing.

    Without what this machine itself was late by: a busy prober is no slow path.
    """
    result = probe.phase(phase)
    if result is None or result.outcome not in CONVERSATION_GOES_ON:
        return 0.0
    ours = probe.tls.own_seconds if phase is Phase.TLS and probe.tls is not None else None
    return max((result.seconds or 0.0) - (ours or 0.0), 0.0)


def _seconds(experiments: list[Experiment]) -> str:
    return listed(f"{each.seconds:.1f} s" for each in experiments)
