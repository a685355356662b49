"""What is wrong with a configuration, in words: the place, what, and what to do. Values are never shown."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

#: A secret written into the configuration, and the key that names its file instead.
SECRET_KEYS = {
    "client_secret": "client_secret_file",
    "secret": "client_secret_file",
    "password": "password_file",
    "app_password": "password_file",
    "token": "token_cache",
    "access_token": "token_cache",
    "refresh_token": "token_cache",
    "private_key": "private_key_file",
    "certificate": "certificate_file",
    "proxy_credentials": "proxy_credentials_file",
    "proxy_password": "proxy_credentials_file",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `place` as in `vantages[1].name`; empty for the whole file."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class ConfigurationError(Exception):
    """A configuration can't be used. `problems`: a line each, with file, place, and what to do."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


def nearest(name: str, known: Iterable[str]) -> str:
    """ "; did you mean imap?" or what there is to choose from."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; one of: {', '.join(names[:20])}"


def place_of(location: Sequence[int | str]) -> str:
    """("vantages", 1, "name") → "vantages[1].name"."""
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Every mistake pydantic found, values left out."""
    return [_problem(dict(item), model) for item in error.errors(include_input=False, include_url=False)]


def _problem(item: dict[str, Any], model: type[BaseModel]) -> Problem:
    location = item["loc"]
    place = place_of(location)
    if item["type"] == "extra_forbidden":
        key = str(location[-1])
        if key in SECRET_KEYS:
            return Problem(place, f"a secret doesn't belong into the configuration: name a file in {SECRET_KEYS[key]}")
        return Problem(place, f"no such key{nearest(key, _keys_at(model, location[:-1]))}")
    return Problem(place, str(item["msg"]))


def _keys_at(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """The valid keys of the section at a place."""
    current: type[BaseModel] = model
    for step in location:
        if isinstance(step, str) and step in current.model_fields:
            current = _section_of(current.model_fields[step].annotation) or current
    return list(current.model_fields)


def _section_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := _section_of(argument))), None)
