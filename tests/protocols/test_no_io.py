"""Nothing in exporter/protocols touches a socket, an event loop or a clock."""

import ast
from pathlib import Path

import pytest

import exporter.protocols

FORBIDDEN = {"socket", "ssl", "OpenSSL", "asyncio", "time", "select", "selectors", "threading", "subprocess"}
CLOCKS = {"now", "utcnow", "today", "fromtimestamp", "monotonic", "perf_counter", "time_ns", "localtime", "gmtime"}
SOURCES = sorted(Path(exporter.protocols.__file__).parent.rglob("*.py"))


def imported(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


def clocks_read(tree: ast.AST) -> set[str]:
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in CLOCKS}


def test_there_is_something_to_check():
    assert {"lines.py", "imap.py", "smtp.py", "pop.py", "http.py"} <= {source.name for source in SOURCES}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_sans_io(source: Path):
    tree = ast.parse(source.read_text("utf-8"))
    assert imported(tree) & FORBIDDEN == set()
    assert clocks_read(tree) == set()
    assert not any(isinstance(node, ast.AsyncFunctionDef) for node in ast.walk(tree))


def test_the_check_finds_what_it_looks_for():
    tree = ast.parse("import os, ssl\nfrom socket import socket\nimport datetime\ndatetime.datetime.now()")
    assert imported(tree) & FORBIDDEN == {"ssl", "socket"}
    assert clocks_read(tree) == {"now"}
