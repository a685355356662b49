"""Runbooks on a page: headings, lists and commands; nothing of it is lost, and nothing gets through."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.diagnosis import runbooks
from exporter.language import Language, speaking
from exporter.state import State
from exporter.web.app import create_app
from exporter.web.markdown import line, page
from tests.web.client import ScriptedControl, ask


def test_commands_can_be_scrolled_by_keyboard():
    assert page("```sh\nnc -vz $HOST   # <b>\n## no heading\n```") == (
        '<pre tabindex="0">nc -vz $HOST   # &lt;b&gt;\n## no heading\n</pre>\n'
    )


def test_a_remedy_in_one_line():
    assert line("Run `nft list ruleset` **now**") == "Run <code>nft list ruleset</code> <strong>now</strong>"


@pytest.mark.parametrize(
    "bad", ["<script>x</script>", "[a](http://a.example)", "![a](http://a.example)", "<http://a.example>"]
)
def test_no_html_link_or_picture_gets_through(bad: str):
    for made in (page(bad), line(bad), page(f"* {bad}"), page(f"> ## {bad}")):
        assert not re.search("<(script|a|img)", made)


@given(st.text(alphabet="ab*`# \n<>[]()!&", max_size=60))
def test_whatever_is_written_it_opens_no_other_element(text: str):
    """Each letter is shown, but those that name a fence's language."""
    opened = set(re.findall(r"<(\w+)", page(text)))
    assert opened <= {
        "p",
        "ul",
        "li",
        "pre",
        "code",
        "em",
        "strong",
        "blockquote",
        "br",
        *(f"h{n}" for n in range(1, 7)),
    }
    shown = html.unescape(re.sub(r"<[^>]*>", "", page(text)))
    letters = re.findall("[ab]", re.sub(r"(?m)^[ >*]*`{3,}.*$", "", text))
    assert len(re.findall("[ab]", shown)) >= len(letters)


@pytest.mark.parametrize("language", list(Language))
def test_our_own_runbooks_have_no_mark_left(language: Language):
    with speaking(language):
        pages = runbooks.pages()
    for name in set(pages) - {"README.md"}:
        made = page(pages[name].partition("\n# ")[2].partition("\n")[2])
        prose = re.sub("(?s)<(pre|code)[ >].*?</(pre|code)>", "", made)
        assert not re.search(r"`|\*\*|(?m:^#)|(?<![\w/])\*\w+\*", prose), name


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
