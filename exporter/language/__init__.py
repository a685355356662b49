"""The languages of pages, reports and runbooks: English is the source, `fr.yaml` and `causes.fr.yaml` say it in French.

JSON, metrics, logs and the command line stay English: their words are the vocabulary that machines read. Which language
is spoken is a context variable, so that whatever makes a text only writes `_("text")`.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, TypeVar

import yaml

K = TypeVar("K")


class Language(StrEnum):
    """Those that texts exist in."""

    ENGLISH = "en"
    FRENCH = "fr"


_current: ContextVar[Language] = ContextVar("language", default=Language.ENGLISH)

#: A space that belongs to the sign beside it; between words, not one that begins a line of Markdown.
_LOOSE = re.compile(r"(?<=«) | (?=[:;?!%»](?:\s|[).,]|$))")

#: Entries of an Accept-Language that are read.
_MAX_RANGES = 20


def current() -> Language:
    """The one that is spoken."""
    return _current.get()


@contextmanager
def speaking(language: Language) -> Iterator[None]:
    """What is said in this block is said in that language."""
    token = _current.set(language)
    try:
        yield
    finally:
        _current.reset(token)


def chosen(setting: str, accept_language: str) -> Language:
    """The setting's, or where that is `auto` the first of ours that the browser prefers (RFC 9110 12.5.4)."""
    if setting != "auto":
        return Language(setting)
    ranges = [_weighed(each) for each in accept_language.split(",")[:_MAX_RANGES]]
    for weight, tag in sorted(ranges, key=lambda each: -each[0]):
        primary = tag.split("-")[0]
        if weight > 0 and primary in set(Language):
            return Language(primary)
    return Language.ENGLISH


def _weighed(entry: str) -> tuple[float, str]:
    tag, _, parameters = entry.partition(";")
    quality = parameters.replace(" ", "").removeprefix("q=") or "1"
    try:
        return float(quality), tag.strip().lower()
    except ValueError:
        return 0.0, ""


def _(text: str, /, **values: object) -> str:
    """A text in the language that is spoken, its `{blanks}` filled. What isn't translated stays English."""
    said = texts(current()).get(text, text)
    return said.format_map(values) if values else said


class Words(dict[K, str]):
    """English words for things, said in the language that is spoken when they are looked up."""

    def __getitem__(self, key: K) -> str:
        return _(super().__getitem__(key))


@cache
def texts(language: Language) -> Mapping[str, str]:
    """English to that language: the pages' and reports' own texts."""
    return said_in(language, "{language}.yaml")


@cache
def causes(language: Language) -> Mapping[str, Any]:
    """What stands in `exporter/diagnosis/causes.yaml`, in that language; empty for English itself."""
    return said_in(language, "causes.{language}.yaml")


def said_in(language: Language, name: str) -> dict[str, Any]:
    """The content of a file of this package for a language; empty for English, which stands in the code."""
    if language is Language.ENGLISH:
        return {}
    file = resources.files(__name__).joinpath(name.format(language=language))
    content: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
    return {key: _set(value) for key, value in content.items()}


def _set(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _set(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_set(each) for each in node]
    return spaced(node) if isinstance(node, str) else node


def spaced(french: str) -> str:
    """With the spaces that French has before `: ; ? ! % »` and after `«` such that no line breaks there; code stays."""
    pieces = french.split("`")
    pieces[::2] = [_LOOSE.sub("\N{NO-BREAK SPACE}", piece) for piece in pieces[::2]]
    return "`".join(pieces)
