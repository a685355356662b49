"""TLS that gets no answer: is it the name, the size, the version, or any ClientHello?

What separates them are the variants of the ClientHello over the same way: without the name, smaller, older, in small
segments, or such that the answer is small. A variant that is answered shows what the filter, or the path, minds.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.diagnosis.experiment import Experiment, Kind
from exporter.diagnosis.rules.common import alike, came_through, listed, once_more, quoted, told, worth
from exporter.diagnosis.seen import Seen, Tried, outcome_of
from exporter.diagnosis.weigh import Claim, Scales
from exporter.observations import Probe
from exporter.vocabulary import Cause, Outcome, Phase

_ABRUPT = frozenset({Outcome.RESET, Outcome.CLOSED})
_REFUSED = frozenset({Outcome.ALERT, Outcome.PROTOCOL_VERSION_REFUSED})
_ENDS = _ABRUPT | _REFUSED | {Outcome.TIMEOUT}


@dataclass(slots=True)
class _Hypotheses:
    """The causes that compete, each with what was weighed."""

    by_name: Scales
    any_hello: Scales | None
    large: Scales
    mtu: Scales
    version: Scales

    @classmethod
    def of(cls, outcome: Outcome) -> "_Hypotheses":
        silent = outcome is Outcome.TIMEOUT
        return cls(
            by_name=Scales(Cause.SNI_DROPPED if silent else Cause.SNI_RESET),
            any_hello=Scales(Cause.TLS_RESET) if outcome in _ABRUPT else None,
            large=Scales(Cause.LARGE_HELLO_DROPPED),
            mtu=Scales(Cause.MTU_BLACKHOLE),
            version=Scales(Cause.TLS_VERSION_BLOCKED),
        )

    def all(self) -> list[Scales]:
        each = (self.by_name, self.any_hello, self.large, self.mtu, self.version)
        return [scales for scales in each if scales is not None]

    def against(self, weight: float, text: str, *spared: Scales | None) -> None:
        """Speaks against all but those."""
        for scales in self.all():
            if scales not in spared:
                scales.against(weight, text)


def not_answered(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """sni_reset, sni_dropped, tls_reset, large_hello_dropped, mtu_blackhole, tls_version_blocked.

    Overturned by: what another name, a small hello, small segments or each version alone meets at the same address.
    """
    result = probe.phase(Phase.TLS)
    if result is None or result.outcome not in _ENDS:
        return
    tried = seen.tried(probe)
    kinds = _Hypotheses.of(result.outcome)
    _first_sight(kinds, probe, result.outcome, quoted(result.detail))
    _peers(kinds, seen, probe, name_matters=_name_matters(tried))
    _names(kinds, tried, result.outcome)
    _sizes(kinds, tried, result.outcome)
    _versions(kinds, tried, result.outcome)
    _fingerprints(kinds, tried)
    _kernel(kinds, tried)
    failed_again = tried.went_through() is False
    hint = "try other ClientHellos on the same way (`diagnose` does, from a vantage on the clients' side)"
    for scales in kinds.all():
        if tried.went_through():
            scales.against(0.9, "the same ClientHello was answered when it was sent again", Cause.HEALTHY)
        yield scales.claim(str(Phase.TLS), Phase.TLS, confirmed=failed_again, hint=hint)
    if (claim := once_more(tried, Phase.TLS)) is not None:
        yield claim


def _first_sight(kinds: _Hypotheses, probe: Probe, outcome: Outcome, detail: str) -> None:
    if outcome in _ABRUPT:
        text = f"TCP stands, and the connection is {outcome} right after the ClientHello that names {probe.host}"
        kinds.by_name.add(0.4, text)
        assert kinds.any_hello is not None
        kinds.any_hello.add(0.4, text)
        kinds.large.add(0.05, text)
        kinds.version.add(0.05, text)
        return
    if outcome is Outcome.TIMEOUT:
        text = f"TCP stands, and nothing comes back after the ClientHello that names {probe.host}"
        for scales in (kinds.by_name, kinds.large, kinds.mtu):
            scales.add(0.3, text)
        kinds.version.add(0.05, text)
        return
    text = f"the ClientHello that names {probe.host} is refused: {detail}"
    alert = probe.tls.alert if probe.tls is not None else None
    version = outcome is Outcome.PROTOCOL_VERSION_REFUSED or alert == "protocol_version"
    kinds.version.add(0.85 if version else 0.3, text)
    kinds.by_name.add(0.05 if version else 0.3, text)


def _name_matters(tried: Tried) -> bool:
    """Whether the same address was seen to answer another name, or none."""
    return bool(tried.answered(Kind.NO_NAME) or tried.answered(Kind.OTHER_NAME))


def _peers(kinds: _Hypotheses, seen: Seen, probe: Probe, *, name_matters: bool) -> None:
    """Controls that the round holds anyway: other names on the same port, and other ports.

    `name_matters`: then names that fail alike are several that the filter knows, by what they have in common perhaps.
    """
    answered = [other for other in seen.at(probe.vantage) if other is not probe and came_through(other, Phase.TLS)]
    same_port = [other for other in answered if other.port == probe.port and other.host != probe.host]
    same = [other for other in alike(seen, probe, Phase.TLS) if other.host != probe.host]
    same_ports = {other.port for other in (probe, *same)}
    if same_port:
        text = f"on port {probe.port} other names are answered: {listed(other.host for other in same_port)}"
        kinds.by_name.add(0.6, text)
        kinds.against(0.5, text, kinds.by_name)
    elif same and answered and not any(other.port in same_ports for other in answered):
        ports = listed(map(str, sorted(same_ports)))
        text = f"every name fails on port {ports} ({listed(other.host for other in same)}), none on other ports"
        if not name_matters:
            kinds.by_name.against(0.5, text)
        if kinds.any_hello is not None:
            kinds.any_hello.add(0.5, text)
    elif same and not answered:
        text = f"every name fails alike: {listed(other.host for other in same)}"
        if not name_matters:
            kinds.by_name.against(0.5, text)
        for scales in (kinds.large, kinds.mtu):
            scales.add(0.15, text)


def _names(kinds: _Hypotheses, tried: Tried, outcome: Outcome) -> None:
    """The same address with another name, or with none. Where an alert is the fault, another alert is no passing."""
    named = [each for each in (tried.get(Kind.NO_NAME), tried.get(Kind.OTHER_NAME)) if each is not None]
    passed = [each for each in named if _passed(each, outcome)]
    if passed:
        in_full = [each for each in passed if each.outcome is not Outcome.ALERT]
        what = listed(_named(each) for each in passed)
        text = told(tried, f"the same address answers a ClientHello {what}")
        kinds.by_name.add(worth(tried, 0.9), text)
        if kinds.any_hello is not None:
            kinds.any_hello.against(worth(tried, 0.95), text, kinds.by_name.cause)
        kinds.large.against(worth(tried, 0.8), text, kinds.by_name.cause)
        kinds.version.against(worth(tried, 0.8), text, kinds.by_name.cause)
        kinds.mtu.against(worth(tried, 0.9 if in_full else 0.1), text, kinds.by_name.cause)
    elif named:
        text = told(tried, f"the same address answers no ClientHello {listed(map(_named, named))} either")
        kinds.by_name.against(worth(tried, 0.9), text)
        if kinds.any_hello is not None:
            kinds.any_hello.add(worth(tried, 0.7), text)


def _named(experiment: Experiment) -> str:
    return "without a name" if experiment.experiment is Kind.NO_NAME else f"with another name ({experiment.detail})"


def _sizes(kinds: _Hypotheses, tried: Tried, outcome: Outcome) -> None:
    """Small and large: our side's flight, and the server's."""
    small, segments, small_answer = (
        _passed(tried.get(kind), outcome) for kind in (Kind.SMALL_HELLO, Kind.SMALL_SEGMENTS, Kind.SMALL_ANSWER)
    )
    named = _name_matters(tried)
    if small:
        text = told(tried, "a small ClientHello with the same name and versions is answered, the large one isn't")
        kinds.large.add(worth(tried, 0.9), text)
        kinds.mtu.add(worth(tried, 0.3), text)
        kinds.against(worth(tried, 0.93), text, kinds.large, kinds.mtu)
    elif small is False:
        kinds.large.against(worth(tried, 0.9), told(tried, "a small ClientHello isn't answered either"))
    if segments and not named:
        text = told(tried, "in small segments (MSS 536) the same ClientHello is answered")
        kinds.mtu.add(worth(tried, 0.9), text)
        kinds.against(worth(tried, 0.8), text, kinds.mtu)
    elif segments is False:
        weight = 0.85 if small else 0.2  # a proxy on the way may make its own segments
        kinds.mtu.against(worth(tried, weight), told(tried, "small segments (MSS 536) change nothing"))
    if small_answer and not small and outcome is Outcome.TIMEOUT:
        text = told(
            tried, "a ClientHello with the same name whose answer is small is answered; a certificate never comes"
        )
        kinds.mtu.add(worth(tried, 0.9), text)
        kinds.against(worth(tried, 0.9), text, kinds.mtu)
    elif small_answer is False:
        kinds.mtu.against(worth(tried, 0.7), told(tried, "not even a ClientHello whose answer is small is answered"))


def _passed(variant: Experiment | None, outcome: Outcome) -> bool | None:
    """Whether it got through, None where it wasn't tried; where an alert is the fault, another alert is no passing."""
    return None if variant is None else variant.answered and not (variant.outcome is outcome is Outcome.ALERT)


