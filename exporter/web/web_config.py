"""exporter-toolkit's web configuration file: TLS, basic authentication with bcrypt, headers.

The file and its certificates are read again when they change; a broken new version leaves the old one in force.
Passwords are compared by bcrypt in a thread, one at a time, results remembered; an unknown user costs the same time.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
import ssl
from collections import OrderedDict
from pathlib import Path
from typing import Annotated, Literal

import bcrypt
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from exporter.settings_errors import ConfigurationError, problems_of

#: A larger file is no web configuration, bytes.
MAX_FILE = 1_048_576
#: Verified passwords remembered.
MAX_REMEMBERED = 100

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_FAKE_HASH = bcrypt.hashpw(secrets.token_bytes(16), bcrypt.gensalt(10))

Version = Literal["TLS10", "TLS11", "TLS12", "TLS13"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TlsServerConfig(_Section):
    """tls_server_config."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None
    client_auth_type: Literal[
        "NoClientCert", "RequestClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"
    ] = "NoClientCert"
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    curve_preferences: tuple[str, ...] = ()
    prefer_server_cipher_suites: bool = True


class HttpServerConfig(_Section):
    """http_server_config."""

    http2: bool = False
    headers: dict[str, str] = Field(default_factory=dict)


class RateLimit(_Section):
    """rate_limit: accepted for compatibility; requests are limited anyway."""

    interval: str = "0s"
    burst: int = 0


class WebConfig(_Section):
    """The whole file."""

    tls_server_config: TlsServerConfig | None = None
    http_server_config: HttpServerConfig = Field(default_factory=HttpServerConfig)
    basic_auth_users: dict[str, Annotated[str, Field(pattern=r"^\$2[aby]\$\d\d\$.{53}$")]] = Field(default_factory=dict)
    rate_limit: RateLimit = Field(default_factory=RateLimit)


def load(path: Path) -> WebConfig:
    """Reads and validates. Raises ConfigurationError naming the place, never a hash."""
    try:
        values = yaml.safe_load(path.read_bytes()[:MAX_FILE])
    except OSError as error:
        raise ConfigurationError([f"{path}: {error.strerror}"]) from error
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        raise ConfigurationError([f"{path}: {line}not YAML"]) from None
    try:
        config = WebConfig.model_validate(values or {})
    except ValidationError as error:
        raise ConfigurationError([f"{path}: {problem}" for problem in problems_of(error, WebConfig)]) from None
    if config.tls_server_config is not None:
        make_context(config.tls_server_config, path.parent)
    return config


def make_context(config: TlsServerConfig, directory: Path) -> ssl.SSLContext:
    """The server's TLS context. Raises ConfigurationError naming the file that can't be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS.get(config.min_version, ssl.TLSVersion.TLSv1_2)
    context.maximum_version = _VERSIONS.get(config.max_version, ssl.TLSVersion.TLSv1_3)
    try:
        context.load_cert_chain(directory / config.cert_file, directory / config.key_file)
        if config.client_ca_file is not None:
            context.load_verify_locations(directory / config.client_ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError([f"tls_server_config: {config.cert_file}: {error}"]) from error
    if config.client_auth_type == "RequireAndVerifyClientCert":
        context.verify_mode = ssl.CERT_REQUIRED
    elif config.client_auth_type != "NoClientCert":
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


class WebAccess:
    """The configuration in force; asks the file system on each use whether it changed."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: object = None
        self.config = WebConfig()
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, bool] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()
        self.refresh()

    def refresh(self) -> None:
        """Reads the file again where it changed. The first time a broken one raises ConfigurationError."""
        if self._path is None:
            return
        stamp = self._read_stamp()
        if stamp == self._stamp:
            return
        try:
            self.config = load(self._path)
        except ConfigurationError:
            if self._stamp is None:
                raise
        self._stamp = stamp
        self._remembered.clear()

    def _read_stamp(self) -> object:
        assert self._path is not None
        try:
            status = self._path.stat()
        except OSError:
            return None
        return (status.st_mtime_ns, status.st_size, status.st_ino)

    @property
    def has_users(self) -> bool:
        return bool(self.config.basic_auth_users)

    def context(self) -> ssl.SSLContext | None:
        """The TLS context, or None for plain HTTP."""
        if self._path is None or self.config.tls_server_config is None:
            return None
        return make_context(self.config.tls_server_config, self._path.parent)

    async def allows(self, authorization: str | None) -> bool:
        """Whether this Authorization header names a user and its password."""
        user, password = _credentials(authorization)
        if user is None:
            return False
        expected = self.config.basic_auth_users.get(user)
        digest = hmac.new(self._key, f"{user}\0{password}\0{expected}".encode(), hashlib.sha256).digest()
        if digest in self._remembered:
            return self._remembered[digest]
        async with self._one_at_a_time:
            against = expected.encode() if expected else _FAKE_HASH
            matches = await asyncio.to_thread(bcrypt.checkpw, password.encode()[:72], against)
        self._remembered[digest] = matches and expected is not None
        while len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return self._remembered[digest]


def _credentials(authorization: str | None) -> tuple[str | None, str]:
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None, ""
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None, ""
    return (user, password) if colon else (None, "")
