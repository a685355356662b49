"""The prober's part of the configuration: which targets, how often, how politely."""

from typing import Annotated, Literal

from pydantic import Field

from exporter.catalogue import STARTTLS_PORTS, TARGETS, Target
from exporter.settings_fields import (
    MAX_ENTRIES,
    ConfigPath,
    Duration,
    Host,
    Hosts,
    Name,
    Networks,
    Port,
    Positive,
    Section,
    Words,
)
from exporter.vocabulary import Protocol

#: Hosts of one target, at most.
MAX_HOSTS = 16
#: Port and path of a custom target that says nothing.
_PORTS = {
    Protocol.IMAP: 993, Protocol.POP: 995, Protocol.SMTP: 587, Protocol.HTTP: 80,
    Protocol.HTTPS: 443, Protocol.SIGN_IN: 443, Protocol.ACTIVESYNC: 443,
}  # fmt: skip
_PATHS = {Protocol.SIGN_IN: "/common/oauth2/v2.0/token", Protocol.ACTIVESYNC: "/Microsoft-Server-ActiveSync"}
MAIL = frozenset({Protocol.IMAP, Protocol.POP, Protocol.SMTP})


class CustomTarget(Section):
    """A target of the administrator's; one with a catalogue name replaces it, and takes from it what it doesn't say."""

    name: Name
    protocol: Protocol | None = None
    host: Host | None = None
    hosts: Annotated[Hosts, Field(max_length=MAX_HOSTS)] = ()
    port: Port | None = None
    tls: Literal["implicit", "starttls"] | None = None
    path: Annotated[str, Field(max_length=1024, pattern=r"^/[!-~]*$")] | None = None

    def target(self) -> Target:
        """As the catalogue has them. Raises ValueError where `protocol` or a host is missing."""
        known = TARGETS.get(self.name)
        protocol = self.protocol or (known.protocol if known else None)
        hosts = self.hosts or ((self.host,) if self.host else (known.hosts if known else ()))
        if protocol is None or not hosts:
            raise ValueError("protocol or host is missing")
        same = known if known is not None and known.protocol is protocol else None
        port = self.port or (same.port if same else _PORTS[protocol])
        path = self.path or (same.path if same else _PATHS.get(protocol, "/"))
        starttls = protocol in MAIL and self._starttls(protocol, port)
        return Target(
            name=self.name, protocol=protocol, hosts=hosts, port=port, path=path, custom=True, starttls=starttls
        )

    def _starttls(self, protocol: Protocol, port: int) -> bool:
        """As written; else by the port, and SMTP everywhere but on 465 (RFC 8314)."""
        if self.tls is not None:
            return self.tls == "starttls"
        return port in STARTTLS_PORTS or (protocol is Protocol.SMTP and port != 465)


class HoldSettings(Section):
    """Connections kept idle, as push mail does: a job of its own, off while `targets` is empty."""

    targets: Words = ()
    every: Duration = 21_600.0
    duration: Duration = 900.0


class ProbeSettings(Section):
    """The prober. `targets` None: the whole catalogue; custom targets are always probed too."""

    interval: Duration = 60.0
    timeout: Duration = 5.0
    targets: Words | None = None
    custom: Annotated[tuple[CustomTarget, ...], Field(max_length=MAX_ENTRIES)] = ()
    canary_interval: Duration = 900.0
    canaries_per_hour: Positive = 120
    hold: HoldSettings = HoldSettings()
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 64
    replies_file: ConfigPath | None = None
    private_networks: Networks = ()
