"""The configuration: a YAML file, overridden by environment variables, validated whole.

Secrets are never values here, only names of files. Everything has a working default.
"""

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.networks import IPvAnyAddress, IPvAnyNetwork
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from exporter.catalogue import STARTTLS_PORTS, TARGETS, Target
from exporter.settings_errors import Problem, nearest
from exporter.vocabulary import AccountKind, Protocol

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?|[0-9A-Fa-f:.]{2,45}")
_LISTEN = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]]*)):(\d{1,5})")

#: Default ports of a custom target.
_PORTS = {
    Protocol.IMAP: 993, Protocol.POP: 995, Protocol.SMTP: 587, Protocol.HTTP: 80,
    Protocol.HTTPS: 443, Protocol.SIGN_IN: 443, Protocol.ACTIVESYNC: 443,
}  # fmt: skip
_PATHS = {Protocol.SIGN_IN: "/common/oauth2/v2.0/token", Protocol.ACTIVESYNC: "/Microsoft-Server-ActiveSync"}


def _fail(message: str) -> PydanticCustomError:
    return PydanticCustomError("configuration", "{message}", {"message": message})


def _duration(value: Any) -> float:
    """Seconds of "60s", "15m", "6h", "1d", "500ms", or a number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        seconds = float(match[1]) * _UNITS[match[2] or "s"]
    else:
        raise _fail("a duration is expected, such as 60s, 15m, 6h")
    if not 0 < seconds <= 366 * 86_400:
        raise _fail("a positive duration of at most a year is expected")
    return seconds


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise _fail("1 to 32 letters, digits, '.', '_' or '-' are expected: it becomes a label")
    return value


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise _fail("a host name or an IP address is expected")
    return value


def _resolver(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text, port = value, 53
    if match := re.fullmatch(r"\[([^\]]+)\](?::(\d{1,5}))?|([^:]+):(\d{1,5})", value):
        text, port = match[1] or match[3], int(match[2] or match[4] or 53)
    try:
        return str(ipaddress.ip_address(text)), port
    except ValueError:
        raise _fail("ADDRESS or ADDRESS:PORT of a resolver is expected") from None


def _proxy(value: str) -> str:
    parts = urlsplit(value)
    if parts.username or parts.password or "@" in value:
        raise _fail(
            "credentials don't belong into a URL: put user:password into a file and name it in proxy_credentials_file"
        )
    try:
        sound = parts.scheme in ("http", "https", "socks5", "socks5h") and parts.hostname and (parts.port or 1)
    except ValueError:
        sound = False
    if not sound:
        raise _fail("http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT is expected")
    return value


def _listen(value: str) -> str:
    match = _LISTEN.fullmatch(value)
    if match is None or int(match[3]) > 65_535:
        raise _fail("ADDRESS:PORT or [ADDRESS]:PORT is expected")
    return value


Duration = Annotated[float, BeforeValidator(_duration)]
Name = Annotated[str, AfterValidator(_name)]
Host = Annotated[str, AfterValidator(_host)]
Resolver = Annotated[tuple[str, int], BeforeValidator(_resolver)]
Proxy = Annotated[str, AfterValidator(_proxy)]
Port = Annotated[int, Field(ge=1, le=65_535)]
SecretFile = Annotated[str, Field(min_length=1, max_length=4096)]


class Section(BaseModel):
    """A part of the configuration: frozen, nothing unknown, and no value in messages (it might be a secret)."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class CustomTarget(Section):
    """A target of the administrator's; one with a catalogue name replaces it."""

    name: Name
    protocol: Protocol | None = None
    host: Host | None = None
    hosts: tuple[Host, ...] = ()
    port: Port | None = None
    tls: Literal["implicit", "starttls"] | None = None
    path: str | None = None

    @model_validator(mode="after")
    def _whole(self) -> "CustomTarget":
        known = TARGETS.get(self.name)
        if self.protocol is None and known is None:
            raise _fail(f"protocol is missing: one of {', '.join(Protocol)}")
        if not self.host and not self.hosts and known is None:
            raise _fail("host is missing")
        return self

    def target(self) -> Target:
        """As the catalogue has them; what isn't said is taken from the target it replaces, or from the protocol."""
        known = TARGETS.get(self.name)
        protocol = self.protocol or (known.protocol if known else Protocol.HTTPS)
        same = known if known is not None and known.protocol is protocol else None
        port = self.port or (same.port if same else _PORTS[protocol])
        hosts = self.hosts or ((self.host,) if self.host else (known.hosts if known else ()))
        path = self.path or (same.path if same else _PATHS.get(protocol, "/"))
        return Target(
            name=self.name, protocol=protocol, hosts=hosts, port=port, path=path, custom=True,
            starttls=self._starttls(protocol, port, same),
        )  # fmt: skip

    def _starttls(self, protocol: Protocol, port: int, same: Target | None) -> bool:
        if protocol not in (Protocol.IMAP, Protocol.POP, Protocol.SMTP):
            return False
        if self.tls is not None:
            return self.tls == "starttls"
        if same is not None and port not in (465, 993, 995):
            return same.starttls
        return port in STARTTLS_PORTS or (protocol is Protocol.SMTP and port != 465)


