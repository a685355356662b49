"""Whether the clients' side is looked at: without, a fault between them and the gateway isn't seen."""

from collections.abc import Iterable

from exporter.metrics.wire_mirror import WireMirror
from exporter.probe.walk import Vantage
from exporter.settings import Settings


def may_cover_client_side(settings: Settings) -> bool:
    """Whether something is configured that sees what clients see."""
    return _has_client_vantage(settings) or any(each.side == "inside" for each in settings.inspect.interfaces)


def client_side_covered(vantages: Iterable[Vantage], mirror: WireMirror) -> bool:
    """Whether something does: a process on their side that is there, or an inside interface that is being read."""
    return any(each.problem is not None and each.problem() is None for each in vantages) or mirror.covers_inside()


def _has_client_vantage(settings: Settings) -> bool:
    return any(each.network_namespace or each.vantage_socket for each in settings.vantages)
