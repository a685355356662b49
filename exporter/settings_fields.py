"""The kinds of values a configuration has, each read from text, and each with its JSON Schema.

A reader raises ValueError with words that never contain the value: it may be a secret in the wrong place.
"""

import ipaddress
import math
import re
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, PlainValidator, WithJsonSchema

from exporter.secret_files import reference_problem

#: Entries of any list in a configuration.
MAX_ENTRIES = 1_000
#: Durations are cut to these, seconds: what timedelta resolves, and a century, past which a date overflows.
MIN_DURATION, MAX_DURATION = 1e-6, 3_155_760_000.0

#: The directory of the configuration file being read: what its relative file names are relative to.
configuration_directory: ContextVar[Path | None] = ContextVar("configuration_directory", default=None)

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
#: As many decimals as the shortest text of a number may need ("0.00012345678901234567" has 20).
_PART = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,24})?)(ms|s|m|h|d|w)")
_DURATION = re.compile(rf"(?:{_PART.pattern}){{1,6}}")
_NUMBER = re.compile(r"\+?(?:[0-9]{1,18}(?:\.[0-9]{0,24})?|\.[0-9]{1,24})(?:[eE][+-]?[0-9]{1,3})?")
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?")
_HOST_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_INTERFACE = re.compile(r"(?!\.\.?$)[^\s/\x00-\x1f]{1,15}")
_NAMESPACE = re.compile(r"(?!\.\.?$)[A-Za-z0-9_.@:-]{1,128}")
_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")


class Section(BaseModel):
    """A part of the configuration: immutable, and strict about its keys. Errors never quote what was written."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


def parse_duration(value: object) -> float:
    """Seconds of `60s`, `15m`, `2h`, `1d`, `1h30m`, `500ms`, `5` or `0.5`. Raises ValueError unless positive."""
    text = "" if isinstance(value, bool) else str(value).strip()
    if len(text) <= 64 and _DURATION.fullmatch(text):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    elif _NUMBER.fullmatch(text):
        seconds = float(text)
    else:
        raise ValueError("must be a positive duration such as 60s, 15m, 2h, 1d, or a number of seconds")
    if not seconds > 0:
        raise ValueError("must be more than 0")
    return min(max(seconds, MIN_DURATION), MAX_DURATION)


def parse_positive(value: object) -> float:
    """A number more than 0."""
    text = "" if isinstance(value, bool) else str(value).strip()
    if not _NUMBER.fullmatch(text) or not 0 < float(text) < math.inf:
        raise ValueError("must be a number more than 0")
    return float(text)


def parse_name(value: object) -> str:
    """A name that becomes a label: letters, digits, `_`, `-`, `.`; at most 64 characters."""
    text = _text(value)
    if not _NAME.fullmatch(text):
        raise ValueError("must be a name of letters, digits, '_', '-' and '.' (at most 64, no '-' or '.' at its ends)")
    return text


def parse_host(value: object) -> str:
    """A host name in ASCII, or an address, in lower case."""
    text = _text(value).strip().removesuffix(".").lower()
    if (address := _address(text.removeprefix("[").removesuffix("]"))) is not None:
        return str(address)
    labels = text.split(".")
    if len(text) > 253 or labels[-1].isdigit() or not all(_HOST_LABEL.fullmatch(label) for label in labels):
        raise ValueError("must be a host name (its xn-- form where it has other letters) or an address, without a port")
    return text


def parse_address(value: object) -> str:
    """An IPv4 or IPv6 address, in its usual form."""
    address = _address(_text(value).strip())
    if address is None:
        raise ValueError("must be an IPv4 or IPv6 address")
    return str(address)


def parse_listen(text: str) -> tuple[str, int]:
    """Address and port of `ADDR:PORT` or `[v6]:PORT`; port 0 lets the kernel choose. A name only if it is localhost.

    Raises ValueError.
    """
    host, port = _host_and_port(_text(text), None)
    if host == "":
        raise ValueError("must name an address too: 127.0.0.1:PORT, or 0.0.0.0:PORT or [::]:PORT for all")
    if host != "localhost" and _address(host) is None:
        raise ValueError("must be ADDR:PORT or [V6ADDR]:PORT, with an address of this machine")
    return host, port


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address to listen on."""
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def check_listen(value: object) -> str:
    """As `parse_listen`, kept as written."""
    parse_listen(_text(value))
    return _text(value).strip()


