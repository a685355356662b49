"""What each cause means and what to do about it: `causes.yaml`, the one source of remedies and runbooks."""

from exporter.observations import Probe
from exporter.vocabulary import Cause, Responsible


def remedy_of(cause: Cause, responsible: Responsible, probe: Probe | None) -> str:
    """What to do, in one or two sentences."""
    return ""


def runbook_of(cause: Cause) -> str:
    """Where the cause's runbook is."""
    return f"docs/runbooks/{cause}.md"
