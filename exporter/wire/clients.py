"""How clients fare: each client's state at each target in the window, for `outlook_wire_clients`.

Addresses stay in here. What a client's latest connection told is its state; three refusals within five minutes, and no
acceptance since, make it a retry loop.
"""

from collections import Counter, OrderedDict, deque

from exporter.observations import Connection, WireAuth
from exporter.vocabulary import AuthOutcome, ClientState, ConnectionOutcome, Mechanism

#: Target of what goes to a server that is ours by its address only.
OTHER = "other"
#: Clients remembered, each at each target; of more the one seen longest ago is forgotten.
MAX_CLIENTS = 16_384
#: Refusals within so many seconds that make a retry loop, and how many.
LOOP_SECONDS, LOOP_REFUSALS = 300.0, 3

_BLOCKED = frozenset(ConnectionOutcome) - {ConnectionOutcome.ESTABLISHED, ConnectionOutcome.INCOMPLETE}
_REFUSED = {Mechanism.PASSWORD: ClientState.PASSWORD_REFUSED, Mechanism.TOKEN: ClientState.TOKEN_REFUSED}


class _Client:
    """`state`: None while nothing was told but that the way is free. `refusals`: when the latest were, seconds."""

    __slots__ = ("refusals", "seen", "state")

    def __init__(self) -> None:
        self.state: ClientState | None = None
        self.seen = 0.0
        self.refusals: deque[float] = deque(maxlen=LOOP_REFUSALS)


class Clients:
    """`window`: a client not seen for so many seconds doesn't count any more."""

    def __init__(self, window: float, limit: int = MAX_CLIENTS) -> None:
        self._window = window
        self._limit = limit
        self._clients: OrderedDict[tuple[str, str], _Client] = OrderedDict()  # by target and address, the latest last

    def __len__(self) -> int:
        return len(self._clients)

    def decided(self, connection: Connection, *, signs_in: bool) -> None:
        """A connection's outcome is known. `signs_in`: getting through alone doesn't make a client healthy there."""
        if connection.outcome in _BLOCKED:
            self._client(connection).state = ClientState.BLOCKED
        elif connection.outcome is ConnectionOutcome.ESTABLISHED:
            client = self._client(connection)
            if client.state is ClientState.BLOCKED or not signs_in:
                client.state = None if signs_in else ClientState.HEALTHY

    def signed_in(self, connection: Connection, attempt: WireAuth) -> None:
        """An attempt to sign in was read."""
        client = self._client(connection)
        match attempt.outcome:
            case AuthOutcome.ACCEPTED:
                client.state = ClientState.HEALTHY
                client.refusals.clear()
            case AuthOutcome.REFUSED:
                client.refusals.append(client.seen)
                client.state = _REFUSED.get(attempt.mechanism, client.state)
            case AuthOutcome.ABANDONED:
                client.state = ClientState.ABANDONED

    def states(self, now: float) -> Counter[tuple[str, ClientState]]:
        """How many clients are in each state, by target; `now` in seconds. Those out of the window are forgotten."""
        while self._clients and now - next(iter(self._clients.values())).seen > self._window:
            self._clients.popitem(last=False)
        found: Counter[tuple[str, ClientState]] = Counter()
        for (target, _), client in self._clients.items():
            state = ClientState.RETRY_LOOP if _is_loop(client.refusals) else client.state
            if state is not None:
                found[target, state] += 1
        return found

    def _client(self, connection: Connection) -> _Client:
        key = (connection.target or OTHER, connection.client or "")
        client = self._clients.get(key)
        if client is None:
            if len(self._clients) >= self._limit:
                self._clients.popitem(last=False)
            client = self._clients[key] = _Client()
        client.seen = max(client.seen, connection.end.timestamp())
        self._clients.move_to_end(key)
        return client


def _is_loop(refusals: deque[float]) -> bool:
    return len(refusals) >= LOOP_REFUSALS and refusals[-1] - refusals[0] <= LOOP_SECONDS
