"""Microsoft's endpoint list as data: which row covers a host and port, and which addresses it publishes for it."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

import yaml

from exporter.language import Language, _, current

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the list. `networks`: none where Microsoft publishes no addresses."""

    id: int
    category: str
    required: bool
    hosts: tuple[str, ...]
    ports: tuple[int, ...]
    networks: tuple[Network, ...]
    about: str

    def covers(self, host: str, port: int | None = None) -> bool:
        """Whether the host, and the port where one is given, stand in it."""
        return any(_fits(pattern, host) for pattern in self.hosts) and (port is None or port in self.ports)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The list, and the day of its edition."""

    edition: str
    rows: tuple[Row, ...]
    ranges: Mapping[str, tuple[Network, ...]]
    like_exchange: frozenset[str]

    def covering(self, host: str, port: int) -> Row | None:
        """The row that covers a host and port, or None."""
        return next((row for row in self.rows if row.covers(host, port)), None)

    def networks_of(self, host: str, port: int) -> tuple[Network, ...]:
        """The published addresses behind a host and port; none where none are published."""
        row = self.covering(host, port)
        if row is None and host in self.like_exchange:
            return self.ranges["exchange"]
        return row.networks if row is not None else ()

    @property
    def optional(self) -> tuple[Row, ...]:
        """The rows that a gateway which opens only what is required forgets."""
        return tuple(row for row in self.rows if not row.required)


@cache
def endpoints() -> Endpoints:
    """The built-in edition."""
    content = yaml.safe_load(
        resources.files("exporter.diagnosis").joinpath("microsoft_endpoints.yaml").read_text("utf-8")
    )
    ranges = {name: tuple(map(ipaddress.ip_network, texts)) for name, texts in content["ranges"].items()}
    rows = tuple(
        Row(
            id=entry["id"],
            category=entry["category"],
            required=entry["required"],
            hosts=tuple(entry["hosts"]),
            ports=tuple(entry["ports"]),
            networks=ranges.get(entry.get("ranges", ""), ()),
            about=entry["about"],
        )
        for entry in content["rows"]
    )
    return Endpoints(content["edition"], rows, ranges, frozenset(content["like_exchange"]))


def rows_in_words(host: str, port: int) -> str:
    """Where a host and port stand in Microsoft's list, as a clause for a remedy."""
    return _rows_in_words(host, port, current())


@lru_cache(maxsize=512)
def _rows_in_words(host: str, port: int, _spoken: Language) -> str:
    listed = endpoints()
    row = listed.covering(host, port)
    if row is not None:
        kind = _("required") if row.required else _("optional and so easily forgotten")
        return _("row id {id} of Microsoft's list, {kind}", id=row.id, kind=kind)
    others = [each for each in listed.rows if each.covers(host)]
    if others or host in listed.like_exchange:
        return _("port {port} of this host stands in no row of Microsoft's list", port=port)
    return _("it is no host of Microsoft's list")


def is_published(address: str) -> bool:
    """Whether an address lies in any network of Microsoft's list: then different ones are different servers of its."""
    parsed = ipaddress.ip_address(address)
    networks = (each for own in endpoints().ranges.values() for each in own)
    return any(parsed in network for network in networks if network.version == parsed.version)


def _fits(pattern: str, host: str) -> bool:
    host = host.lower().rstrip(".")
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
