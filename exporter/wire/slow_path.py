"""Odd link types by scapy, budgeted: it needs a millisecond for what the fast way does in a microsecond.

scapy is the optional extra `packets`, and GPL-2.0: only this file imports it, and only in the process that reads
packets. Without it, and beyond the budget, frames are counted as not decoded.
"""

from importlib.util import find_spec
from typing import Any, Final

#: Frames at once, and a second of the capture's clock, that are given to scapy.
BURST: Final = 20_000
RATE: Final = 200
#: Layers of a frame that are looked through for an IP packet.
MAX_LAYERS: Final = 32
_SECOND: Final = 1_000_000_000
#: 802.11 behind Prism's, AVS's, PPI's or radiotap's header, or without one.
_AVS: Final = 163
_DOT11: Final = 105
_PRISM: Final = 119
_RADIOTAP: Final = 127
_PPI: Final = 192
#: Of its frame control: the type, and the bit of the second byte that says it is encrypted.
_DATA: Final = 0x08
_PROTECTED: Final = 0x40
#: Link types that scapy reads and `link_headers` doesn't.
LINK_TYPES: Final = frozenset({_DOT11, _PRISM, _RADIOTAP, _AVS, _PPI})


class SlowPath:
    """Unwraps frames as long as the budget lasts."""

    def __init__(self) -> None:
        self._left = BURST
        self._refilled: int | None = None
        self._dissect: Any = None
        self._available = find_spec("scapy") is not None

    def prepare(self) -> None:
        """Imports scapy where it is installed, which takes a second and reads files: before rights are given up."""
        if self._available and self._dissect is None:
            self._dissect = _dissector()

    def unwrap(self, time: int, link_type: int, frame: bytes) -> bytes | None:
        """The IP packet inside, None where there is none or it can't be told."""
        if link_type not in LINK_TYPES or not self._available:
            return None
        if link_type == _AVS:
            frame, link_type = frame[int.from_bytes(frame[4:8]) :], _DOT11
        if not _may_hold_ip(link_type, frame) or not self._spend(time):
            return None
        self.prepare()
        try:
            return _innermost(self._dissect(link_type, frame))
        except Exception:  # whatever a foreign parser makes of foreign bytes
            return None

    def _spend(self, time: int) -> bool:
        if self._refilled is None:
            self._refilled = time
        if (refill := (time - self._refilled) * RATE // _SECOND) > 0:
            self._left = min(BURST, self._left + refill)
            self._refilled = time
        if self._left <= 0:
            return False
        self._left -= 1
        return True


def _may_hold_ip(link_type: int, frame: bytes) -> bool:
    """Whether a frame of 802.11 has data that isn't encrypted (IEEE 802.11, 9.2.4.1); most have not."""
    at = int.from_bytes(frame[2:4], "little") if link_type in (_RADIOTAP, _PPI) else 0
    if link_type == _PRISM or len(frame) < at + 2:
        return link_type == _PRISM
    return frame[at] & 0x0C == _DATA and not frame[at + 1] & _PROTECTED


def _dissector() -> Any:
    """Makes a packet of a link type and bytes; it is scapy's only door."""
    import logging

    logging.getLogger("scapy").setLevel(logging.CRITICAL)
    from scapy.config import conf
    from scapy.layers import dot11, inet, inet6, ppi  # noqa: F401 -- each makes itself known

    kinds: Any = conf.l2types
    return lambda link_type, frame: kinds[link_type](frame)


def _innermost(packet: Any) -> bytes | None:
    """The bytes of the last IP packet, from its header on, as they were captured."""
    found = None
    for _ in range(MAX_LAYERS):
        if packet is None or packet.name in ("NoPayload", "Raw"):
            break
        if packet.name in ("IP", "IPv6"):
            found = bytes(packet.original)
        packet = packet.payload
    return found
