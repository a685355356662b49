"""What one part of a configuration says of another: names that exist, are used once, fields that belong together.

The checks read a validated Settings and plain data alike, so that a file with one mistake in a value is told its other
mistakes in the same run. Of plain data nothing is taken for granted: what has the wrong form is skipped here, for the
models complain of it.
"""

import ipaddress
from collections.abc import Iterator
from typing import Any

from exporter.catalogue import TARGETS
from exporter.settings_account import FIELDS_OF_KIND, KIND_FIELDS, REQUIRED_FIELDS
from exporter.settings_errors import Problem, nearest
from exporter.settings_fields import parse_name, split_words
from exporter.settings_probe import MAIL
from exporter.settings_vantage import RESERVED_NAMES
from exporter.vocabulary import AccountKind, Protocol

_Location = tuple[int | str, ...]


def cross_check(settings: Any) -> list[Problem]:
    """The problems between the parts of a Settings, or of the plain data for one."""
    return [
        *_names_used_once(settings),
        *_targets_exist(settings),
        *_each(settings, ("probe", "custom"), _custom_target),
        *_each(settings, ("vantages",), _vantage),
        *_each(settings, ("accounts",), _account),
        *_caches_used_once(settings),
    ]


def _get(node: Any, *path: str) -> Any:
    """The value at a path of a model or mapping; None where there is none."""
    for key in path:
        node = node.get(key) if isinstance(node, dict) else getattr(node, key, None)
    return node


def _items(node: Any, *path: str) -> list[Any]:
    value = _get(node, *path)
    return list(value) if isinstance(value, list | tuple) else []


def _words(node: Any, *path: str) -> list[str]:
    value = split_words(_get(node, *path))
    return [word if isinstance(word, str) else "" for word in value] if isinstance(value, list | tuple) else []


def _names(settings: Any, *path: str) -> list[str]:
    """The names in a list; empty where one isn't valid, so that a message offers only what may be a label."""
    return [_name(_get(item, "name")) for item in _items(settings, *path)]


def _name(value: Any) -> str:
    try:
        return parse_name(value)
    except ValueError:
        return ""


def _each(settings: Any, path: tuple[str, ...], check: Any) -> Iterator[Problem]:
    for index, item in enumerate(_items(settings, *path)):
        yield from check(item, (*path, index))


def _names_used_once(settings: Any) -> Iterator[Problem]:
    for path in (("vantages",), ("accounts",), ("probe", "custom"), ("inspect", "interfaces")):
        first: dict[str, int] = {}
        for index, name in enumerate(_names(settings, *path)):
            if name and first.setdefault(name, index) != index:
                yield Problem(
                    (*path, index, "name"), f"is the name of {path[-1]}[{first[name]}] already; choose another"
                )
    for index, name in enumerate(_names(settings, "vantages")):
        if name in RESERVED_NAMES:
            yield Problem(("vantages", index, "name"), f"{name} has a meaning of its own; choose another name")


def _caches_used_once(settings: Any) -> Iterator[Problem]:
    """In one file for two accounts each would present the other's token."""
    first: dict[str, int] = {}
    for index, account in enumerate(_items(settings, "accounts")):
        place = _get(account, "token_cache")
        if place and first.setdefault(str(place), index) != index:
            words = f"is that of accounts[{first[str(place)]}] already; each account needs a file of its own"
            yield Problem(("accounts", index, "token_cache"), words)


def _targets_exist(settings: Any) -> Iterator[Problem]:
    targets = list(dict.fromkeys([*TARGETS, *filter(None, _names(settings, "probe", "custom"))]))
    vantages = ["all", *(filter(None, _names(settings, "vantages")) if _items(settings, "vantages") else ["local"])]
    for path in (("probe", "targets"), ("probe", "hold", "targets")):
        yield from _known(_words(settings, *path), targets, path, "no such target")
    for index, account in enumerate(_items(settings, "accounts")):
        place = ("accounts", index)
        yield from _known(_words(account, "targets"), targets, (*place, "targets"), "no such target")
        yield from _known(_words(account, "vantages"), vantages, (*place, "vantages"), "no such vantage")


def _known(words: list[str], known: list[str], location: _Location, complaint: str) -> Iterator[Problem]:
    for index, word in enumerate(words):
        if word not in known:
            yield Problem((*location, index), f"{complaint}{nearest(word, known)}")


def _custom_target(item: Any, location: _Location) -> Iterator[Problem]:
    known = TARGETS.get(name) if isinstance(name := _get(item, "name"), str) else None
    protocol, host, hosts = _get(item, "protocol"), _get(item, "host"), _get(item, "hosts")
    if protocol is None and known is None:
        yield Problem((*location, "protocol"), f"is missing; one of: {', '.join(Protocol)}")
    if not host and not hosts and known is None:
        yield Problem((*location, "host"), "is missing; add it")
    if host and hosts:
        yield Problem((*location, "hosts"), "host is there too; write one of the two")
    spoken = protocol or (known.protocol if known else None)
    if _get(item, "tls") and isinstance(spoken, str) and spoken in set(Protocol) - MAIL:
        yield Problem((*location, "tls"), f"belongs to {', '.join(sorted(MAIL))} only; remove it")


def _vantage(item: Any, location: _Location) -> Iterator[Problem]:
    if _get(item, "proxy_credentials_file") and not _get(item, "proxy"):
        yield Problem((*location, "proxy_credentials_file"), "needs a proxy; add it")
    if _get(item, "network_namespace") and _get(item, "vantage_socket"):
        yield Problem((*location, "vantage_socket"), "network_namespace is there too; write one of the two")
    version = _get(item, "ip_version")
    try:
        source = ipaddress.ip_address(str(_get(item, "source_address")))
    except ValueError:
        return
    if version in ("4", "6") and source.version != int(version):
        yield Problem((*location, "source_address"), f"is not of ip_version {version}; change one of the two")


def _account(item: Any, location: _Location) -> Iterator[Problem]:
    try:
        kind = AccountKind(_get(item, "kind"))
    except ValueError:
        return
    for key in REQUIRED_FIELDS[kind]:
        if not _get(item, key):
            yield Problem((*location, key), f"is missing; an account of kind {kind} needs it")
    for key in sorted(KIND_FIELDS - FIELDS_OF_KIND[kind]):
        if _get(item, key):
            kinds = ", ".join(other for other, fields in FIELDS_OF_KIND.items() if key in fields)
            yield Problem((*location, key), f"belongs to accounts of kind {kinds}; remove it, or change the kind")
    if kind is AccountKind.OAUTH_WORK:
        yield from _one_credential(item, location)


def _one_credential(item: Any, location: _Location) -> Iterator[Problem]:
    """A client secret, or a certificate with its key (RFC 7523), or neither: then a person signs in by device code."""
    certificate, key = _get(item, "certificate_file"), _get(item, "private_key_file")
    if _get(item, "client_secret_file") and (certificate or key):
        yield Problem((*location, "client_secret_file"), "a certificate is there too; write one of the two")
    if certificate and not key:
        yield Problem((*location, "private_key_file"), "is missing; certificate_file needs it")
    if key and not certificate:
        yield Problem((*location, "certificate_file"), "is missing; private_key_file needs it")
