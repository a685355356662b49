"""The configuration as validated: frozen, with a working default for everything, and without any secret.

It is read by `exporter.settings_file.load`. Durations are seconds.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from exporter.catalogue import TARGETS, Target
from exporter.settings_account import DEFAULT_TARGETS, AccountSettings
from exporter.settings_checks import cross_check
from exporter.settings_errors import Problems
from exporter.settings_fields import (
    MAX_ENTRIES,
    ConfigPath,
    Controls,
    Duration,
    Hosts,
    Interface,
    Listen,
    Networks,
    Positive,
    Resolver,
    Section,
    is_loopback,
    parse_listen,
)
from exporter.settings_probe import CustomTarget, HoldSettings, ProbeSettings
from exporter.settings_vantage import VantageSettings

__all__ = [
    "AccountSettings", "CustomTarget", "DiagnosisSettings", "HistorySettings", "HoldSettings", "IdentitySettings",
    "InspectSettings", "InterfaceSettings", "PrivacySettings", "ProbeSettings", "Settings", "VantageSettings",
    "parse_listen",
]  # fmt: skip

#: Vantages, and accounts, at most: each multiplies the series of a metric.
MAX_VANTAGES, MAX_ACCOUNTS = 64, 64


class IdentitySettings(Section):
    """Who is Microsoft. `roots_file`: PEM; None is the built-in set of root keys."""

    roots_file: ConfigPath | None = None


class InterfaceSettings(Section):
    """An interface whose packets are read, and on which side of the gateway it lies."""

    name: Interface
    side: Literal["inside", "outside"]


class InspectSettings(Section):
    """The inspector. `servers`: networks to follow besides names and DNS answers.

    `socket`: where an inspector that is a unit of its own listens (`run --only inspector`), and the service asks.
    `workers`: processes that share each interface. `ring_mib`: packets that wait for one of them, of an interface, in
    MiB. `reassembly_mib`: of an interface's segments that wait for others before them, of all connections together.
    `promiscuous`: for mirror ports. `ignored_clients`: networks whose connections are nobody's, as those of other
    monitoring.
    """

    interfaces: Annotated[tuple[InterfaceSettings, ...], Field(max_length=MAX_ENTRIES)] = ()
    servers: Networks = ()
    max_connections: Annotated[int, Field(ge=1, le=1_048_576)] = 16_384
    window: Duration = 900.0
    socket: ConfigPath | None = None
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    ring_mib: Annotated[int, Field(ge=2, le=1_024)] = 8
    reassembly_mib: Annotated[int, Field(ge=1, le=1_024)] = 64
    promiscuous: bool = False
    ignored_clients: Networks = ()


class DiagnosisSettings(Section):
    """The verdicts. `controls`: neutral hosts to compare with; `resolvers`: to ask where a vantage's own fails."""

    controls: Controls = ()
    resolvers: Annotated[tuple[Resolver, ...], Field(max_length=MAX_ENTRIES)] = ()
    experiments_per_hour: Positive = 120


class HistorySettings(Section):
    """What was, in a file of its own. `file` None: `history.sqlite` in the unit's state directory, if it has one."""

    file: ConfigPath | None = None
    days: Annotated[int, Field(ge=1, le=366)] = 30
    max_size_mib: Annotated[int, Field(ge=1, le=4_096)] = 64


class PrivacySettings(Section):
    """What page and API show of clients; metrics never do."""

    client_addresses: Literal["off", "hashed", "plain"] = "off"


class Settings(BaseSettings):
    """The whole configuration of outlook-auth-exporter."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False, validate_default=False
    )

    listen: Listen = "127.0.0.1:10193"
    web_config: ConfigPath | None = None
    allowed_hosts: Hosts = ()
    probe: ProbeSettings = ProbeSettings()
    vantages: Annotated[tuple[VantageSettings, ...], Field(max_length=MAX_VANTAGES)] = (VantageSettings(name="local"),)
    identity: IdentitySettings = IdentitySettings()
    accounts: Annotated[tuple[AccountSettings, ...], Field(max_length=MAX_ACCOUNTS)] = ()
    inspect: InspectSettings = InspectSettings()
    diagnosis: DiagnosisSettings = DiagnosisSettings()
    privacy: PrivacySettings = PrivacySettings()
    history: HistorySettings = HistorySettings()
    language: Literal["auto", "en", "fr"] = "auto"

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed in: `load` reads file and environment from arguments, never from the process."""
        return (init_settings,)

    @model_validator(mode="after")
    def _parts_fit(self) -> "Settings":
        if problems := cross_check(self):
            raise Problems(problems)
        return self

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """The JSON Schema of the configuration file."""
        return cls.model_json_schema()

    def all_targets(self) -> dict[str, Target]:
        """Catalogue and custom targets by name."""
        return TARGETS | {custom.name: custom.target() for custom in self.probe.custom}

    def targets(self) -> dict[str, Target]:
        """The targets that are probed: those named and the custom ones, or all."""
        known = self.all_targets()
        if self.probe.targets is None:
            return known
        wanted = [*self.probe.targets, *(custom.name for custom in self.probe.custom)]
        return {name: known[name] for name in dict.fromkeys(wanted)}

    def account_targets(self, account: AccountSettings) -> dict[str, Target]:
        """Where an account signs in: the targets it names, else those of its kind, but never an unnamed custom one."""
        known = self.all_targets()
        if account.targets is not None:
            return {name: known[name] for name in dict.fromkeys(account.targets)}
        return {name: known[name] for name in DEFAULT_TARGETS[account.kind] if not known[name].custom}

    def listen_address(self) -> tuple[str, int]:
        """Address and port to listen on."""
        return parse_listen(self.listen)

    def on_loopback(self) -> bool:
        """Whether only this machine can reach the web pages."""
        return is_loopback(self.listen_address()[0])

    def warnings(self) -> list[str]:
        """What is allowed but should be thought about, each with its place."""
        found = []
        if not self.on_loopback() and self.web_config is None:
            found.append("listen: can be reached from elsewhere without a password; set web_config")
        for index, account in enumerate(self.accounts):
            if account.by_client_credentials and account.username is None:
                found.append(
                    f"accounts[{index}].username: is missing; without it no mailbox can be tried, only the token"
                )
            if account.by_client_credentials and account.authority is None:
                found.append(f"accounts[{index}].authority: is missing; client credentials need the tenant's own")
            if account.allow_intercepted:
                found.append(f"accounts[{index}].allow_intercepted: its secret goes to whoever intercepts the way")
        return found