def parse_resolver(value: object) -> tuple[str, int]:
    """A resolver's address, and its port: 53 unless it is written behind."""
    text = ":".join(map(str, value)) if isinstance(value, tuple) else _text(value)
    host, port = _host_and_port(text, 53)
    address = _address(host)
    if address is None or port == 0:
        raise ValueError("must be a resolver's address: ADDR, ADDR:PORT or [V6ADDR]:PORT")
    return str(address), port


def check_control(value: object) -> str:
    """A host to compare with, as `HOST` or `HOST:PORT`."""
    host, port = _host_and_port(_text(value), 443)
    if port == 0:
        raise ValueError("must be HOST or HOST:PORT, with a port from 1 to 65535")
    parse_host(host)
    return _text(value).strip()


def split_control(text: str) -> tuple[str, int]:
    """Host and port of a control that was checked; port 443 where none is written."""
    return _host_and_port(text, 443)


def check_proxy(value: object) -> str:
    """`http://`, `https://`, `socks5://` or `socks5h://` with host and perhaps port, and nothing else in it."""
    text = _text(value).strip()
    if "@" in text:
        raise ValueError("credentials don't belong here; name a file with USER:PASSWORD by proxy_credentials_file")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("must be a URL such as http://proxy.example:3128") from None
    if parts.scheme not in _PROXY_SCHEMES or not host:
        raise ValueError("must be a URL such as http://proxy.example:3128 (http, https, socks5 or socks5h)")
    if parts.path not in ("", "/") or "?" in text or "#" in text or port == 0:
        raise ValueError("must be only SCHEME://HOST:PORT")
    parse_host(host)
    return text.removesuffix("/")


def check_authority(value: object) -> str:
    """An identity provider's address: https, without a query."""
    text = _text(value).strip()
    try:
        parts = urlsplit(text)
        sound = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0 and text.isprintable()
    except ValueError:
        sound = False
    if not sound or "@" in text or "?" in text or "#" in text or " " in text:
        raise ValueError("must be a URL such as https://login.microsoftonline.com/TENANT")
    return text.removesuffix("/")


