"""A configuration's text to plain data: None, str, lists and dicts. Nothing is executed, expanded or guessed.

Every scalar but null stays text; the models say what it means. So `off`, `1:30`, `0123` and `2024-13-45` are no
booleans, numbers or dates by accident (YAML 1.1), and no constructor can fail in its own way.
"""

import re
from typing import Any

import yaml
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from exporter.settings_errors import shown_key

#: Bounds of a document: bytes of the file, values in it, levels of nesting.
MAX_BYTES, MAX_NODES, MAX_DEPTH = 1_048_576, 20_000, 20
#: Problems kept of one document.
MAX_PROBLEMS = 50

_NULL = "tag:yaml.org,2002:null"
_TAGS = {
    ScalarNode: ("tag:yaml.org,2002:str", _NULL),
    SequenceNode: ("tag:yaml.org,2002:seq",),
    MappingNode: ("tag:yaml.org,2002:map",),
}
_NULL_WORDS = re.compile(r"(?:~|null|Null|NULL|)$")
#: Characters that no key or value of ours has: C0 but tab and newline, DEL, C1, lone surrogates.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
#: What PyYAML's messages put between quotes: kept where it is punctuation, else it may be the file's own text.
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_PUNCTUATION = re.compile(r"[^\w\s]{1,3}|<[a-z ]{1,30}>")


class DocumentError(Exception):
    """The text isn't a document of ours. `problems`: what, each with its line; line 0 is the file as a whole."""

    def __init__(self, problems: list[tuple[int, str]]) -> None:
        super().__init__("; ".join(what for _, what in problems))
        self.problems = problems


def decode(content: bytes) -> str:
    """The text of a file. Raises DocumentError for what is no text, or too much."""
    if len(content) > MAX_BYTES:
        raise DocumentError([(0, f"is larger than {MAX_BYTES} bytes; it can't be a configuration")])
    if b"\0" in content:
        raise DocumentError([(0, "is not a text file (it holds NUL bytes); a configuration is YAML in UTF-8")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        what = f"is not a text file (line {line} is not UTF-8); save it as UTF-8"
        raise DocumentError([(0, what)]) from None


def parse(text: str) -> Any:
    """The one document of a YAML text as plain data. Raises DocumentError, and nothing else."""
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise DocumentError([(line, "a control character; remove it")]) from None
    except yaml.MarkedYAMLError as error:
        raise DocumentError([_syntax_problem(error)]) from None
    if root is None:
        return None
    problems: list[tuple[int, str]] = []
    plain = _plain(root, problems)
    if problems:
        raise DocumentError(sorted(problems)[:MAX_PROBLEMS])
    return plain


class _Loader(yaml.SafeLoader):
    """PyYAML's scanner, parser and composer, bounded while composing; its constructors aren't used."""

    yaml_implicit_resolvers = {first: [(_NULL, _NULL_WORDS)] for first in ("~", "n", "N", "")}  # noqa: RUF012 - PyYAML's own

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._nodes = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, AliasEvent):
            self._refuse(event, "aliases (*name) are not supported; write the value out")
        self._depth += 1
        self._nodes += 1
        if self._depth > MAX_DEPTH:
            self._refuse(event, f"nested deeper than {MAX_DEPTH} levels")
        if self._nodes > MAX_NODES:
            self._refuse(event, f"more than {MAX_NODES} values")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _refuse(self, event: Any, what: str) -> None:
        raise _Refused(None, None, what, event.start_mark)


class _Refused(yaml.MarkedYAMLError):
    """Our own words, to be shown as they are."""


def _syntax_problem(error: yaml.MarkedYAMLError) -> tuple[int, str]:
    """Line and words of a syntax error, without the file's own text."""
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    if isinstance(error, _Refused):
        return line, str(error.problem)
    words = [_without_excerpt(error.problem or "not understood")]
    if error.context:
        begun = f" begun in line {error.context_mark.line + 1}" if error.context_mark else ""
        words.append(f"({_without_excerpt(error.context)}{begun})")
    return line, f"not valid YAML: {' '.join(words)}"


def _without_excerpt(message: str) -> str:
    def shown(match: re.Match[str]) -> str:
        inner = match[1] or match[2] or ""
        return match[0] if _PUNCTUATION.fullmatch(inner) else "'…'"

    message = message.split("\n")[0]
    return _CONTROL.sub("", _QUOTED.sub(shown, message))[:200]


def _plain(node: Node, problems: list[tuple[int, str]]) -> Any:
    """A composed node as plain data; what is wrong goes to `problems`, with its line."""
    line = node.start_mark.line + 1
    if node.tag not in _TAGS.get(type(node), ()):
        problems.append((line, "tags (!name) are not supported; remove it"))
        return None
    if isinstance(node, MappingNode):
        return _plain_mapping(node, problems)
    if isinstance(node, SequenceNode):
        return [_plain(item, problems) for item in node.value]
    if _CONTROL.search(node.value):
        problems.append((line, "a control character in a value; remove it"))
    return None if node.tag == _NULL else node.value


def _plain_mapping(node: MappingNode, problems: list[tuple[int, str]]) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, ScalarNode) or not isinstance(_plain(key_node, problems), str):
            problems.append((line, "a key must be a word"))
            continue
        key = key_node.value
        if key in mapping:
            first = lines[key]
            problems.append((line, f"{shown_key(key)} is there already, in line {first}; remove one of them"))
        mapping[key], lines[key] = _plain(value_node, problems), lines.get(key, line)
    return mapping
