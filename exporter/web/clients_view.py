"""What the status page says of clients: how they fare at each target, and with what they sign in."""

from collections.abc import Iterable
from dataclasses import dataclass

from exporter.language import _
from exporter.metrics.wire_mirror import TargetClients
from exporter.vocabulary import AuthOutcome, ClientState, ConnectionOutcome, Mechanism
from exporter.web import words
from exporter.web.mood import Mood

#: States in which a client needs somebody; a refused password is for its owner to change, whatever the gateway does.
_BAD = frozenset({ClientState.TOKEN_REFUSED, ClientState.RETRY_LOOP, ClientState.BLOCKED})


@dataclass(frozen=True, slots=True)
class ClientsLine:
    """One target: how many clients are in which state, and how sign-ins of each mechanism ended."""

    target: str
    mood: Mood
    states: str
    sign_ins: tuple[str, ...]
    failures: str


def clients_line(seen: TargetClients) -> ClientsLine:
    """One target's line of the page."""
    states = {state: seen.states[state,] for state in ClientState if seen.states[state,]}
    bad = any(state in _BAD for state in states)
    return ClientsLine(
        target=seen.target,
        mood=Mood.BAD if bad else Mood.GOOD if states.keys() <= {ClientState.HEALTHY} and states else Mood.NEUTRAL,
        states=", ".join(f"{count} {words.CLIENT_STATES[state]}" for state, count in states.items())
        or _("none lately"),
        sign_ins=tuple(_sign_ins(seen, mechanism) for mechanism in Mechanism if _count(seen, mechanism)),
        failures=", ".join(
            f"{seen.outcomes[outcome,]} {words.CONNECTION_OUTCOMES[outcome]}"
            for outcome in ConnectionOutcome
            if outcome in words.CONNECTION_OUTCOMES and seen.outcomes[outcome,]
        ),
    )


def clients_lines(seen: Iterable[object]) -> tuple[ClientsLine, ...]:
    """All targets where there is something to tell, those with trouble first."""
    told = [each for each in seen if isinstance(each, TargetClients)]
    lines = [
        line for each in told if (line := clients_line(each)).sign_ins or line.failures or any(each.states.values())
    ]
    return tuple(sorted(lines, key=lambda line: (line.mood is not Mood.BAD, line.target)))


def _count(seen: TargetClients, mechanism: Mechanism) -> int:
    return sum(count for (each, _), count in seen.attempts.items() if each == mechanism)


def _sign_ins(seen: TargetClients, mechanism: Mechanism) -> str:
    ends = [f"{seen.attempts[mechanism, end]} {_(end.value)}" for end in AuthOutcome if seen.attempts[mechanism, end]]
    return _("{phase}: {outcome}", phase=words.MECHANISMS[mechanism], outcome=", ".join(ends))