class ProbeSettings(Section):
    """The prober."""

    interval: Duration = 60.0
    timeout: Duration = 5.0
    targets: tuple[str, ...] | None = None
    custom: tuple[CustomTarget, ...] = ()
    canary_interval: Duration = 900.0
    canaries_per_hour: Annotated[int, Field(ge=1)] = 120
    hold: "HoldSettings" = Field(default_factory=lambda: HoldSettings())
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 64
    replies_file: Path | None = None
    private_networks: tuple[IPvAnyNetwork, ...] = ()


class HoldSettings(Section):
    """Connections kept idle, as push mail does."""

    targets: tuple[str, ...] = ()
    every: Duration = 21_600.0
    duration: Duration = 900.0


class VantageSettings(Section):
    """A point from which targets are probed."""

    name: Name
    network_namespace: Name | None = None
    vantage_socket: Path | None = None
    interface: Annotated[str, Field(min_length=1, max_length=15, pattern=r"^[^\s/]+$")] | None = None
    proxy: Proxy | None = None
    proxy_credentials_file: SecretFile | None = None
    resolver: Resolver | None = None
    source_address: IPvAnyAddress | None = None
    ip_version: Literal["any", "4", "6"] = "any"

    @model_validator(mode="before")
    @classmethod
    def _version_as_text(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("ip_version"), int):
            return {**data, "ip_version": str(data["ip_version"])}
        return data

    @model_validator(mode="after")
    def _sound(self) -> "VantageSettings":
        if self.proxy_credentials_file and not self.proxy:
            raise _fail("proxy_credentials_file needs a proxy")
        return self


class IdentitySettings(Section):
    """Who is Microsoft."""

    roots_file: Path | None = None


class AccountSettings(Section):
    """An account to sign in with; used from the issue of accounts on, validated already."""

    name: Name
    kind: AccountKind
    username: str | None = None
    client_id: str | None = None
    authority: Annotated[str, Field(pattern=r"^https://[^\s@]+$")] | None = None
    client_secret_file: SecretFile | None = None
    certificate_file: SecretFile | None = None
    private_key_file: SecretFile | None = None
    password_file: SecretFile | None = None
    token_cache: Path | None = None
    vantages: tuple[str, ...] = ("all",)
    targets: tuple[str, ...] | None = None
    allow_intercepted: bool = False

    @model_validator(mode="after")
    def _sound(self) -> "AccountSettings":
        if self.kind is AccountKind.APP_PASSWORD:
            if self.password_file is None:
                raise _fail("an app_password account needs password_file")
        elif self.client_id is None:
            raise _fail("an OAuth account needs client_id")
        if self.client_secret_file and self.certificate_file:
            raise _fail("client_secret_file or certificate_file, not both")
        if (self.certificate_file is None) != (self.private_key_file is None):
            raise _fail("certificate_file and private_key_file belong together")
        return self


class InterfaceSettings(Section):
    """An interface whose packets are read."""

    name: Annotated[str, Field(min_length=1, max_length=15)]
    side: Literal["inside", "outside"]


class InspectSettings(Section):
    """The inspector."""

    interfaces: tuple[InterfaceSettings, ...] = ()
    servers: tuple[IPvAnyNetwork, ...] = ()
    max_connections: Annotated[int, Field(ge=1)] = 16_384
    window: Duration = 900.0


