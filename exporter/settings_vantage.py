"""A vantage's part of the configuration: a point from which targets are probed."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from exporter.settings_fields import (
    Address,
    ConfigPath,
    Interface,
    Name,
    Namespace,
    ProxyUrl,
    Resolver,
    SecretReference,
    Section,
)

#: Names that mean something else where a vantage is named: every one of them, and what was seen on the wire.
RESERVED_NAMES = frozenset({"all", "wire"})


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


IpVersion = Annotated[Literal["any", "4", "6"], BeforeValidator(_as_text)]


class VantageSettings(Section):
    """A vantage. `vantage_socket`: where a vantage process that systemd started listens."""

    name: Name
    network_namespace: Namespace | None = None
    vantage_socket: ConfigPath | None = None
    interface: Interface | None = None
    proxy: ProxyUrl | None = None
    proxy_credentials_file: SecretReference | None = None
    resolver: Resolver | None = None
    source_address: Address | None = None
    ip_version: IpVersion = "any"
