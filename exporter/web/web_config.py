"""The web configuration file, in the format of Prometheus' exporter-toolkit (docs/web-configuration.md there).

It is read anew when it changes, without a restart; a bad new one leaves the old one in force and is logged once.
What can't be kept as strictly as it is written (a client certificate asked for without a check, curves) is an
error, never silently weaker.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from exporter.secret_files import access_problem
from exporter.settings_errors import ConfigurationError, nearest, problems_of
from exporter.settings_fields import parse_duration
from exporter.settings_yaml import MAX_BYTES, DocumentError, decode, parse

log = structlog.get_logger(__name__)

_BCRYPT = re.compile(r"\$2[abxy]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
#: Dearer hashes would take seconds a request (docs/web-configuration.md says so of 18).
MAX_BCRYPT_COST = 16
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]{1,1024}")

#: The headers that may be set, as in exporter-toolkit.
HEADERS = (
    "Strict-Transport-Security",
    "X-Frame-Options",
    "X-Content-Type-Options",
    "X-XSS-Protection",
    "Content-Security-Policy",
)

TlsVersion = Literal["TLS10", "TLS11", "TLS12", "TLS13"]
ClientAuth = Literal[
    "NoClientCert", "RequestClientCert", "RequireAnyClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"
]

#: TLS 1.2 suites by their IANA names, as Go and exporter-toolkit write them, and OpenSSL's names for them.
CIPHER_SUITES = {
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256": "AES128-SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
_TLS13_SUITES = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class TlsServerConfig(_Section):
    """`tls_server_config`. File names are relative to the web configuration's directory."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    client_auth_type: ClientAuth = "NoClientCert"
    min_version: TlsVersion = "TLS12"
    max_version: TlsVersion = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True

    @field_validator("cert_file", "key_file", "client_ca_file")
    @classmethod
    def _beside_the_file(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        directory = (info.context or {}).get("directory", Path())
        return None if value is None else Path(directory) / value

    @field_validator("cert_file", "client_ca_file")
    @classmethod
    def _readable(cls, value: Path | None) -> Path | None:
        if value is not None and not os.access(value, os.R_OK):
            raise ValueError("there is no such file that can be read; create it, or name another")
        return value

    @field_validator("key_file")
    @classmethod
    def _secret(cls, value: Path) -> Path:
        cls._readable(value)
        if problem := access_problem(value):
            raise ValueError(problem)
        return value

    @field_validator("cipher_suites")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not set(value) <= {*CIPHER_SUITES, *_TLS13_SUITES}:
            raise ValueError(f"not a known suite; one of: {', '.join(CIPHER_SUITES)}")
        return value

    @field_validator("client_auth_type")
    @classmethod
    def _verifiable(cls, value: ClientAuth) -> ClientAuth:
        if value == "RequireAnyClientCert":
            raise ValueError("a certificate that isn't verified can't be required here; use RequireAndVerifyClientCert")
        return value

    @model_validator(mode="after")
    def _sound(self) -> "TlsServerConfig":
        if "Verify" in self.client_auth_type and self.client_ca_file is None:
            raise ValueError("client_auth_type verifies certificates; add client_ca_file")
        if self.client_ca_file is not None and self.client_auth_type == "NoClientCert":
            raise ValueError("client_ca_file has no effect; set client_auth_type: RequireAndVerifyClientCert")
        if self.min_version > self.max_version:
            raise ValueError("min_version is above max_version")
        return self


class HttpServerConfig(_Section):
    """`http_server_config`. `http2` is accepted for the format's sake: HTTP/1.1 is spoken."""

    http2: bool = True
    headers: dict[str, str] = {}

    @field_validator("headers")
    @classmethod
    def _settable(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if name not in HEADERS:
                raise ValueError(f"no such header may be set{nearest(name, HEADERS)}")
            if not _HEADER_VALUE.fullmatch(value):
                raise ValueError(f"{name} must be one line of printable ASCII")
        return headers


class RateLimit(_Section):
    """`rate_limit`: one request each `interval` seconds, `burst` at once; interval 0 is no limit."""

    interval: float = 0.0
    burst: Annotated[int, Field(ge=1, le=1_000_000)] = 1

    @field_validator("interval", mode="before")
    @classmethod
    def _duration(cls, value: object) -> float:
        return 0.0 if str(value).strip() in ("0", "0s") else parse_duration(value)


class WebSettings(_Section):
    """The whole file."""

    tls_server_config: TlsServerConfig | None = None
    http_server_config: HttpServerConfig = HttpServerConfig()
    basic_auth_users: dict[str, str] = {}
    rate_limit: RateLimit | None = None

    @field_validator("basic_auth_users")
    @classmethod
    def _hashed(cls, users: dict[str, str]) -> dict[str, str]:
        for number, (name, stored) in enumerate(users.items(), 1):
            if not name or ":" in name:
                raise ValueError(f"user {number}: a name must not be empty nor hold a colon")
            if not _BCRYPT.fullmatch(stored):
                raise ValueError(f"user {number}: not a bcrypt hash; make one with `htpasswd -nBC 10 NAME`")
            if int(stored[4:6]) > MAX_BCRYPT_COST:
                raise ValueError(f"user {number}: a bcrypt cost above {MAX_BCRYPT_COST} takes seconds; use 10 to 12")
        return users

    @property
    def headers(self) -> dict[str, str]:
        """The configured headers, by name."""
        return self.http_server_config.headers


def load(path: Path) -> WebSettings:
    """The settings in a file. Raises ConfigurationError, a line each problem."""
    try:
        with path.open("rb") as file:
            values = parse(decode(file.read(MAX_BYTES + 1)))
    except OSError as error:
        raise ConfigurationError([f"{path}: {(error.strerror or 'unreadable').lower()}"]) from None
    except DocumentError as error:
        raise ConfigurationError([f"{path}: line {line}: {what}" for line, what in error.problems]) from None
    try:
        return WebSettings.model_validate(_without_nulls(values or {}), context={"directory": path.parent})
    except ValidationError as error:
        raise ConfigurationError([f"{path}: {problem}" for problem in problems_of(error, WebSettings)]) from None


def _without_nulls(values: object) -> object:
    """A key without a value means its default, as where all that stood below it is commented out."""
    if isinstance(values, dict):
        return {key: _without_nulls(value) for key, value in values.items() if value is not None}
    return values


Signature = tuple[tuple[int, int, int] | None, ...]


def signature_of(*paths: Path | None) -> Signature:
    """Changes whenever one of the files does, or is replaced."""
    return tuple(_signature(path) for path in paths)


def _signature(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)


class WebConfig:
    """The file, kept current. Raises ConfigurationError if it is bad at the start."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._signature = signature_of(path)
        self._settings = load(path)

    def current(self) -> WebSettings:
        """The settings as of now. Costs one stat() where nothing changed."""
        signature = signature_of(self.path)
        if signature != self._signature:
            self._signature = signature
            try:
                self._settings = load(self.path)
                log.info("web configuration read anew", file=str(self.path))
            except ConfigurationError as error:
                log.error("web configuration refused; the old one stays in force", problems=error.problems)
        return self._settings
