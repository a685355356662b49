"""What is wrong with a configuration, in words: the place, what, and what to do.

No message ever holds a value that was written, only keys and our own words: any value may be a secret in the
wrong place. Names are the exception, where one that exists is offered: they are labels, and public.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from exporter.configuration_error import ConfigurationError as ConfigurationError

#: A word that may be shown as a key: anything else may be a value that lost its space (`password:hunter2`).
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,79}")
_EXPECTED = re.compile(r"'([^']*)'")
#: Names offered where none is near.
_MAX_OFFERED = 20

#: Pydantic's types of error (docs.pydantic.dev/latest/errors/validation_errors) in our words.
_WORDS = {
    "missing": "is missing; add it",
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "frozen_instance": "can't be changed",
}
_LIMITS = {
    "greater_than": ("must be more than {}", "gt"),
    "greater_than_equal": ("must be at least {}", "ge"),
    "less_than_equal": ("must be at most {}", "le"),
    "too_long": ("has more than {} entries", "max_length"),
    "string_too_long": ("is longer than {} characters", "max_length"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `location`: keys and indices from the top; empty for the whole."""

    location: tuple[int | str, ...]
    message: str

    def __str__(self) -> str:
        place = place_of(self.location)
        return f"{place}: {self.message}" if place else self.message


class Problems(ValueError):
    """What a validator of the whole found, several at once and each at its place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = tuple(problems)


def closest(word: object, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    by_lower = {name.lower(): name for name in sorted(known)}
    close = difflib.get_close_matches(str(word).lower()[:64], by_lower, 1, 0.6)
    return by_lower[close[0]] if close else None


def nearest(word: object, known: Iterable[str]) -> str:
    """ "; did you mean imap?" or what there is to choose from. For the end of a message."""
    names = list(dict.fromkeys(known))
    if close := closest(word, names):
        return f"; did you mean {close}?"
    offered = ", ".join(names[:_MAX_OFFERED]) + (", …" if len(names) > _MAX_OFFERED else "")
    return f"; one of: {offered}" if names else ""


def shown_key(key: object) -> str:
    """A key as a message may show it: the word it begins with, cut where it stops being one."""
    text = str(key)
    match = _KEY.match(text)
    if match is None:
        return "…"
    return match[0] if match[0] == text else f"{match[0]}…"


def shown_path(path: object) -> str:
    """A file's name for a terminal: what can't be printed is escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in str(path)
    )


def place_of(location: Sequence[int | str]) -> str:
    """("vantages", 1, "name") → "vantages[1].name"."""
    text = ""
    for step in location:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{shown_key(step)}" if text else shown_key(step)
    return text


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Every mistake pydantic found, in our words."""
    return [problem for item in error.errors(include_url=False) for problem in _problems(dict(item), model)]


def _problems(item: dict[str, Any], model: type[BaseModel]) -> Sequence[Problem]:
    location, context = item["loc"], item.get("ctx") or {}
    raised = context.get("error")
    if isinstance(raised, Problems):
        return raised.problems
    if item["type"] == "extra_forbidden":
        keys = section_at(model, location[:-1]).model_fields
        return [Problem(location, f"no such key{nearest(location[-1], keys)}")]
    return [Problem(location, _message(item["type"], context, raised, item.get("input")))]


def _message(kind: str, context: dict[str, Any], raised: object, written: object) -> str:
    if kind == "value_error":
        return str(raised)
    if kind in ("enum", "literal_error"):
        return f"not known here{nearest(written, _EXPECTED.findall(str(context.get('expected', ''))))}"
    if kind in _LIMITS:
        words, limit = _LIMITS[kind]
        return words.format(context.get(limit))
    return _WORDS.get(kind, f"isn't valid ({kind})")


def section_at(model: type[BaseModel], location: Sequence[object]) -> type[BaseModel]:
    """The section at a place, whose keys are the valid ones there."""
    current = model
    for step in location:
        if isinstance(step, str) and step in current.model_fields:
            current = _section_of(current.model_fields[step].annotation) or current
    return current


def _section_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := _section_of(argument))), None)