class DiagnosisSettings(Section):
    """The verdicts."""

    controls: tuple[Host, ...] = ()
    experiments_per_hour: Annotated[int, Field(ge=1)] = 120


class PrivacySettings(Section):
    """What is shown of clients; never in metrics."""

    client_addresses: Literal["off", "hashed", "plain"] = "off"

    @model_validator(mode="before")
    @classmethod
    def _off(cls, data: Any) -> Any:
        """YAML 1.1 reads a bare `off` as false."""
        if isinstance(data, dict) and data.get("client_addresses") is False:
            return {**data, "client_addresses": "off"}
        return data


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_prefix="OUTLOOK_EXPORTER_",
        env_nested_delimiter="__",
    )

    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:10193"
    web_config: Path | None = None
    allowed_hosts: tuple[Host, ...] = ()
    probe: ProbeSettings = Field(default_factory=ProbeSettings)
    vantages: tuple[VantageSettings, ...] = (VantageSettings(name="local"),)
    identity: IdentitySettings = Field(default_factory=IdentitySettings)
    accounts: tuple[AccountSettings, ...] = ()
    inspect: InspectSettings = Field(default_factory=InspectSettings)
    diagnosis: DiagnosisSettings = Field(default_factory=DiagnosisSettings)
    privacy: PrivacySettings = Field(default_factory=PrivacySettings)

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` passes: the environment is read there, from an argument, not from the process."""
        return (init_settings,)

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

    def listen_address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        return parse_listen(self.listen)

    def on_loopback(self) -> bool:
        """Whether only this machine can reach the web pages."""
        host = self.listen_address()[0]
        return host == "localhost" or host.startswith("127.") or host == "::1"

    def warnings(self) -> list[str]:
        """What is allowed but should be thought about."""
        if self.on_loopback() or self.web_config is not None:
            return []
        return [f"listen: {self.listen} can be reached from elsewhere without a password; set web_config"]


def parse_listen(text: str) -> tuple[str, int]:
    """Host and port of ADDRESS:PORT; no address means all. Raises ValueError."""
    match = _LISTEN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text}: ADDRESS:PORT is expected")
    return match[1] or match[2] or "0.0.0.0", int(match[3])  # noqa: S104 - asked for by the administrator


def cross_check(settings: Settings) -> list[Problem]:
    """What one section says of another: names that exist, and are used once."""
    problems: list[Problem] = []
    known = settings.all_targets()
    vantages = [vantage.name for vantage in settings.vantages]
    problems += _unknown("probe.targets", settings.probe.targets or (), known)
    problems += _unknown("probe.hold.targets", settings.probe.hold.targets, known)
    problems += _twice("vantages", vantages)
    problems += _twice("probe.custom", [custom.name for custom in settings.probe.custom])
    problems += _twice("accounts", [account.name for account in settings.accounts])
    for index, account in enumerate(settings.accounts):
        problems += _unknown(f"accounts[{index}].targets", account.targets or (), known)
        problems += _unknown(f"accounts[{index}].vantages", account.vantages, ["all", *vantages])
    if not vantages:
        problems.append(Problem("vantages", "at least one vantage is needed"))
    return problems


def _unknown(place: str, names: tuple[str, ...], known: Any) -> list[Problem]:
    return [
        Problem(f"{place}[{index}]", f"no such name{nearest(name, known)}")
        for index, name in enumerate(names)
        if name not in known
    ]


def _twice(place: str, names: list[str]) -> list[Problem]:
    return [
        Problem(f"{place}[{index}].name", f"the name {name} is used twice")
        for index, name in enumerate(names)
        if name in names[:index]
    ]


def environment_values(env: Mapping[str, str]) -> dict[str, Any]:
    """What OUTLOOK_EXPORTER_… variables set, nested by `__`, JSON where the value is structured."""
    mine = {key.lower(): value for key, value in env.items() if key.upper().startswith("OUTLOOK_EXPORTER_")}
    if not mine:
        return {}
    source = _Environment(Settings, mine)
    return source.explode()


class _Environment(EnvSettingsSource):
    """pydantic-settings' reading of variables, from an argument instead of the process' environment."""

    def __init__(self, settings_cls: type[BaseSettings], values: Mapping[str, str]) -> None:
        super().__init__(settings_cls)
        self.env_vars = values

    def explode(self) -> dict[str, Any]:
        return dict(self())
