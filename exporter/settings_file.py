"""Reads the configuration file, lays the environment over it, and validates the whole."""

import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from exporter.secret_files import SecretFileError, access_problem, locate
from exporter.settings import Settings
from exporter.settings_checks import cross_check
from exporter.settings_environment import EnvironmentValues, read_environment
from exporter.settings_errors import ConfigurationError, Problem, nearest, problems_of, shown_path
from exporter.settings_fields import configuration_directory
from exporter.settings_inline_secrets import take_secrets
from exporter.settings_yaml import MAX_BYTES, DocumentError, decode, parse

#: Problems shown of one configuration.
MAX_PROBLEMS = 100


def load(path: Path | None, env: Mapping[str, str]) -> Settings:
    """The configuration of a file (None: defaults) and the environment. Raises ConfigurationError."""
    file, file_problems = take_secrets(_read(path) if path is not None else {})
    environment = read_environment(env, Settings.model_fields)
    overrides, environment_problems = take_secrets(environment.values)
    origin = _Origin("defaults" if path is None else shown_path(path), environment)
    lines = [f"environment: {problem}" for problem in environment.problems]
    lines += [origin.in_file(problem) for problem in file_problems]
    lines += [origin.line(problem) for problem in environment_problems]
    values = _without_nulls(_merged(file, overrides))
    settings, problems = _validated(values, path.absolute().parent if path is not None else None)
    lines += [origin.line(problem) for problem in problems]
    if settings is not None:
        lines += [origin.line(problem) for problem in _secret_file_problems(settings, env)]
    if lines or settings is None:
        raise ConfigurationError(list(dict.fromkeys(lines))[:MAX_PROBLEMS])
    return settings


@dataclass(frozen=True, slots=True)
class _Origin:
    """Tells whether a problem is the file's or the environment's."""

    file: str
    environment: EnvironmentValues

    def in_file(self, problem: Problem) -> str:
        return f"{self.file}: {problem}"

    def line(self, problem: Problem) -> str:
        place = self.environment.place(problem.location)
        return self.in_file(problem) if place is None else f"environment: {place}: {problem.message}"


def _read(path: Path) -> dict[str, Any]:
    """The file's plain data. Raises ConfigurationError."""
    name = shown_path(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        values = parse(decode(content))
    except OSError as error:
        raise ConfigurationError([f"{name}: {_words(error)}"]) from None
    except ValueError:  # a NUL in the name
        raise ConfigurationError([f"{name}: is not a usable file name"]) from None
    except DocumentError as error:
        lines = [f"{name}: line {line}: {what}" if line else f"{name}: {what}" for line, what in error.problems]
        raise ConfigurationError(lines) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigurationError(
            [f"{name}: line 1: must be a mapping of keys to values, such as 'listen: 127.0.0.1:10193'"]
        )
    return values


def _words(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return "there is no such file; create it, or name another"
        case errno.EACCES | errno.EPERM:
            return "can't be read by this user; change its mode or owner"
        case errno.EISDIR:
            return "is a directory; name the file in it"
        case _:
            return f"can't be read ({error.strerror or type(error).__name__})"


def _validated(values: dict[str, Any], directory: Path | None) -> tuple[Settings | None, list[Problem]]:
    """The settings, or all that is wrong with the values; file names in them are relative to `directory`."""
    token = configuration_directory.set(directory)
    # BaseSettings takes arguments of its own, such as _env_file: a configuration must not reach them.
    unknown = [Problem((key,), f"no such key{nearest(key, Settings.model_fields)}") for key in values if key[:1] == "_"]
    known = {key: value for key, value in values.items() if key[:1] != "_"}
    try:
        return Settings(**known), unknown
    except ValidationError as error:
        return None, [*unknown, *problems_of(error, Settings), *cross_check(known)]
    finally:
        configuration_directory.reset(token)


def _secret_file_problems(settings: Settings, env: Mapping[str, str]) -> Iterator[Problem]:
    """Secrets' files that are there and would be refused. One that isn't there is told of at its use."""
    for section in ("vantages", "accounts"):
        for index, item in enumerate(getattr(settings, section)):
            for key in sorted(set(type(item).model_fields) & _SECRET_FILES):
                if problem := _secret_file_problem(getattr(item, key), env):
                    yield Problem((section, index, key), problem)


_SECRET_FILES = {"proxy_credentials_file", "client_secret_file", "private_key_file", "password_file"}


def _secret_file_problem(reference: str | None, env: Mapping[str, str]) -> str | None:
    if reference is None:
        return None
    try:
        return access_problem(locate(reference, env))
    except SecretFileError:
        return None


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`, mappings merged key by key; a list replaces a list."""
    result = dict(base)
    for key, value in over.items():
        inner = result.get(key)
        result[key] = _merged(inner, value) if isinstance(value, dict) and isinstance(inner, dict) else value
    return result


def _without_nulls(values: Any) -> Any:
    """A key without a value means its default, as where all that stood below it is commented out."""
    if isinstance(values, dict):
        return {key: _without_nulls(value) for key, value in values.items() if value is not None}
    return [_without_nulls(value) for value in values] if isinstance(values, list) else values
