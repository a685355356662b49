"""Evidence and advice in another language. Rules write plain English with what they saw in it; here that is recognized.

Rules are pure, and their words go into JSON, which stays English. So a page translates what it shows: each English
sentence that a rule can write stands in `evidence.fr.yaml` with blanks for what was seen, and is matched against the
whole of an observation. Why an account is refused is a sentence of `accounts/errors.yaml`, Microsoft's number before it
or its own words behind it. What matches none stays English, and is marked so.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from exporter.language import Language, current, said_in, texts

#: What was seen may itself be a sentence, at most so deep.
MAX_DEPTH = 5
#: Longer observations aren't looked at: matching takes longer the longer they are.
MAX_LENGTH = 800
#: A template of fewer letters of its own would match everything.
MIN_LETTERS = 4
_BLANK = re.compile(r"\{\d+\}")
_LISTED = re.compile(r", | and ")
_NUMBER = re.compile(r"AADSTS\d+: ")


class Said(NamedTuple):
    """A sentence, and in which language it is."""

    text: str
    language: Language


class _Pattern(NamedTuple):
    matches: re.Pattern[str]
    said: str


def said(observation: str) -> Said:
    """In the language that is spoken, where it is known there."""
    language = current()
    if language is Language.ENGLISH or len(observation) > MAX_LENGTH:
        return Said(observation, Language.ENGLISH)
    found = _translated(observation, language, MAX_DEPTH)
    return Said(observation, Language.ENGLISH) if found is None else Said(found, language)


def _translated(text: str, language: Language, depth: int) -> str | None:
    if depth == 0:
        return None
    if (refused := _refusal(text, language)) is not None:
        return refused
    if (listed := _list(text, "; ", language, depth - 1)) is not None:
        return listed
    for pattern in _patterns(language):
        if (match := pattern.matches.fullmatch(text)) is not None:
            blanks = (_translated(each, language, depth - 1) or each for each in match.groups())
            return pattern.said.format(*blanks)
    return _list(text, " and ", language, depth - 1) or _with_detail(text, language, depth - 1)


def _list(text: str, between: str, language: Language, depth: int) -> str | None:
    """Several sentences in a row, or `rules.common.listed`: each is known, or a name of one word."""
    if between not in text:
        return None
    parts = _LISTED.split(text) if between == " and " else text.split(between)
    told = [_translated(each, language, depth) or each for each in parts]
    if any(" " in part and part == said for part, said in zip(parts, told, strict=True)):
        return None
    if between == " and ":
        told = [", ".join(told[:-1]), told[-1]]
    return texts(language)[between].join(told)


def _with_detail(text: str, language: Language, depth: int) -> str | None:
    """A known sentence, and behind a colon what a step noted."""
    known, colon, detail = text.partition(": ")
    told = _translated(known, language, depth) if colon else None
    return None if told is None else f"{told}{texts(language)[colon]}{_translated(detail, language, depth) or detail}"


def _refusal(text: str, language: Language) -> str | None:
    """A sentence of the table of refusals: a number may stand before it, and behind it in brackets what was said."""
    number = _NUMBER.match(text)
    start = number.end() if number is not None else 0
    for english, other in refusals(language).items():
        end = start + len(english)
        if text.startswith(english, start) and (end == len(text) or text.startswith(" (", end)):
            return f"{text[:start]}{other}{text[end:]}"
    return None


@cache
def refusals(language: Language) -> Mapping[str, str]:
    """Each sentence of `accounts/errors.yaml`, to that language."""
    return said_in(language, "errors.{language}.yaml")


@cache
def templates(language: Language) -> Mapping[str, str]:
    """English to that language, with blanks {0}, {1}…; literal braces are doubled."""
    return said_in(language, "evidence.{language}.yaml")


@cache
def _patterns(language: Language) -> tuple[_Pattern, ...]:
    """Those with most words of their own first: `{0} answers` fits what a longer one says better."""
    listed = sorted(templates(language).items(), key=lambda pair: -len(_BLANK.sub("", pair[0])))
    return tuple(
        _Pattern(_regex(english), other) for english, other in listed
        if sum(map(str.isalpha, _BLANK.sub("", english))) >= MIN_LETTERS
    )  # fmt: skip


def _regex(english: str) -> re.Pattern[str]:
    pieces = [re.escape(piece.replace("{{", "{").replace("}}", "}")) for piece in _BLANK.split(english)]
    return re.compile("(.*?)".join(pieces), re.DOTALL)
