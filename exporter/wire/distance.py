"""How far away a packet's sender is, by its time to live or hop limit (RFC 791, RFC 8200): routers count it down."""

from typing import Final

#: What systems begin with: Linux, BSD, macOS; Windows; routers, and firewalls that answer themselves.
FIRST: Final = (64, 128, 255)
#: Ways there and back, and servers behind one address, differ by so many routers.
TOLERANCE: Final = 2


def hops_of(ttl: int) -> int:
    """How many routers it passed, if it began with one of the usual numbers."""
    return next(first for first in FIRST if ttl <= first) - ttl


def is_elsewhere(one: int, other: int) -> bool:
    """Whether two packets of these TTLs come from different distances."""
    return abs(hops_of(one) - hops_of(other)) > TOLERANCE
