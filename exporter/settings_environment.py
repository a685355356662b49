"""The environment's part of a configuration: OUTLOOK_EXPORTER_… variables, nested by `__`, JSON or plain."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.settings_errors import place_of
from exporter.settings_yaml import DocumentError, parse

PREFIX = "OUTLOOK_EXPORTER_"
_DELIMITER = "__"

#: What Kubernetes sets in every pod beside a Service named outlook-exporter: not meant for us.
_OF_KUBERNETES = re.compile(r"SERVICE_(HOST|PORT)(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(slots=True)
class EnvironmentValues:
    """Plain data as a file's, with the variable each part came from, and what couldn't be read."""

    values: dict[str, Any] = field(default_factory=dict)
    variables: dict[tuple[int | str, ...], str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def place(self, location: tuple[int | str, ...]) -> str | None:
        """The place in a variable where a location's value comes from; None where it isn't the environment's."""
        node: Any = self.values
        inside_list = False  # a list is never merged: what is missing in one is missing in the variable
        for step in location:
            if isinstance(node, dict) and step in node:
                node = node[step]
            elif isinstance(node, dict) and not inside_list:
                return None
            elif isinstance(node, list) and isinstance(step, int) and step < len(node):
                node, inside_list = node[step], True
        for length in range(len(location), 0, -1):
            if (name := self.variables.get(location[:length])) is not None:
                inner = place_of(location[length:])
                return f"{name}{'.' if inner and not inner.startswith('[') else ''}{inner}"
        return None


def read_environment(env: Mapping[str, str], known: Mapping[str, Any]) -> EnvironmentValues:
    """What the variables set. `known`: the top keys there are. Nothing else of the environment is looked at."""
    result = EnvironmentValues()
    mine = {name: value for name, value in env.items() if name.upper().startswith(PREFIX) and value.strip()}
    for name in sorted(mine, key=lambda each: (each.count(_DELIMITER), each)):
        rest = name[len(PREFIX) :]
        if _OF_KUBERNETES.fullmatch(rest.upper()) and rest.lower() not in known:
            continue
        _set(result, name, tuple(rest.lower().split(_DELIMITER)), mine[name])
    return result


def _set(result: EnvironmentValues, name: str, location: tuple[str, ...], text: str) -> None:
    shown = place_of([name])
    if "" in location:
        result.problems.append(f"{shown}: names no key; write {PREFIX}SECTION{_DELIMITER}KEY")
        return
    node = result.values
    for depth, step in enumerate(location[:-1], 1):
        node = node.setdefault(step, {})
        if not isinstance(node, dict):
            outer = place_of([result.variables.get(location[:depth], name)])
            result.problems.append(f"{shown}: {outer} is set too, and is not a JSON object; use one of them")
            return
    try:
        node[location[-1]] = _plain(text)
        result.variables[location] = shown
    except DocumentError as error:
        result.problems += [f"{shown}: is not valid JSON; {what}" for _, what in error.problems]


def _plain(text: str) -> Any:
    """JSON where it looks like some (which is YAML too), else the text. Raises DocumentError."""
    if text.lstrip()[:1] in ("{", "["):
        return parse(text)
    if _CONTROL.search(text):
        raise DocumentError([(0, "a control character; remove it")])
    return None if text.strip() == "null" else text
