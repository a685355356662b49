"""What of a client's address may leave the inspector: nothing, a pseudonym for the day, or all of it."""

import hashlib
import hmac
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Literal

from exporter.observations import Connection

Mode = Literal["off", "hashed", "plain"]

#: Hexadecimal digits of a pseudonym.
_LENGTH = 16


class Privacy:
    """`hashed`: HMAC-SHA-256 under a key that is random, kept in memory only, and another each UTC day."""

    def __init__(self, mode: Mode, random: Callable[[int], bytes] = os.urandom) -> None:
        self._mode = mode
        self._random = random
        self._day = date.min
        self._key = b""

    def apply(self, connection: Connection) -> Connection:
        """The connection as it may be told. The port goes with the address: a gateway's log leads from one to both."""
        if self._mode == "plain" or connection.client is None:
            return connection
        if self._mode == "off":
            return replace(connection, client=None, client_port=None)
        return replace(connection, client=self._pseudonym(connection.client, connection.end.date()), client_port=None)

    def _pseudonym(self, address: str, day: date) -> str:
        if day > self._day:
            self._day, self._key = day, self._random(32)
        return hmac.new(self._key, address.encode(), hashlib.sha256).hexdigest()[:_LENGTH]
