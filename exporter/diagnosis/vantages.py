"""What the configuration tells of vantages: how their packets leave, and on which side of the gateway they lie."""

from collections.abc import Mapping
from pathlib import Path

from exporter.diagnosis.seen import INSIDE, PROXIED, VantageFacts
from exporter.settings import Settings, VantageSettings

_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


def facts_of(settings: Settings, *, forwarding: Path = _FORWARDING) -> dict[str, VantageFacts]:
    """The facts of every vantage, by name."""
    sides = {interface.name: interface.side for interface in settings.inspect.interfaces}
    routes = _routes_for_others(forwarding)
    return {own.name: _facts(own, sides, routes) for own in settings.vantages}


def _facts(own: VantageSettings, sides: Mapping[str, str], routes: bool | None) -> VantageFacts:
    elsewhere = own.network_namespace or own.vantage_socket
    side = INSIDE if elsewhere else PROXIED if own.proxy else sides.get(own.interface or "")
    parts = {
        "namespace": own.network_namespace,
        "socket": own.vantage_socket,
        "interface": own.interface,
        "source": own.source_address,
        "proxy": own.proxy,
        "resolver": own.resolver[0] + f":{own.resolver[1]}" if own.resolver else None,
    }
    attachment = ", ".join(f"{name} {value}" for name, value in parts.items() if value is not None)
    return VantageFacts(
        vantage=own.name,
        attachment=attachment or "this machine",
        side=side,
        forwards=False if elsewhere else routes,
        proxied=own.proxy is not None,
        ip_version=own.ip_version,
    )


def _routes_for_others(path: Path) -> bool | None:
    """Whether this machine forwards packets; None where that can't be read."""
    try:
        return path.read_text().strip() == "1"
    except OSError:
        return None
