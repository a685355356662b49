"""Finds secrets that stand in a configuration or in the environment, before anything else looks at them."""

import re
from typing import Any

from exporter.settings_errors import Problem

#: Where the value belongs instead: the key that names a file, by what the secret is called.
_INSTEAD = {
    "client_secret": "client_secret_file",
    "app_secret": "client_secret_file",
    "secret": "client_secret_file",
    "password": "password_file",
    "passwd": "password_file",
    "pass": "password_file",
    "pwd": "password_file",
    "app_password": "password_file",
    "passphrase": "password_file",
    "token": "token_cache",
    "access_token": "token_cache",
    "refresh_token": "token_cache",
    "id_token": "token_cache",
    "bearer": "token_cache",
    "private_key": "private_key_file",
    "certificate_key": "private_key_file",
    "key": "private_key_file",
    "certificate": "certificate_file",
    "proxy_credentials": "proxy_credentials_file",
    "proxy_credential": "proxy_credentials_file",
    "proxy_password": "proxy_credentials_file",
    "proxy_user": "proxy_credentials_file",
    "proxy_username": "proxy_credentials_file",
    "credentials": "proxy_credentials_file",
    "proxy_auth": "proxy_credentials_file",
}
#: In a vantage the only secret is the proxy's.
_VANTAGE_SECRET = "proxy_credentials_file"
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")

_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----")
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.")  # a JWT's first two parts (RFC 7519)
_URL_WITH_USER = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,20}://\S*@")


def take_secrets(values: Any, location: tuple[int | str, ...] = ()) -> tuple[Any, list[Problem]]:
    """The values without what is a secret, and a problem for each that was one."""
    if isinstance(values, dict):
        return _take_from_mapping(values, location)
    if isinstance(values, list):
        kept, problems = [], []
        for index, value in enumerate(values):
            plain, found = take_secrets(value, (*location, index))
            kept.append(plain)
            problems += found
        return kept, problems
    if isinstance(values, str) and (problem := _secret_value(values, location)):
        return None, [problem]
    return values, []


def _take_from_mapping(values: dict[str, Any], location: tuple[int | str, ...]) -> tuple[dict[str, Any], list[Problem]]:
    kept, problems = {}, []
    for key, value in values.items():
        if (word := _secret_word(key)) is not None:
            problems.append(Problem((*location, key), _belongs_elsewhere(word, location)))
            continue
        kept[key], found = take_secrets(value, (*location, key))
        problems += found
    return kept, problems


def _secret_word(key: str) -> str | None:
    """What a key calls a secret, in our spelling; None for the others. `password:hunter2` counts by its first word."""
    match = _WORD.match(key)
    if match is None:
        return None
    word = _CAMEL.sub("_", match[0]).replace("-", "_").lower().strip("_")
    return word if word in _INSTEAD else None


def _belongs_elsewhere(word: str, location: tuple[int | str, ...]) -> str:
    key = _INSTEAD[word]
    if location[:1] == ("vantages",):
        key = _VANTAGE_SECRET
    if location[:1] == ("accounts",) or location[:1] == ("vantages",):
        return f"a secret doesn't belong here; {_advice(key)}"
    section = "vantages" if key == _VANTAGE_SECRET else "accounts"
    return f"a secret doesn't belong here; {_advice(key)} (under {section})"


def _advice(key: str) -> str:
    if key == "token_cache":
        return "sign in by the login command; it keeps the token in the file that token_cache names"
    return f"put it into a file with mode 0600 and name that by {key}"


def _secret_value(text: str, location: tuple[int | str, ...]) -> Problem | None:
    """A problem where a value is a secret by its own form, under whichever key."""
    if _PRIVATE_KEY.search(text):
        return Problem(location, f"a private key doesn't belong here; {_advice('private_key_file')}")
    if _TOKEN.search(text):
        return Problem(location, f"a token doesn't belong here; {_advice('token_cache')}")
    if _URL_WITH_USER.search(text):
        return Problem(location, f"a URL must not carry credentials; {_advice('proxy_credentials_file')}")
    return None