def _versions(kinds: _Hypotheses, tried: Tried, outcome: Outcome) -> None:
    """Each version alone. One that ends as the whole did is blocked; an alert of the server's own says nothing."""
    old, new = tried.get(Kind.TLS_1_2), tried.get(Kind.TLS_1_3)
    if old is None or new is None:
        return
    passes = [each for each in (old, new) if each.answered and each.outcome is not Outcome.ALERT]
    blocked = [each for each in (old, new) if each.outcome is outcome]
    if passes and blocked and not tried.answered(Kind.SMALL_HELLO):
        text = told(
            tried, f"{_VERSIONS[passes[0].experiment]} alone is answered, {_VERSIONS[blocked[0].experiment]} isn't"
        )
        kinds.version.add(worth(tried, 0.9), text)
        kinds.against(worth(tried, 0.85), text, kinds.version)
    elif len(blocked) == 2 and outcome in _REFUSED:
        kinds.version.add(worth(tried, 0.3), told(tried, "each version alone is refused too"))
    elif len(blocked) == 2:
        kinds.version.against(worth(tried, 0.8), told(tried, "no version alone is answered either"))


_VERSIONS = {Kind.TLS_1_2: "TLS 1.2", Kind.TLS_1_3: "TLS 1.3"}


def _fingerprints(kinds: _Hypotheses, tried: Tried) -> None:
    """A filter that knows our stack by the form of its ClientHello resets that form, whatever the name."""
    changed = [each for each in tried.all(Kind.OTHER_FINGERPRINT, Kind.NO_ALPN) if each.answered]
    if (
        changed
        and kinds.any_hello is not None
        and not (tried.answered(Kind.NO_NAME) or tried.answered(Kind.SMALL_HELLO))
    ):
        text = f"a ClientHello of another form ({changed[0].experiment}) with the same name is answered"
        kinds.any_hello.add(worth(tried, 0.5), told(tried, text))


