"""A client's way through a SOCKS 5 proxy (RFC 1928, RFC 1929), sans-IO, in the shape of `tunnel.Tunnel`.

Messages take turns, so that each is read whole or not at all; of a user's password only its length is looked at.
"""

from collections.abc import Callable
from typing import Final

#: With this byte a client's greeting begins.
VERSION: Final = 5
_SIGN_IN_VERSION: Final = 1
_NO_SIGN_IN: Final = 0
_BY_PASSWORD: Final = 2
_CONNECT: Final = 1
#: Bytes of an address by its type: IPv4, IPv6. (A name, 3, tells its own.)
_ADDRESSES: Final = {1: 4, 4: 16}
_NAME: Final = 3
#: What the client says next, or has said.
_GREETING: Final = 0
_SIGN_IN: Final = 1
_REQUEST: Final = 2


class Socks:
    """One connection to a proxy. Feed each side's bytes in order; both ways give back how many were taken.

    `opened`: what follows on both sides is the tunnel's; `port`: where it leads. `failed`: this is no SOCKS 5, or the
    proxy refused.
    """

    __slots__ = ("_asks", "_filtered", "_step", "failed", "opened", "port")

    def __init__(self, *, filtered: bool = False) -> None:
        """`filtered`: the proxy's answers are kept from us, so that they are known by what the client does next."""
        self._filtered = filtered
        self.opened = False
        self.failed = False
        self.port: int | None = None
        self._asks = True  # it is the client's turn
        self._step = _GREETING

    def client(self, data: bytes) -> int:
        """What the client sent; it waits for each answer."""
        if not self._asks and self._filtered and data:
            self._goes_on(data[0])
        if not self._asks:
            return 0
        length = _LENGTHS[self._step](data)
        if length is None or len(data) < length:
            return 0
        self._asks = False
        if self._step == _GREETING:
            self.failed = data[0] != VERSION
        elif self._step == _REQUEST:
            self.failed = data[0] != VERSION or data[1] != _CONNECT or not (data[3] in _ADDRESSES or data[3] == _NAME)
            self.port = int.from_bytes(data[length - 2 : length])
        return length

    def _goes_on(self, first: int) -> None:
        """It had its answer: it signs in, asks, or is through."""
        if self._step == _REQUEST:
            self.opened = True
        else:
            self._asks = True
            self._step = _SIGN_IN if self._step == _GREETING and first == _SIGN_IN_VERSION else _REQUEST

    def server(self, data: bytes) -> int:
        """What the proxy sent."""
        if self._asks:  # out of turn
            self.failed = True
            return len(data)
        if self._step == _REQUEST:
            length = _request_length(data)
            if length is None or len(data) < length:
                return 0
            self.failed = data[0] != VERSION or data[1] != 0
            self.opened = not self.failed
            return length
        if len(data) < 2:
            return 0
        if self._step == _GREETING:
            self.failed = data[0] != VERSION or data[1] not in (_NO_SIGN_IN, _BY_PASSWORD)
            self._step = _SIGN_IN if data[1] == _BY_PASSWORD else _REQUEST
        else:
            self.failed = data[1] != 0
            self._step = _REQUEST
        self._asks = True
        return 2


def begins_socks(data: bytes | bytearray) -> bool:
    """Whether a client's first bytes can be a greeting and nothing else."""
    return data[0] == VERSION and (len(data) < 2 or len(data) <= 2 + data[1])


def _greeting_length(data: bytes) -> int | None:
    return 2 + data[1] if len(data) >= 2 else None


def _sign_in_length(data: bytes) -> int | None:
    user = data[1] if len(data) >= 2 else None
    return 3 + user + data[2 + user] if user is not None and len(data) > 2 + user else None


def _request_length(data: bytes) -> int | None:
    """Of a request, and of a reply. An address of no known type can't be read: it is taken as one of no bytes."""
    if len(data) < 5:
        return None
    return 6 + (1 + data[4] if data[3] == _NAME else _ADDRESSES.get(data[3], 0))


_LENGTHS: Final[tuple[Callable[[bytes], int | None], ...]] = (_greeting_length, _sign_in_length, _request_length)
