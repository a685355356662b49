"""Runbooks on a page: what their Markdown means, and that nothing of it is lost."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.diagnosis import runbooks
from exporter.language import Language, speaking
from exporter.state import State
from exporter.web.app import create_app
from exporter.web.markdown import Block, Kind, Span, blocks, spans
from tests.web.client import ScriptedControl, ask

PAGE = """\
## What people see

* iOS: "Cannot Get Mail"
* Scripts: `TimeoutError`, **always**

Rows *id 1* of
`*.outlook.com`:

```sh
nc -vz $HOST   # <b>
## no heading
```
## Then
The end"""


def plain(block: Block) -> list[str]:
    return ["".join(span.text for span in line) for line in block.lines]


def test_a_page_block_by_block():
    told = list(blocks(PAGE))
    assert [(block.kind, plain(block)) for block in told] == [
        (Kind.HEADING, ["What people see"]),
        (Kind.LIST, ['iOS: "Cannot Get Mail"', "Scripts: TimeoutError, always"]),
        (Kind.PARAGRAPH, ["Rows id 1 of *.outlook.com:"]),
        (Kind.CODE, ["nc -vz $HOST   # <b>\n## no heading"]),
        (Kind.HEADING, ["Then"]),
        (Kind.PARAGRAPH, ["The end"]),
    ]
    assert told[1].lines[1] == (Span("Scripts: "), Span("TimeoutError", "code"), Span(", "), Span("always", "strong"))
    assert told[2].lines[0][1] == Span("id 1", "em")


@pytest.mark.parametrize("line", ["2 * 3 * 4", "a*b*c", "*", "`", "``", "**", "* *", "`open", "a ** b"])
def test_signs_that_mean_nothing_stay(line: str):
    assert spans(line) == (Span(line),)


def test_a_fence_that_never_ends_holds_the_rest():
    assert [plain(each) for each in blocks("```\n# a\n* b")] == [["# a\n* b"]]


@given(st.text(alphabet="ab*`# \n<", max_size=60))
def test_whatever_is_written_each_letter_is_shown(text: str):
    shown = "".join("".join(plain(block)) for block in blocks(text))
    letters = "".join(re.findall("[ab<]", text))
    fences = re.sub(r"(?m)^```.*$", "", text)
    assert "".join(re.findall("[ab<]", shown)) in (letters, "".join(re.findall("[ab<]", fences)))


@pytest.mark.parametrize("language", list(Language))
def test_our_own_runbooks_have_no_mark_left(language: Language):
    with speaking(language):
        pages = runbooks.pages()
    for name in set(pages) - {"README.md"}:
        for block in blocks(pages[name].partition("\n# ")[2].partition("\n")[2]):
            for line in plain(block) if block.kind is not Kind.CODE else ():
                assert not re.search(r"`|\*\*|^#|^\* |(?<![\w/])\*\w+\*", line), (name, line)


async def test_on_the_page_they_are_headings_lists_and_code_and_escaped():
    answer = await ask(create_app(State(), ScriptedControl()), "/runbook/sni_reset")
    for piece in (
        "<h2>What to do</h2>",
        "<li>",
        "<code>nft list ruleset",
        '<pre tabindex="0">openssl s_client',
        "&lt;/dev/null",
    ):
        assert piece in answer.text
