"""`python -m exporter.language.stale`: what isn't translated, isn't needed any more, or was made from another text.

`--accept` notes that the translations of causes are of the sources as they stand now (in `causes.sources.yaml`).
"""

import ast
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment
from jinja2.ext import extract_from_ast

from exporter.accounts.error_table import Actor, built_in
from exporter.diagnosis import runbooks
from exporter.diagnosis.causes import remark_of, source
from exporter.language import Language, causes, texts
from exporter.language.evidence import refusals, templates
from exporter.vocabulary import AuthOutcome
from exporter.web import words
from exporter.web.verdict_view import STATIONS

_HERE = Path(__file__).parent
#: Of which English text each translation of a cause was made: path to a digest.
SOURCES = _HERE / "causes.sources.yaml"
#: Parts of the tree of causes that stay the source's: commands.
_KEPT = frozenset({"confirm"})


def problems(language: Language) -> Iterator[str]:
    """Each in one line, naming the text."""
    said, wanted = texts(language), set(pages_texts())
    yield from (f"not translated: {text!r}" for text in sorted(wanted - said.keys()))
    yield from (f"not needed: {text!r}" for text in sorted(said.keys() - wanted))
    for english, other in said.items():
        if _blanks(english) != _blanks(other):
            yield f"other blanks: {english!r}: {other!r}"
    yield from _causes_problems(language)
    yield from _evidence_problems(language)
    refused, known = set(built_in().sentences()), refusals(language).keys()
    yield from (f"refusal not translated: {text!r}" for text in sorted(refused - known))
    yield from (f"refusal not needed: {text!r}" for text in sorted(known - refused))


#: Words of a rule that look like sentences and are none: what it searches for.
_SEARCHED = frozenset("|\\^")


def evidence_texts() -> Iterator[str]:
    """Every sentence that a rule can write, with {0}, {1}… for what it fills in; what is glued to another isn't one."""
    folder = _HERE.parent / "diagnosis"
    files = [*(folder / "rules").glob("*.py"), *(folder / f"{name}.py" for name in _BESIDE_RULES)]
    for file in sorted(files):
        tree = ast.parse(file.read_text("utf-8"))
        documented = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, _DOCUMENTED)}
        parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            text = _template(node) if id(node) not in parts else None
            if text is not None and text not in documented and _is_sentence(text):
                yield text + "{0}" if text.endswith(": ") else text


_BESIDE_RULES = ("hops", "judge", "judge_wire", "ladder_steps", "place")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
#: Letters that a sentence has at least, what is filled in apart.
_LETTERS = 7


def _is_sentence(text: str) -> bool:
    own = re.sub(r"\{\d+\}", "", text)
    return " " in own.strip() and sum(map(str.isalpha, own)) >= _LETTERS and not _SEARCHED & set(own)


def _template(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace("{", "{{").replace("}", "}}")
    if not isinstance(node, ast.JoinedStr):
        return None
    blanks = iter(range(len(node.values)))
    return "".join(str(part.value) if isinstance(part, ast.Constant) else f"{{{next(blanks)}}}" for part in node.values)


def _evidence_problems(language: Language) -> Iterator[str]:
    known, wanted = templates(language), set(evidence_texts())
    yield from (f"evidence not translated: {text!r}" for text in sorted(wanted - known.keys()))
    for english, other in known.items():
        if _blanks(english) != _blanks(other):
            yield f"evidence with other blanks: {english!r}"


def pages_texts() -> Iterator[str]:
    """Every text of pages and report, as code and templates have it."""
    root = _HERE.parent
    for file in sorted([*(root / "web").glob("*.py"), *(root / "diagnosis").glob("*.py")]):
        yield from _in_code(ast.parse(file.read_text("utf-8")))
    for file in sorted(root.glob("*/templates/*.html")):
        for _line, _function, message in extract_from_ast(Environment(autoescape=True).parse(file.read_text("utf-8"))):
            yield from (text for text in (message if isinstance(message, tuple) else (message,)) if text)
    yield from _made_up()


def _in_code(tree: ast.AST) -> Iterator[str]:
    """First arguments of `_()`, and values of `Words`."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
            continue
        first = node.args[0]
        if node.func.id == "_" and isinstance(first, ast.Constant):
            yield str(first.value)
        elif node.func.id == "Words" and isinstance(first, ast.Dict):
            yield from (text for each in first.values if (text := ast.literal_eval(each)))


def _made_up() -> Iterator[str]:
    """Those whose key isn't written beside `_`."""
    yield from ("d", "h", "min", " and ")
    yield from STATIONS
    yield from (outcome.value for outcome in AuthOutcome)
    yield from (f"the {who} has to act" for who in set(Actor) - {Actor.NOBODY})
    yield from (text for both in words.JOURNEYS.values() for text in both)
    yield words.NEVER_WORKS
    yield runbooks.WHAT_THEY_ARE
    for cause in source()["causes"].values():
        yield from filter(None, map(remark_of, cause["confirm"]))


def _causes_problems(language: Language) -> Iterator[str]:
    english, other = dict(_leaves(source())), dict(_leaves(causes(language)))
    yield from (f"not translated: {path}" for path in english.keys() - other.keys())
    yield from (f"not needed: {path}" for path in other.keys() - english.keys())
    noted: Mapping[str, str] = yaml.safe_load(SOURCES.read_text("utf-8")) or {}
    for path in sorted(english.keys() & other.keys()):
        if _blanks(english[path]) != _blanks(other[path]):
            yield f"other blanks: {path}"
        if noted.get(path) != _digest(english[path]):
            yield f"the English text has changed: {path}"


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Texts by their path; lists whole, for another language may need another number of lines."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key not in _KEPT:
                yield from _leaves(value, f"{path}.{key}" if path else key)
    else:
        yield path, node if isinstance(node, str) else json.dumps(node, ensure_ascii=False)


def _blanks(text: str) -> set[str]:
    return set(re.findall(r"\{\w+\}", text))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def accept() -> None:
    """Notes the sources as they are."""
    noted = {path: _digest(text) for path, text in _leaves(source())}
    SOURCES.write_text(
        "# Of which English text each translation was made; `python -m exporter.language.stale --accept`\n"
        + yaml.safe_dump(noted),
        encoding="utf-8",
    )


def main() -> int:
    """0, or 1 where something is to be done."""
    if "--accept" in sys.argv[1:]:
        accept()
    found = [f"{each}: {line}" for each in Language if each is not Language.ENGLISH for line in problems(each)]
    print("\n".join(found) or "all is translated")  # noqa: T201 - what a person asked for
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
