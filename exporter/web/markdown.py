"""A runbook's Markdown as plain data for a template: as much of it as our own runbooks use, and never any HTML."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

_INLINE = re.compile(
    r"`(?P<code>[^`]+)`|\*\*(?P<strong>[^*]+)\*\*|(?<![\w*])\*(?P<em>[^*\s](?:[^*]*[^*\s])?)\*(?![\w*])"
)
_FENCE, _HEADING, _ITEM = "```", "## ", "* "


class Kind(StrEnum):
    """What a block is."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST = "list"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of text; `tag` is the element that it stands in, or empty."""

    text: str
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """A heading, a paragraph or code has one line of spans, a list one for each of its items."""

    kind: Kind
    lines: tuple[tuple[Span, ...], ...]


def blocks(markdown: str) -> Iterator[Block]:
    """The blocks of a text, in order. A fence that never ends holds the rest."""
    lines = markdown.split("\n")
    while lines:
        line = lines.pop(0)
        if line.startswith(_FENCE):
            code = _taken(lines, lambda each: not each.startswith(_FENCE))
            del lines[:1]
            yield Block(Kind.CODE, ((Span("\n".join(code)),),))
        elif line.startswith(_HEADING):
            yield Block(Kind.HEADING, (spans(line.removeprefix(_HEADING)),))
        elif line.startswith(_ITEM):
            items = [line, *_taken(lines, lambda each: each.startswith(_ITEM))]
            yield Block(Kind.LIST, tuple(spans(each.removeprefix(_ITEM)) for each in items))
        elif line.strip():
            text = [line, *_taken(lines, _continues)]
            yield Block(Kind.PARAGRAPH, (spans(" ".join(text)),))


def spans(line: str) -> tuple[Span, ...]:
    """Code, strong and emphasized pieces, and what lies between."""
    found, end = [], 0
    for match in _INLINE.finditer(line):
        found.append(Span(line[end : match.start()]))
        tag = str(match.lastgroup)
        found.append(Span(match[tag], tag))
        end = match.end()
    return tuple(each for each in (*found, Span(line[end:])) if each.text)


def _continues(line: str) -> bool:
    return bool(line.strip()) and not line.startswith((_FENCE, _HEADING, _ITEM))


def _taken(lines: list[str], wanted: Callable[[str], bool]) -> list[str]:
    """The first lines that are wanted, taken away."""
    count = next((index for index, each in enumerate(lines) if not wanted(each)), len(lines))
    taken, lines[:] = lines[:count], lines[count:]
    return taken
