"""Reads the configuration file, lays the environment over it, and validates the whole."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from exporter.settings import Settings, cross_check, environment_values
from exporter.settings_errors import ConfigurationError, nearest, problems_of

#: A larger file is no configuration, bytes.
MAX_FILE = 1_048_576
#: Nesting that a configuration has, at most.
MAX_DEPTH = 20

_PATHS = (("web_config",), ("probe", "replies_file"), ("identity", "roots_file"))


def load(path: Path | None, env: Mapping[str, str]) -> Settings:
    """The configuration of a file (None: defaults) and the environment. Raises ConfigurationError."""
    name = str(path) if path is not None else "environment"
    if unknown := _unknown_variables(env):
        raise ConfigurationError(unknown)
    values = _read(path) if path is not None else {}
    if path is not None:
        _resolve_paths(values, path.parent)
    try:
        values = _merged(values, environment_values(env))
        settings = Settings(**values)
    except ValidationError as error:
        raise ConfigurationError([f"{name}: {problem}" for problem in problems_of(error, Settings)]) from None
    except Exception as error:
        # pydantic-settings' SettingsError for a variable that isn't JSON: its text may hold the value.
        raise ConfigurationError([f"{name}: an environment variable can't be read ({type(error).__name__})"]) from None
    if problems := cross_check(settings):
        raise ConfigurationError([f"{name}: {problem}" for problem in problems])
    return settings


class _Loader(yaml.SafeLoader):
    """YAML without what a configuration doesn't need: no aliases (they can explode), no key twice, not too deep."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases are not supported", problem_mark=self._mark())
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=self._mark())
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def _mark(self) -> Any:
        return self.peek_event().start_mark  # type: ignore[no-untyped-call]

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            if key.value.__hash__ is not None and (key.tag, str(key.value)) in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {str(key.value)[:64]} stands twice", problem_mark=key.start_mark
                )
            seen.add((key.tag, str(key.value)))
        return super().construct_mapping(node, deep)


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise ConfigurationError([f"{path}: {error.strerror}"]) from error
    if len(data) > MAX_FILE:
        raise ConfigurationError([f"{path}: larger than {MAX_FILE} bytes"])
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError([f"{path}: not a text file in UTF-8"]) from None
    try:
        values = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader with fewer features
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigurationError([f"{path}: line {line}: not YAML: {error.problem}"]) from None
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        reason = getattr(error, "reason", None) or "not YAML"
        raise ConfigurationError([f"{path}: {reason}"]) from None
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigurationError([f"{path}: a mapping of keys to values is expected"])
    return values


def _resolve_paths(values: dict[str, Any], directory: Path) -> None:
    """File names that the configuration gives are relative to it."""
    for *sections, key in _PATHS:
        section: Any = values
        for name in sections:
            section = section.get(name) if isinstance(section, dict) else None
        if isinstance(section, dict) and isinstance(section.get(key), str):
            section[key] = str(directory / section[key])


def _unknown_variables(env: Mapping[str, str]) -> list[str]:
    prefix = "OUTLOOK_EXPORTER_"
    known = [prefix + field.upper() for field in Settings.model_fields]
    mine = [key for key in env if key.upper().startswith(prefix)]
    unknown = [key for key in mine if key.upper().partition("__")[0] not in known]
    return [f"environment: {key}: no such variable{nearest(key.upper(), known)}" for key in unknown]


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`, mappings merged key by key."""
    result = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = _merged(result[key], value)
        else:
            result[key] = value
    return result


def problems_in(path: Path, env: Mapping[str, str]) -> Iterator[str]:
    """Each problem of a file, for `check-config`."""
    try:
        load(path, env)
    except ConfigurationError as error:
        yield from error.problems
