"""From a validated configuration to what the inspector needs to know: nothing secret."""

from urllib.parse import urlsplit

from exporter.settings import Settings
from exporter.settings_vantage import VantageSettings
from exporter.wire.interface_state import Interface
from exporter.wire.tracker_config import PATIENCE_IN_FILES, TrackerConfig
from exporter.wire.watched import InspectorConfig

#: Of proxies that are asked in clear.
_USUAL_PORTS = {"http": 80, "socks5": 1_080, "socks5h": 1_080}


def interfaces_of(settings: Settings) -> list[Interface]:
    """The configured interfaces."""
    return [Interface(each.name, each.side) for each in settings.inspect.interfaces]


def config_of(settings: Settings, own_stack: str | None) -> InspectorConfig:
    """`own_stack`: what makes our own prober's ClientHello known (`inspector.own_stack`), which is no client's; None
    where nothing of ours is counted."""
    return InspectorConfig(
        targets=settings.all_targets(),
        servers=settings.inspect.servers,
        proxies=frozenset(filter(None, map(_proxy_port, settings.vantages))),
        max_connections=settings.inspect.max_connections,
        max_held=settings.inspect.reassembly_mib << 20,
        window=settings.inspect.window,
        privacy=settings.privacy.client_addresses,
        ring_mib=settings.inspect.ring_mib,
        promiscuous=settings.inspect.promiscuous,
        workers=settings.inspect.workers,
        own_stack=own_stack,
        ignored_clients=settings.inspect.ignored_clients,
    )


def files_config_of(settings: Settings) -> TrackerConfig:
    """For captures: every server's connections."""
    return TrackerConfig(
        targets=settings.all_targets(),
        servers=settings.inspect.servers,
        everything=True,
        max_connections=settings.inspect.max_connections,
        max_held=settings.inspect.reassembly_mib << 20,
        patience=PATIENCE_IN_FILES,
    )


def _proxy_port(vantage: VantageSettings) -> int | None:
    """Where clients ask the vantage's proxy: those that are asked in clear, by CONNECT or SOCKS."""
    where = urlsplit(vantage.proxy or "")
    usual = _USUAL_PORTS.get(where.scheme)
    return None if usual is None else where.port or usual