def _kernel(kinds: _Hypotheses, tried: Tried) -> None:
    """What the kernel's own account of the silent connection tells."""
    again = tried.get(Kind.AGAIN)
    if again is None or again.outcome is not Outcome.TIMEOUT:
        return
    if again.out_of_order:
        text = "later, smaller segments of the answer arrived, the first ones never did"
        kinds.mtu.add(worth(tried, 0.8), told(tried, text))
        kinds.against(worth(tried, 0.7), told(tried, text), kinds.mtu)
    elif again.acknowledged is False and again.retransmissions:
        text = f"our ClientHello was sent {again.retransmissions + 1} times and never acknowledged"
        for scales in (kinds.by_name, kinds.large, kinds.mtu):
            scales.add(worth(tried, 0.1), told(tried, text))


def silent_whatever(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """A ClientHello that gets no answer in any form has no name among the causes: `unknown`, with what was seen."""
    if outcome_of(probe, Phase.TLS) is not Outcome.TIMEOUT:
        return
    tried = seen.tried(probe)
    forms = [Kind.NO_NAME, Kind.OTHER_NAME, Kind.SMALL_HELLO, Kind.SMALL_SEGMENTS, Kind.SMALL_ANSWER, Kind.TLS_1_2]
    answers = [tried.answered(kind) for kind in forms]
    if None in answers or any(answers):
        return
    scales = Scales(Cause.UNKNOWN)
    text = "no ClientHello is answered: not without the name, small, in small segments, of an older version"
    scales.add(0.6, told(tried, text))
    hint = "compare captures of both sides of the gateway: `inspect --inside IF --outside IF`"
    yield scales.claim(str(Phase.TLS), Phase.TLS, confirmed=True, hint=hint)
