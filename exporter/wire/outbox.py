"""A worker's messages on their way out: bounded, in order, and never waited for.

Counts are absolute and sent anew when they change, so that they may wait; connections are news, of which the oldest are
thrown away when nobody takes them, and counted.
"""

import socket
from collections import deque
from collections.abc import Iterable

#: Connections that wait to be taken, of about a kilobyte each: by a service, by a command that prints all of them.
MAX_CONNECTIONS, MAX_FOR_COMMAND = 10_000, 65_536


class Outbox:
    """`lost`: connections that found no room."""

    def __init__(self, channel: socket.socket, limit: int = MAX_CONNECTIONS) -> None:
        channel.setblocking(False)
        self.lost = 0
        self._channel = channel
        self._limit = limit
        self._state: deque[bytes] = deque()
        self._connections: deque[bytes] = deque()

    @property
    def has_state(self) -> bool:
        """Whether counts of before still wait; newer ones may be added when they are gone."""
        return bool(self._state)

    @property
    def waits(self) -> bool:
        """Whether `flush` has something to do."""
        return bool(self._state or self._connections)

    def put_state(self, messages: Iterable[bytes]) -> None:
        self._state.extend(messages)

    def put_connection(self, message: bytes) -> None:
        if len(self._connections) >= self._limit:
            self._connections.popleft()
            self.lost += 1
        self._connections.append(message)

    def flush(self) -> None:
        """As much as the other end takes now. Raises OSError where there is no other end any more."""
        for queue in (self._connections, self._state):
            while queue:
                try:
                    self._channel.send(queue[0])
                except BlockingIOError:
                    return
                except OSError as error:
                    if error.errno == 90:  # EMSGSIZE: no message of ours is so long, but one that is must not stay
                        self.lost += 1
                    else:
                        raise
                queue.popleft()