def parse_network(value: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """A network in CIDR form; an address alone is a network of one."""
    try:
        return ipaddress.ip_network(str(value).strip(), strict=False)
    except ValueError:
        raise ValueError("must be a network such as 10.0.0.0/8 or fd00::/8") from None


def parse_interface(value: object) -> str:
    """A network interface's name, as the kernel takes it (IFNAMSIZ)."""
    text = _text(value)
    if not _INTERFACE.fullmatch(text):
        raise ValueError("must be a network interface's name, at most 15 characters")
    return text


def parse_namespace(value: object) -> str:
    """A network namespace's name, as `ip netns` makes it."""
    text = _text(value).removeprefix("/run/netns/").removeprefix("/var/run/netns/")
    if not _NAMESPACE.fullmatch(text):
        raise ValueError("must be a name under /run/netns")
    return text


def parse_path(value: object) -> Path:
    """A file's path; a relative one starts at the configuration file's directory."""
    text = str(value) if isinstance(value, Path) else _text(value)
    if not text.strip() or "\0" in text or len(text) > 4096:
        raise ValueError("must be a file's path")
    directory = configuration_directory.get()
    return directory / text if directory is not None else Path(text)


def parse_secret_reference(value: object) -> str:
    """Where a secret is: an absolute path or a credential's name."""
    text = str(value) if isinstance(value, Path) else _text(value)
    if problem := reference_problem(text):
        raise ValueError(problem)
    return text


def split_words(value: object) -> object:
    """A list given as plain text, as in an environment variable: `imap,smtp`."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _host_and_port(text: str, default: int | None) -> tuple[str, int]:
    """Host and port of HOST:PORT, [V6]:PORT, or without port where there is a default."""
    text = text.strip()
    match = re.fullmatch(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::([0-9]{1,5}))?", text)
    if match is None and default is not None and _address(text) is not None:
        return text, default
    if match is None and _address(text.rpartition(":")[0]) is not None:
        raise ValueError("an IPv6 address needs brackets before a port: [::1]:10193")
    port = match[3] if match else None
    if match is None or (port is None and default is None) or int(port or 0) > 65_535:
        raise ValueError("must be ADDR:PORT or [V6ADDR]:PORT, with a port up to 65535")
    return match[1] or match[2] or "", int(port) if port is not None else default or 0


def _text_schema(*examples: str) -> dict[str, Any]:
    return {"type": "string", "examples": list(examples)}


_BOUNDED = Field(max_length=MAX_ENTRIES)

Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": ["string", "number"], "exclusiveMinimum": 0, "examples": ["60s", "15m", "2h", "1d", 0.5]}),
]
Positive = Annotated[float, BeforeValidator(parse_positive), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})]
Name = Annotated[str, BeforeValidator(parse_name), WithJsonSchema({"type": "string", "pattern": f"^{_NAME.pattern}$"})]
Host = Annotated[str, BeforeValidator(parse_host), WithJsonSchema(_text_schema("relay.example"))]
Address = Annotated[str, BeforeValidator(parse_address), WithJsonSchema(_text_schema("10.0.0.2", "2001:db8::2"))]
Interface = Annotated[str, BeforeValidator(parse_interface), WithJsonSchema(_text_schema("eth0"))]
Namespace = Annotated[str, BeforeValidator(parse_namespace), WithJsonSchema(_text_schema("probe-client"))]
ConfigPath = Annotated[Path, BeforeValidator(parse_path), WithJsonSchema(_text_schema("web.yml"))]
SecretReference = Annotated[
    str, BeforeValidator(parse_secret_reference), WithJsonSchema(_text_schema("/etc/outlook-auth-exporter/relay"))
]
Network = Annotated[
    ipaddress.IPv4Network | ipaddress.IPv6Network,
    PlainValidator(parse_network),
    PlainSerializer(str),
    WithJsonSchema(_text_schema("10.0.0.0/8")),
]
Listen = Annotated[str, BeforeValidator(check_listen), WithJsonSchema(_text_schema("127.0.0.1:10193", "[::1]:10193"))]
Resolver = Annotated[
    tuple[str, int], BeforeValidator(parse_resolver), WithJsonSchema(_text_schema("10.0.0.53", "[fd00::53]:5353"))
]
Control = Annotated[str, BeforeValidator(check_control), WithJsonSchema(_text_schema("www.example.com:443"))]
ProxyUrl = Annotated[str, BeforeValidator(check_proxy), WithJsonSchema(_text_schema("http://proxy.example:3128"))]
Authority = Annotated[
    str, BeforeValidator(check_authority), WithJsonSchema(_text_schema("https://login.microsoftonline.com/consumers"))
]
Port = Annotated[int, Field(ge=1, le=65_535)]
#: Lists may be plain text too, as in an environment variable: `imap,smtp`.
Words = Annotated[tuple[Annotated[str, Field(max_length=64)], ...], BeforeValidator(split_words), _BOUNDED]
Hosts = Annotated[tuple[Host, ...], BeforeValidator(split_words), _BOUNDED]
Networks = Annotated[tuple[Network, ...], BeforeValidator(split_words), _BOUNDED]
Controls = Annotated[tuple[Control, ...], BeforeValidator(split_words), _BOUNDED]
