"""How clients fared lately, counted by state: distinct ones, without an address. Pure; `now` is an argument.

A client is an opaque key that the inspector made (an HMAC whose key never leaves it), so that nobody's address is here.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Collection, Iterator

from exporter.observations import Connection
from exporter.vocabulary import AuthOutcome, ClientState, ConnectionOutcome, Mechanism

#: Clients and targets remembered, and events of each; the oldest are forgotten.
MAX_CLIENTS, MAX_EVENTS = 8_192, 8
#: So many refusals within so many seconds are a loop.
LOOP, LOOP_SECONDS = 3, 300.0

_BLOCKED = frozenset(
    {
        ConnectionOutcome.NO_ANSWER,
        ConnectionOutcome.REFUSED,
        ConnectionOutcome.UNREACHABLE,
        ConnectionOutcome.HELLO_UNANSWERED,
        ConnectionOutcome.HELLO_RESET,
        ConnectionOutcome.HANDSHAKE_FAILED,
    }
)
_REFUSED = frozenset({ClientState.PASSWORD_REFUSED, ClientState.TOKEN_REFUSED, ClientState.ABANDONED})


def state_after(connection: Connection, *, signs_in: bool = False) -> ClientState | None:
    """How one connection left its client; None where it tells nothing.

    `signs_in`: at such a target sign-ins can be read, so that to get through alone is not to be healthy.
    """
    if connection.outcome in _BLOCKED:
        return ClientState.BLOCKED
    if connection.outcome is not ConnectionOutcome.ESTABLISHED:
        return None
    auth = connection.auth
    match auth.outcome if auth is not None else None:
        case AuthOutcome.REFUSED if auth is not None and auth.mechanism is Mechanism.PASSWORD:
            return ClientState.PASSWORD_REFUSED
        case AuthOutcome.REFUSED if auth is not None and auth.mechanism is Mechanism.TOKEN:
            return ClientState.TOKEN_REFUSED
        case AuthOutcome.ABANDONED:
            return ClientState.ABANDONED
        case AuthOutcome.ACCEPTED:
            return ClientState.HEALTHY
        case None if not signs_in:
            return ClientState.HEALTHY
    return None


class Clients:
    """Clients by target, for as long as the window is."""

    def __init__(self, window: float, mail: Collection[str] = ()) -> None:
        """`window`: seconds. `mail`: targets whose sign-ins can be read."""
        self.window = window
        self._mail = frozenset(mail)
        self._events: OrderedDict[tuple[str, str], deque[tuple[float, ClientState]]] = OrderedDict()

    def seen(self, target: str, client: str, connection: Connection, now: float) -> None:
        """A connection of this client ended."""
        state = state_after(connection, signs_in=target in self._mail)
        if state is None:
            return
        key = (target, client)
        self._events.setdefault(key, deque(maxlen=MAX_EVENTS)).append((now, state))
        self._events.move_to_end(key)
        while len(self._events) > MAX_CLIENTS:
            self._events.popitem(last=False)

    def counts(self, now: float) -> Counter[tuple[str, ClientState]]:
        """How many clients of each target are in each state now. Forgets those outside the window."""
        while self._events:
            key, events = next(iter(self._events.items()))
            if events[-1][0] > now - self.window:
                break
            del self._events[key]
        return Counter((target, _state(events)) for (target, _), events in self._events.items())

    def targets(self) -> Iterator[str]:
        """Those that had a client in the window."""
        return iter(dict.fromkeys(target for target, _ in self._events))


def _state(events: deque[tuple[float, ClientState]]) -> ClientState:
    """A loop is a loop whatever the client tried last, until something worked."""
    last, state = events[-1]
    if state is ClientState.HEALTHY:
        return state
    refusals = 0
    for time, each in reversed(events):
        if each is ClientState.HEALTHY or last - time > LOOP_SECONDS:
            break
        refusals += each in _REFUSED
    return ClientState.RETRY_LOOP if refusals >= LOOP else state
