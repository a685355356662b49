"""Which ways of signing in, and which journeys, work: pure functions of the latest probes."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from exporter.catalogue import JOURNEYS
from exporter.observations import Probe
from exporter.vocabulary import AuthOutcome, Mechanism, Outcome, Phase, Protocol

#: Phases in which something is presented.
CANARY_PHASES = (Phase.AUTH, Phase.TOKEN)

#: What is signed in to with a mailbox' credential, so that a password could be asked for.
MAILBOXES = frozenset({Protocol.IMAP, Protocol.POP, Protocol.SMTP, Protocol.ACTIVESYNC})

#: The journey of a client set up by hand with a password.
BY_PASSWORD = "imap_password"


def usable_methods(probe: Probe) -> dict[Mechanism, bool]:
    """Whether each mechanism can sign in there; a mechanism is left out while that isn't known.

    Targets without a phase in which something is presented have none.
    """
    if probe.protocol not in MAILBOXES | {Protocol.SIGN_IN} or not probe.measured:
        return {}
    usable: dict[Mechanism, bool] = {}
    token = _token_usable(probe)
    if token is not None:
        usable[Mechanism.TOKEN] = token
    if probe.protocol in MAILBOXES:
        usable[Mechanism.PASSWORD] = _accepted(probe, Mechanism.PASSWORD)
    return usable


def _token_usable(probe: Probe) -> bool | None:
    """None before the first canary: nothing was presented yet, and nothing of the path failed."""
    if failed(probe):
        return False
    if _accepted(probe, Mechanism.TOKEN):
        return True
    if probe.auth.outcome is None:
        return None
    return probe.auth.outcome is AuthOutcome.EXPECTED_REFUSAL


def failed(probe: Probe) -> bool:
    """Whether something of the path is at fault. What was skipped never is."""
    return any(outcome not in (Outcome.OK, Outcome.SKIPPED) for outcome in (probe.outcome, *_outcomes(probe)))


def _outcomes(probe: Probe) -> list[Outcome]:
    return [result.outcome for result in probe.phases]


def _accepted(probe: Probe, mechanism: Mechanism) -> bool:
    return any(account.mechanism is mechanism and account.outcome is AuthOutcome.ACCEPTED for account in probe.accounts)


@dataclass(frozen=True, slots=True)
class JourneyState:
    """A journey from one vantage. `usable` None: a target of it isn't probed, or wasn't yet. `broken`: by whom."""

    journey: str
    vantage: str
    usable: bool | None
    broken: tuple[Probe, ...] = ()


def journey_states(probes: Mapping[tuple[str, str], Probe], vantages: tuple[str, ...]) -> list[JourneyState]:
    """Every journey from every vantage, from the latest probes by (target, vantage)."""
    return [
        _journey_state(journey, vantage, [probes.get((target, vantage)) for target in targets])
        for journey, targets in JOURNEYS.items()
        for vantage in vantages
    ]


def _journey_state(journey: str, vantage: str, walked: list[Probe | None]) -> JourneyState:
    probes = [probe for probe in walked if probe is not None]
    broken = tuple(probe for probe in probes if failed(probe))
    whole = len(probes) == len(walked) and all(probe.outcome is Outcome.OK for probe in probes)
    if journey == BY_PASSWORD:
        accepted = len(probes) == len(walked) and all(_accepted(probe, Mechanism.PASSWORD) for probe in probes)
        return JourneyState(journey, vantage, accepted if probes else None, broken)
    if broken:
        return JourneyState(journey, vantage, False, broken)
    return JourneyState(journey, vantage, True if whole else None)


def clock_skews(probes: Mapping[tuple[str, str], Probe]) -> dict[str, float]:
    """Seconds this machine is ahead, by target; of several vantages the newest, for the clock is the same."""
    newest: dict[str, Probe] = {}
    for probe in probes.values():
        known = newest.get(probe.target)
        if probe.clock_skew_seconds is not None and (known is None or probe.time > known.time):
            newest[probe.target] = probe
    skews = {target: probe.clock_skew_seconds or 0.0 for target, probe in newest.items()}
    return {**skews, "median": median(skews.values())} if skews else {}
