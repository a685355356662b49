"""`--report`: one self-contained page for a vendor."""

from collections.abc import Sequence

from exporter.diagnosis.seen import Seen
from exporter.observations import Verdict


def report(seen: Seen, verdicts: Sequence[Verdict]) -> str:
    """The page."""
    return ""
