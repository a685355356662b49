"""Held connections: who forgets them, and after how long."""

import re
from collections.abc import Iterator

from exporter.diagnosis.experiment import Kind
from exporter.diagnosis.rules.common import quoted
from exporter.diagnosis.seen import Seen
from exporter.diagnosis.weigh import Claim, Scales
from exporter.observations import Probe
from exporter.vocabulary import Cause, Outcome, Phase

HOLD = "hold"
#: A server that leaves by itself says so.
_GOODBYE = re.compile(r"\bBYE\b|\b421\b|-ERR|autologout|time.?out", re.IGNORECASE)
_CUT = frozenset({Outcome.RESET, Outcome.TIMEOUT, Outcome.CLOSED, Outcome.UNREACHABLE})


def idle_cut(seen: Seen, probe: Probe) -> Iterator[Claim]:
    """idle_cut. Overturned by: the server itself says goodbye (a BYE, an autologout)."""
    for held in [each for each in seen.experiments if each.experiment is Kind.HOLD]:
        if (held.target, held.vantage) != (probe.target, probe.vantage) or held.outcome not in _CUT:
            continue
        if held.outcome is Outcome.CLOSED and _GOODBYE.search(held.detail or ""):
            continue
        scales = Scales(Cause.IDLE_CUT)
        text = f"a connection kept idle for {held.idle or 0:.0f} s is dead when it is used ({held.outcome})"
        scales.add(0.8, f"{text} {quoted(held.detail)}".strip())
        for other in seen.experiments:
            if (
                other.experiment is Kind.HOLD
                and other.target == held.target
                and seen.independent(other.vantage, held.vantage)
            ):
                if other.outcome is Outcome.OK:
                    scales.add(0.7, f"from {other.vantage} it still works after {other.idle or 0:.0f} s")
                elif other.outcome is held.outcome:
                    scales.against(0.2, f"from {other.vantage} it is dead too after {other.idle or 0:.0f} s")
        yield scales.claim(HOLD, Phase.SESSION, confirmed=True)
